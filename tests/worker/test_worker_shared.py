# SPDX-License-Identifier: Apache-2.0
"""A channel with shared memory: large messages go through it both ways, nobody can abuse it, and nothing is lost where it is full or over."""

import contextlib
import os
import socket
import struct
import time

import pytest

import channel_client as cc
import harness
from harness import BINARY, TEXT, eventually, frame

LARGE = 100_000


def octets(length, seed=0):
    return (bytes((seed + i * 7) & 0xFF for i in range(256)) * (length // 256 + 1))[:length]


@pytest.fixture
def shared(start):
    """Starts a worker whose channel has shared memory."""
    channels = []

    def start_one(size=cc.ARENA_SIZE, **options):
        worker = start(attach=False, **options)
        worker.channel = worker.control.attach_shared(size)
        channels.append(worker.channel)
        return worker

    yield start_one
    for channel in channels:
        channel.close()


def offsets(channel, type=cc.SHARED_MESSAGE):
    return [struct.unpack("<QQ", record.body) for record in channel.records if record.type == type]


def test_the_first_record_says_that_there_is_shared_memory(shared):
    worker = shared()
    worker.channel.wait_for(cc.WELCOME)
    assert worker.channel.welcome["version"] == 2


@pytest.mark.parametrize("opcode", [BINARY, TEXT])
@pytest.mark.parametrize("length", [cc.SHARED_MIN, 16384, 65536, LARGE, 3_000_000])
def test_large_messages_come_through_it(shared, opcode, length):
    worker = shared()
    peer = worker.open()
    payload = octets(length) if opcode == BINARY else ("häl" * (length // 4 + 1)).encode()[:length // 4 * 4]
    peer.send(frame(opcode, payload))
    record = worker.channel.wait_for(cc.SHARED_MESSAGE)
    assert worker.channel.payload(record) == payload and bool(record.flags & cc.TEXT) == (opcode == TEXT)
    assert not [r for r in worker.channel.records if r.type == cc.MESSAGE]


def test_small_messages_go_through_the_stream(shared):
    worker = shared()
    peer = worker.open()
    peer.send(frame(BINARY, octets(cc.SHARED_MIN - 1)))
    assert worker.channel.wait_for(cc.MESSAGE).body == octets(cc.SHARED_MIN - 1)


def test_fragments_and_pieces_come_as_one(shared):
    worker = shared()
    peer = worker.open()
    payload = octets(LARGE)
    peer.send(frame(BINARY, payload[:30000], fin=False))
    for at in range(30000, 90000, 10000):
        peer.send(frame(0, payload[at:at + 10000], fin=False))
    last = frame(0, payload[90000:])
    peer.send(last[:5000])
    time.sleep(0.05)
    peer.send(last[5000:])
    assert worker.channel.payload(worker.channel.wait_for(cc.SHARED_MESSAGE)) == payload


def test_ranges_are_used_again_once_they_are_released(shared):
    worker = shared()
    peer = worker.open()
    for turn in range(20):
        peer.send(frame(BINARY, octets(LARGE, turn)))
        record = worker.channel.wait_for(cc.SHARED_MESSAGE, count=turn + 1)
        assert worker.channel.payload(record) == octets(LARGE, turn)
        worker.channel.release(struct.unpack("<QQ", record.body)[0])
    assert max(offset for offset, _ in offsets(worker.channel)) < 1 << 20


def test_messages_that_nobody_released_are_not_overwritten(shared):
    worker = shared()
    peer = worker.open()
    for turn in range(10):
        peer.send(frame(BINARY, octets(LARGE, turn)))
    worker.channel.wait_for(cc.SHARED_MESSAGE, count=10)
    records = [r for r in worker.channel.records if r.type == cc.SHARED_MESSAGE]
    assert [worker.channel.payload(r) for r in records] == [octets(LARGE, turn) for turn in range(10)]


def test_without_room_messages_go_through_the_stream_in_order(shared):
    worker = shared(size=3 * LARGE)
    peer = worker.open()
    for turn in range(5):
        peer.send(frame(BINARY, octets(LARGE, turn)))
    events = worker.channel.wait(lambda records: (e := worker.channel.events())[5:] and e, what="five messages")
    assert [worker.channel.payload(e) for e in events[1:]] == [octets(LARGE, turn) for turn in range(5)]
    assert {e.type for e in events[1:]} == {cc.MESSAGE, cc.SHARED_MESSAGE}
    worker.channel.release(0)
    worker.channel.quiet(0.1)
    peer.send(frame(BINARY, octets(LARGE, 9)))
    assert worker.channel.payload(worker.channel.wait_for(cc.SHARED_MESSAGE, count=3)) == octets(LARGE, 9)


def test_too_many_ranges_go_through_the_stream(shared):
    worker = shared()
    peer = worker.open()
    many = cc.ARENA_RANGES_MAX + 5
    for turn in range(many):
        peer.send(frame(BINARY, octets(cc.SHARED_MIN, turn & 0xFF)))
    events = worker.channel.wait(lambda records: (e := worker.channel.events())[many:] and e, what="all messages")
    assert [e.type for e in events[1:]] == [cc.SHARED_MESSAGE] * cc.ARENA_RANGES_MAX + [cc.MESSAGE] * 5
    assert [worker.channel.payload(e) for e in events[1:]] == [octets(cc.SHARED_MIN, turn & 0xFF) for turn in range(many)]


@pytest.mark.parametrize("data", [octets(LARGE), "häl" * 30000], ids=["binary", "text"])
def test_messages_leave_through_it(shared, data):
    worker = shared()
    peer = worker.open()
    worker.channel.send_shared(peer.id, data, offset=4096, want_credit=True)
    opcode, payload = peer.receive()
    assert (opcode, payload) == ((TEXT, data.encode()) if isinstance(data, str) else (BINARY, data))
    released = struct.unpack("<Q", worker.channel.wait_for(cc.CREDIT, peer.id).body)[0]
    assert released == len(payload) + cc.MESSAGE_COST
    worker.channel.wait_for(cc.RELEASED)
    assert worker.channel.released() == [4096]


def test_a_range_is_released_at_once_though_the_peer_does_not_read(shared):
    worker = shared()
    peer = worker.open(receive_buffer=4096)
    data = octets(900_000)
    worker.channel.send_shared(peer.id, data)
    worker.channel.wait_for(cc.RELEASED)
    worker.channel.own[0:len(data)] = bytes(len(data))  # what waits for the peer has its own copy
    assert peer.receive() == (BINARY, data)


def test_many_releases_share_records(shared):
    worker = shared()
    peer = worker.open()
    many = 150
    worker.channel.write(b"".join(
        cc.encode(cc.SHARED_SEND, peer.id, struct.pack("<QQ", 64 * turn, 64)) for turn in range(many)))
    for _ in range(many):
        assert peer.receive() == (BINARY, bytes(64))
    worker.channel.wait(lambda _: len(worker.channel.released()) == many, what="releases")
    assert sorted(worker.channel.released()) == [64 * turn for turn in range(many)]
    assert len([r for r in worker.channel.records if r.type == cc.RELEASED]) < 20


def test_what_is_sent_to_a_closed_connection_is_released(shared):
    worker = shared()
    peer = worker.open()
    peer.sock.close()
    worker.channel.wait_for(cc.CLOSED, peer.id)
    worker.channel.send_shared(peer.id, octets(LARGE), offset=64)
    worker.channel.wait_for(cc.RELEASED)
    assert worker.channel.released() == [64]


def forward(connection, offset, length, flags=0):
    return cc.encode(cc.SHARED_FORWARD, connection, struct.pack("<QQ", offset, length), flags=flags)


def given(worker, peer, opcode, data) -> int:
    """Where the message lies that this peer sends."""
    before = len(worker.channel.records)
    peer.send(frame(opcode, data))
    record = worker.channel.wait(lambda records: next((r for r in records[before:] if r.type == cc.SHARED_MESSAGE), None), what="the message")
    return struct.unpack("<QQ", record.body)[0]


def test_a_worker_says_whether_it_forwards(shared, start):
    worker = shared()
    worker.channel.wait_for(cc.WELCOME)
    assert worker.channel.welcome["abilities"] & 1
    plain = start(acknowledged=0)
    plain.channel.wait_for(cc.WELCOME)
    assert not plain.channel.welcome["abilities"] & 1


def test_what_a_peer_sent_goes_on_to_any_peer_from_where_it_lies_as_often_as_the_app_likes(shared):
    worker = shared()
    sender, reader = worker.open(), worker.open(2)
    data = octets(LARGE)
    offset = given(worker, sender, BINARY, data)
    worker.channel.write(forward(sender.id, offset, len(data)) + forward(reader.id, offset, len(data))
                         + forward(reader.id, offset, 100) + cc.encode(cc.RELEASE, 0, struct.pack("<Q", offset)))
    assert sender.receive() == (BINARY, data)
    assert reader.receive() == (BINARY, data) and reader.receive() == (BINARY, data[:100])
    assert given(worker, reader, BINARY, octets(LARGE + 1)) == offset  # it was the app's to give back


def test_what_waits_for_a_slow_peer_survives_the_release_of_what_was_forwarded(shared):
    worker = shared()
    sender, slow = worker.open(), worker.open(2, receive_buffer=4096)
    data = octets(900_000)
    offset = given(worker, sender, BINARY, data)
    worker.channel.write(forward(slow.id, offset, len(data)) + cc.encode(cc.RELEASE, 0, struct.pack("<Q", offset)))
    given(worker, sender, BINARY, bytes(900_000))  # lies where the first one did
    assert slow.receive() == (BINARY, data)


def test_forwarding_charges_and_credits_as_sending_does(shared):
    worker = shared()
    peer = worker.open()
    data = octets(LARGE)
    offset = given(worker, peer, BINARY, data)
    worker.channel.write(forward(peer.id, offset, len(data), flags=cc.WANT_CREDIT))
    assert struct.unpack("<Q", worker.channel.wait_for(cc.CREDIT, peer.id).body)[0] == len(data) + 16


def test_text_that_is_forwarded_is_checked(shared):
    worker = shared()
    peer = worker.open()
    text = "ä".encode() * LARGE
    offset = given(worker, peer, TEXT, text)
    worker.channel.write(forward(peer.id, offset, len(text), flags=cc.TEXT))
    assert peer.receive() == (TEXT, text)
    worker.channel.write(forward(peer.id, offset, len(text) - 1, flags=cc.TEXT))  # ends within a character
    assert "not UTF-8" in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)


def test_what_is_forwarded_to_a_closed_connection_goes_nowhere(shared):
    worker = shared()
    sender, gone = worker.open(), worker.open(2)
    data = octets(LARGE)
    offset = given(worker, sender, BINARY, data)
    gone.sock.close()
    worker.channel.wait_for(cc.CLOSED, gone.id)
    worker.channel.write(forward(gone.id, offset, len(data)) + forward(sender.id, offset, len(data)))
    assert sender.receive() == (BINARY, data)


@pytest.mark.parametrize("what, record", [
    ("not the app side's", lambda p: forward(p, 64, 10)), ("not the app side's", lambda p: forward(p, 0, LARGE + 64)),
    ("not the app side's", lambda p: cc.encode(cc.RELEASE, 0, struct.pack("<Q", 0)) + forward(p, 0, 10)),
    ("not the app side's", lambda p: forward(p, cc.ARENA_SIZE, 10)), ("not the app side's", lambda p: forward(p, 2 ** 64 - 64, 10)),
    ("without octets", lambda p: forward(p, 0, 0)), ("does not exist", lambda p: forward(p + 1, 0, 10)),
    ("begins where none may", lambda p: forward(p, 1, 10)), ("above the limit", lambda p: forward(p, 0, 2 ** 63)),
    ("beyond the shared memory", lambda p: cc.encode(cc.SHARED_SEND, p, struct.pack("<QQ", cc.ARENA_SIZE - 64, 65))),
    ("beyond the shared memory", lambda p: cc.encode(cc.SHARED_SEND, p, struct.pack("<QQ", cc.ARENA_SIZE, 1))),
    ("beyond the shared memory", lambda p: cc.encode(cc.SHARED_SEND, p, struct.pack("<QQ", 2 ** 64 - 64, 64))),
    ("above the limit", lambda p: cc.encode(cc.SHARED_SEND, p, struct.pack("<QQ", 0, 2 ** 63))),
    ("without octets", lambda p: cc.encode(cc.SHARED_SEND, p, struct.pack("<QQ", 0, 0))),
    ("begins where none may", lambda p: cc.encode(cc.SHARED_SEND, p, struct.pack("<QQ", 1, 10))),
    ("does not exist", lambda p: cc.encode(cc.SHARED_SEND, p + 1, struct.pack("<QQ", 0, 10))),
    ("not the app side's", lambda p: cc.encode(cc.RELEASE, 0, struct.pack("<Q", 64))),
    ("not the app side's", lambda p: cc.encode(cc.RELEASE, 0, struct.pack("<QQ", 0, 0))),
    ("ends within one", lambda p: cc.encode(cc.RELEASE, 0, bytes(12))),
    ("shorter", lambda p: cc.encode(cc.RELEASE, 0, b"")),
    ("longer", lambda p: cc.encode(cc.RELEASE, 0, bytes(8 * (cc.RELEASES_MAX + 1)))),
])
def test_faults_of_the_app(shared, what, record):
    worker = shared()
    peer = worker.open()
    peer.send(frame(BINARY, octets(LARGE)))  # is given at offset 0
    worker.channel.wait_for(cc.SHARED_MESSAGE)
    worker.channel.write(record(peer.id))
    assert what in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)
    worker.channel.wait_for_end()


def test_text_that_is_not_utf8_is_a_fault(shared):
    worker = shared()
    peer = worker.open()
    worker.channel.own[0:9000] = b"\xff" * 9000
    worker.channel.write(cc.encode(cc.SHARED_SEND, peer.id, struct.pack("<QQ", 0, 9000), flags=cc.TEXT))
    assert "not UTF-8" in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)


def test_what_is_being_gathered_is_not_the_apps_to_release(shared):
    worker = shared()
    peer = worker.open()
    message = frame(BINARY, octets(500_000))
    peer.send(message[:300_000])
    time.sleep(0.2)
    worker.channel.release(0)
    assert "not the app side's" in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)


