# SPDX-License-Identifier: Apache-2.0
"""The worker's channel: acknowledgement and windows, credit, back-pressure, faults, replacement, and the end of a server."""

import os
import signal
import socket
import struct
import threading
import time

import pytest

import channel_client as cc
import harness
from harness import BINARY, PING, PONG, TEXT, eventually, frame


# --- How a channel begins; events and their numbers ---

def test_the_first_record_says_what_the_channel_is(start):
    worker = start(max_message=1000, generation=5)
    worker.channel.wait_for(cc.WELCOME)
    assert worker.channel.welcome == dict(version=1, flags=1, zero=0, repeats=0, generation=5, first_event=1,
                                          max_message=1000, high=cc.QUEUE_HIGH, low=cc.QUEUE_LOW, standing=0, abilities=0)


def test_nobody_is_let_in_before_somebody_listens_to_the_events(start):
    worker = start(attach=False)
    peer = worker.connect()
    peer.send(peer.request())
    assert not peer.has_data(0.5)
    worker.channel = worker.control.attach()
    assert peer.response(body=False)[0] == 101
    worker.channel.wait_for(cc.CONNECT)


def test_the_window_of_events_is_honoured(start):
    worker = start(window=dict(window_events=3))
    peer = worker.open()
    peer.send(b"".join(frame(TEXT, b"%d" % n) for n in range(10)))
    worker.channel.wait_for(cc.MESSAGE, count=2)
    worker.channel.quiet()
    assert len(worker.channel.events()) == 3
    worker.channel.acknowledge(2)
    worker.channel.quiet()
    assert len(worker.channel.events()) == 5
    for number in range(3, 9):
        worker.channel.acknowledge(number)
        worker.channel.wait_for(cc.MESSAGE, count=number + 2)
    assert [e.body for e in worker.channel.events()[1:]] == [b"%d" % n for n in range(10)]


def test_the_window_of_octets_is_honoured_but_lets_one_large_event_through(start):
    worker = start(window=dict(window_octets=1000))
    peer = worker.open()
    peer.send(frame(BINARY, bytes(5000)) + frame(BINARY, bytes(400)) + frame(BINARY, bytes(400)) + frame(BINARY, bytes(400)))
    worker.channel.quiet()
    assert len(worker.channel.events()) == 1
    worker.channel.acknowledge(1)
    worker.channel.wait_for(cc.MESSAGE)
    worker.channel.quiet()
    assert len(worker.channel.events()) == 2
    worker.channel.acknowledge(2)
    worker.channel.quiet()
    assert len(worker.channel.events()) == 4


def test_a_new_daemon_gets_everything_again_that_the_old_one_did_not_acknowledge(start):
    worker = start()
    known, closing, fresh = worker.open(1), worker.open(2), None
    worker.channel.acknowledge(2)
    fresh = worker.open(3)  # event 3
    known.text("one")
    worker.channel.wait_for(cc.MESSAGE, known.id)  # event 4
    closing.close(4000, "bye")
    worker.channel.wait_for(cc.CLOSED, closing.id)  # event 5
    worker.channel.send(known.id, "x" * 84)
    known.receive()
    old, worker.channel = worker.channel, worker.control.attach()
    known.text("two")
    worker.channel.wait_for(cc.MESSAGE, known.id, count=2)
    old.wait_for_end()
    old.sock.close()
    assert worker.channel.welcome["repeats"] == 3 and worker.channel.welcome["first_event"] == 3
    standing = [r for r in worker.channel.records if r.type == cc.STANDING]
    assert worker.channel.records[1:3] == standing
    assert [(r.connection, struct.unpack("<QQ", r.body)) for r in standing] == [(known.id, (100, 100)), (closing.id, (0, 0))]
    assert [(e.type, e.connection) for e in worker.channel.events()] == [
        (cc.CONNECT, fresh.id), (cc.MESSAGE, known.id), (cc.CLOSED, closing.id), (cc.MESSAGE, known.id)]
    worker.channel.acknowledge(6)
    worker.channel.send(fresh.id, "to the new one")
    assert fresh.receive() == (TEXT, b"to the new one")


