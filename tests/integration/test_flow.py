# SPDX-License-Identifier: Apache-2.0
"""Flow control: bounded queues towards peers, a bounded window of signals towards apps, and nothing lost by either."""

import time

import pytest
from blackbox.app import App, Server, expect_error
from blackbox.peer import BINARY, Peer, encode_frame
from blackbox.wire import DBusError

QUEUE_HIGH = 1 << 20
WINDOW_EVENTS = 64
WINDOW_OCTETS = 1 << 20
PIECE = 1 << 16


def fill(server: Server, connection: int) -> int:
    """Sends to a peer that does not read until the server refuses; returns how many messages were taken."""
    for number in range(2000):
        try:
            server.send(connection, number.to_bytes(4, "big") + bytes(PIECE - 4))
        except DBusError as error:
            assert error.name.endswith(".WouldBlock") and error.message, error
            return number
    raise AssertionError("125 MiB were taken for a peer that reads nothing")


def read_numbered(peer: Peer, count: int) -> None:
    for number in range(count):
        data = peer.read_message()
        assert len(data) == PIECE and int.from_bytes(data[:4], "big") == number


def settle(app: App) -> None:
    """Long enough for the daemon to send what it should not; the test is right without it, but would see less."""
    for _ in range(5):
        app.round_trip()
        time.sleep(0.1)


# Towards peers


def test_a_slow_peer_blocks_its_own_sends_and_drained_says_when_to_go_on(server):
    (slow, slow_id), (other, other_id) = server.join(receive_buffer=4096), server.join()
    taken = fill(server, slow_id)
    assert server.get("QueuedBytes") >= QUEUE_HIGH // 2
    expect_error("WouldBlock", server.send, slow_id, "x")
    server.send(other_id, "undisturbed")
    assert other.read_message() == "undisturbed"
    assert not server.find("Drained")
    read_numbered(slow, taken)
    assert server.wait("Drained").args == (slow_id,)
    server.send(slow_id, "again")
    assert slow.read_message() == "again"
    assert len(server.find("Drained")) == 1
    assert server.get("QueuedBytes") == 0


def test_what_waits_for_a_peer_is_bounded_and_shown(server):
    slow, connection = server.join(receive_buffer=4096)
    fill(server, connection)
    queued = server.get("QueuedBytes")
    assert QUEUE_HIGH // 2 <= queued <= QUEUE_HIGH + 2 * PIECE
    slow.reset()
    server.wait("Closed")
    assert server.get("QueuedBytes") == 0


def test_a_broadcast_passes_by_a_peer_that_is_blocked_and_tells_when_it_drained(server):
    (slow, slow_id), (other, _) = server.join(receive_buffer=4096), server.join()
    taken = fill(server, slow_id)
    assert server.broadcast("news") == 1
    assert other.read_message() == "news"
    read_numbered(slow, taken)
    server.wait("Drained")
    assert server.broadcast("more") == 2
    assert (slow.read_message(), other.read_message()) == ("more", "more")


def test_a_broadcast_alone_that_skips_a_peer_is_followed_by_drained(server):
    slow, slow_id = server.join(receive_buffer=4096)
    taken = 0
    while server.broadcast(taken.to_bytes(4, "big") + bytes(PIECE - 4)) == 1:
        taken += 1
        assert taken < 2000
    read_numbered(slow, taken)
    assert server.wait("Drained").args == (slow_id,)


def test_a_full_queue_is_delivered_before_close(server):
    slow, connection = server.join(receive_buffer=4096)
    taken = fill(server, connection)
    server.close_connection(connection, 4000, "after all of it")
    read_numbered(slow, taken)
    assert slow.finish_close() == (4000, b"after all of it")
    assert server.wait_closed(connection) == (4000, "after all of it", True)


def test_one_message_larger_than_the_queue_is_taken_when_the_queue_is_empty(server):
    peer, connection = server.join()
    for _ in range(3):
        sent = server.send_later(connection, bytes(5242864))
        assert peer.read_message() == bytes(5242864)
        sent.result()
        while server.get("QueuedBytes"):
            pass


def test_a_peer_that_does_not_read_cannot_hold_up_stop(server):
    _slow, connection = server.join(receive_buffer=4096)
    fill(server, connection)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 10
    assert server.wait_closed(connection)[0] == 1001


# Towards apps


def flood(server: Server, count: int, size: int = 20, peer: Peer | None = None) -> tuple:
    """A peer sends numbered messages without waiting; returns it with its connection id."""
    if peer is None:
        peer = Peer(server.port)
    frames = [encode_frame(BINARY, number.to_bytes(4, "big") + bytes(size - 4), key=bytes(4)) for number in range(count)]
    peer.send(b"".join(frames))
    return peer


def expect_all(server: Server, count: int) -> None:
    server.wait("MessageReceive", count=count)
    numbers = [int.from_bytes(event.args[2][:4], "big") for event in server.find("MessageReceive")]
    assert numbers == list(range(count))


@pytest.fixture
def mute(service, new_app) -> App:
    """An app that leaves the daemon's Ping unanswered."""
    return new_app(service, answer_pings=False)


