# SPDX-License-Identifier: Apache-2.0
"""Figures that a device maker plans with, of the release build. Memory is asserted, time is only printed."""

import statistics
import time

import pytest
from blackbox.peer import Peer
from blackbox.service import memory

WORKER_PRIVATE_MAX = 2 << 20
DAEMON_PRIVATE_MAX = 8 << 20
STARTS = 30


@pytest.fixture
def release(new_service, release_build):
    return new_service(build_folder=release_build)


def private(pid: int) -> int:
    """What this process costs beyond what it shares: dirty pages, and clean ones that no other process maps.

    Clean pages can be dropped and read again, and those of the program file count for nobody as soon as a second worker
    maps them; counting them makes this an upper bound of what the process takes away from others."""
    sizes = memory(pid)
    return sizes["Private_Dirty"] + sizes["Private_Clean"]


def described(pid: int) -> str:
    sizes = memory(pid)
    return f"{private(pid) / 2**20:.2f} MiB, of which {sizes['Private_Dirty'] / 2**20:.2f} MiB are dirty"


def test_a_worker_is_cheap_enough_to_have_one_for_each_server(release, new_app, figure):
    app = new_app(release)
    server = app.running_server()
    (worker,) = release.workers()
    figure("private memory of an idle worker", described(worker))
    peers = [server.join()[0] for _ in range(10)]
    for peer in peers:
        peer.send_message("hello")
    server.wait("MessageReceive", count=10)
    figure("private memory of a worker with ten connections", described(worker))
    assert private(worker) <= WORKER_PRIVATE_MAX


def test_a_worker_gives_back_what_a_large_message_took(release, new_app, figure):
    app = new_app(release)
    server = app.running_server()
    (worker,) = release.workers()
    peer, connection = server.join()
    for number in range(1, 4):
        peer.send_frame(2, bytes(5242864), key=bytes(4))
        server.wait("MessageReceive", count=number)
        sent = server.send_later(connection, bytes(5242864))
        peer.read_message()
        sent.result()
    app.round_trip()
    figure("private memory of a worker after messages of 5 MiB", described(worker))
    assert private(worker) <= WORKER_PRIVATE_MAX


def test_the_service_is_small(release, new_app, figure):
    figure("private memory of wsserverd at rest", described(release.pid))
    app = new_app(release)
    servers = [app.running_server() for _ in range(5)]
    for server in servers:
        peer, connection = server.join()
        peer.send_message("hello")
        server.wait("MessageReceive")
        server.send(connection, "hello")
        peer.read_message()
    figure("private memory of wsserverd with five servers in use", described(release.pid))
    assert private(release.pid) <= DAEMON_PRIVATE_MAX


def test_start_does_not_keep_a_user_waiting(release, new_app, figure):
    server = new_app(release).create_server()
    starts, stops = [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        server.start_later(serverIP="127.0.0.1").result()
        starts.append((time.perf_counter() - began) * 1000)
        Peer(server.get("ServerPort")).reset()
        began = time.perf_counter()
        server.stop()
        stops.append((time.perf_counter() - began) * 1000)
    figure("Start, median and slowest", f"{statistics.median(starts):.1f} ms, {max(starts):.1f} ms")
    figure("Stop, median and slowest", f"{statistics.median(stops):.1f} ms, {max(stops):.1f} ms")
