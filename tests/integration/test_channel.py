# SPDX-License-Identifier: Apache-2.0
"""An app's own channel: everything of a server goes past the bus and past the daemon, in order, and the daemon may come and go."""

import os
import pathlib
import socket
import sys

import pytest
from blackbox.app import Server, error_of, expect_error
from blackbox.peer import Peer, can_bind
from blackbox.wire import until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import channel_client as cc  # noqa: E402

LARGE = 16 << 20


def open_channel(server: Server) -> cc.Channel:
    message = server.call_later("OpenChannel").message()
    [fd] = message.fds
    return cc.Channel(socket.socket(fileno=fd))


def served(app, **options) -> tuple:
    """A server that runs with a channel, and that channel."""
    server = app.create_server()
    channel = open_channel(server)
    server.start(**{"serverIP": "127.0.0.1", **options})
    return server, channel


def greeted(channel, peer: Peer | None = None) -> int:
    """The id of the connection that was reported last."""
    return channel.wait_for(cc.CONNECT).connection


def echo_once(channel, peer: Peer, connection: int, data) -> None:
    peer.send_message(data)
    octets = data.encode() if isinstance(data, str) else data
    channel.wait(lambda records: any(record.type == cc.MESSAGE and record.body == octets for record in records), what="the message")
    channel.send(connection, data)
    assert peer.read_message() == data


# From the beginning


def test_a_server_talks_over_its_channel_and_no_signal_is_sent(app):
    server, channel = served(app)
    peer = Peer(server.port)
    connect = channel.wait_for(cc.CONNECT)
    assert cc.decode_connect(connect.body)["path"] == b"/"
    for data in ("héllo", b"\x00\xff", "", "x" * 100_000):
        echo_once(channel, peer, connect.connection, data)
    assert server.get("ChannelOpen") is True
    assert peer.leave(4321, b"bye")[0] == 4321
    closed = channel.wait_for(cc.CLOSED)
    assert (closed.connection, closed.code, closed.body, closed.flags) == (connect.connection, 4321, b"bye", cc.CLEAN)
    app.round_trip()
    assert server.events == []


def test_messages_too_large_for_the_bus_go_over_a_channel(app):
    server, channel = served(app, maxMessageSize=2 * LARGE)
    peer = Peer(server.port)
    connection = greeted(channel)
    data = bytes(range(256)) * (LARGE // 256 + 1)
    peer.send_frame(2, data, key=bytes(4))
    channel.wait(lambda records: records[-1].type == cc.MESSAGE and records[-1].body == data, 120, "the large message")
    channel.send(connection, data)
    assert peer.read_message() == data


def test_without_a_channel_messages_stay_within_what_the_bus_carries(app):
    expect_error("InvalidArgument", app.create_server().start, maxMessageSize=LARGE + 1, names="OpenChannel")


def test_a_channel_holds_more_than_a_socket_does_by_itself(app):
    """Over large messages worker and app would take turns too often."""
    _server, channel = served(app)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 512 << 10)  # as far as this system lets anybody
        assert channel.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def test_what_can_be_said_on_the_channel_cannot_be_said_on_the_bus_meanwhile(app):
    server, channel = served(app)
    Peer(server.port)
    connection = greeted(channel)
    expect_error("ChannelInUse", server.send, connection, "x")
    expect_error("ChannelInUse", server.broadcast, "x")
    expect_error("ChannelInUse", server.acknowledge, 0)
    expect_error("ChannelInUse", server.call, "OpenChannel")


def test_listing_and_closing_work_beside_the_channel(app):
    server, channel = served(app)
    peer = Peer(server.port, path="/x")
    connection = greeted(channel)
    [entry] = server.list_connections()
    assert (entry[0], entry[3]["path"]) == (connection, "/x")
    expect_error("InvalidArgument", server.close_connection, connection, 999)
    expect_error("InvalidArgument", server.close_connection, connection, 1000, "x" * 124)
    expect_error("ConnectionNotFound", server.close_connection, connection + 1)
    server.close_connection(connection, 4000, "go")
    assert peer.finish_close() == (4000, b"go")
    assert channel.wait_for(cc.CLOSED).code == 4000
    expect_error("ConnectionNotFound", server.close_connection, connection)


