# SPDX-License-Identifier: Apache-2.0
"""Crowds and single peers that want to keep others from being served: a well-behaved client of the same server, and one of
another server, are served all the while. Latency is printed, and asserted nowhere; memory and counts are."""

import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import threading
import time

import pytest
from blackbox.peer import Peer
from blackbox.service import memory

ATTACKER = pathlib.Path(__file__).parent / "blackbox" / "attacker.py"
ONE, MANY = "127.6.6.6", "127.7.*.*"
GUEST = "127.9.9.9"  # the well-behaved client
VISITS, ECHOES = 20, 10  # of one measurement; two of them stay below the rate that an address may have
WIDE = {"connectionRate": 0}, ("--max-clients", "65535", "--max-connections", "65535")
SHIPPED = {"connectionRate": 50, "banSeconds": 60}, ()

CROWD_MEMORY = 48 << 20  # of a worker: 1024 + 128 peers whose heads take 17 KiB at most, and what it has anyway
FLOOD_MEMORY = 2 * (96 + 4 * 5) << 20  # twice the ceiling, since buffers grow by doubling
DAEMON_MEMORY = 32 << 20
DESCRIPTORS = 1024 + 1024 + 128 + 64  # half open, lingering, refused on arrival, and the rest


@contextlib.contextmanager
def echo_server(service, build: str, options: tuple):
    """The example app; the port of its server and the process that serves it."""
    before = service.workers()
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": service.bus.address}
    command = [pathlib.Path(build) / "client-lib" / "examples" / "echo-server", "--port", "0", "--ip", "127.0.0.1", *options]
    app = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        port = int(re.search(r":(\d+)/", app.stdout.readline())[1])
        [worker] = service.workers() - before
        yield port, worker
    finally:
        app.terminate()
        app.wait(60)
        app.stdout.close()


class Attack:
    """Stands when the constructor returns. end() tells what it did."""

    def __init__(self, kind: str, port: int, source: str):
        self.process = subprocess.Popen(["/usr/bin/python3", ATTACKER, kind, str(port), source], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert "standing" in self._line()

    def _line(self) -> dict:
        line = self.process.stdout.readline()
        assert line, "the attacker ended"
        return json.loads(line)

    def end(self) -> dict:
        self.process.stdin.close()
        try:
            return self._line()["done"]
        finally:
            self.process.wait(60)
            self.process.stdout.close()


class Watch:
    """The most that processes had while it was there."""

    def __init__(self, **pids: int):
        self.pids = pids
        self.most = dict.fromkeys(pids, 0)
        self.descriptors = dict.fromkeys(pids, 0)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(0.05):
            for name, pid in self.pids.items():
                sizes = memory(pid)
                self.most[name] = max(self.most[name], sizes["Private_Dirty"] + sizes["Private_Clean"])
                self.descriptors[name] = max(self.descriptors[name], len(os.listdir(f"/proc/{pid}/fd")))

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


def visit(port: int) -> tuple:
    """Connects VISITS times and has ECHOES messages echoed each time: how long each took. Raises when one was not served."""
    connects, echoes = [], []
    for number in range(VISITS):
        began = time.monotonic()
        with Peer(port, source=GUEST) as peer:
            connects.append(time.monotonic() - began)
            for echo in range(ECHOES):
                began = time.monotonic()
                peer.send_message(f"{number} {echo}")
                assert peer.read_message() == f"{number} {echo}"
                echoes.append(time.monotonic() - began)
            assert peer.leave()[0] == 1000
    return connects, echoes


def described(times: list) -> str:
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return f"{cuts[49] * 1000:.1f}/{cuts[98] * 1000:.1f}"


def told(measured: tuple) -> str:
    return f"connect {described(measured[0])}, echo {described(measured[1])}"


CROWDS = [(kind, source) for kind in ("slow headers", "idle connections", "connect flood") for source in (ONE, MANY)]
# Another kind of attack needs a line in attacker.py, and one here with the memory that it may cost.
FLOODS = {
    "length of 2^63": FLOOD_MEMORY,
    "endless fragments": FLOOD_MEMORY,
    "endless empty fragments": FLOOD_MEMORY,
    "never reads": FLOOD_MEMORY,
    "deflate bomb": FLOOD_MEMORY,
    "messages that inflate a thousandfold": FLOOD_MEMORY,
}


def check(kind: str, source: str, setting: tuple, most: int, new_service, build: str, figure) -> dict:
    configuration, options = setting
    service = new_service(configuration, build_folder=build)
    with echo_server(service, build, options) as (port, worker), echo_server(service, build, options) as (other, _neighbour):
        with Peer(port, source=GUEST) as resident:
            before, before_other = visit(port), visit(other)
            attack = Attack(kind, port, source)
            watch = Watch(worker=worker, wsserverd=service.pid)
            try:
                during, during_other = visit(port), visit(other)
            finally:
                watch.end()
                done = attack.end()
            resident.assert_alive()  # who was there before stays
    name = f"{kind} from {'one address' if source == ONE else 'many addresses'}, {'as shipped' if setting is SHIPPED else 'no rate'}"
    figure(f"{name}: same server, ms p50/p99", f"{told(before)} before; {told(during)} during")
    figure(f"{name}: another server", f"{told(before_other)} before; {told(during_other)} during")
    figure(f"{name}: at most", ", ".join(f"{pid} {watch.most[pid] / 2**20:.1f} MiB" for pid in watch.most)
           + f", {watch.descriptors['worker']} descriptors; the attacker: {done}")
    assert watch.most["worker"] < most
    assert watch.most["wsserverd"] < DAEMON_MEMORY
    assert watch.descriptors["worker"] < DESCRIPTORS
    return done


@pytest.mark.parametrize("setting", [WIDE, SHIPPED], ids=["no rate", "as shipped"])
@pytest.mark.parametrize("kind, source", CROWDS, ids=[f"{kind}, {source}" for kind, source in CROWDS])
def test_a_crowd_that_never_asks_keeps_nobody_else_out(kind, source, setting, new_service, release_build, figure):
    done = check(kind, source, setting, CROWD_MEMORY, new_service, release_build, figure)
    if kind != "connect flood":
        assert done["cut off"] > 0


@pytest.mark.parametrize("kind", FLOODS)
def test_a_peer_that_was_let_in_and_misbehaves_keeps_nobody_else_out(kind, new_service, release_build, figure):
    done = check(kind, ONE, WIDE, FLOODS[kind], new_service, release_build, figure)
    if kind == "length of 2^63":
        assert done["frames"] == done["failed by the server"] > 0
    if kind == "deflate bomb":
        assert done["bombs"] == done["failed by the server"] > 0