def test_connections_that_closed_and_connections_that_are_open_stand_in_the_order_of_ids(start):
    worker = start()
    peers = [worker.open(n) for n in range(1, 7)]
    worker.channel.acknowledge(6)
    for index in (4, 0, 2):
        peers[index].close(1000)
        worker.channel.wait_for(cc.CLOSED, peers[index].id)
    worker.channel = worker.control.attach()
    worker.channel.wait_for(cc.CLOSED, count=3)
    standing = [r.connection for r in worker.channel.records if r.type == cc.STANDING]
    assert standing == [worker.id(n) for n in range(1, 7)]


def test_what_a_dying_daemon_wrote_still_reaches_the_peers_but_half_a_record_does_not(start):
    worker = start()
    peer = worker.open()
    whole = b"".join(cc.encode(cc.SEND, peer.id, b"%d" % n) for n in range(1000))
    worker.channel.write(whole + cc.encode(cc.SEND, peer.id, b"half a record")[:20])
    worker.channel.sock.close()
    worker.channel = worker.control.attach()
    assert [peer.receive()[1] for _ in range(1000)] == [b"%d" % n for n in range(1000)]
    worker.channel.wait_for(cc.CONNECT, peer.id)
    worker.channel.send(peer.id, "next")
    assert peer.receive() == (TEXT, b"next")


def test_what_lies_unread_in_the_old_channel_is_read_before_the_new_one_begins(start):
    worker = start()
    peer = worker.open()
    old = worker.channel
    os.kill(worker.pid, signal.SIGSTOP)  # so that the worker finds both at once, the new channel first
    try:
        worker.channel = worker.control.attach()
        worker.channel.send(peer.id, "new")
        old.send(peer.id, "old")
        old.close_connection(peer.id + 1)  # a fault behind it changes nothing any more
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    assert peer.receive() == (TEXT, b"old")
    assert peer.receive() == (TEXT, b"new")
    assert worker.control.counters() and not worker.control.unasked
    old.sock.close()


def test_credit_counts_from_zero_where_connect_is_repeated(start):
    worker = start()
    peer = worker.open()  # never acknowledged
    worker.channel.send(peer.id, bytes(1000))
    peer.receive()
    worker.channel = worker.control.attach()
    worker.channel.wait_for(cc.CONNECT, peer.id)
    worker.channel.send(peer.id, bytes(84), want_credit=True)
    credit = worker.channel.wait_for(cc.CREDIT, peer.id)
    assert struct.unpack("<Q", credit.body)[0] == 100


def test_peers_wait_while_there_is_no_daemon_and_lose_nothing(start):
    worker = start()
    peer = worker.open()
    worker.channel.acknowledge(1)
    worker.control.counters()
    worker.channel.sock.close()
    assert "closed" in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)
    for n in range(100):
        peer.text(str(n))
    late = worker.connect()
    late.send(late.request())
    assert not late.has_data(0.3)
    worker.channel = worker.control.attach()
    worker.channel.wait_for(cc.MESSAGE, count=50)
    worker.channel.acknowledge(51)
    worker.channel.wait_for(cc.MESSAGE, count=100)
    assert late.response(body=False)[0] == 101
    assert [e.body for e in worker.channel.events() if e.type == cc.MESSAGE] == [b"%d" % n for n in range(100)]


def test_an_apps_own_channel_needs_no_acknowledgement(start):
    worker = start(acknowledged=0)
    peer = worker.open()
    for n in range(200):
        peer.text(str(n))
    worker.channel.wait_for(cc.MESSAGE, count=200)
    assert worker.channel.welcome["flags"] == 0
    worker.channel.acknowledge(1)
    assert "acknowledge" in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)


