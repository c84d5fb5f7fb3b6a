# SPDX-License-Identifier: Apache-2.0
"""Plain peers are told once that they have something to be read: nothing that lies in the socket may be forgotten there."""

import os
import signal
import socket

import pytest

import channel_client as cc
from harness import BINARY, TEXT, frame

READ = 65536  # octets of one read, four of which are made in one wake-up


@pytest.fixture
def asleep(start):
    """A worker with one open peer, and a function: what it does, the worker finds done."""
    worker = start(max_message=4 << 20)
    peer = worker.open()
    worker.channel.acknowledge(1)

    def meanwhile(act):
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            act()
        finally:
            os.kill(worker.pid, signal.SIGCONT)

    return worker, peer, meanwhile


def fill(peer, octets):
    """As much as the socket of one that does not read takes."""
    peer.sock.setblocking(False)
    sent = 0
    try:
        while sent < len(octets):
            sent += peer.sock.send(octets[sent:])
    except BlockingIOError:
        pass
    peer.sock.setblocking(True)
    return sent


def messages(count, size):
    return b"".join(frame(BINARY, bytes([n % 256]) * size) for n in range(count))


@pytest.mark.parametrize("size", [READ - 8 - 6, 3000, READ])
def test_more_than_one_wake_up_reads_is_read_to_its_end(asleep, size):
    worker, peer, meanwhile = asleep
    count = 2_000_000 // size
    octets = messages(count, size)
    sent = []
    meanwhile(lambda: sent.append(fill(peer, octets)))
    whole = sent[0] // len(frame(BINARY, bytes(size)))
    assert whole * size > 4 * READ or sent[0] == len(octets)
    for n in range(whole):
        worker.channel.wait_for(cc.MESSAGE, peer.id, count=n + 1)
        worker.channel.acknowledge(2 + n)
    assert [r.body[:1] for r in worker.channel.events() if r.type == cc.MESSAGE] == [bytes([n % 256]) for n in range(whole)]


@pytest.mark.parametrize("size", [0, 10, READ - 8 - 6, READ - 8 - 6 + 1, 3 * READ])
def test_the_end_behind_the_last_octets_is_found(asleep, size):
    worker, peer, meanwhile = asleep

    def say_and_leave():
        peer.send(frame(BINARY, bytes(size)))
        peer.sock.shutdown(socket.SHUT_WR)

    meanwhile(say_and_leave)
    assert worker.channel.wait_for(cc.MESSAGE, peer.id).body == bytes(size)
    worker.channel.acknowledge(2)
    closed = worker.channel.wait_for(cc.CLOSED, peer.id)
    assert closed.code == 1006
    peer.receive_end()


def test_an_end_alone_is_found(asleep):
    worker, peer, meanwhile = asleep
    meanwhile(lambda: peer.sock.shutdown(socket.SHUT_WR))
    assert worker.channel.wait_for(cc.CLOSED, peer.id).code == 1006


def test_a_reset_behind_octets_is_found(asleep):
    worker, peer, meanwhile = asleep

    def say_and_break():
        peer.send(frame(TEXT, b"last words"))
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.sock.close()

    meanwhile(say_and_break)
    assert worker.channel.wait_for(cc.CLOSED, peer.id).code == 1006


def test_what_arrived_while_reading_was_paused_is_read_afterwards(start):
    """The window lets one event through; the others, and the end, lie in the sockets until the app side goes on."""
    worker = start(window=dict(window_events=1), max_message=1 << 20)
    peers = [worker.open(1)]
    for n in (2, 3):
        worker.channel.acknowledge(n - 1)
        peers.append(worker.open(n))
    worker.channel.acknowledge(3)
    for peer in peers:
        peer.send(messages(3, 300_000))
        peer.sock.shutdown(socket.SHUT_WR)
    for n in range(3 * 3 + 3):
        worker.channel.wait(lambda records, n=n: [r for r in records if r.type in (cc.MESSAGE, cc.CLOSED)][n:], timeout=30)
        worker.channel.quiet(0.05)
        worker.channel.acknowledge(4 + n)
    for peer in peers:
        mine = [r for r in worker.channel.events() if r.connection == peer.id]
        assert [r.type for r in mine] == [cc.CONNECT, cc.MESSAGE, cc.MESSAGE, cc.MESSAGE, cc.CLOSED]
        assert [r.body[:1] for r in mine[1:4]] == [b"\0", b"\1", b"\2"]


def test_a_handshake_that_comes_with_its_messages_and_its_end_is_served(start):
    worker = start(max_message=1 << 20)
    peer = worker.connect()
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        peer.send(peer.request() + frame(BINARY, bytes(100_000)))
        peer.sock.shutdown(socket.SHUT_WR)
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    assert len(worker.channel.wait_for(cc.MESSAGE).body) == 100_000
    worker.channel.wait_for(cc.CLOSED)
