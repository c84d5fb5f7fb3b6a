# SPDX-License-Identifier: Apache-2.0
"""The part of tools/wsbench behind its options."""

import argparse
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[number]) for number in (1, 2)]

from session import child  # noqa: E402

from comparison import chart, figures, machine, memory, report, rounds, scenarios, servers  # noqa: E402

QUICK_MEMORY = (0, 100, 200)


@dataclasses.dataclass(frozen=True)
class Settings:
    rounds: int
    seconds: float
    warmup: float
    patience: int  # turns that are taken again when others had too much of the processors
    quick: bool


def parse():
    parser = argparse.ArgumentParser(prog="wsbench")
    parser.add_argument("--build", required=True)
    parser.add_argument("--scenario", action="append", default=[])
    parser.add_argument("--compare", default="")
    parser.add_argument("--server", action="append", default=[])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--patience", type=int)
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--processors")
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--svg")
    parser.add_argument("--markdown")
    return parser.parse_args()


def settings_of(arguments):
    quick = arguments.quick
    count = arguments.rounds or (1 if quick else 10)
    seconds = arguments.seconds or (0.15 if quick else 1.0)
    if count < 1 or not 0.01 <= seconds <= 60:
        raise child.Failure("--rounds is at least 1, --seconds from 0.01 to 60")
    patience = arguments.patience if arguments.patience is not None else (0 if quick else 2)
    return Settings(count, seconds, 0.05 if quick else 0.3, patience, quick)


def check_build(build):
    """A sanitizer's or a debugging build says nothing about speed."""
    description = build / "meson-info" / "intro-buildoptions.json"
    if not description.exists():
        raise child.Failure(f"{build} is no build folder; tools/wsbench without --build makes one")
    options = {option["name"]: option["value"] for option in json.loads(description.read_text(encoding="utf-8"))}
    if options["b_sanitize"] != "none":
        raise child.Failure(
            f"{build} is a build with sanitizers ({options['b_sanitize']}), which are many times slower: benchmarks need a release build"
        )
    if options["optimization"] not in ("2", "3"):
        raise child.Failure(f"{build} is not optimized (-O{options['optimization']}): benchmarks need a release build")


def choose_scenarios(names, text):
    known = {scenario.name: scenario.with_text() if text else scenario for scenario in scenarios.SCENARIOS}
    for name in names:
        if name not in known:
            raise child.Failure(f"there is no scenario {name}; there are {', '.join(known)}")
    return [scenario for name, scenario in known.items() if not names or name in names]


def choose_servers(arguments, workshop):
    """{name: server} of those that are wanted and can be started. One that was named and cannot is a failure."""
    known = {server.name: server for server in servers.known_servers()}
    wanted = [name for name in arguments.compare.split(",") if name]
    for name in wanted:
        if name not in known:
            raise child.Failure(f"there is no server {name}; there are {', '.join(known)}")
    found = {}
    for name, server in known.items():
        if wanted and name not in wanted:
            continue
        missing = server.missing(workshop)
        if missing and wanted:
            raise child.Failure(f"{name} cannot be measured: {missing}")
        if missing:
            tell(f"without {name}: {missing}", lasting=True)
        else:
            found[name] = server
    for server in map(servers.named_server, arguments.server):
        found[server.name] = server
    return found


def tell(what, lasting=False):
    """Progress, which stays on one line of a terminal."""
    if lasting or not sys.stderr.isatty():
        print(("\r\033[K" if sys.stderr.isatty() else "") + what, file=sys.stderr, flush=True)
    else:
        print(f"\r\033[K{what[:110]}", end="", file=sys.stderr, flush=True)


def clear_line():
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def entrants_of(scenario, chosen, extra):
    return [server for name, server in chosen.items() if name in scenario.servers or name in extra]


def measure_memory(workshop, chosen, settings, result):
    counts = QUICK_MEMORY if settings.quick else scenarios.MEMORY_CONNECTIONS
    for server in entrants_of(scenarios.Scenario("memory", ""), chosen, ()):
        readings = memory.measure(workshop, server, counts, tell)
        result.add_memory(server.name, readings, memory.slopes(readings))
    clear_line()
    if result.memory:
        print("Memory of idle connections (memory)\n")
        print("\n".join(report.table(result.memory_rows(), False)) + "\n", flush=True)


def measure(workshop, wanted, chosen, extra, settings, result):
    for scenario in wanted:
        if scenario.name == "memory":
            measure_memory(workshop, chosen, settings, result)
            continue
        entrants = entrants_of(scenario, chosen, () if scenario.name == "signals" else extra)
        if not entrants:
            continue
        result.add(scenario, rounds.run(workshop, scenario, entrants, settings, tell))
        clear_line()
        print(result.scenario_text(*result.scenarios[-1]), flush=True)


def write(path, text):
    try:
        pathlib.Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise child.Failure(f"cannot write {path}: {error.strerror}") from error


def cost_chart(result, name, axis, x_of, x_text):
    for scenario, results, _ in result.scenarios:
        if scenario.name == name:
            series = {}
            for (point, server), measured in results.items():
                cost = figures.summarize(measured)["cpu"].median / 1000
                series.setdefault(result.servers[server].title, []).append((x_of(point), cost))
            return chart.chart("Processor time of a server for one echo", axis, "microseconds", series, x_text)
    return None


def write_all(arguments, result):
    if not result.scenarios and not result.memory:
        return
    if arguments.json:
        write(arguments.json, json.dumps(result.data(), indent=1) + "\n")
    if arguments.markdown:
        write(arguments.markdown, result.markdown())
    if arguments.svg:
        by_connections = cost_chart(result, "connections", "connections", lambda point: point.connections, str)
        by_size = cost_chart(result, "sizes", "octets of a message", lambda point: point.size, scenarios.size_text)
        for suffix, drawing in (("connections", by_connections), ("size", by_size)):
            if drawing:
                write(f"{arguments.svg}-{suffix}.svg", drawing)


def bench(arguments, folder):
    settings = settings_of(arguments)
    wanted = choose_scenarios(arguments.scenario, arguments.text)
    build = pathlib.Path(arguments.build)
    check_build(build)
    processors = [int(one) for one in arguments.processors.split(",")] if arguments.processors else None
    workshop = servers.Workshop(build, folder, machine.choose_processors(processors), arguments.nice)
    chosen = choose_servers(arguments, workshop)
    extra = [servers.named_server(text).name for text in arguments.server]
    result = report.Report(machine.describe(), dataclasses.asdict(settings), chosen)
    try:
        measure(workshop, wanted, chosen, extra, settings, result)
    finally:
        clear_line()
        workshop.stop()
        write_all(arguments, result)  # also what was measured before something went wrong
    missed = result.missed()
    if missed and not settings.quick:
        print("Floors that were not reached:\n  " + "\n  ".join(missed))
        return 4
    return 0


def main():
    arguments = parse()
    child.become_supervisor()
    folder = tempfile.mkdtemp(prefix="wsbench-")
    try:
        return bench(arguments, folder)
    except child.Failure as failure:
        print(f"wsbench: {failure}", file=sys.stderr)
        return 1
    except (ValueError, subprocess.SubprocessError) as error:
        print(f"wsbench: {error}", file=sys.stderr)
        return 1
    except child.Ended as ended:
        return ended.status
    finally:
        child.hold_signals()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
