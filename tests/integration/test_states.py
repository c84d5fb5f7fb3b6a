# SPDX-License-Identifier: Apache-2.0
"""Every sentence under "States" in the contract."""

import pytest
from blackbox.app import SERVER, Server, error_of, expect_error
from blackbox.peer import Peer, Stream, can_bind, free_port
from blackbox.wire import DBusError, until

UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
NEEDS_RUNNING = [
    ("Send", "tbay", (1, True, b"x")), ("Broadcast", "atbay", ([], True, b"x")), ("Close", "tqs", (1, 1000, "")),
    ("ListAllConnections", "", ()),
]


def created(app):
    return app.create_server()


def stopped(app):
    server = app.running_server()
    server.stop()
    return server


def stopping(app):
    """For two seconds, since a peer does not answer the Close frame."""
    server = app.running_server()
    server.silent_peer = Peer(server.port)
    server.wait("Connect")
    server.stop_call = server.call_later("Stop")
    until(lambda: server.get("State") == "stopping", what="the state stopping")
    return server


@pytest.mark.parametrize("state", [created, stopped, stopping])
@pytest.mark.parametrize("member, signature, body", NEEDS_RUNNING)
def test_traffic_outside_running_is_refused(app, state, member, signature, body):
    expect_error("NotRunning", state(app).call, member, signature, *body)


@pytest.mark.parametrize("state", [created, stopped])
def test_stop_with_nothing_to_stop_is_refused(app, state):
    expect_error("NotRunning", state(app).stop)


def test_a_second_start_of_a_running_server_is_refused_and_leaves_it_running(app):
    server = app.running_server()
    peer, _connection = server.join()
    expect_error("AlreadyRunning", server.start, serverIP="127.0.0.1")
    expect_error("AlreadyRunning", server.start, serverIP="127.0.0.1", serverPort=free_port())
    peer.assert_alive()
    server.join()[0].assert_alive()


def test_a_second_start_while_starting_is_refused_and_the_first_succeeds(app):
    server = app.create_server()
    first, second = server.start_later(serverIP="127.0.0.1"), server.start_later(serverIP="127.0.0.1")
    expect_error("AlreadyRunning", second.result)
    first.result()
    Peer(server.get("ServerPort")).assert_alive()


def test_start_while_stopping_is_refused(app):
    server = stopping(app)
    expect_error("AlreadyRunning", server.start, serverIP="127.0.0.1")
    server.stop_call.result()
    server.start(serverIP="127.0.0.1")
    server.join()[0].assert_alive()


def test_start_again_after_stop_serves_on(app):
    server = app.running_server()
    for _ in range(3):
        server.join()[0].assert_alive()
        server.stop()
        assert server.get("State") == "stopped"
        server.start(serverIP="127.0.0.1")
        assert server.get("State") == "running"
    server.join()[0].assert_alive()


def test_stop_cancels_a_start_that_is_under_way(app):
    server, port = app.create_server(), free_port()
    start, stop = server.start_later(serverIP="127.0.0.1", serverPort=port), server.call_later("Stop")
    expect_error("ShuttingDown", start.result)
    stop.result()
    assert start.position < stop.position
    assert server.get("State") == "stopped"
    assert can_bind(port)
    with pytest.raises(ConnectionRefusedError):
        Stream(port)
    server.start(serverIP="127.0.0.1", serverPort=port)
    server.join()[0].assert_alive()


def test_stop_while_stopping_waits_for_the_same_end(app):
    server = stopping(app)
    second = server.call_later("Stop")
    server.stop_call.result()
    second.result()
    assert server.get("State") == "stopped"
    assert can_bind(server.port)
    closed = server.find("Closed")
    assert len(closed) == 1 and closed[0].position < server.stop_call.position < second.position


def test_stopping_tells_of_every_connection_then_the_state_and_then_returns(app):
    server = app.running_server()
    peers = [server.join() for _ in range(4)]
    stop = server.call_later("Stop")
    for peer, _connection in peers:
        assert peer.finish_close()[0] == 1001
    stop.result()
    closed = server.find("Closed")
    assert sorted(event.args[0] for event in closed) == sorted(connection for _peer, connection in peers)
    assert {event.args[1:] for event in closed} == {(1001, closed[0].args[2], True)}
    changes = [event for event in server.signals if event.member == "PropertiesChanged" and event.args[0] == SERVER
               and event.args[1].get("State") == "stopped"]
    assert len(changes) == 1
    assert max(event.position for event in closed) < changes[0].position < stop.position


