# SPDX-License-Identifier: Apache-2.0
"""A worker that compresses (permessage-deflate), against Python's zlib: what is agreed, what is charged, what hostile peers cost."""

import random
import struct
import zlib

import pytest

import channel_client as cc
import harness
from harness import BINARY, TEXT, eventually, frame

TAIL = b"\x00\x00\xff\xff"
RSV1 = 0x40
LARGEST = 5242864


class Compressing:
    """A peer with a compressor and a decompressor that live as long as the connection."""

    def __init__(self, worker, number, offer="permessage-deflate; client_max_window_bits"):
        self.peer = worker.connect()
        self.id = worker.id(number)
        self.answer = self.peer.handshake(headers=[("Sec-WebSocket-Extensions", offer)]).get("sec-websocket-extensions")
        worker.channel.wait_for(cc.CONNECT, self.id)
        self.values = dict(part.strip().partition("=")[::2] for part in (self.answer or "").split(";"))
        self.deflater = zlib.compressobj(6, zlib.DEFLATED, -max(9, int(self.values.get("client_max_window_bits", 15))))
        self.inflater = self.new_inflater()
        self.wire = 0

    def new_inflater(self):
        return zlib.decompressobj(-int(self.values.get("server_max_window_bits", 15)))

    def compressed(self, opcode, data):
        octets = self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        return frame(RSV1 | opcode, octets.removesuffix(TAIL))

    def receive(self):
        """The next message, and whether it came compressed."""
        peer = self.peer
        peer._need(1)
        is_compressed = bool(peer.buffer[0] & RSV1)
        opcode, payload = peer.receive()
        self.wire += len(payload)
        if is_compressed:
            if "server_no_context_takeover" in self.values:
                self.inflater = self.new_inflater()
            payload = self.inflater.decompress(payload + TAIL)
        return opcode, payload, is_compressed


def text(number, length):
    words = random.Random(number % 9)
    out = bytearray()
    while len(out) < length:
        out += b'{"type":"%s","id":%d},' % (words.choice([b"volume", b"channel", b"player"]), words.randrange(1000))
    return bytes(out[:length])


def test_without_the_option_nothing_is_agreed(start):
    for options in ({}, {"compression": 0}):
        worker = start(**options)
        peer = Compressing(worker, 1)
        assert peer.answer is None
        peer.peer.send(frame(RSV1 | TEXT, b"\x00"))
        assert peer.peer.receive_close()[0] == 1002


def test_a_client_is_asked_for_a_window_that_costs_little(start):
    worker = start(compression=1)
    assert Compressing(worker, 1).answer == "permessage-deflate; client_max_window_bits=12"
    assert Compressing(worker, 2, "permessage-deflate").answer == "permessage-deflate"
    plain = worker.connect()
    assert "sec-websocket-extensions" not in plain.handshake()


@pytest.mark.parametrize("offer", [
    "permessage-deflate; client_max_window_bits", "permessage-deflate",
    "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
    "permessage-deflate; server_no_context_takeover; client_max_window_bits=10"])
def test_messages_go_compressed_both_ways(start, offer):
    worker = start(compression=1)
    peer = Compressing(worker, 1, offer)
    sizes = [0, 1, 127, 128, 500, 5000, 60000, 300, 1 << 20, 700, (1 << 20) + 1, 3000]
    for number, size in enumerate(sizes):
        data = text(number, size)
        peer.peer.send(peer.compressed(TEXT, data))
        events = worker.channel.wait_for(cc.MESSAGE, peer.id, count=number + 1)
        assert events.body == data and events.flags & cc.TEXT
        worker.channel.acknowledge(number + 2)
        worker.channel.send(peer.id, data)
        opcode, received, compressed = peer.receive()
        assert (opcode, received) == (BINARY, data)
        assert compressed == (128 <= size <= 1 << 20)


def test_a_broadcast_is_right_for_every_peer_and_charged_by_what_the_app_gave(start):
    worker = start(compression=1)
    offers = ["permessage-deflate", "permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=11",
              "permessage-deflate; server_no_context_takeover", "x-other", "permessage-deflate"]
    peers = [Compressing(worker, n + 1, offer) for n, offer in enumerate(offers)]
    total = 0
    for number in range(12):
        data = text(number, 300 + number * 800)
        worker.channel.broadcast([peer.id for peer in peers], data)
        worker.channel.send(peers[number % 6].id, data)
        total += len(data) * 7
        for n, peer in enumerate(peers):
            for _ in range(2 if n == number % 6 else 1):
                opcode, received, compressed = peer.receive()
                assert (opcode, received, compressed) == (BINARY, data, n != 4)
    counters = worker.control.counters()
    assert counters["messages_sent"] == 12 * 7 and counters["bytes_sent"] == total
    for peer in peers:
        worker.channel.send(peer.id, "ask", want_credit=True)
        peer.receive()
        charged = total // 7 + 12 * cc.MESSAGE_COST
        charged += sum(300 + number * 800 + cc.MESSAGE_COST for number in range(12) if peers[number % 6] is peer)
        credit = worker.channel.wait(lambda records: next(
            (r for r in records if r.type == cc.CREDIT and r.connection == peer.id
             and struct.unpack("<Q", r.body)[0] == charged + 3 + cc.MESSAGE_COST), None), what="all credit")
        assert credit
    assert peers[0].wire < peers[4].wire / 2


