# SPDX-License-Identifier: Apache-2.0
"""Ways round the bounds: what one app does beside them must not become everybody's problem."""

import os
import resource
import signal

import pytest
from blackbox.app import INTROSPECTABLE, MANAGER, MANAGER_PATH, PROPERTIES, SERVER, App, expect_error
from blackbox.peer import Peer
from blackbox.service import BUS_NAME, Service, memory
from blackbox.wire import CALL, DBusError, Variant, until

DEAF_APPS = 3
SERVERS_PER_APP = 16
UNREAD_MAX = 4 << 20


def call_and_forget(app: App, path: str, interface: str, member: str, signature: str = "", *body) -> None:
    """A call with a reply that nobody will look at."""
    app.connection.send(CALL, {1: path, 2: interface, 3: member, 6: BUS_NAME}, signature, body)


def test_replies_that_apps_do_not_read_never_silence_the_service(service, new_app):
    other = new_app(service)
    deaf = [new_app(service) for _ in range(DEAF_APPS)]
    servers = [app.create_server() for app in deaf]
    for app in deaf:
        app.connection.stop_reading()
    for _ in range(200):
        for app, server in zip(deaf, servers, strict=True):
            for _ in range(60):
                call_and_forget(app, server.path, INTROSPECTABLE, "Introspect")
        assert other.get(MANAGER_PATH, MANAGER, "Version")
    assert memory(service.bus.process.pid)["Rss"] < 100 << 20
    other.running_server().join()[0].assert_alive()


def test_an_app_that_reads_late_gets_every_reply(service, new_app):
    app = new_app(service)
    server = app.create_server()
    other = new_app(service)
    count = UNREAD_MAX // len(app.introspect(server.path)) + 50  # the bus lets 128 calls be without a reply
    app.connection.stop_reading()
    replies = []
    while len(replies) < count:
        replies += [app.call_later(server.path, INTROSPECTABLE, "Introspect") for _ in range(20)]
        for _ in range(25):  # callers take turns: when as many calls of another one were answered, so were these
            other.get(MANAGER_PATH, MANAGER, "Version")
    app.connection.resume_reading()
    for reply in replies:
        reply.result()
    assert server.get("State") == "created"


def test_servers_that_are_stopping_still_count(service, new_app):
    """Or workers would pile up without bound while their peers take their time."""
    app = new_app(service)
    peers = []
    for _ in range(SERVERS_PER_APP):
        server = app.running_server()
        peers.append(Peer(server.port))
        app.connection.call_without_reply(BUS_NAME, server.path, SERVER, "Release")
    expect_error("LimitExceeded", app.create_server)
    for peer in peers:
        peer.finish_close()
    until(lambda: can_create(app), what="a place among the servers")


def can_create(app: App) -> bool:
    try:
        app.create_server()
    except DBusError:
        return False
    return True


@pytest.mark.parametrize("address", ["255.255.255.255", "224.0.0.1", "239.255.255.250"])
def test_an_address_nobody_can_connect_to_is_no_address_to_serve_on(app, address):
    expect_error("InvalidAddress", app.create_server().start, serverIP=address, names="serverIP")


def test_descriptors_of_calls_that_wait_are_not_held(new_service, new_app):
    service = new_service()
    app = new_app(service)
    server = app.running_server()
    (worker,) = service.workers()
    limits = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    before = service.open_descriptors()
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (before + 100, limits[1]))
    read_end, write_end = os.pipe()
    os.kill(worker, signal.SIGSTOP)
    try:
        for _ in range(60):
            app.call_later(server.path, PROPERTIES, "GetAll", "s", SERVER, fds=[read_end] * 16)
        other = new_app(service)
        other.running_server().join()[0].assert_alive()
        assert service.open_descriptors() < before + 20
    finally:
        os.kill(worker, signal.SIGCONT)
    os.close(read_end)
    os.close(write_end)


def test_memory_of_large_messages_is_given_back(release_build, new_service, new_app):
    service: Service = new_service(build_folder=release_build)
    app = new_app(service)
    server = app.running_server(maxMessageSize=Variant("t", 16 << 20))
    peer, connection = server.join()
    for _ in range(3):
        sent = server.send_later(connection, bytes(16 << 20))
        assert len(peer.read_message()) == 16 << 20
        sent.result()
    kept = (16 << 20) + 4096  # GDBus keeps one buffer for reading, as large as the largest message
    until(lambda: memory(service.pid)["Private_Dirty"] < kept + (4 << 20), what="the memory to go back")


def test_a_worker_that_hangs_hides_no_server_from_anybody(administrated, new_app):
    app, administrator = new_app(administrated), new_app(administrated)
    server = app.running_server()
    (worker,) = administrated.workers()
    other = new_app(administrated).running_server()
    server.join()
    assert server.get("Connections") == 1
    os.kill(worker, signal.SIGSTOP)
    try:
        for _ in range(2):
            assert dict(administrator.manager("ListServers"))[other.path]["State"] == "running"
            assert server.get("Connections") == 1  # what was known last
            expect_error("Failed", server.list_connections)
    finally:
        os.kill(worker, signal.SIGCONT)
    until(lambda: can_list(server), what="the worker to answer again")
    assert server.get("Connections") == 1


def can_list(server) -> bool:
    try:
        return len(server.list_connections()) == 1
    except DBusError:
        return False
