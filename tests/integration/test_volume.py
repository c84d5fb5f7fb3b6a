# SPDX-License-Identifier: Apache-2.0
"""Many messages, and an app that stands still while they come."""

import signal
import threading

import pytest
from blackbox.app import Echo
from blackbox.bystander import AppProcess, Bystander
from blackbox.peer import BINARY, Peer, encode_frame
from blackbox.service import memory
from blackbox.wire import until

COUNT = 10000
FLOODS = {"200 MB": (3052, 65536), "tiny messages": (100_000, 8)}  # messages, octets of each
BATCH = 1 << 20  # octets a peer hands to TCP at once


def exchange(port: int, count: int = COUNT) -> None:
    """A peer sends numbered messages back to back and must get each back, in order."""
    with Peer(port) as peer:
        peer.socket.settimeout(120)
        octets = b"".join(encode_frame(BINARY, b"message %d" % number) for number in range(count))
        sender = threading.Thread(target=peer.send, args=(octets,), daemon=True)
        sender.start()
        for number in range(count):
            assert peer.read_message() == b"message %d" % number
        sender.join()
        assert peer.leave()[0] == 1000


@pytest.mark.parametrize("acknowledge", [False, True], ids=["by pings", "by Acknowledge"])
def test_ten_thousand_messages_each_way_arrive_complete_and_in_order(app, acknowledge):
    server = app.running_server()
    echo = Echo(server, acknowledge)
    exchange(server.port)
    assert echo.failures == []
    app.wait_for(lambda: echo.events == COUNT + 2, what="the last event")
    assert (server.get("MessagesReceived"), server.get("MessagesSent")) == (COUNT, COUNT)


def test_ten_thousand_messages_each_way_through_gdbus_arrive_complete_and_in_order(service):
    with AppProcess(service.bus.address, "echo") as app:
        exchange(app.port)
        report = app.report()
        assert (report["messages"], report["errors"]) == (COUNT, [])
        assert app.end() == 0


def test_several_peers_at_full_speed_keep_their_own_order(app):
    server = app.running_server()
    echo = Echo(server)
    failures = []

    def run():
        try:
            exchange(server.port, 1500)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and echo.failures == []


class Flood:
    """A peer that sends numbered messages as fast as TCP takes them."""

    def __init__(self, port: int, messages: int, size: int):
        self.peer = Peer(port)
        self.peer.socket.settimeout(120)
        self.sent = 0
        self.messages = messages
        self.size = size
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        step = max(1, BATCH // (self.size + 14))
        for first in range(0, self.messages, step):
            numbers = range(first, min(first + step, self.messages))
            self.peer.send(b"".join(encode_frame(BINARY, number.to_bytes(8, "big") + bytes(self.size - 8), key=bytes(4))
                                    for number in numbers))
            self.sent = numbers[-1] + 1


@pytest.mark.parametrize("kind", FLOODS)
def test_an_app_that_stands_still_costs_nobody_else_and_loses_nothing(new_service, new_app, release_build, figure, kind):
    messages, size = FLOODS[kind]
    service = new_service(build_folder=release_build)
    lively = new_app(service).running_server()
    Echo(lively)
    (lively_worker,) = service.workers()
    with AppProcess(service.bus.address, "count") as still:
        (worker,) = service.workers() - {lively_worker}
        bystander = Bystander(lively.port)
        before = bystander.rate(2)
        still.signal(signal.SIGSTOP)
        flood = Flood(still.port, messages, size)
        during = bystander.rate(3)
        usages = {name: memory(pid) for name, pid in
                 (("wsserverd", service.pid), ("worker", worker), ("bus", service.bus.process.pid))}
        sent_while_still = flood.sent
        assert flood.thread.is_alive() or size < 100, "200 MB went somewhere while nobody read them"
        still.signal(signal.SIGCONT)
        flood.thread.join(120)
        until(lambda: still.report()["messages"] >= flood.messages, 120, "the stopped app to have everything")
        report = still.report()
        assert (report["messages"], report["octets"], report["in_order"]) == (messages, messages * size, True)
        bystander.leave()
        flood.peer.leave()
        assert still.end() == 0
    figure(f"{kind}: echoes per second of another app before and while one stands still", f"{before:.0f}, {during:.0f}")
    figure(f"{kind}: handed to TCP for the app that stands still", f"{sent_while_still * size / 2**20:.1f} MiB")
    for name, usage in usages.items():
        figure(f"{kind}: resident memory of {name} meanwhile", f"{usage['Rss'] / 2**20:.1f} MiB")
    assert during * 3 >= before
    assert usages["worker"]["Rss"] < 16 << 20
    assert usages["wsserverd"]["Rss"] < 32 << 20
    assert usages["bus"]["Rss"] < 32 << 20