def test_an_app_that_does_not_answer_gets_one_window_and_then_all_the_rest_when_it_acknowledges(mute):
    server = mute.running_server()
    flood(server, 300)
    mute.wait_for(lambda: len(server.events) >= WINDOW_EVENTS, what="a window of events")
    settle(mute)
    assert len(server.events) == WINDOW_EVENTS
    server.acknowledge(10)
    mute.wait_for(lambda: len(server.events) >= WINDOW_EVENTS + 10, what="ten more")
    settle(mute)
    assert len(server.events) == WINDOW_EVENTS + 10
    while len(server.events) < 301:
        seen = len(server.events)
        server.acknowledge(seen)
        mute.wait_for(lambda seen=seen: len(server.events) > seen, what="the next window")
    expect_all(server, 300)


def test_the_window_counts_octets_too(mute):
    server = mute.running_server()
    flood(server, 8, size=WINDOW_OCTETS // 4)
    mute.wait_for(lambda: len(server.find("MessageReceive")) >= 3, what="what the window allows")
    settle(mute)
    assert 3 <= len(server.find("MessageReceive")) <= 4
    while len(server.find("MessageReceive")) < 8:
        seen = len(server.events)
        server.acknowledge(seen)
        mute.wait_for(lambda seen=seen: len(server.events) > seen, what="the next window")
    expect_all(server, 8)


def test_one_message_larger_than_the_window_is_delivered(mute):
    server = mute.running_server()
    peer, _connection = server.join()
    server.acknowledge(1)
    for number in range(1, 4):
        peer.send_frame(BINARY, bytes(5242864), key=bytes(4))
        server.wait("MessageReceive", count=number)
        server.acknowledge(1 + number)


def test_the_window_is_one_for_all_servers_of_an_app(mute):
    servers = [mute.running_server() for _ in range(3)]
    for server in servers:
        flood(server, 100)
    total = lambda: sum(len(server.events) for server in servers)  # noqa: E731
    mute.wait_for(lambda: total() >= WINDOW_EVENTS, what="a window of events")
    settle(mute)
    assert total() == WINDOW_EVENTS
    while total() < 303:
        seen = total()
        for server in servers:
            server.acknowledge(len(server.events))
        mute.wait_for(lambda seen=seen: total() > seen or total() == 303, what="the next window")
    for server in servers:
        expect_all(server, 100)


def test_an_app_that_never_acknowledges_gets_everything_by_answering_pings(server):
    flood(server, 1000)
    expect_all(server, 1000)


def test_an_app_that_acknowledged_once_is_held_to_it(server):
    server.join()
    server.acknowledge(1)
    flood(server, 300)
    server.app.wait_for(lambda: len(server.events) >= 1 + WINDOW_EVENTS, what="a window of events")
    settle(server.app)
    assert len(server.events) == 1 + WINDOW_EVENTS
    while len(server.events) < 302:
        seen = len(server.events)
        server.acknowledge(seen)
        server.app.wait_for(lambda seen=seen: len(server.events) > seen, what="the next window")
    expect_all(server, 300)


def test_more_events_than_were_sent_cannot_be_acknowledged(server):
    server.join()
    expect_error("InvalidArgument", server.acknowledge, 2, names="events")
    expect_error("InvalidArgument", server.acknowledge, 2**64 - 1, names="events")
    server.acknowledge(1)
    server.acknowledge(1)
    server.join()
    server.acknowledge(2)


def test_acknowledgement_counts_on_over_stop_and_start(mute):
    server = mute.running_server()
    events = 0
    for run in range(1, 4):
        peer = flood(server, 50)
        server.wait("MessageReceive", count=50 * run)
        stop = server.call_later("Stop")
        peer.finish_close()
        stop.result()
        events = len(server.events)
        assert events == 52 * run
        server.acknowledge(events)
        server.start(serverIP="127.0.0.1")
    expect_error("InvalidArgument", server.acknowledge, events + 1, names="events")


def test_a_bus_that_denies_the_ping_does_not_count_as_an_answer(new_service, new_app):
    app = new_app(new_service(daemon_may_ping=False))
    server = app.running_server()
    flood(server, 200)
    app.wait_for(lambda: len(server.events) >= WINDOW_EVENTS, what="a window of events")
    settle(app)
    assert len(server.events) == WINDOW_EVENTS
    while len(server.events) < 201:
        seen = len(server.events)
        server.acknowledge(seen)
        app.wait_for(lambda seen=seen: len(server.events) > seen, what="the next window")
    expect_all(server, 200)


def test_an_app_that_stops_reading_gets_everything_when_it_reads_again(server):
    peer, _connection = server.join()
    server.app.connection.stop_reading()
    flood(server, 500, peer=peer)
    time.sleep(0.5)
    server.app.connection.resume_reading()
    expect_all(server, 500)


def test_stop_reaches_an_app_whose_window_is_full(mute):
    server = mute.running_server()
    peer = flood(server, 300)
    mute.wait_for(lambda: len(server.events) >= WINDOW_EVENTS, what="a window of events")
    server.stop()
    connection = server.find("Connect")[0].args[0]
    assert server.wait_closed(connection)[0] == 1001
    assert server.get("State") == "stopped"
    numbers = [int.from_bytes(event.args[2][:4], "big") for event in server.find("MessageReceive")]
    assert numbers == list(range(len(numbers)))
    peer.close()


def test_an_app_that_leaves_with_a_full_window_leaves_nothing_behind(service, new_app):
    mute = new_app(service, answer_pings=False)
    server = mute.running_server()
    peer = flood(server, 300)
    mute.wait_for(lambda: len(server.events) >= WINDOW_EVENTS, what="a window of events")
    mute.close()
    assert peer.read_close()[0] == 1001