def test_an_app_that_takes_over_from_the_daemon_gets_what_is_left(start):
    worker = start(window=dict(window_events=2))
    peer = worker.open()
    worker.channel.acknowledge(1)
    for n in range(5):
        peer.text(str(n))
    worker.channel.wait_for(cc.MESSAGE, count=2)
    eventually(lambda: worker.control.counters()["messages_received"] == 5)
    worker.channel = worker.control.attach(acknowledged=0)
    worker.channel.wait_for(cc.MESSAGE, count=5)
    assert worker.channel.welcome["repeats"] == 2 and worker.channel.welcome["first_event"] == 2
    assert [r.connection for r in worker.channel.records if r.type == cc.STANDING] == [peer.id]
    peer.text("more")
    assert worker.channel.wait_for(cc.MESSAGE, count=6).body == b"more"
    worker.channel = worker.control.attach(acknowledged=0)
    worker.channel.wait_for(cc.STANDING, peer.id)
    assert worker.channel.welcome["repeats"] == 0 and worker.channel.welcome["first_event"] == 8


# --- Faults of the app side ---

FAULTS = {
    "unknown type": lambda id: cc.encode(0x7F, id),
    "wrong direction": lambda id: cc.encode(cc.MESSAGE, id, b"x"),
    "unknown flag": lambda id: cc.encode(cc.SEND, id, b"x", flags=0x80),
    "no connection": lambda id: cc.encode(cc.SEND, 0, b"x"),
    "id of the future": lambda id: cc.encode(cc.SEND, id + 1, b"x"),
    "close of the future": lambda id: cc.encode(cc.CLOSE, id + 1, b"x", code=1000),
    "drained of the future": lambda id: cc.encode(cc.WANT_DRAINED, id + 1),
    "broadcast to the future": lambda id: cc.encode(cc.BROADCAST, 0, struct.pack("<IIQQ", 2, 0, id, id + 1)),
    "too large": lambda id: struct.pack("<IBBHQ", 5242865, cc.SEND, 0, 0, id),
    "text": lambda id: cc.encode(cc.SEND, id, b"\xc0\xaf", flags=cc.TEXT),
    "text to all": lambda id: cc.encode(cc.BROADCAST, 0, struct.pack("<IIQ", 1, 0, id) + b"\xff", flags=cc.TEXT),
    "code": lambda id: cc.encode(cc.CLOSE, id, b"", code=1006),
    "reason": lambda id: cc.encode(cc.CLOSE, id, b"\xff", code=1000),
    "long reason": lambda id: cc.encode(cc.CLOSE, id, b"r" * 124, code=1000),
    "early acknowledgement": lambda id: cc.encode(cc.ACKNOWLEDGE, 0, struct.pack("<Q", 99)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_app_side_ends_its_channel_and_nothing_else(start, fault):
    worker = start()
    peer = worker.open()
    worker.channel.acknowledge(1)
    worker.channel.send(peer.id, "before")
    worker.channel.write(FAULTS[fault](peer.id) + cc.encode(cc.SEND, peer.id, b"behind"))
    assert worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)
    worker.channel.wait_for_end()
    assert peer.receive() == (TEXT, b"before")
    assert not peer.has_data(0.1)  # what stands behind a fault is not acted upon
    worker.channel = worker.control.attach()
    worker.channel.wait_for(cc.STANDING, peer.id)
    worker.channel.send(peer.id, "still here")
    assert peer.receive() == (TEXT, b"still here")


def test_an_app_side_that_ignores_a_full_queue_breaks_the_rules(start):
    worker = start()
    peer = worker.open(receive_buffer=4096)
    message = cc.encode(cc.SEND, peer.id, bytes(65536))
    with pytest.raises(OSError):
        for _ in range(2000):
            worker.channel.write(message)
    assert "full" in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)


# --- Credit ---

def released(worker, peer):
    credits = [struct.unpack("<Q", r.body)[0] for r in worker.channel.records
               if r.type == cc.CREDIT and r.connection == peer.id]
    assert credits == sorted(credits)
    return credits[-1] if credits else 0


def test_credit_for_one_message_comes_when_it_is_written(start):
    worker = start()
    peer = worker.open()
    worker.channel.send(peer.id, bytes(1000))
    worker.channel.quiet(0.2)
    assert released(worker, peer) == 0  # not owed yet
    worker.channel.send(peer.id, bytes(1000), want_credit=True)
    worker.channel.wait_for(cc.CREDIT, peer.id)
    assert released(worker, peer) == 2 * 1016


def credits(worker, peer):
    return [struct.unpack("<Q", r.body)[0] for r in worker.channel.records if r.type == cc.CREDIT and r.connection == peer.id]


