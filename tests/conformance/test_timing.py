# SPDX-License-Identifier: Apache-2.0
"""Time on the wire: the handshake's, the Ping's and the Pong's. The exact moments are tested with a clock moved by hand
(tests/worker/test-time.c); here it is whether they come at all on a real one, and nobody is cut off who should not be."""

import time

import pytest
from blackbox.peer import PING, PONG, Peer, Stream
from heads import upgrade
from wires import PATIENCE


@pytest.fixture
def hasty(new_server):
    """A server with one second for a handshake."""
    return new_server({"handshakeTimeout": 1}, pingInterval=0)


def drip(stream: Stream, octets: bytes) -> None:
    """Sends an octet each tenth of a second, until the server says something."""
    stream.socket.settimeout(0.1)
    for octet in octets:
        try:
            stream.send(bytes([octet]))
            stream.fill()
            break
        except TimeoutError:
            continue
    stream.socket.settimeout(PATIENCE)


def test_a_peer_that_takes_too_long_over_its_handshake_is_told_so(hasty):
    head = upgrade().octets()
    with Stream(hasty.port, timeout=PATIENCE) as silent, Stream(hasty.port, timeout=PATIENCE) as slow, \
         Stream(hasty.port, timeout=PATIENCE) as almost:  # fmt: skip
        almost.send(head[:-1])
        drip(slow, head * 10)
        for stream in (silent, slow, almost):
            assert stream.read_response().status == 408
            assert stream.read_to_end() == b""
    assert hasty.get("Refused") == 3 and hasty.events == []


def test_the_time_for_a_handshake_is_over_with_the_handshake(hasty):
    peer, _connection = hasty.join(timeout=PATIENCE)
    with Stream(hasty.port, timeout=PATIENCE) as silent:
        assert silent.read_response().status == 408  # its time came after the peer's
    peer.assert_alive()


@pytest.fixture
def lively(new_server):
    """A server that pings each second, and has time for the answer."""
    return new_server(pingInterval=1, pongTimeout=30)


@pytest.fixture
def strict(new_server):
    """A server that pings each second and waits for a Pong as long."""
    return new_server(pingInterval=1, pongTimeout=1)


def hear_ping(peer: Peer) -> bytes:
    frame = peer.read_frame()
    assert (frame.opcode, frame.fin, frame.rsv, frame.masked) == (PING, True, 0, False) and len(frame.payload) <= 125
    return frame.payload


def test_a_peer_that_answers_each_ping_stays(lively, new_server):
    peer, connection = lively.join(timeout=PATIENCE)
    undisturbed, _other = new_server(pingInterval=0, pongTimeout=1).join(timeout=PATIENCE)
    for _ in range(4):
        peer.send_frame(PONG, hear_ping(peer))
    peer.send_message("still here")
    lively.wait("MessageReceive")
    assert not lively.find("Closed", lambda i, *_: i == connection)
    undisturbed.assert_alive()  # four intervals of the other, and nothing but this Pong has come


def test_a_peer_that_answers_no_ping_is_let_go(strict):
    peer, connection = strict.join(timeout=PATIENCE)
    hear_ping(peer)
    assert peer.read_to_end() == b""
    assert strict.wait_closed(connection) == (1006, "", False)


def test_talking_is_no_answer_to_a_ping(strict):
    peer, connection = strict.join(timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    with pytest.raises(OSError):
        while time.monotonic() < deadline:
            peer.send_message("talk")
            time.sleep(0.05)
    assert strict.wait_closed(connection) == (1006, "", False)


def test_a_peer_is_pinged_but_not_let_go_where_no_pong_is_awaited(new_server):
    server = new_server(pingInterval=1, pongTimeout=0)
    peer, _connection = server.join(timeout=PATIENCE)
    for _ in range(3):
        hear_ping(peer)
    peer.send_message("still here")
    server.wait("MessageReceive")
    assert not server.find("Closed")


def test_a_ping_comes_between_the_frames_of_a_large_message_of_the_peer(lively):
    """A message that takes its time is no reason to be silent, nor to be let go."""
    peer, connection = lively.join(timeout=PATIENCE)
    peer.send_frame(2, b"first", fin=False)
    for _ in range(3):
        peer.send_frame(PONG, hear_ping(peer))
        peer.send_frame(0, b"next", fin=False)
    peer.send_frame(0, b"last")
    lively.wait("MessageReceive")
    assert lively.messages(connection) == [b"firstnextnextnextlast"]
