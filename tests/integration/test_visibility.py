# SPDX-License-Identifier: Apache-2.0
"""Who sees what: everything about a server goes to its owner alone."""

import pytest
from blackbox.app import INTROSPECTABLE, MANAGER_PATH, PROPERTIES, SERVER, App, error_of, expect_error
from blackbox.peer import Peer, can_bind
from blackbox.users import GROUP_MEMBER, ORDINARY_USER, needs_root
from blackbox.wire import DBusError, Variant, until

UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
NEVER_EXISTED = "/org/wsserver1/server/4000000000"

# Every way to touch an object.
TOUCHES = {
    "Start": (SERVER, "Start", "a{sv}", ({},)),
    "Stop": (SERVER, "Stop", "", ()),
    "Send": (SERVER, "Send", "tbay", (1, True, b"x")),
    "Broadcast": (SERVER, "Broadcast", "atbay", ([], True, b"x")),
    "Close": (SERVER, "Close", "tqs", (1, 1000, "")),
    "ListAllConnections": (SERVER, "ListAllConnections", "", ()),
    "OpenChannel": (SERVER, "OpenChannel", "", ()),
    "OpenSharedChannel": (SERVER, "OpenSharedChannel", "", ()),
    "Acknowledge": (SERVER, "Acknowledge", "t", (1,)),
    "Release": (SERVER, "Release", "", ()),
    "a wrong signature": (SERVER, "Send", "s", ("x",)),
    "an unknown member": (SERVER, "NoSuchMember", "", ()),
    "no interface": ("", "Stop", "", ()),
    "an unknown interface": ("org.wsserver1.Other", "Stop", "", ()),
    "Get": (PROPERTIES, "Get", "ss", (SERVER, "State")),
    "Get of an unknown property": (PROPERTIES, "Get", "ss", (SERVER, "NoSuchProperty")),
    "GetAll": (PROPERTIES, "GetAll", "s", (SERVER,)),
    "GetAll of an unknown interface": (PROPERTIES, "GetAll", "s", ("org.wsserver1.Other",)),
    "Set": (PROPERTIES, "Set", "ssv", (SERVER, "State", Variant("s", "x"))),
    "Introspect": (INTROSPECTABLE, "Introspect", "", ()),
    "Manager on a server's path": ("org.wsserver1.Manager", "ListServers", "", ()),
}
DENIED_BY_THE_BUS = "org.freedesktop.DBus.Error.AccessDenied"


def touch(app: App, path: str, how: str) -> DBusError:
    interface, member, signature, body = TOUCHES[how]
    return error_of(app.call, path, interface, member, signature, *body)


@pytest.fixture
def strangers(service, new_app):
    """A server with one connection, and an app that has nothing to do with it."""
    server = new_app(service).running_server()
    return server, server.join(), new_app(service)


@pytest.mark.parametrize("how", TOUCHES)
def test_a_foreign_server_answers_as_one_that_does_not_exist(strangers, how):
    server, (peer, _connection), stranger = strangers
    foreign, absent = touch(stranger, server.path, how), touch(stranger, NEVER_EXISTED, how)
    assert foreign.name == absent.name in (UNKNOWN_OBJECT, DENIED_BY_THE_BUS)
    assert foreign.message.replace(server.path, "PATH") == absent.message.replace(NEVER_EXISTED, "PATH")
    peer.assert_alive()
    assert server.get("State") == "running"


@pytest.mark.parametrize("how", ["Stop", "Get", "GetAll", "Introspect", "Release"])
@pytest.mark.parametrize("path", [
    NEVER_EXISTED, "/org/wsserver1/server/0", "/org/wsserver1/server/x", "/org/wsserver1/server/01", "/org/wsserver1/other",
    "/org/wsserver1/server/99999999999999999999999999",
])
def test_a_path_that_never_was_is_an_unknown_object(app, how, path):
    assert touch(app, path, how).name == UNKNOWN_OBJECT


@pytest.mark.parametrize("how", ["Stop", "Get", "GetAll", "Release"])
def test_what_lies_below_a_server_is_unknown_even_to_its_owner(server, how):
    assert touch(server.app, server.path + "/below", how).name == UNKNOWN_OBJECT


def test_introspection_shows_an_app_its_own_objects_only(strangers):
    server, _peer, stranger = strangers
    own = stranger.create_server()
    number, own_number = server.path.rpartition("/")[2], own.path.rpartition("/")[2]
    root, folder = stranger.introspect(MANAGER_PATH), stranger.introspect("/org/wsserver1/server")
    assert "org.wsserver1.Manager" in root and 'node name="server' in root
    assert f'"{own_number}"' in folder and f'"{number}"' not in folder
    assert "org.wsserver1.Server" in stranger.introspect(own.path)
    assert f'"{number}"' in server.app.introspect("/org/wsserver1/server")


def test_a_nosy_app_receives_nothing_of_a_foreign_server(strangers):
    server, (peer, connection), stranger = strangers
    for rule in ("type='signal'", "eavesdrop='true'", "sender='org.wsserver1'", f"path='{server.path}'",
                 "eavesdrop='true',type='signal',interface='org.wsserver1.Server'", "type='method_call',eavesdrop='true'"):
        try:
            stranger.connection.bus_call("AddMatch", "s", rule).result()
        except DBusError:
            pass  # a bus may refuse such a rule: that hides as well
    peer.send_message("private")
    server.wait("MessageReceive")
    server.send(connection, "answer")
    peer.read_message()
    peer.leave()
    server.wait("Closed")
    server.stop()
    server.start(serverIP="127.0.0.1")
    server.app.round_trip()
    stranger.round_trip()
    assert stranger.foreign_signals() == []
    assert stranger.connection.calls_received == []