def test_credit_for_a_large_message_follows_what_the_peer_takes(start):
    size = 4_000_000
    worker = start(acknowledged=0)
    peer = worker.open(receive_buffer=4096)
    data = os.urandom(size)
    worker.channel.send(peer.id, data, want_credit=True)
    worker.channel.quiet(0.3)
    told = credits(worker, peer)
    assert told == sorted(told) and all(total < size for total in told)  # the kernel cannot have it all
    queued = worker.control.counters()["queued_bytes"]
    assert 0 < queued <= size + cc.MESSAGE_COST
    assert peer.receive() == (BINARY, data)
    worker.channel.wait(lambda _: credits(worker, peer)[-1:] >= [size + cc.MESSAGE_COST])
    assert credits(worker, peer) == sorted(credits(worker, peer))
    worker.channel.send(peer.id, b"behind it")
    assert peer.receive() == (BINARY, b"behind it")
    assert worker.control.counters()["queued_bytes"] == 0
    assert worker.control.counters()["messages_sent"] == 2


def test_large_messages_arrive_in_order_among_small_ones(start):
    worker = start(acknowledged=0)
    peer = worker.open()
    messages = [os.urandom(size) for size in (10, 100_000, 20, 65_536, 1_000_000, 30, 70_000, 70_000)]
    for message in messages[:4]:
        worker.channel.send(peer.id, message)
    for message in messages[:4]:
        assert peer.receive() == (BINARY, message)
    worker.channel.write(b"".join(cc.encode(cc.SEND, peer.id, message) for message in messages[4:]))
    worker.channel.close_connection(peer.id, 1000, "that was it")
    for message in messages[4:]:
        assert peer.receive() == (BINARY, message)
    assert peer.receive_close() == (1000, "that was it")


def test_a_large_text_that_is_not_utf8_is_a_fault_and_never_sent(start):
    worker = start(acknowledged=0)
    peer = worker.open()
    worker.channel.write(cc.encode(cc.SEND, peer.id, b"a" * 100_000 + b"\xff" + b"a" * 100_000, flags=cc.TEXT))
    assert "UTF-8" in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)
    assert not peer.has_data(0.2)


def test_credit_comes_at_the_latest_at_each_step(start):
    worker = start()
    peer = worker.open()
    charged = 0
    for _ in range(300):
        worker.channel.send(peer.id, bytes(2000))
        charged += 2016
        peer.receive()
    eventually(lambda: worker.control.counters()["queued_bytes"] == 0)
    worker.channel.quiet(0.2)
    assert charged - cc.CREDIT_STEP <= released(worker, peer) <= charged


def test_a_slow_peer_fills_only_its_own_queue_and_the_app_is_told_when_it_drains(start):
    worker = start(ping_interval=0)
    slow, other = worker.open(1, receive_buffer=4096), worker.open(2)
    charged = 0
    while charged - released(worker, slow) < cc.QUEUE_HIGH:
        worker.channel.send(slow.id, bytes(65536 - 16))
        charged += 65536
        worker.channel.quiet(0.01)
        if charged - released(worker, slow) >= cc.QUEUE_HIGH // 2:
            worker.channel.quiet(0.1)
    worker.channel.want_drained(slow.id)
    worker.channel.want_drained(slow.id)
    worker.channel.send(other.id, "not held up")
    assert other.receive() == (TEXT, b"not held up")
    queued = worker.control.counters()["queued_bytes"]
    assert cc.QUEUE_HIGH - cc.CREDIT_STEP - 65536 <= queued <= charged - released(worker, slow)
    worker.channel.quiet(0.2)
    assert not [r for r in worker.channel.records if r.type == cc.DRAINED]
    received = 0
    while received < charged // 65536:
        assert slow.receive() == (BINARY, bytes(65536 - 16))
        received += 1
    worker.channel.wait_for(cc.DRAINED, slow.id)
    index = next(i for i, r in enumerate(worker.channel.records) if r.type == cc.DRAINED)
    before = [r for r in worker.channel.records[:index] if r.type == cc.CREDIT]
    assert charged - struct.unpack("<Q", before[-1].body)[0] < cc.QUEUE_LOW
    worker.channel.quiet(0.2)
    assert len([r for r in worker.channel.records if r.type == cc.DRAINED]) == 1
    worker.channel.want_drained(slow.id)  # empty already: at once
    worker.channel.wait_for(cc.DRAINED, slow.id, count=2)
    assert worker.control.counters()["queued_bytes"] == 0


