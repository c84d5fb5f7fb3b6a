# SPDX-License-Identifier: Apache-2.0
"""Memory of idle connections: what each process of a server has written to and shares with nobody (Private_Dirty), with more and
more connections that have shaken hands and said nothing."""

import contextlib
import time

from session import child

from comparison import generator, machine, servers

SETTLE = 0.15  # seconds between two readings that have to agree
PATIENCE = 5  # seconds until they need not any more


def private_dirty(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) * 1024
    raise child.Failure(f"/proc/{pid}/smaps_rollup does not tell Private_Dirty")


def settled(processes):
    """{process: octets}, once they stand still."""
    before, deadline = None, time.monotonic() + PATIENCE
    while True:
        now = {process: private_dirty(pid) for process, pid in processes.items()}
        if now == before or time.monotonic() > deadline:
            return now
        before = now
        time.sleep(SETTLE)


def measure(workshop, server, counts, tell):
    """[(connections, {process: octets})]."""
    readings = []
    with contextlib.ExitStack() as stack:
        running = servers.Running(workshop, server, 1 << 16)
        stack.callback(running.stop)
        with machine.on_processor(workshop.load_processor):
            load = generator.Generator([workshop.load, f"--port={running.port}"])
        stack.callback(load.stop)
        for count in counts:
            tell(f"memory of {server.name} with {count} connections")
            if count:
                try:
                    load.open(count)
                except child.Failure as failure:
                    raise child.Failure(f"{server.name}, {count} connections: {failure}") from None
            readings.append((count, settled(running.processes)))
    return readings


def slopes(readings):
    """{process: (octets a connection between the first and last reading with connections, and between none and all)}."""
    (_, none), (few, first), (many, last) = readings[0], readings[1], readings[-1]
    return {
        process: ((last[process] - first[process]) / (many - few), (last[process] - none[process]) / many)
        for process in last
    }
