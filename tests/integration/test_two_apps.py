# SPDX-License-Identifier: Apache-2.0
"""Two apps: one as hostile as a test can make it, and one that only wants to serve. WSSERVERD_HOSTILE_SECONDS says how long; 600 is the whole
test, the suite has a shorter one."""

import contextlib
import json
import os
import pathlib
import re
import subprocess

import pytest
from blackbox.service import memory
from blackbox.users import needs_root
from blackbox.wire import until

SECONDS = float(os.environ.get("WSSERVERD_HOSTILE_SECONDS", "12"))
RAMPAGE = pathlib.Path(__file__).parent / "clients" / "rampage.py"
BUSY = 3  # processes that burn as much as a hostile app, its peers and what it keeps busy: more than there are processors
P99_FACTOR, P99_MS = 2, 20.0
GROWTH = 24 << 20  # octets of the service: 4096 calls that wait, and the log's
TURN_MS = 2000

pytestmark = needs_root


@contextlib.contextmanager
def calm_app(service, build: str):
    """The example app on its channel; port, and the process that serves it."""
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": service.bus.address}
    app = subprocess.Popen([pathlib.Path(build) / "client-lib/examples/echo-server", "--port", "0", "--ip", "127.0.0.1"],
                           stdout=subprocess.PIPE, text=True, env=environment)
    try:
        port = int(re.search(r":(\d+)/", app.stdout.readline())[1])
        [worker] = service.workers()
        yield port, worker, app.pid
    finally:
        app.terminate()
        app.wait(60)
        app.stdout.close()


class Load:
    """Messages that come back unchanged and in order, or the load generator ends with status 3; latencies are its own."""

    def __init__(self, build: str, port: int):
        self.process = subprocess.Popen([pathlib.Path(build) / "tools/bench/load/load", "--port", str(port), "--connections", "4", "--size", "100"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self) -> float:
        """The 99th percentile of a turn, in milliseconds."""
        self.process.stdin.write(f"run 100 {TURN_MS}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the load generator ended with status {self.process.wait(10)}: something was lost"
        result = json.loads(line)
        return result["latency"]["p99"] / 1e6  # nanoseconds

    def end(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(30) == 0, "something was lost"
        self.process.stdout.close()


@contextlib.contextmanager
def busy_processes():
    burning = [subprocess.Popen(["/usr/bin/python3", "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def median(values: list) -> float:
    return sorted(values)[len(values) // 2]


def in_use(service, worker: int) -> dict:
    def private(pid):
        sizes = memory(pid)
        return sizes["Private_Dirty"] + sizes["Private_Clean"]

    return {"wsserverd": private(service.pid), "worker": private(worker), "descriptors": service.open_descriptors()}


def test_a_hostile_app_costs_another_one_no_message_and_hardly_any_time(new_service, authority, release_build, figure):
    service = new_service(build_folder=release_build)
    identity = authority.issue()
    with calm_app(service, release_build) as (port, worker, _app):
        load = Load(release_build, port)
        with busy_processes():
            beside_busy = [load.measure() for _ in range(3)]
        before = in_use(service, worker)
        hostile = subprocess.Popen(["/usr/bin/python3", RAMPAGE, service.bus.address, str(SECONDS), "17", identity.certificate, identity.key],
                                   stdout=subprocess.PIPE, text=True)
        beside_hostile = []
        try:
            while hostile.poll() is None:
                beside_hostile.append(load.measure())
            acts = int(hostile.stdout.readline() or 0)
        finally:
            hostile.kill()
            hostile.wait()
            hostile.stdout.close()
        assert hostile.returncode == 0 and acts > SECONDS, "the hostile app did hardly anything"
        until(lambda: service.workers() == {worker}, 60, "the hostile app's servers to go")
        until(lambda: service.open_descriptors() <= before["descriptors"] + 2, 60, "its descriptors to be closed")
        load.measure()
        after = in_use(service, worker)
        load.end()
    figure(f"p99 of a calm app, ms: beside {BUSY} busy processes, beside a hostile app, worst turn",
           f"{median(beside_busy):.2f}, {median(beside_hostile):.2f}, {max(beside_hostile):.2f}")
    figure("what a hostile app did, and what stayed", f"{acts} acts in {SECONDS:.0f} s; before {before}, after {after}")
    assert median(beside_hostile) <= max(P99_FACTOR * median(beside_busy), P99_MS)
    assert after["wsserverd"] - before["wsserverd"] < GROWTH and after["worker"] - before["worker"] < GROWTH
