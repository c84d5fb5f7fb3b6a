# SPDX-License-Identifier: Apache-2.0
"""From the results of rounds to figures: medians, ratios within a round and their spread, and whether they reach what is promised."""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Spread:
    median: float
    lower: float  # quartiles
    upper: float
    least: float
    most: float

    @classmethod
    def of(cls, values):
        values = sorted(values)
        if len(values) == 1:
            return cls(*values * 5)
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, lower, upper, values[0], values[-1])


def rate(result):
    return result["messages"] / result["nanoseconds"] * 1e9


def cpu(result):
    """Nanoseconds of all processes of the server for one message."""
    return result["cpu"] / max(1, result["messages"])


def switches(result):
    return result["switches"] / max(1, result["messages"])


def busy(result):
    return result["cpu"] / result["nanoseconds"]


def disturbance(result):
    return result["disturbance"]


MEASURES = {"rate": rate, "cpu": cpu, "switches": switches, "busy": busy, "disturbance": disturbance}
LATENCIES = ("p50", "p90", "p99", "p99.9", "max")


def summarize(rounds):
    """Spreads of everything about one server under one load."""
    figures = {name: Spread.of(map(measure, rounds)) for name, measure in MEASURES.items()}
    figures["processes"] = {
        process: statistics.median(result["processes"][process] / max(1, result["messages"]) for result in rounds)
        for process in rounds[0]["processes"]
    }
    if all(result["latency"] for result in rounds):
        figures["latency"] = {
            name: statistics.median(result["latency"][name] for result in rounds) for name in LATENCIES
        }
    return figures


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A claim, and what came out."""

    claim: object
    server: str
    label: str
    ratio: Spread

    @property
    def verdict(self):
        return self.claim.verdict(self.ratio.median)


def paired(measure, ours, theirs):
    return [measure(a) / measure(b) for a, b in zip(ours, theirs) if measure(b) > 0]


def _growth(results, server, first, last):
    return [cpu(after) / cpu(before) for before, after in zip(results[first, server], results[last, server])]


def _judge_growth(claim, server, results):
    first, last = claim.points
    if any((point, name) not in results for point in claim.points for name in (server, claim.against)):
        return []
    ours = _growth(results, server, first, last)
    theirs = _growth(results, claim.against, first, last)
    label = f"{first.connections} to {last.connections} connections"
    return [Judgement(claim, server, label, Spread.of([a / b for a, b in zip(ours, theirs)]))]


def judge(scenario, results):
    """Each claim of the scenario at each of its points, as far as both servers were measured there."""
    found = []
    for claim in scenario.claims:
        for server in claim.servers:
            if claim.measure == "growth":
                found += _judge_growth(claim, server, results)
                continue
            for point in dict.fromkeys(point for point, _ in results):
                wanted = claim.points is None or point in claim.points
                if wanted and (point, server) in results and (point, claim.against) in results:
                    ratios = paired(MEASURES[claim.measure], results[point, server], results[point, claim.against])
                    found.append(Judgement(claim, server, point.label, Spread.of(ratios)))
    return found


def comparisons(point, results, own):
    """Ratios of rate and cost of each own server against each other one: [(own, other, rate, cpu)]."""
    names = [name for at, name in results if at == point]
    return [
        (ours, theirs, *(Spread.of(paired(m, results[point, ours], results[point, theirs])) for m in (rate, cpu)))
        for ours in names
        if ours in own
        for theirs in names
        if theirs not in own
    ]
