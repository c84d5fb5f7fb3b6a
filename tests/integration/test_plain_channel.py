# SPDX-License-Identifier: Apache-2.0
"""An app in plain C on its own channel: nothing is lost between its peers and it, and whatever it does or has done to it harms nobody else."""

import contextlib
import os
import random
import signal
import threading

import pytest
from blackbox.exchange import ECHOED, KNOWN, Exchange
from blackbox.peer import Peer
from blackbox.plain import PlainEcho
from blackbox.service import memory
from blackbox.wire import until

WAITING_MAX = 16 << 20  # octets that plain-echo keeps for one peer
MANY = 64  # connections of one address, where a test needs them


@pytest.fixture
def plain(service, build):
    """plain(options of Start) starts an app; each ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(PlainEcho(service, build, **options))


@pytest.fixture
def neighbour(plain):
    """Another app on the same service, whose peer goes on talking; it must get answers until the end, and after it."""
    bystander = plain().bystander()
    yield bystander
    rounds = bystander.rounds
    until(lambda: bystander.failure or bystander.rounds > rounds + 5, what="the neighbour's next answers")
    assert bystander.leave() > 0


def ask(peer: Peer, question: str) -> str:
    peer.send_message(question)
    return peer.read_message()


def count(peer: Peer) -> list:
    """Connections of the app, and octets that wait in it."""
    return [int(number) for number in ask(peer, "count").split()]


def send_until_it_would_block(peer: Peer, data: bytes, limit: int) -> int:
    """How many whole ones went."""
    peer.socket.settimeout(1)
    sent = 0
    try:
        while sent < limit:
            peer.send_message(data)
            sent += 1
    except TimeoutError:
        pass
    peer.socket.settimeout(30)
    return sent


# It serves


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_third_party_clients_have_everything_echoed(plain, authority, request, name):
    client = KNOWN[name]
    folder = request.getfixturevalue("clients_folder") if name == "node" else ""
    app = plain()
    exchange = Exchange.run(name, f"ws://127.0.0.1:{app.port}", bool(client.offers), authority.certificate, folder)
    assert exchange.echoed == ECHOED
    assert exchange.closed["echo"] == [1000, ""]
    assert exchange.closed["4321"] == [4321, "" if client.waits_for_close else "own code"]


def test_a_broadcast_reaches_everybody_once_and_in_order(plain):
    app = plain(maxConnectionsForOneClient=f"uint32 {MANY}")
    peers = [Peer(app.port) for _ in range(20)]
    assert count(peers[0]) == [20, 0]
    for number in range(50):
        peers[number % 20].send_message(f"broadcast {number}")
        for peer in peers:
            assert peer.read_message() == f"broadcast {number}"
    assert all(ask(peer, "done") == "done" for peer in peers)


# Its end


def test_an_app_that_dies_in_the_middle_of_a_record_takes_its_own_peers_along_and_nobody_else(plain, neighbour):
    app = plain()
    peers = [Peer(app.port) for _ in range(3)]
    peers[0].send_message("half")
    for peer in peers:
        assert peer.finish_close() == (1001, b"")
    assert app.process.wait(30) == 0
    assert neighbour.failure is None


def test_an_app_that_talks_nonsense_has_its_channel_ended(plain, neighbour):
    app = plain()
    peers = [Peer(app.port) for _ in range(3)]
    peers[0].send_message("nonsense")
    for peer in peers:
        assert peer.finish_close() == (1001, b"")
    assert app.line().startswith("ended: ")
    assert app.process.wait(30) == 0
    assert neighbour.failure is None


def test_an_app_that_closes_its_channel_lives_on_without_peers(plain, neighbour):
    app = plain()
    peers = [Peer(app.port) for _ in range(3)]
    peers[0].send_message("leave")
    for peer in peers:
        assert peer.finish_close() == (1001, b"")
    assert app.line() == "left\n"
    assert app.process.poll() is None
    assert neighbour.failure is None


def test_a_worker_that_dies_ends_the_channel(plain, service, neighbour):
    before = service.workers()
    app = plain()
    [worker] = service.workers() - before
    peer = Peer(app.port)
    assert ask(peer, "here") == "here"
    os.kill(worker, signal.SIGKILL)
    assert app.line().startswith("ended: ")
    assert app.process.wait(30) == 0
    assert neighbour.failure is None


# It is slow, or its peers are


def test_an_app_that_never_reads_makes_its_peers_wait_and_nothing_grows(plain, service, neighbour):
    before = service.workers()
    app = plain(maxMessageSize="uint64 1048576")
    [worker] = service.workers() - before
    peers = [Peer(app.port) for _ in range(4)]
    assert ask(peers[0], "here") == "here"
    peers[0].send_message("pause")
    held = memory(worker)["Rss"]
    for peer in peers:
        assert send_until_it_would_block(peer, bytes(1 << 20), 200) < 60
    assert memory(worker)["Rss"] < held + (128 << 20)
    assert memory(app.process.pid)["Rss"] < 256 << 20
    assert neighbour.failure is None


def test_what_is_sent_to_peers_that_have_just_gone_harms_nobody(plain):
    app = plain(maxConnectionsForOneClient=f"uint32 {MANY}")
    stays = Peer(app.port)
    for way in (Peer.reset, Peer.close, Peer.send_close):
        assert ask(stays, "before") == "before"
        leaving = [Peer(app.port) for _ in range(20)]
        for peer in leaving:
            assert ask(peer, "here") == "here"
        app.signal(signal.SIGSTOP)
        for peer in leaving:
            peer.send_message("never read " * 1000)
            way(peer)
        app.signal(signal.SIGCONT)
        assert ask(stays, "after") == "after"
        for peer in leaving:
            peer.close()
        until(lambda: count(stays) == [1, 0], what="the app to have forgotten the others")


def test_a_stuck_peer_costs_the_app_that_peer_alone(plain):
    app = plain()
    other, stuck = Peer(app.port), Peer(app.port, receive_buffer=4096)
    rounds = 40  # twice what the app keeps, and what the sockets hold
    for number in range(rounds):
        if not send_until_it_would_block(stuck, bytes([number]) * (1 << 20), 1):
            break  # TCP makes it wait in the middle of a message
        assert ask(other, f"round {number}") == f"round {number}"
        assert count(other)[1] <= WAITING_MAX
    until(lambda: count(other)[1] > WAITING_MAX // 2 or count(other)[0] == 1, what="the app to hold something")
    stuck.reset()
    until(lambda: count(other) == [1, 0], what="the stuck peer to be forgotten")
    assert ask(other, "still here") == "still here"


class Talker:
    """Sends messages of all sizes, and checks in another thread that each comes back as it was, in order."""

    def __init__(self, port: int, number: int, messages: int, **options):
        self.random = random.Random(number)
        self.number, self.messages, self.failure = number, messages, None
        self.peer = Peer(port, timeout=120, **options)
        self.threads = [threading.Thread(target=self._guard, args=(part,), daemon=True) for part in (self._send, self._check)]
        for thread in self.threads:
            thread.start()

    def _message(self, turn: int) -> bytes:
        choice = random.Random(self.number << 16 | turn)
        size = choice.choice([0, 1, 100, 5000, 16384, 70_000, 400_000, 1_500_000])
        return (b"%d.%d " % (self.number, turn) + choice.randbytes(256) * (size // 256 + 1))[:size + 12]

    def _guard(self, part) -> None:
        try:
            part()
        except Exception as failure:
            self.failure = failure

    def _send(self) -> None:
        for turn in range(self.messages):
            self.peer.send_frame(2, self._message(turn), key=bytes(4))

    def _check(self) -> None:
        for turn in range(self.messages):
            assert self.peer.read_message() == self._message(turn), f"message {turn} of {self.number}"

    def finish(self) -> None:
        for thread in self.threads:
            thread.join(240)
            assert not thread.is_alive(), f"{self.number} hangs"
        assert self.failure is None, self.failure
        self.peer.leave()


def test_nothing_is_lost_when_everything_is_slow_and_large_at_once(plain):
    app = plain(maxConnectionsForOneClient=f"uint32 {MANY}")
    talkers = [Talker(app.port, number, 25, receive_buffer=4096 if number % 3 == 0 else 0) for number in range(12)]
    while any(thread.is_alive() for talker in talkers for thread in talker.threads):
        app.signal(signal.SIGSTOP)
        talkers[0].threads[0].join(0.05)
        app.signal(signal.SIGCONT)
        talkers[0].threads[1].join(0.2)
        if any(talker.failure for talker in talkers):
            break
    for talker in talkers:
        talker.finish()
    last = Peer(app.port)
    until(lambda: count(last) == [1, 0], what="the app to be at rest")


# The daemon comes and goes


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_the_channel_does_not_notice_that_the_daemon_comes_and_goes(managed, build, way):
    with PlainEcho(managed, build) as app:
        bystander = app.bystander()
        for _ in range(3):
            getattr(managed.manager, way)()
            rounds = bystander.rounds
            until(lambda: bystander.failure or bystander.rounds > rounds + 20, what="answers")  # noqa: B023
        late = Peer(app.port)
        assert ask(late, "x" * 3_000_000) == "x" * 3_000_000
        assert bystander.leave() > 60
