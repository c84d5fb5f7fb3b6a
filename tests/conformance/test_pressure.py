# SPDX-License-Identifier: Apache-2.0
"""Back-pressure in both directions, and thousands of connections at once."""

import resource
import select
import threading

import pytest
from blackbox.peer import BINARY, PING, PONG, TEXT, Frame, Peer, encode_frame
from blackbox.wire import DBusError
from script import at_once, hear_message, leave, text
from wires import PATIENCE, ServerUnderTest

PIECE = 1 << 16
MIB = 1 << 20


# From peers to an app


def push(peer: Peer, octets: bytes) -> int:
    """Writes until the server takes nothing more for a second; returns how much it took."""
    taken = 0
    peer.socket.setblocking(False)
    view = memoryview(octets)
    while taken < len(octets) and select.select([], [peer.socket], [], 1)[1]:
        try:
            taken += peer.socket.send(view[taken : taken + MIB])
        except BlockingIOError:
            continue
    peer.socket.settimeout(PATIENCE)
    return taken


def test_an_app_that_stands_still_stops_its_peers_and_loses_nothing(new_server):
    """The peer's own socket fills up; what was not taken is sent when the app goes on, and all comes in order."""
    server, other = new_server(), new_server()
    server.app.connection.answer_pings = False
    peer, _connection = server.join(timeout=PATIENCE)
    frames = b"".join(encode_frame(BINARY, number.to_bytes(4, "big") + bytes(PIECE - 4), key=bytes(4)) for number in range(1024))
    taken = push(peer, frames)
    assert taken < len(frames) // 2, "64 MiB were taken for an app that takes nothing"
    neighbour, connection = other.join(timeout=PATIENCE)
    neighbour.send_message("undisturbed")
    other.wait("MessageReceive")
    other.send(connection, "indeed")
    assert neighbour.read_message() == "indeed"
    server.on_event = lambda event: server.call_later("Acknowledge", "t", len(server.events))
    server.acknowledge(len(server.events))
    peer.send(memoryview(frames)[taken:])
    server.wait("MessageReceive", count=1024, timeout=PATIENCE)
    numbers = [int.from_bytes(event.args[2][:4], "big") for event in server.find("MessageReceive")]
    assert numbers == list(range(1024))


# From an app to peers


def fill(server, connection: int) -> int:
    """Sends to a peer that does not read until the service says WouldBlock; returns how many messages it took."""
    for number in range(2000):
        try:
            server.send(connection, number.to_bytes(4, "big") + bytes(PIECE - 4))
        except DBusError as error:
            assert error.name.endswith(".WouldBlock"), error
            return number
    raise AssertionError("125 MiB were taken for a peer that reads nothing")


def test_a_peer_that_reads_nothing_blocks_itself_alone_and_loses_nothing(new_server):
    server = new_server()
    slow, slow_id = server.join(receive_buffer=4096, timeout=PATIENCE)
    other, other_id = server.join(timeout=PATIENCE)
    taken = fill(server, slow_id)
    assert server.get("QueuedBytes") < 2 * MIB
    for _ in range(10):
        server.send(other_id, "undisturbed")
        assert other.read_message() == "undisturbed"
    assert not server.find("Drained")
    for number in range(taken):
        data = slow.read_message()
        assert len(data) == PIECE and int.from_bytes(data[:4], "big") == number
    assert server.wait("Drained").args == (slow_id,)
    server.send(slow_id, "and on")
    assert slow.read_message() == "and on"


def test_pongs_for_a_peer_that_reads_nothing_are_bounded(new_server):
    """It is not read any more while its Pongs wait; nothing that it sent is lost when it reads again."""
    server = new_server()
    peer, connection = server.join(receive_buffer=4096, timeout=PATIENCE)
    ping = encode_frame(PING, b"p" * 125, key=bytes(4))
    frames = ping * 500_000
    taken = push(peer, frames)
    assert taken < len(frames) // 2, "60 MB of Pings were taken for a peer that reads no Pong"
    server.send(connection, "among the Pongs")
    whole, cut_off = divmod(taken, len(ping))
    rest = threading.Thread(target=peer.send, args=(ping[cut_off:],))  # to send it, somebody has to read
    rest.start()
    heard = [peer.read_frame() for _ in range(whole + 2)]
    rest.join()
    assert heard.count(Frame(True, 0, PONG, False, b"p" * 125)) == whole + 1
    assert heard.count(Frame(True, 0, TEXT, False, b"among the Pongs")) == 1
    peer.assert_alive()


# Thousands


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


CONNECTIONS = 2000
ADDRESSES = [f"127.0.3.{number}" for number in range(1, 21)]


def test_two_thousand_connections_from_twenty_addresses_are_all_served(echo_port, many_descriptors):
    wires = [ServerUnderTest(echo_port, source=ADDRESSES[number % len(ADDRESSES)]) for number in range(CONNECTIONS)]
    for turn in range(2):
        for number, wire in enumerate(wires):
            wire.send(text(f"{turn} {number}"))
        for number, wire in enumerate(wires):
            hear_message(TEXT, f"{turn} {number}")(wire)
    extra = ServerUnderTest(echo_port)
    at_once(text("one more"))(extra)
    hear_message(TEXT, "one more")(extra)
    leave(extra)
    for wire in wires[::2]:
        wire.peer.send_close(1000)
    for wire in wires[::2]:
        assert wire.hear_close() == (1000, "")
        wire.finish_closed()
    for wire in wires[1::2]:
        leave(wire)


def test_the_app_hears_of_each_of_a_thousand_connections_exactly_once(new_server, many_descriptors):
    server = new_server(maxConcurrentClientsNumber=10, maxConnectionsForOneClient=100)
    peers = [Peer(server.port, source=ADDRESSES[number % 10], timeout=PATIENCE) for number in range(1000)]
    server.wait("Connect", count=1000, timeout=PATIENCE)
    assert server.get("Connections") == 1000
    assert len({event.args[0] for event in server.find("Connect")}) == 1000
    for peer in peers:
        peer.close()
    server.wait("Closed", count=1000, timeout=PATIENCE)
    assert len(server.find("Connect")) == len(server.find("Closed")) == 1000
    assert server.get("Connections") == 0