def test_what_inflates_beyond_the_largest_message_is_refused(start):
    worker = start(compression=1, max_message=1000)
    for number, size in enumerate([1000, 1001, 50_000_000]):
        peer = Compressing(worker, number + 1)
        peer.peer.send(peer.compressed(BINARY, bytes(size)))
        if size == 1000:
            assert worker.channel.wait_for(cc.MESSAGE, peer.id).body == bytes(size)
        else:
            assert peer.peer.receive_close()[0] == 1009


def test_few_octets_cannot_become_much_memory_while_the_app_stands_still(start):
    """Each message of 5 MB is 5 KB on the wire. Read to the end, one read of the socket would become 60 MB of events."""
    worker = start(compression=1, window=dict(window_events=1))
    peers = []
    for n in (1, 2):
        peers.append(Compressing(worker, n, "permessage-deflate"))
        worker.channel.acknowledge(n)
    count = 24
    for peer in peers:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        one = frame(RSV1 | BINARY, (deflater.compress(bytes(LARGEST)) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL))
        peer.peer.send(b"".join([one] * count))
    worker.channel.quiet(1)
    if not harness.is_sanitized():
        assert cc.private_memory(worker.pid) < 24 << 20
    seen = 0
    while seen < 2 * count:
        records = worker.channel.wait(lambda records: [r for r in records if r.type == cc.MESSAGE][seen:], timeout=60)
        assert all(len(record.body) == LARGEST for record in records)
        seen += len(records)
        worker.channel.acknowledge(2 + seen)
    lead = [0]  # of one peer: they take turns, WSW_COMPRESSED_ROOM octets each
    for record in worker.channel.records:
        if record.type == cc.MESSAGE:
            lead.append(lead[-1] + (1 if record.connection == peers[0].id else -1))
    assert max(map(abs, lead)) <= 4
    if not harness.is_sanitized():
        eventually(lambda: cc.private_memory(worker.pid) < 4 << 20, what="small memory")


def hold_back(worker, small):
    """A peer in whose middle reading was paused, because the app stands still: four large messages and many small ones."""
    peer = worker.open()
    worker.channel.acknowledge(1)
    peer.send(frame(BINARY, bytes(100_000)) * 4 + b"".join(frame(TEXT, b"%d" % n) for n in range(small)))
    worker.channel.quiet()
    assert worker.channel.events()[-1].type == cc.MESSAGE and len(worker.channel.events()) == 2
    return peer


def test_what_was_read_before_a_pause_comes_afterwards_in_order(start):
    worker = start(window=dict(window_events=1))
    peer = hold_back(worker, 200)
    for number in range(2, 206):
        assert len(worker.channel.wait_for(cc.MESSAGE, peer.id, count=number - 1).body) in (100_000, 1, 2, 3)
        worker.channel.acknowledge(number)
    bodies = [event.body for event in worker.channel.events()[5:]]
    assert bodies == [b"%d" % n for n in range(200)]


def test_what_was_read_before_a_pause_goes_with_its_peer(start):
    worker = start(window=dict(window_events=1))
    hold_back(worker, 3000)
    worker.stop(deadline=100)
    worker.channel.acknowledge(2)
    assert worker.control.wait(cc.STOPPED, timeout=20)
    worker.confirm()


def test_when_histories_are_used_up_new_peers_go_without(start):
    worker = start(compression=1, max_per_client=1000)
    number = 0
    peers = []
    while not peers or "server_no_context_takeover" not in peers[-1].values:
        number += 1
        assert number < 520
        peers.append(Compressing(worker, number, "permessage-deflate"))
        worker.channel.acknowledge(number)
    assert number == 512  # 511 windows of 32 KiB, and not yet 16 MiB
    assert "client_no_context_takeover" in peers[-1].values
    data = text(1, 2000)
    worker.channel.broadcast([peer.id for peer in peers], data)
    for peer in peers:
        assert peer.receive()[1:] == (data, True)
    peers.pop(0).peer.sock.close()
    peers.pop(0).peer.sock.close()
    eventually(lambda: worker.control.counters()["connections"] == 510, what="two connections less")
    assert Compressing(worker, 513, "permessage-deflate").answer == "permessage-deflate"


@pytest.mark.skipif("harness.worker_path() and harness.is_sanitized()")
def test_an_idle_connection_that_compressed_costs_what_is_said(start):
    """Two histories of 4 KiB and little else; zlib's own streams would be 300 KiB."""
    count = 500
    worker = start(compression=1, max_per_client=count + 1)
    data = text(1, 20000)

    def exchange(number):
        peer = Compressing(worker, number)
        peer.peer.send(peer.compressed(BINARY, data))
        worker.channel.wait_for(cc.MESSAGE, peer.id)
        worker.channel.send(peer.id, data)
        assert peer.receive() == (BINARY, data, True)
        worker.channel.acknowledge(2 * number)

    exchange(1)
    before = cc.private_memory(worker.pid)
    for number in range(2, count + 2):
        exchange(number)
    each = (cc.private_memory(worker.pid) - before) / count
    print(f"{each:.0f} octets a connection, {before} before")
    assert each < 2 * 4096 + 2048
    assert before < 2 << 20