def test_without_shared_memory_its_records_are_faults(start):
    for record in (cc.encode(cc.SHARED_SEND, 1, bytes(16)), cc.encode(cc.RELEASE, 0, bytes(8)), forward(1, 0, 10)):
        worker = start(acknowledged=0)
        worker.channel.write(record)
        assert "shared memory where there is none" in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)


def test_a_message_that_is_half_there_outlives_the_channel(shared):
    """Its memory was that of the channel; the next one gets the whole message."""
    worker = shared()
    peer = worker.open()
    payload = octets(1_000_000)
    message = frame(BINARY, payload)
    peer.send(message[:600_000])
    time.sleep(0.2)
    former = worker.channel
    worker.channel = worker.control.attach_shared()
    worker.channel.wait_for(cc.STANDING)
    former.wait_for_end()
    former.arena.close()
    peer.send(message[600_000:])
    record = worker.channel.wait(lambda records: next((r for r in records if r.type in (cc.MESSAGE, cc.SHARED_MESSAGE)), None))
    assert worker.channel.payload(record) == payload


def test_a_channel_without_follows_one_with(shared):
    worker = shared()
    peer = worker.open()
    message = frame(BINARY, octets(1_000_000))
    peer.send(message[:600_000])
    time.sleep(0.2)
    worker.channel = worker.control.attach(acknowledged=1)
    peer.send(message[600_000:])
    assert worker.channel.wait_for(cc.MESSAGE).body == octets(1_000_000)
    worker.confirm()