def test_a_connection_that_dies_with_a_full_queue_settles_it(start):
    worker = start()
    peer = worker.open(receive_buffer=4096)
    for _ in range(8):
        worker.channel.send(peer.id, bytes(1 << 17))
    worker.channel.want_drained(peer.id)
    peer.sock.close()
    worker.channel.wait_for(cc.CLOSED, peer.id)
    assert worker.control.counters()["queued_bytes"] == 0


@pytest.mark.parametrize("timeout", [1])
def test_a_peer_that_takes_nothing_is_dropped(start, timeout):
    worker = start(pong_timeout=timeout)
    peer = worker.open(receive_buffer=4096)
    for _ in range(60):
        worker.channel.send(peer.id, bytes(1 << 17))
        worker.channel.quiet(0)
        if worker.control.counters()["queued_bytes"] > 1 << 19:
            break
    record = worker.channel.wait_for(cc.CLOSED, peer.id)
    assert record.code == 1006


def test_a_peer_that_only_pings_and_never_reads_costs_little(start):
    worker = start()
    peer = worker.open(receive_buffer=4096)
    peer.sock.settimeout(1)
    ping = frame(PING, bytes(125)) * 1000
    with pytest.raises(TimeoutError):
        for _ in range(1000):  # 128 MB unless TCP pushes back
            peer.send(ping)
    assert cc.private_memory(worker.pid) < (64 << 20 if harness.is_sanitized() else 3 << 20)
    other = worker.open(2)
    other.text("undisturbed")
    worker.channel.wait_for(cc.MESSAGE, other.id)
    peer.sock.settimeout(20)
    assert peer.receive() == (PONG, bytes(125))  # and reading wakes it up again


# --- Back-pressure ---

