# SPDX-License-Identifier: Apache-2.0
"""No memory, no processes, another bus, a clock that has run for weeks, and peers that never stop coming: whoever is not concerned
is served, and what was lost is there again afterwards."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import time

import pytest
from blackbox.app import expect_error
from blackbox.bystander import Bystander
from blackbox.peer import BINARY, Peer, can_bind
from blackbox.plain import PlainEcho
from blackbox.process_limit import ProcessLimit
from blackbox.service import memory, worker_path
from blackbox.users import needs_root
from blackbox.wire import until

CYCLES = int(os.environ.get("WSSERVERD_CYCLES", "20000"))
CYCLES_MS = 1000  # of one run of the load generator, between which memory is looked at
GROWTH = 1 << 20
LARGE = 4 << 20
NO_ROOM = 1 << 20  # octets that a process may still get where it shall have no memory
WRAP = 2**32 / 1000  # seconds after which milliseconds do not fit into 32 bits any more


@pytest.fixture
def calm(new_service, release_build):
    """A service on which a peer of another app gets its echoes until the end, and after it."""
    service = new_service(build_folder=release_build)
    with PlainEcho(service, release_build) as app:
        bystander = Bystander(app.port)
        yield service
        rounds = bystander.rounds
        until(lambda: bystander.failure or bystander.rounds > rounds + 5, what="the calm app's next answers")
        assert bystander.leave() > 0


def leave_no_memory(pid: int) -> None:
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0])
    _soft, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + NO_ROOM, hard))


# No memory


def test_a_worker_without_memory_loses_at_most_its_own_connections(calm, new_app):
    before = calm.workers()
    server = new_app(calm).running_server()
    [worker] = calm.workers() - before
    greedy, connection = server.join()
    leave_no_memory(worker)
    greedy.send_frame(BINARY, bytes(LARGE), key=bytes(4))
    code, _reason, clean = server.wait_closed(connection)
    assert code in (1006, 1011, 1013) and not clean
    server.join()[0].assert_alive()
    assert server.get("State") == "running"


def test_a_service_that_dies_without_memory_costs_no_connection(new_managed, new_app, release_build):
    service = new_managed(build_folder=release_build)
    other, app = new_app(service).running_server(), new_app(service)
    peer, connection = other.join()
    server = app.running_server()
    _greedy, target = server.join()
    leave_no_memory(service.pid)
    server.send_later(target, bytes(LARGE))
    assert service.manager.wait_end(30) in (-signal.SIGTRAP, -signal.SIGABRT)
    assert "failed to allocate" in service.output()
    service.log.write_bytes(b"")  # that was to be expected
    service.manager.start()
    other.send(connection, "still")
    assert peer.read_message() == "still"
    server.send(target, "here too")


# No processes


@needs_root
def test_without_processes_to_be_had_a_start_says_so_and_running_servers_run_on(calm, new_app):
    app = new_app(calm)
    running = app.running_server()
    resident, _connection = running.join()
    with ProcessLimit(calm.pid) as limit:
        server = app.create_server()
        for _ in range(3):
            expect_error("Failed", server.start, serverIP="127.0.0.1", names="try again later")
        assert limit.refusals() >= 3
        resident.assert_alive()
        running.join()[0].assert_alive()
        limit.lift()
        server.start(serverIP="127.0.0.1")
        server.join()[0].assert_alive()


@needs_root
def test_a_worker_that_cannot_be_replaced_at_once_is_replaced_when_it_can(calm, new_app):
    before = calm.workers()
    server = new_app(calm).running_server()
    [worker] = calm.workers() - before
    with ProcessLimit(calm.pid) as limit:
        os.kill(worker, signal.SIGKILL)
        until(lambda: limit.refusals() >= 3, what="attempts to start another worker")
        assert server.get("State") == "running"
        limit.lift()
        server.join()[0].assert_alive()


# Another bus


def test_after_a_restart_of_the_bus_nothing_is_left_of_servers_with_channels(new_service, release_build):
    service = new_service(build_folder=release_build)
    descriptors, port = service.open_descriptors(), 0
    for _ in range(3):
        with PlainEcho(service, release_build, serverPort=f"uint16 {port}") as one, PlainEcho(service, release_build) as two:
            peers = [Peer(one.port), Peer(two.port)]
            service.bus.kill()
            assert [peer.finish_close()[0] for peer in peers] == [1001, 1001]
            until(lambda: not service.workers(), what="the workers to leave")
            until(lambda: can_bind(one.port) and can_bind(two.port), what="the ports to be free")
            port = one.port
        service.bus.start()
        service.wait_for_name()
        until(lambda: service.open_descriptors() <= descriptors, what="the descriptors of the servers to be closed")


# A clock that has run for weeks


@needs_root
def test_peers_are_pinged_and_the_silent_dropped_when_the_clock_of_a_worker_wraps(new_service, new_app, release_build, tmp_path):
    """Its timers keep 32 bits of milliseconds. A time namespace has the device run for 49 days less a few seconds."""
    ahead = int(WRAP - time.monotonic() - 5)
    wrapper = tmp_path / "daemon" / "wsserverd"
    wrapper.parent.mkdir()
    enter = f"unshare -T --monotonic {ahead} --boottime {ahead}"
    wrapper.write_text(f"#!/bin/sh\nexec {enter} {release_build}/daemon/wsserverd \"$@\"\n")
    wrapper.chmod(0o755)
    if subprocess.run(["unshare", "-T", "true"], capture_output=True).returncode:
        pytest.skip("no time namespaces here")
    service = new_service(build_folder=str(tmp_path), worker=worker_path(release_build))
    with PlainEcho(service, release_build, pingInterval="uint32 1", pongTimeout="uint32 1") as app:
        lively = Bystander(app.port)
        assert time.monotonic() + ahead < WRAP - 1, "too late to see it wrap"
        until(lambda: time.monotonic() + ahead > WRAP - 1, what="the last second before the clock wraps")
        for _ in range(2):  # across the wrap, and behind it
            began = time.monotonic()
            silent = Peer(app.port)
            assert silent.read_to_end().startswith(b"\x89")  # a Ping, which it leaves unanswered
            assert 1.9 < time.monotonic() - began < 10
        assert time.monotonic() + ahead > WRAP
        lively.leave()


# Peers that never stop coming


class Visits:
    """The load generator connects from two hundred addresses, asks, and leaves with RST, as fast as it is served."""

    def __init__(self, build: str, port: int):
        command = [pathlib.Path(build) / "tools/bench/load/load", "--port", str(port), "--mode", "rate", "--connections", "64"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self) -> int:
        """How many were let in."""
        self.process.stdin.write(f"run 0 {CYCLES_MS}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the load generator ended with status {self.process.wait(10)}: somebody was not served"
        return json.loads(line)["messages"]

    def end(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        self.process.stdout.close()


def held(pids: dict) -> dict:
    def of(pid: int) -> tuple:
        sizes = memory(pid)
        return sizes["Private_Dirty"] + sizes["Private_Clean"], len(os.listdir(f"/proc/{pid}/fd"))

    return {name: of(pid) for name, pid in pids.items()}


def test_peers_that_come_and_go_without_end_leave_nothing_behind(calm, release_build, figure):
    before = calm.workers()
    with PlainEcho(calm, release_build, maxConcurrentClientsNumber="uint32 1000", maxConnectionsForOneClient="uint32 1000") as app:
        [worker] = calm.workers() - before
        pids = {"wsserverd": calm.pid, "worker": worker, "app": app.process.pid}
        at_rest = {name: descriptors for name, (_octets, descriptors) in held(pids).items()}
        visits, total = Visits(release_build, app.port), 0
        total += visits.run()
        first = held(pids)
        while total < CYCLES:
            total += visits.run()
        visits.end()
        with Peer(app.port) as peer:
            until(lambda: ask_count(peer) == "1 0", what="the app to have forgotten all but one")
        until(lambda: {name: descriptors for name, (_octets, descriptors) in held(pids).items()} == at_rest,
              what="their descriptors to be closed")
        last = held(pids)
    figure(f"{total} visits: octets and descriptors after the first second, and at the end", f"{first}; {last}")
    assert all(last[name][0] < first[name][0] + GROWTH for name in pids)


def ask_count(peer: Peer) -> str:
    peer.send_message("count")
    return peer.read_message()
