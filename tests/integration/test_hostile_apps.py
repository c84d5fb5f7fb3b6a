# SPDX-License-Identifier: Apache-2.0
"""Apps that misuse the bus: they get errors, everybody else gets service."""

import os
import resource

import pytest
from blackbox.app import MANAGER, MANAGER_PATH, PROPERTIES, SERVER, error_of, expect_error
from blackbox.service import BUS_NAME
from blackbox.wire import Variant, until

CALLS = 5000


def nested(depth: int) -> Variant:
    value = Variant("q", 1)
    for _ in range(depth):
        value = Variant("v", value)
    return value


def test_a_flood_of_calls_that_want_no_reply_delays_others_but_does_not_stop_them(service, new_app):
    flooding, other = new_app(service), new_app(service)
    server = flooding.running_server()
    other_server = other.running_server()
    for _ in range(CALLS):
        flooding.connection.call_without_reply(BUS_NAME, server.path, SERVER, "Broadcast", "atbay", [], True, b"x" * 100)
        flooding.connection.call_without_reply(BUS_NAME, MANAGER_PATH, MANAGER, "CreateServer")
    other_server.join()[0].assert_alive()
    assert other_server.get("State") == "running"
    until(lambda: len(flooding.manager("ListServers")) == 16, what="the flood to be worked off")


def test_an_app_that_never_reads_its_replies_stops_nobody(service, new_app):
    deaf, other = new_app(service), new_app(service)
    server = deaf.running_server()
    deaf.connection.stop_reading()
    for _ in range(100):
        deaf.call_later(server.path, PROPERTIES, "GetAll", "s", SERVER)
    other.running_server().join()[0].assert_alive()
    deaf.close()
    until(lambda: not [path for path in other.manager("ListServers") if path[0] == server.path], what="its server to go")


def test_a_hundred_calls_at_once_are_all_answered_in_order(server):
    peer, connection = server.join()
    calls = [server.send_later(connection, str(number)) for number in range(100)]
    assert [peer.read_message() for _ in calls] == [str(number) for number in range(100)]
    for call in calls:
        call.result()
    positions = [call.position for call in calls]
    assert positions == sorted(positions)


def test_descriptors_that_come_with_a_call_are_not_kept(service, app):
    server = app.create_server()
    read_end, write_end = os.pipe()
    expect_error("CertificateNotFound", server.start, [read_end], certificate=Variant("h", 0))
    before = service.open_descriptors()
    for _ in range(50):
        expect_error("InvalidArgument", server.start, [read_end] * 4, certificate=Variant("h", 0), privateKey=Variant("h", 1))
        error_of(server.call, "Stop", fds=[read_end] * 16)
        error_of(server.call, "NoSuchMember", fds=[read_end])
        error_of(server.call, "ReplaceCertificate", "hhs", 0, 1, "", fds=[read_end, read_end])
    assert service.open_descriptors() <= before + 2
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("index", [0, 1, 2**32 - 1])
def test_a_descriptor_that_was_not_sent_is_an_error(app, index):
    server = app.create_server()
    error = error_of(server.start, certificate=Variant("h", index))
    assert error.name in ("org.wsserver1.Error.Failed", "org.wsserver1.Error.InvalidArgument", "org.wsserver1.Error.CertificateNotFound")
    server.start(serverIP="127.0.0.1")


def test_a_service_without_a_free_descriptor_says_so_and_recovers(new_service, new_app):
    service = new_service()
    app = new_app(service)
    standing = app.running_server()
    peer, connection = standing.join()
    server = app.create_server()
    limits = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (service.open_descriptors() + 1, limits[1]))
    try:
        for _ in range(3):
            expect_error("Failed", server.start, serverIP="127.0.0.1")
        standing.send(connection, "undisturbed")
        assert peer.read_message() == "undisturbed"
    finally:
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, limits)
    server.start(serverIP="127.0.0.1")
    server.join()[0].assert_alive()


def test_an_option_given_twice_is_an_error_and_not_a_choice(app):
    options = [("serverPort", Variant("q", 0)), ("serverIP", Variant("s", "127.0.0.1")), ("serverIP", Variant("s", "0.0.0.0"))]
    expect_error("InvalidArgument", app.create_server().call, "Start", "a{sv}", options, names="serverIP")


def test_a_deeply_nested_option_is_an_error(app):
    expect_error("InvalidArgument", app.create_server().start, names="serverIP", serverIP=nested(40))


def test_thousands_of_options_are_an_error(app):
    options = {f"option{number}": Variant("s", "x" * 100) for number in range(20000)}
    expect_error("InvalidArgument", app.create_server().call, "Start", "a{sv}", options)


def test_a_broadcast_to_very_many_ids_is_answered(server):
    peer, connection = server.join()
    assert server.broadcast("x", [connection, *range(1, 60000)]) == 1
    assert peer.read_message() == "x"


def test_a_broadcast_that_names_a_peer_twice_sends_once(server):
    peer, connection = server.join()
    try:
        queued = server.broadcast("once", [connection, connection])
    except Exception as error:
        assert "InvalidArgument" in str(error)
    else:
        assert queued == 1
        assert peer.read_message() == "once"
    peer.assert_alive()


@pytest.mark.parametrize("call", ["path", "interface", "property", "member of the body"])
def test_a_call_that_is_as_large_as_the_bus_takes_does_not_get_the_service_thrown_out(new_service, new_app, call):
    """Its answer names what was asked for: repeated whole, it would be larger than the bus takes from us."""
    service = new_service()
    calm, hostile = new_app(service), new_app(service)
    server = calm.running_server()
    peer, _connection = server.join()
    long = "a" * ((32 << 20) - 400)
    calls = {
        "path": lambda: hostile.call("/" + long, PROPERTIES, "Get", "ss", MANAGER, "Version"),
        "interface": lambda: hostile.call(MANAGER_PATH, PROPERTIES, "Get", "ss", long, "Version"),
        "property": lambda: hostile.call(MANAGER_PATH, PROPERTIES, "Get", "ss", MANAGER, long),
        "member of the body": lambda: hostile.manager("ClearBan", "s", long),
    }
    error = error_of(calls[call])
    assert len(error.message) < 3000
    peer.assert_alive()
    assert server.get("State") == "running"