def test_stop_says_goodbye_over_the_channel_and_ends_it(app):
    server, channel = served(app)
    peer = Peer(server.port)
    connection = greeted(channel)
    stopped = server.call_later("Stop")
    assert peer.finish_close() == (1001, b"")
    stopped.result()
    closed = channel.wait_for(cc.CLOSED)
    assert (closed.connection, closed.code) == (connection, 1001)
    channel.wait_for_end()
    assert can_bind(server.port)
    assert server.get("ChannelOpen") is False


def test_the_next_run_is_by_signals_unless_a_channel_is_opened_again(app):
    server, channel = served(app)
    server.stop()
    channel.wait_for_end()
    server.start(serverIP="127.0.0.1")
    peer = Peer(server.port)
    assert server.wait("Connect").args[0] == server.connection_of(peer)
    server.stop()
    again = open_channel(server)
    server.start(serverIP="127.0.0.1")
    peer = Peer(server.port)
    echo_once(again, peer, greeted(again), "again")


def test_release_ends_the_channel(app):
    for runs in (True, False):
        server = app.create_server()
        channel = open_channel(server)
        if runs:
            server.start(serverIP="127.0.0.1")
        server.release()
        channel.wait_for_end()


def test_a_start_that_is_refused_leaves_the_channel_for_the_next(app):
    server = app.create_server()
    channel = open_channel(server)
    expect_error("InvalidAddress", server.start, serverIP="203.0.113.7")
    server.start(serverIP="127.0.0.1")
    peer = Peer(server.port)
    echo_once(channel, peer, greeted(channel), "served")


# While it runs


def test_changing_over_from_signals_loses_and_repeats_nothing(app):
    server = app.running_server(maxConnectionsForOneClient=20)
    peers = [server.join() for _ in range(5)]
    numbers = {connection: 0 for _peer, connection in peers}

    def burst(count: int) -> None:
        for _ in range(count):
            for peer, connection in peers:
                numbers[connection] += 1
                peer.send_message(str(numbers[connection]))

    burst(200)
    channel = open_channel(server)
    burst(200)
    channel.wait(lambda records: any(record.type == cc.MESSAGE and record.body == b"400" for record in records), what="the last")
    app.wait_for(lambda: sum(len(server.messages(c)) for c in numbers)
                 + sum(record.type == cc.MESSAGE for record in channel.records) >= 2000 or channel.read_some(0.1), 60, "all")
    for _peer, connection in peers:
        over_bus = [int(data) for data in server.messages(connection)]
        over_channel = [int(record.body) for record in channel.records if record.type == cc.MESSAGE and record.connection == connection]
        assert over_bus + over_channel == list(range(1, 401))
    peer, connection = peers[0]
    echo_once(channel, peer, connection, "both ways")
    standing = [record.connection for record in channel.records if record.type == cc.STANDING]
    assert standing == sorted(numbers)


def test_what_was_sent_before_the_change_arrives_before_what_is_sent_after(app):
    server = app.running_server()
    peer, connection = server.join()
    sent = [server.send_later(connection, str(number)) for number in range(100)]
    opening = server.call_later("OpenChannel")
    for reply in sent:
        reply.result()
    [fd] = opening.message().fds
    channel = cc.Channel(socket.socket(fileno=fd))
    channel.send(connection, "over the channel")
    assert [peer.read_message() for _ in range(101)] == [*map(str, range(100)), "over the channel"]


def test_many_at_once_get_one_channel(app):
    server = app.running_server()
    server.join()
    calls = [server.call_later("OpenChannel") for _ in range(10)]
    replies = []
    for call in calls:
        try:
            replies.append(call.message().fds)
        except Exception as error:  # noqa: BLE001
            assert "ChannelInUse" in str(error), error
    assert len(replies) == 1 and len(replies[0]) == 1
    os.close(replies[0][0])


# Its end


