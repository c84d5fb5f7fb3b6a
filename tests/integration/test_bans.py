# SPDX-License-Identifier: Apache-2.0
"""Addresses that connect too often: the keys connectionRate and banSeconds, and what administrators see and undo."""

import os
import signal

import pytest
from blackbox.app import MANAGER_PATH, expect_error
from blackbox.peer import Peer, Refused
from blackbox.users import ADMINISTRATORS, ORDINARY_USER, needs_root
from blackbox.wire import until

LIMITED = {"administrators": ADMINISTRATORS, "connectionRate": 5, "banSeconds": 600}


def knock(server, source: str = "127.0.0.1"):
    """101, or the refusal."""
    try:
        with Peer(server.port, source=source):
            return 101
    except Refused as refused:
        return refused.response


def earn_ban(server, source: str = "127.0.0.1") -> None:
    for _ in range(5 + 20):
        knock(server, source)


@pytest.fixture
def limited(new_service):
    return new_service(LIMITED)


def test_by_default_an_address_may_connect_fifty_times_a_minute(new_service, new_app):
    service = new_service(start=False)
    service.configure({"deviceProfile": "smart-screen"})
    service.start()
    server = new_app(service).running_server(maxConnectionsForOneClient=100)
    assert [knock(server) for _ in range(50)] == [101] * 50
    refused = knock(server)
    assert refused.status == 429 and int(refused.headers["retry-after"]) >= 1 and refused.body.strip()
    assert knock(server, "127.0.0.2") == 101


@needs_root
def test_an_administrator_sees_whom_each_server_bans_and_pardons_them(limited, new_app):
    owner, administrator = new_app(limited, user=ORDINARY_USER), new_app(limited)
    one, other, idle = (owner.running_server(maxConnectionsForOneClient=100) for _ in range(3))
    resident, _connection = one.join()
    assert administrator.manager("ListBans") == []
    earn_ban(one, "127.0.0.1")
    earn_ban(other, "127.0.0.1")
    earn_ban(other, "127.0.0.3")
    bans = administrator.manager("ListBans")
    assert [(path, address, reason) for path, address, reason, _left in bans] == [
        (one.path, "127.0.0.1", "too many connections"), (other.path, "127.0.0.1", "too many connections"),
        (other.path, "127.0.0.3", "too many connections")]
    assert all(500 < left <= 600 for *_, left in bans)
    assert 500 < int(knock(one).headers["retry-after"]) <= 600
    assert knock(one, "127.0.0.2") == 101 and knock(idle) == 101
    resident.assert_alive()  # who is in stays in
    administrator.manager("ClearBan", "s", "127.0.0.1")
    assert [(path, address) for path, address, *_ in administrator.manager("ListBans")] == [(other.path, "127.0.0.3")]
    assert knock(one) == 101 and knock(other) == 101
    administrator.manager("ClearBan", "s", "127.0.0.1")  # nothing to clear is fine
    assert knock(other, "127.0.0.3").status == 429


@needs_root
@pytest.mark.parametrize("text", ["", "localhost", "127.0.0", "127.0.0.1:80", "[::1]", "::1%lo", "fe80::1", "1.2.3.4/24", "::/48", "::/640", "x/64",
                                  "%", "/64", "fe80::1%nosuchif"])
def test_a_mistyped_address_is_refused_by_name(limited, new_app, text):
    expect_error("InvalidArgument", new_app(limited).manager, "ClearBan", "s", text, names="address")


@needs_root
@pytest.mark.parametrize("text", ["127.0.0.1", "::ffff:127.0.0.1", "2001:db8::1", "2001:db8::/64", "::1", "fe80::1%lo", "fe80::1%7"])
def test_every_way_to_write_an_address_is_taken(limited, new_app, text):
    administrator = new_app(limited)
    administrator.running_server()
    administrator.manager("ClearBan", "s", text)


@needs_root
def test_a_network_is_pardoned_by_the_name_that_the_list_gives_it(limited, new_app):
    administrator = new_app(limited)
    server = administrator.running_server(serverIP="::", maxConnectionsForOneClient=100)
    for host, shown in (("::1", "::/64"), ("127.0.0.1", "127.0.0.1")):
        for _ in range(5 + 20):
            try:
                Peer(server.port, host=host).close()
            except Refused:
                pass
        [(_path, address, _reason, _left)] = administrator.manager("ListBans")
        assert address == shown
        administrator.manager("ClearBan", "s", address)
        Peer(server.port, host=host).assert_alive()


@needs_root
def test_bans_outlive_a_restart_of_the_service(new_managed, new_app):
    service = new_managed(LIMITED)
    app = new_app(service)
    server = app.running_server(maxConnectionsForOneClient=100)
    earn_ban(server)
    service.manager.restart()
    until(lambda: [ban[1] for ban in app.manager("ListBans")] == ["127.0.0.1"], what="the ban in the list")
    assert knock(server).status == 429


@needs_root
def test_a_worker_that_hangs_hides_no_ban_of_another_server(limited, new_app):
    administrator = new_app(limited)
    hanging = administrator.running_server()
    [worker] = limited.workers()
    server = administrator.running_server(maxConnectionsForOneClient=100)
    earn_ban(server)
    os.kill(worker, signal.SIGSTOP)
    try:
        lists = [administrator.call_later(MANAGER_PATH, "org.wsserver1.Manager", "ListBans", "") for _ in range(3)]
        for later in lists:
            [(path, address, *_)] = later.result()
            assert (path, address) == (server.path, "127.0.0.1")
    finally:
        os.kill(worker, signal.SIGCONT)
    hanging.join()[0].assert_alive()


@needs_root
def test_the_list_keeps_its_order_whichever_worker_answers_first(limited, new_app):
    administrator = new_app(limited)
    slow = administrator.running_server(maxConnectionsForOneClient=100)
    [worker] = limited.workers()
    quick = administrator.running_server(maxConnectionsForOneClient=100)
    earn_ban(slow)
    earn_ban(quick)
    os.kill(worker, signal.SIGSTOP)
    later = administrator.call_later(MANAGER_PATH, "org.wsserver1.Manager", "ListBans", "")
    quick.get("Connections")  # the quick one answers in order: what was asked before is answered
    os.kill(worker, signal.SIGCONT)
    assert [path for path, *_ in later.result()] == [slow.path, quick.path]


def test_with_the_rate_off_nobody_is_refused_or_banned(app):
    server = app.running_server(maxConnectionsForOneClient=300)  # the tests' configuration says 0
    assert [knock(server) for _ in range(200)] == [101] * 200
