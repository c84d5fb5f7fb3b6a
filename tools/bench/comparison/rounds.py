# SPDX-License-Identifier: Apache-2.0
"""Interleaved rounds: in each round every server has its short turn, so that whatever else happens on the machine meets all of
them, and the ratios of one round are of servers that were measured within seconds."""

import contextlib
import os

from session import child

from comparison import disturbance, generator, machine, servers


class Entrant:
    """One server under one load, with a load generator of its own; nothing happens between its turns."""

    def __init__(self, workshop, server, point, stack):
        self.workshop, self.server, self.point = workshop, server, point
        self.running = None
        if server.drives_itself:
            workshop.start_daemon()
            environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": workshop.bus.address}
            self.processes = ("dbus-daemon", "sender", "receiver")
            self._start(server.command(workshop, point.size), workshop.server_processor, stack, environment)
            return
        self.running = servers.Running(workshop, server, max(point.size, 1 << 16))
        stack.callback(self.running.stop)
        self.processes = tuple(self.running.processes)
        pids = ",".join(map(str, self.running.processes.values()))
        options = [f"--port={self.running.port}", f"--processes={pids}", *point.arguments()]
        self._start([workshop.load, *options], workshop.load_processor, stack)

    def _start(self, command, processor, stack, environment=None):
        with machine.on_processor(processor):
            self.generator = generator.Generator([str(part) for part in command], environment)
        stack.callback(self.generator.stop)
        self.workshop.prefer(self.generator.process.pid)

    def _others(self):
        """Processes beside the one that takes the commands."""
        if self.running:
            return self.running.processes.values()
        return [self.workshop.bus.process.pid, *servers.children(self.generator.process.pid)]

    def turn(self, warmup, duration):
        try:
            result = self.generator.run(warmup, duration)
        except child.Failure as failure:
            said = self.running.last_words() if self.running else ""
            said = f"\nthe server said: {said}" if said else ""
            raise child.Failure(f"{self.server.name}, {self.point.label}: {failure}{said}") from None
        result["processes"] = dict(zip(self.processes, result.pop("cpu_each")))
        return result

    def quiet_turn(self, warmup, duration, patience):
        """A turn that others did not disturb; after `patience` more attempts the least disturbed one."""
        best = None
        pids = [self.generator.process.pid, *self._others()]
        for _ in range(1 + patience):
            watch = disturbance.Watch(self.workshop.processors, pids)
            result = self.turn(warmup, duration)
            result["disturbance"] = watch.share()
            if best is None or result["disturbance"] < best["disturbance"]:
                best = result
            if best["disturbance"] <= disturbance.QUIET:
                break
        return best


def run_points(workshop, points, chosen, settings, tell):
    """{(point, server name): [result of each round]}, of all points at a time."""
    results = {}
    with contextlib.ExitStack() as stack:
        entrants = []
        for point in points:
            for server in chosen:
                tell(f"{point.label}: starting {server.name}")
                entrants.append(start(workshop, server, point, stack))
                results[point, server.name] = []
        for number in range(settings.rounds):
            for entrant in entrants:
                tell(f"{entrant.point.label}: round {number + 1} of {settings.rounds}, {entrant.server.name}")
                # The first turn opens the connections, and whatever a server sets up on first use.
                warmup = settings.warmup * (3 if number == 0 else 1)
                result = entrant.quiet_turn(warmup, settings.seconds, settings.patience)
                results[entrant.point, entrant.server.name].append(result)
    return results


def start(workshop, server, point, stack):
    try:
        return Entrant(workshop, server, point, stack)
    except OSError as error:
        raise child.Failure(f"cannot start {server.name}: {error.strerror}") from error


def smaller(points):
    """Fewer and smaller ones, for a quick look."""
    some = points[::3] if len(points) > 4 else points
    return tuple(dict.fromkeys(point.smaller() for point in some))


def run(workshop, scenario, chosen, settings, tell):
    points = smaller(scenario.points) if settings.quick else scenario.points
    groups = [points] if scenario.together else [(point,) for point in points]
    results = {}
    for group in groups:
        results.update(run_points(workshop, group, chosen, settings, tell))
    return results