def test_peers_that_vanish_with_half_a_message_leave_nothing(shared):
    worker = shared()
    for number in range(1, 30):
        peer = worker.open(number)
        peer.send(frame(BINARY, octets(700_000))[:400_000])
        time.sleep(0.01)
        peer.sock.close()
        worker.channel.wait_for(cc.CLOSED, peer.id)
    last = worker.open(30)
    last.send(frame(BINARY, octets(700_000)))
    record = worker.channel.wait_for(cc.SHARED_MESSAGE)
    assert struct.unpack("<QQ", record.body)[0] == 0


def blocks(channel):
    return os.fstat(channel.events_fd).st_blocks * 512


def test_memory_goes_back_when_no_large_message_passes(shared):
    worker = shared()
    peer = worker.open()
    for turn in range(5):
        peer.send(frame(BINARY, octets(LARGE, turn)))
    worker.channel.wait_for(cc.SHARED_MESSAGE, count=5)
    assert blocks(worker.channel) >= 5 * LARGE
    time.sleep(1.2)
    assert blocks(worker.channel) >= 5 * LARGE  # the app still has it
    records = [r for r in worker.channel.records if r.type == cc.SHARED_MESSAGE]
    assert [worker.channel.payload(r) for r in records] == [octets(LARGE, turn) for turn in range(5)]
    worker.channel.release(*[offset for offset, _ in offsets(worker.channel)])
    eventually(lambda: blocks(worker.channel) == 0)
    peer.send(frame(BINARY, octets(LARGE, 7)))
    assert worker.channel.payload(worker.channel.wait_for(cc.SHARED_MESSAGE, count=6)) == octets(LARGE, 7)