def flood(peer, total, done):
    chunk = frame(BINARY, bytes(1000)) * 64
    try:
        for _ in range(total // len(chunk)):
            peer.sock.sendall(chunk)
        done.append(True)
    except OSError as error:
        done.append(error)


@pytest.mark.parametrize("acknowledged", [0, 1])
def test_large_and_small_messages_keep_their_order_towards_an_app_that_reads_late(start, acknowledged):
    worker = start(acknowledged=acknowledged, window=dict(window_octets=1 << 30, window_events=1000))
    peers = [worker.open(1), worker.open(2)]
    sizes = [3, 200_000, 70_000, 5, 1_500_000, 0, 65_536, 90_000]
    messages = [[os.urandom(size) for size in sizes] for _ in peers]

    def send(peer, data):
        for message in data:
            peer.sock.sendall(frame(BINARY, message))

    threads = [threading.Thread(target=send, args=pair) for pair in zip(peers, messages)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    worker.channel.wait(lambda records: sum(r.type == cc.MESSAGE for r in records) == 2 * len(sizes))
    for peer, expected in zip(peers, messages):
        seen = [r.body for r in worker.channel.records if r.type == cc.MESSAGE and r.connection == peer.id]
        assert seen == expected
    for thread in threads:
        thread.join(20)


def test_an_app_that_leaves_with_half_a_large_message_unread_harms_nobody(start):
    worker = start(acknowledged=0)
    peer = worker.open(1)
    peer.binary(bytes(3_000_000))
    eventually(lambda: worker.control.counters()["messages_received"] == 1)
    worker.channel.sock.close()
    worker.control.wait(cc.CHANNEL_ENDED)
    worker.channel = worker.control.attach(0)
    worker.channel.wait_for(cc.STANDING, peer.id)
    peer.binary(b"after it")
    assert worker.channel.wait_for(cc.MESSAGE, peer.id).body == b"after it"


@pytest.mark.parametrize("acknowledged", [0, 1])
def test_a_flood_while_nobody_reads_costs_bounded_memory_and_loses_nothing(start, acknowledged):
    worker = start(acknowledged=acknowledged)
    peer, other = worker.open(1), worker.open(2)
    total = 64 << 20
    done = []
    thread = threading.Thread(target=flood, args=(peer, total, done))
    thread.start()
    count = total // (64 * (1000 + 8)) * 64
    eventually(lambda: worker.control.counters()["messages_received"] > 200)
    time.sleep(1)  # give it the chance to go wrong
    assert not done
    assert worker.control.counters()["bytes_received"] < 4 << 20
    assert cc.private_memory(worker.pid) < (80 << 20 if harness.is_sanitized() else 6 << 20)
    late = worker.connect()
    late.send(late.request())
    assert not late.has_data(0.2)  # accepting waits too
    seen = messages = 0
    while messages < count:
        worker.channel.read_some(20)
        seen += len(worker.channel.events())
        messages += sum(1 for e in worker.channel.events() if e.type == cc.MESSAGE)
        assert all(len(e.body) == 1000 for e in worker.channel.events() if e.type == cc.MESSAGE)
        worker.channel.records.clear()
        if acknowledged:
            worker.channel.acknowledge(seen)
    thread.join(20)
    assert done == [True]
    assert late.response(body=False)[0] == 101
    other.text("in the end")
    assert worker.channel.wait_for(cc.MESSAGE, other.id).body == b"in the end"


# --- The end ---

def test_stop_says_1001_to_each_peer_and_reports_each(start):
    worker = start()
    peers = [worker.open(n) for n in range(1, 6)]
    for peer in peers:
        worker.channel.send(peer.id, "before the end")
    shaking = worker.connect()
    shaking.send(shaking.request()[:40])
    idle = worker.connect()
    time.sleep(0.1)
    worker.stop()
    for peer in peers[:4]:
        assert peer.receive() == (TEXT, b"before the end")
        assert peer.receive_close() == (1001, "")
        peer.close(1001)
        peer.receive_end()
        assert worker.channel.wait_for(cc.CLOSED, peer.id).flags & cc.CLEAN
    assert shaking.response()[0] == 503
    assert idle.response()[0] == 503
    with harness.socket.socket() as again:  # the port is free although we still hold the listening socket
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", worker.port))
        again.listen()
    stopped = worker.control.wait(cc.STOPPED, 99)
    worker.confirm()
    worker.channel.wait_for_end()
    closed = {r.connection: r for r in worker.channel.events() if r.type == cc.CLOSED}
    assert set(closed) == {p.id for p in peers} and {r.code for r in closed.values()} == {1001}
    assert not closed[peers[4].id].flags & cc.CLEAN  # never answered
    assert stopped.counters()["connections"] == 0
    assert worker.wait() == 0


def test_a_stop_with_peers_that_answer_is_quick(start):
    worker = start()
    peer = worker.open()
    began = time.monotonic()
    worker.stop()
    peer.receive_close()
    peer.close(1001)
    peer.sock.close()
    worker.control.wait(cc.STOPPED)
    worker.confirm()
    assert worker.wait() == 0
    assert time.monotonic() - began < 1


def test_a_stop_with_peers_that_do_not_answer_ends_at_its_deadline(start):
    worker = start()
    worker.open()
    began = time.monotonic()
    worker.stop(deadline=300)
    assert worker.channel.wait_for(cc.CLOSED).code == 1001
    worker.control.wait(cc.STOPPED)
    assert 0.25 < time.monotonic() - began < 2
    worker.confirm()
    assert worker.wait() == 0


def test_a_stop_writes_all_events_although_the_window_is_full(start):
    worker = start(window=dict(window_events=1))
    peer = worker.open()
    for n in range(20):
        peer.text(str(n))
    eventually(lambda: worker.control.counters()["messages_received"] == 20)
    peer.close(1000)
    eventually(lambda: worker.control.counters()["connections"] == 0)
    worker.stop()
    worker.control.wait(cc.STOPPED)
    worker.confirm()
    worker.channel.wait_for_end()
    assert [e.type for e in worker.channel.events()] == [cc.CONNECT] + [cc.MESSAGE] * 20 + [cc.CLOSED]


def test_a_stop_ends_although_the_app_side_does_not_read(start):
    worker = start(acknowledged=0)
    peer = worker.open()
    done = []
    thread = threading.Thread(target=flood, args=(peer, 64 << 20, done))
    thread.start()
    eventually(lambda: worker.control.counters()["bytes_received"] > 1 << 18)
    time.sleep(0.3)
    began = time.monotonic()
    worker.stop(deadline=500)
    worker.control.wait(cc.STOPPED)
    assert time.monotonic() - began < 4
    assert worker.wait() == 0
    thread.join(20)


def test_the_end_of_the_control_socket_ends_the_worker_and_frees_the_port_first(start):
    worker = start()
    answers, silent = worker.open(1), worker.open(2)
    worker.channel.sock.close()  # as when the daemon and systemd's store are gone
    began = time.monotonic()
    worker.control.sock.close()
    assert answers.receive_close() == (1001, "")
    answers.close(1001)
    answers.receive_end()
    assert silent.receive_close() == (1001, "")
    assert worker.wait() == 0
    assert time.monotonic() - began < 3
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", worker.port))
        again.listen()


def test_the_end_of_the_control_socket_is_told_to_an_app_with_its_own_channel(start):
    worker = start(acknowledged=0)
    peer = worker.open()
    worker.control.sock.close()
    assert peer.receive_close() == (1001, "")
    peer.close(1001)
    assert worker.channel.wait_for(cc.CLOSED).code == 1001
    worker.channel.wait_for_end()
    assert worker.wait() == 0


def test_the_end_of_the_control_socket_before_configure_ends_the_process(start):
    worker = start(configure=False)
    worker.control.sock.close()
    assert worker.wait() == 0


def test_stopped_is_said_once_also_to_a_daemon_that_reads_late(start):
    worker = start(max_per_client=300)
    for _ in range(100):
        worker.connect().handshake(path="/" + "p" * 600)
    for peer in worker.peers:
        peer.sock.close()
    worker.control.sock.setblocking(False)
    try:
        for tag in range(1, 2000):
            worker.control.send(cc.STATISTICS, tag)
    except BlockingIOError:
        pass
    worker.control.sock.setblocking(True)
    said = []

    def read_late():
        time.sleep(0.5)
        while True:
            record = worker.control.receive()
            if record is None:
                return
            said.append(record.type)
            if record.type == cc.STOPPED:
                worker.confirm()
    thread = threading.Thread(target=read_late)
    thread.start()
    worker.stop()
    thread.join(20)
    assert said.count(cc.STOPPED) == 1 and said[-1] == cc.STOPPED
    assert worker.wait() == 0


def test_an_app_side_that_writes_on_and_on_cannot_hold_up_a_new_channel(start):
    worker = start()
    peer = worker.open()
    worker.channel.acknowledge(1)
    old = worker.channel
    record = cc.encode(cc.WANT_DRAINED, worker.id(1)) * 4000
    stop = threading.Event()

    def write_on():
        try:
            while not stop.is_set():
                old.write(record)
        except OSError:
            pass
    threads = [threading.Thread(target=write_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    worker.channel = worker.control.attach()
    worker.channel.wait_for(cc.STANDING, peer.id)
    stop.set()
    old.sock.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(20)
    worker.channel.send(peer.id, "the new one")
    assert peer.receive() == (TEXT, b"the new one")


def test_answers_wait_for_a_daemon_that_does_not_read_its_control_socket(start):
    worker = start(max_per_client=300)
    for _ in range(100):
        worker.connect().handshake(path="/" + "p" * 600)
    worker.channel.acknowledge(0)
    worker.channel.quiet(0.2)
    worker.control.sock.setblocking(False)
    asked = 0
    try:
        while asked < 2000:
            worker.control.send(cc.LIST, asked + 1, after=0)
            asked += 1
    except BlockingIOError:
        pass
    assert asked > 3
    worker.control.sock.setblocking(True)
    assert [worker.control.receive().tag for _ in range(asked)] == list(range(1, asked + 1))
    assert worker.control.counters()["connections"] > 0