def test_an_app_that_closes_its_end_has_its_server_stopped(app):
    server, channel = served(app)
    peer = Peer(server.port)
    greeted(channel)
    channel.sock.close()
    assert peer.finish_close() == (1001, b"")
    assert "channel" in server.wait("Error").args[1]
    until(lambda: server.get("State") == "stopped", what="the server to stop")
    server.start(serverIP="127.0.0.1")
    Peer(server.port).assert_alive()


@pytest.mark.parametrize("nonsense", [
    b"\xff" * 16, cc.encode(0x99), cc.encode(cc.SEND, 5 << 32, b"x"), cc.encode(cc.ACKNOWLEDGE, 0, bytes(8)),
    cc.encode(cc.SEND, 1 << 32 | 1, b"\xff", cc.TEXT)])
def test_an_app_that_talks_nonsense_has_its_server_stopped_and_harms_no_other(app, new_app, service, nonsense):
    bystander = new_app(service).running_server()
    other, _connection = bystander.join()
    server, channel = served(app)
    peer = Peer(server.port)
    greeted(channel)
    channel.write(nonsense)
    assert peer.finish_close() == (1001, b"")
    server.wait("Error")
    channel.wait_for_end()
    other.assert_alive()


def test_an_app_that_dies_in_the_middle_of_a_record_takes_its_server_along(app, new_app, service):
    other = new_app(service)
    server, channel = served(other)
    peer = Peer(server.port)
    greeted(channel)
    channel.write(cc.encode(cc.SEND, 1 << 32 | 1, b"x" * 1000)[:500])
    channel.sock.close()
    other.close()
    assert peer.finish_close() == (1001, b"")
    app.round_trip()


def test_an_app_that_does_not_read_makes_its_peers_wait_and_loses_nothing(app):
    server, channel = served(app)
    peer = Peer(server.port)
    connection = greeted(channel)
    peer.socket.settimeout(1)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 200:
            peer.send_message(sent.to_bytes(4, "big") * 65536)
            sent += 1
    numbers = lambda: [int.from_bytes(record.body[:4], "big") for record in channel.records if record.type == cc.MESSAGE]  # noqa: E731
    channel.wait(lambda _records: len(numbers()) >= sent, 60, "what was sent")
    assert numbers()[:sent] == list(range(sent))
    assert connection


# The worker and the daemon


def test_a_worker_that_dies_ends_the_channel_and_the_next_waits_for_another(app, service):
    before = service.workers()
    server, channel = served(app)
    [worker] = service.workers() - before
    Peer(server.port)
    connection = greeted(channel)
    os.kill(worker, 9)
    channel.wait_for_end()
    server.wait("Error")
    assert server.get("State") == "running" and server.get("ChannelOpen") is False
    expect_error("ChannelInUse", server.send, connection, "x")
    again = open_channel(server)
    peer = Peer(server.port)
    assert greeted(again) == (2 << 32) + 1
    echo_once(again, peer, (2 << 32) + 1, "next")


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_a_channel_does_not_notice_that_the_daemon_comes_and_goes(managed, new_app, way):
    app = new_app(managed)
    server, channel = served(app)
    peer = Peer(server.port)
    connection = greeted(channel)
    for number in range(3):
        getattr(managed.manager, way)()
        echo_once(channel, peer, connection, f"{way} {number}")
    assert server.get("ChannelOpen") is True
    expect_error("ChannelInUse", server.call, "OpenChannel")
    server.close_connection(connection, 4001, "")
    assert peer.finish_close() == (4001, b"")
    server.stop()
    channel.wait_for_end()
    assert not [event for event in server.events if event.member != "Error"]


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_a_channel_that_waits_for_its_server_outlives_the_daemon(managed, new_app, way):
    server = new_app(managed).create_server()
    channel = open_channel(server)
    getattr(managed.manager, way)()
    server.start(serverIP="127.0.0.1")
    peer = Peer(server.port)
    echo_once(channel, peer, greeted(channel), "kept")


def test_opening_a_channel_is_for_a_server_that_is_neither_starting_nor_stopping(app):
    server = app.running_server()
    peer, _connection = server.join()
    stopping = server.call_later("Stop")
    error = error_of(server.call, "OpenChannel")
    assert error.name.endswith("NotRunning"), error
    peer.finish_close()
    stopping.result()