def test_signals_need_no_match_rule(service, new_app):
    server = new_app(service).running_server()  # this harness never adds one
    peer, _connection = server.join()
    peer.send_message("x")
    server.wait("MessageReceive")


# Administrators


@pytest.fixture
def overseen(administrated, new_app):
    """An ordinary app's running server with a peer, and an administrator."""
    server = new_app(administrated, user=ORDINARY_USER).running_server()
    peer, connection = server.join()
    administrator = new_app(administrated)
    return server, peer, connection, administrator.adopt(server.path)


@needs_root
def test_an_administrator_sees_a_foreign_server_and_its_properties(overseen):
    server, _peer, connection, view = overseen
    assert view.get_all() == server.get_all()
    assert view.get("Owner") == server.app.name
    assert [entry[0] for entry in view.list_connections()] == [connection]
    assert "org.wsserver1.Server" in view.app.introspect(view.path)
    assert f'"{view.path.rpartition("/")[2]}"' in view.app.introspect("/org/wsserver1/server")


@needs_root
@pytest.mark.parametrize("how", ["Start", "Send", "Broadcast", "OpenChannel", "OpenSharedChannel", "Acknowledge", "Release"])
def test_an_administrator_cannot_act_as_the_owner(overseen, how):
    server, peer, _connection, view = overseen
    interface, member, signature, body = TOUCHES[how]
    expect_error("PermissionDenied", view.app.call, view.path, interface, member, signature, *body)
    peer.assert_alive()
    assert server.get("State") == "running"


@needs_root
def test_an_administrator_cannot_replace_an_owners_certificate(overseen, tmp_path):
    _server, _peer, _connection, view = overseen
    with open(tmp_path / "file.pem", "w+") as file:
        fds = [file.fileno(), file.fileno()]
        expect_error("PermissionDenied", view.call, "ReplaceCertificate", "hhs", 0, 1, "", fds=fds)


@needs_root
def test_an_administrator_can_close_a_connection_and_stop_a_server(overseen):
    server, peer, connection, view = overseen
    view.close_connection(connection, 1008, "not here")
    assert peer.finish_close() == (1008, b"not here")
    assert server.wait_closed(connection) == (1008, "not here", True)
    view.stop()
    assert server.get("State") == "stopped"
    assert can_bind(server.port)


@needs_root
def test_an_administrator_never_sees_payload(overseen):
    server, peer, connection, view = overseen
    view.app.connection.bus_call("AddMatch", "s", "type='signal'").result()
    peer.send_message("private")
    server.wait("MessageReceive")
    server.send(connection, "private too")
    peer.read_message()
    server.app.round_trip()
    view.app.round_trip()
    assert view.signals == [] and view.app.foreign_signals() == []


@needs_root
def test_members_of_an_administrators_group_are_administrators(new_service, new_app):
    service = new_service({"administrators": {"users": [], "groups": ["daemon"]}})
    owner, member = new_app(service), new_app(service, user=GROUP_MEMBER)
    server = owner.running_server()
    assert server.path in dict(member.manager("ListServers"))
    ordinary = new_app(service, user=ORDINARY_USER)
    assert ordinary.manager("ListServers") == []
    assert touch(ordinary, server.path, "Get").name == UNKNOWN_OBJECT


@needs_root
def test_on_a_private_bus_not_even_root_is_an_administrator_unless_configured(service, new_app):
    server = new_app(service, user=ORDINARY_USER).running_server()
    assert touch(new_app(service), server.path, "Get").name == UNKNOWN_OBJECT


@needs_root
def test_an_administrator_gets_the_same_answer_for_what_does_not_exist(overseen):
    _server, _peer, _connection, view = overseen
    for how in ("Start", "Get", "Release", "Introspect"):
        assert touch(view.app, NEVER_EXISTED, how).name == UNKNOWN_OBJECT


# Owners that leave


def test_when_an_app_leaves_its_peers_are_told_and_its_port_is_free(administrated, new_app):
    app, watcher = new_app(administrated), new_app(administrated)
    server = app.running_server()
    idle = app.create_server()
    peers = [Peer(server.port) for _ in range(3)]
    server.wait("Connect", count=3)
    app.close()
    assert {peer.finish_close()[0] for peer in peers} == {1001}
    until(lambda: can_bind(server.port), what="the port to be free")
    until(lambda: not {server.path, idle.path} & set(dict(watcher.manager("ListServers"))), what="the objects to be gone")
    until(lambda: not administrated.workers(), what="the worker to be gone")


def test_an_app_that_leaves_in_the_middle_of_a_start_leaves_nothing_behind(service, new_app):
    workers = service.workers()
    for _ in range(5):
        app = new_app(service)
        app.create_server().start_later(serverIP="127.0.0.1")
        app.close()
    until(lambda: service.workers() <= workers, what="the workers to be gone")
