# SPDX-License-Identifier: Apache-2.0
"""The same figures three times: a table for the terminal, one in Markdown for the documentation, and JSON."""

import dataclasses

from comparison import figures, scenarios

VERDICTS = {"goal": "goal reached", "floor": "floor reached", "missed": "MISSED"}


def _number(value):
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(spread):
    return f"{spread.median:.2f} ({spread.lower:.2f} to {spread.upper:.2f})"


def _extremes(spread):
    return f"{spread.least:.2f} to {spread.most:.2f}"


def _microseconds(nanoseconds):
    return _number(nanoseconds / 1000)


def table(rows, markdown):
    """Rows of text, the first being the heading, with columns of even width; the first column is left-aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append(f"| {' | '.join(cells)} |" if markdown else f"  {'  '.join(cells)}".rstrip())
        if markdown and number == 0:
            lines.append("|" + "|".join("-" * (width + 1) + ("-" if i == 0 else ":") for i, width in enumerate(widths)) + "|")
    return lines


class Report:
    """Collects scenarios as they end; `servers` maps names to servers."""

    def __init__(self, machine, settings, servers):
        self.machine, self.settings, self.servers = machine, settings, servers
        self.scenarios = []  # (scenario, results, judgements)
        self.memory = {}  # server name: (readings, slopes)

    def add(self, scenario, results):
        self.scenarios.append((scenario, results, figures.judge(scenario, results)))

    def add_memory(self, name, readings, slopes):
        self.memory[name] = (readings, slopes)

    # ---- Text ----

    def _title(self, name):
        return self.servers[name].title

    def point_table(self, scenario, point, results, markdown=False):
        heading = [point.label, f"{scenario.unit}/s", "CPU us each", "switches each", "busy", "others", "p50 us", "p99 us", "max us"]
        rows = [heading]
        for (at, name), rounds in results.items():
            if at != point:
                continue
            summary = figures.summarize(rounds)
            latency = summary.get("latency")
            rows.append(
                [
                    self._title(name),
                    _number(summary["rate"].median),
                    _microseconds(summary["cpu"].median),
                    f"{summary['switches'].median:.3f}",
                    f"{summary['busy'].median * 100:.0f} %",
                    f"{summary['disturbance'].median * 100:.0f} %",
                    *(_microseconds(latency[part]) if latency else "-" for part in ("p50", "p99", "max")),
                ]
            )
        return table(rows, markdown)

    def ratio_table(self, point, results, markdown=False):
        own = {name for name, server in self.servers.items() if server.own}
        rows = [["ours against theirs", "rate", "range", "CPU", "range"]]
        for ours, theirs, rate, cpu in figures.comparisons(point, results, own):
            rows.append([f"{ours} / {theirs}", _ratio(rate), _extremes(rate), _ratio(cpu), _extremes(cpu)])
        return table(rows, markdown) if len(rows) > 1 else []

    def claim_table(self, judgements, markdown=False):
        rows = [["claim", "median (quartiles)", "range", "floor", "goal", ""]]
        for one in judgements:
            what = f"{one.server}: {one.claim.measure} against {one.claim.against}, {one.label}"
            verdict = VERDICTS[one.verdict]
            bounds = [one.claim.text(one.claim.floor), one.claim.text(one.claim.goal)]
            rows.append([what, _ratio(one.ratio), _extremes(one.ratio), *bounds, verdict])
        return table(rows, markdown) if len(rows) > 1 else []

    def scenario_text(self, scenario, results, judgements):
        lines = [f"{scenario.title} ({scenario.name})", ""]
        for point in dict.fromkeys(point for point, _ in results):
            lines += self.point_table(scenario, point, results)
            ratios = self.ratio_table(point, results)
            lines += ["", *ratios, ""] if ratios else [""]
        claims = self.claim_table(judgements)
        return "\n".join(lines + (claims + [""] if claims else []))

    def memory_rows(self):
        rows = [["octets for each idle connection", "process", "slope", "with all against none", "floor", "goal", ""]]
        for name, (_, slopes) in self.memory.items():
            for process, (slope, difference) in slopes.items():
                claims = [c for c in scenarios.MEMORY_CLAIMS if (c.server, c.process) == (name, process)]
                bounds = ["", "", ""]
                if claims:
                    [claim] = claims
                    bounds = [claim.text(claim.floor), claim.text(claim.goal), VERDICTS[claim.verdict(slope)]]
                rows.append([self._title(name), process, f"{slope:.0f}", f"{difference:.0f}", *bounds])
        return rows

    def markdown(self):
        machine = self.machine
        lines = [
            f"{machine['system']}, Linux {machine['kernel']}, {machine['processor']}, {machine['processors']} processors, "
            f"{machine['memory_mib']} MiB. {self.settings['rounds']} rounds of {self.settings['seconds']:g} s.",
            "",
        ]
        judgements = [one for _, _, found in self.scenarios for one in found]
        lines += [*self.claim_table(judgements, True), ""]
        if self.memory:
            lines += [*table(self.memory_rows(), True), ""]
        for scenario, results, _ in self.scenarios:
            lines += [f"### {scenario.title}", ""]
            for point in dict.fromkeys(point for point, _ in results):
                lines += [*self.point_table(scenario, point, results, True), ""]
        return "\n".join(lines)

    # ---- JSON ----

    def data(self):
        return {
            "machine": self.machine,
            "settings": self.settings,
            "scenarios": {scenario.name: _scenario_data(*rest) for scenario, *rest in self.scenarios},
            "memory": {
                name: {
                    "readings": [{"connections": count, "private_dirty": processes} for count, processes in readings],
                    "octets_per_connection": {process: slope for process, (slope, _) in slopes.items()},
                }
                for name, (readings, slopes) in self.memory.items()
            },
        }

    def missed(self):
        """Sentences about the floors that were not reached."""
        found = []
        for _, _, judgements in self.scenarios:
            for one in judgements:
                if one.verdict == "missed":
                    found.append(f"{one.server}, {one.claim.measure} against {one.claim.against}, {one.label}")
        for claim in scenarios.MEMORY_CLAIMS:
            slopes = self.memory.get(claim.server, (None, {}))[1]
            if claim.process in slopes and claim.verdict(slopes[claim.process][0]) == "missed":
                found.append(f"{claim.server}, memory of the {claim.process} for each connection")
        return found


def _spread_data(figure):
    return dataclasses.asdict(figure) if isinstance(figure, figures.Spread) else figure


def _scenario_data(results, judgements):
    points = {}
    for (point, name), rounds in results.items():
        summary = {key: _spread_data(figure) for key, figure in figures.summarize(rounds).items()}
        described = points.setdefault(point.label, {**dataclasses.asdict(point), "servers": {}})
        described["servers"][name] = {**summary, "rounds": rounds}
    claims = [
        {
            "server": one.server,
            "measure": one.claim.measure,
            "against": one.claim.against,
            "at": one.label,
            "floor": one.claim.floor,
            "goal": one.claim.goal,
            "ratio": dataclasses.asdict(one.ratio),
            "verdict": one.verdict,
        }
        for one in judgements
    ]
    return {"points": list(points.values()), "claims": claims}