def test_every_change_of_state_is_told(app):
    server = app.running_server()
    server.stop()
    server.start(serverIP="127.0.0.1")
    server.stop()
    app.round_trip()
    states = [event.args[1]["State"] for event in server.signals
              if event.member == "PropertiesChanged" and "State" in event.args[1]]
    assert states == ["starting", "running", "stopping", "stopped"] * 2


def test_the_port_is_told_while_running_and_only_then(app):
    server = app.create_server()
    assert server.get("ServerPort") == 0
    server.start(serverIP="127.0.0.1")
    assert server.get("ServerPort") == server.port != 0
    server.stop()
    assert server.get("ServerPort") == 0
    ports = [event.args[1]["ServerPort"] for event in server.signals
             if event.member == "PropertiesChanged" and "ServerPort" in event.args[1]]
    assert [port for port, before in zip(ports, [0, *ports], strict=False) if port != before] == [server.port, 0]


def test_a_failed_start_can_be_repeated(app):
    server = app.create_server()
    expect_error("InvalidAddress", server.start, serverIP="203.0.113.7")
    assert server.get("State") in ("created", "failed")
    server.start(serverIP="127.0.0.1")
    server.join()[0].assert_alive()


def test_a_worker_that_cannot_run_fails_the_start_and_stop_clears_the_failure(new_service, new_app):
    app = new_app(new_service(worker="/bin/false"))
    server, port = app.create_server(), free_port()
    for _ in range(2):
        expect_error("Failed", server.start, serverIP="127.0.0.1", serverPort=port)
        assert server.get("State") == "failed"
        assert can_bind(port)
    for member, signature, body in NEEDS_RUNNING:
        expect_error("NotRunning", server.call, member, signature, *body)
    server.stop()
    assert server.get("State") == "stopped"
    expect_error("NotRunning", server.stop)
    server.release()


@pytest.mark.parametrize("state", [created, stopped, stopping])
def test_release_works_in_every_state(app, state):
    server = state(app)
    server.release()
    assert error_of(server.get, "State").name == UNKNOWN_OBJECT
    if server.port:
        assert can_bind(server.port)


def test_release_of_a_running_server_closes_its_connections_and_frees_the_port(app):
    server = app.running_server()
    peers = [server.join()[0] for _ in range(3)]
    release = server.call_later("Release")
    assert {peer.finish_close()[0] for peer in peers} == {1001}
    release.result()
    assert can_bind(server.port)
    assert error_of(server.stop).name == UNKNOWN_OBJECT


def test_release_while_starting_cancels_the_start(app):
    server, port = app.create_server(), free_port()
    start, release = server.start_later(serverIP="127.0.0.1", serverPort=port), server.call_later("Release")
    expect_error("ShuttingDown", start.result)
    release.result()
    assert can_bind(port)


def test_release_answers_a_stop_that_is_in_flight(app):
    server = stopping(app)
    release = server.call_later("Release")
    expect_error("ShuttingDown", server.stop_call.result)
    release.result()


def test_nothing_is_signalled_after_release(app):
    server = app.running_server()
    server.join()
    server.release()
    seen = len(server.signals)
    app.round_trip()
    assert len(server.signals) == seen


def test_a_released_path_is_as_unknown_as_one_that_never_was(app):
    server = app.create_server()
    server.release()
    never = Server(app, "/org/wsserver1/server/999999999")
    for member, signature, body in NEEDS_RUNNING + [("Stop", "", ()), ("Release", "", ())]:
        errors = [error_of(each.call, member, signature, *body) for each in (server, never)]
        assert [error.name for error in errors] == [UNKNOWN_OBJECT] * 2


def test_start_and_stop_in_any_rapid_order_leave_a_server_that_works(app):
    server, port = app.create_server(), free_port()
    calls = []
    for _ in range(15):
        calls.append(server.start_later(serverIP="127.0.0.1", serverPort=port))
        calls.append(server.call_later("Stop"))
        calls.append(server.call_later("Stop"))
    for call in calls:
        try:
            call.result()
        except DBusError as error:
            assert error.name.rpartition(".")[2] in ("AlreadyRunning", "NotRunning", "ShuttingDown"), error
    if server.get("State") == "running":
        server.stop()
    server.start(serverIP="127.0.0.1", serverPort=port)
    server.join()[0].assert_alive()