def test_an_app_that_never_reads_is_not_heard_any_more(shared):
    """RELEASED for what it goes on sending, to a connection that is gone, would wait for it without bound."""
    worker = shared()
    peer = worker.open()
    peer.sock.close()
    worker.channel.wait_for(cc.CLOSED, peer.id)
    records = cc.encode(cc.SHARED_SEND, peer.id, struct.pack("<QQ", 0, 64)) * 2000
    worker.channel.sock.settimeout(2)
    sent, before = 0, cc.private_memory(worker.pid)
    with contextlib.suppress(TimeoutError):
        while sent < 256 << 20:
            sent += worker.channel.sock.send(records[sent % len(records):])
    assert sent < 256 << 20, "it is heard for ever"
    if not harness.is_sanitized():  # which keep what was freed
        assert cc.private_memory(worker.pid) - before < 64 << 20


# --- ATTACH_SHARED ---

@pytest.mark.parametrize("fields", [dict(acknowledged=1), dict(arena=0), dict(arena=(1 << 30) + 1)])
def test_terms_that_cannot_be(start, fields):
    worker = start(attach=False)
    worker.expected_status = 3
    worker.channel = worker.control.attach_shared(**fields)
    assert worker.wait() == 3


def test_arenas_that_cannot_be_mapped(start):
    worker = start(attach=False)
    worker.expected_status = 3
    events, commands = cc.new_arena(), cc.new_arena()
    ours, theirs = socket.socketpair()
    # the arena of events is only open for reading
    worker.control.send(cc.ATTACH_SHARED, 0, [theirs.fileno(), events[1], commands[1]], acknowledged=0, arena=cc.ARENA_SIZE)
    assert worker.wait() == 3
    for descriptor in (*events, *commands):
        os.close(descriptor)
    ours.close()
    theirs.close()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_number_of_descriptors_is_three(start, count):
    worker = start(attach=False)
    worker.expected_status = 3
    events, commands = cc.new_arena(), cc.new_arena()
    ours, theirs = socket.socketpair()
    descriptors = [theirs.fileno(), events[0], commands[1], events[1]][:count]
    worker.control.send(cc.ATTACH_SHARED, 0, descriptors, acknowledged=0, arena=cc.ARENA_SIZE)
    assert worker.wait() == 3
    for descriptor in (*events, *commands):
        os.close(descriptor)
    ours.close()
    theirs.close()


def open_maps(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        return maps.read()


def test_descriptors_are_not_kept(shared):
    worker = shared()
    worker.channel.wait_for(cc.WELCOME)
    before = cc.open_descriptors(worker.pid)
    for _ in range(10):
        worker.channel.close()
        worker.channel = worker.control.attach_shared()
        worker.channel.wait_for(cc.WELCOME)
    assert cc.open_descriptors(worker.pid) == before
    assert open_maps(worker.pid).count("arena") == 2  # one each way
