# SPDX-License-Identifier: Apache-2.0
"""tools/wsbench: whether its figures can be believed. Nothing here says how fast anything has to be."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tools" / "bench")]

from comparison import figures, scenarios, servers  # noqa: E402

BUILD = pathlib.Path(os.environ.get("WSSERVERD_BUILD", ROOT / "build"))
STEP = 120  # seconds that any one step may take on a busy machine
WRONG = f"/usr/bin/python3 {ROOT / 'tests' / 'bench' / 'wrong_echo.py'}"


def is_sanitized(build):
    options = json.loads((build / "meson-info" / "intro-buildoptions.json").read_text())
    return next(option["value"] for option in options if option["name"] == "b_sanitize") != "none"


@pytest.fixture(scope="session")
def release():
    if "WSSERVERD_RELEASE" in os.environ:
        return pathlib.Path(os.environ["WSSERVERD_RELEASE"])
    if is_sanitized(BUILD):
        pytest.skip("needs a release build: WSSERVERD_RELEASE, or tools/test without --quick")
    return BUILD


def wsbench(build, *arguments):
    command = [ROOT / "tools" / "wsbench", "--build", build, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=STEP)


# ---- The whole ----


def test_a_quick_run_measures_everybody_and_its_files_are_well_formed(release, tmp_path):
    compared = ["channel", "gobject", "raw"]
    if (release / "tools" / "bench" / "servers" / "server-libwebsockets").exists():
        compared.append("libwebsockets")
    chosen = [f"--scenario={name}" for name in ("pipelined", "connections", "sizes", "broadcast", "handshakes", "memory")]
    files = ["--json", tmp_path / "all.json", "--svg", tmp_path / "cost", "--markdown", tmp_path / "all.md"]
    ended = wsbench(release, "--quick", "--compare", ",".join(compared), *chosen, *files)
    assert ended.returncode == 0, ended.stdout + ended.stderr

    found = json.loads((tmp_path / "all.json").read_text())
    assert set(found["scenarios"]) == {"pipelined", "connections", "sizes", "broadcast", "handshakes"}
    for scenario in found["scenarios"].values():
        for point in scenario["points"]:
            assert set(point["servers"]) == set(compared)
            for measured in point["servers"].values():
                assert measured["rate"]["median"] > 0 and measured["cpu"]["median"] > 0
    processes = found["scenarios"]["pipelined"]["points"][0]["servers"]["channel"]["processes"]
    assert set(processes) == {"wsserverd", "worker", "app"} and processes["worker"] > 0 and processes["app"] > 0
    assert set(found["memory"]) == set(compared)
    assert 0 < found["memory"]["channel"]["octets_per_connection"]["worker"] < 100_000

    for name in ("cost-connections.svg", "cost-size.svg"):
        drawing = xml.etree.ElementTree.parse(tmp_path / name).getroot()
        assert len(drawing.findall("{http://www.w3.org/2000/svg}polyline")) == len(compared)
    rows = [line for line in (tmp_path / "all.md").read_text().splitlines() if line.startswith("|")]
    assert all(row.count("|") >= 7 and row.endswith("|") for row in rows) and len(rows) > 20


def test_signals_are_measured_against_signals_alone(release, tmp_path):
    ended = wsbench(release, "--quick", "--scenario", "signals", "--json", tmp_path / "signals.json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [point] = json.loads((tmp_path / "signals.json").read_text())["scenarios"]["signals"]["points"]
    assert set(point["servers"]) == {"signals", "signal-app", "bare-signals"}
    assert "dbus-daemon" in point["servers"]["signal-app"]["processes"]


# ---- What must not pass for a result ----


@pytest.mark.parametrize(
    ("fault", "scenario", "told"),
    [
        ("changes-an-octet", "ping-pong", "wrong content"),
        ("changes-an-octet-in-the-middle", "sizes", "wrong content"),
        ("repeats-an-earlier-one", "ping-pong", "wrong content"),
        ("cuts-the-end-off", "ping-pong", "wrong content"),
        ("answers-twice", "ping-pong", "wrong content"),
        ("answers-with-text", "ping-pong", "no legal frame"),
    ],
)
def test_a_server_that_echoes_wrongly_gets_no_figures(release, tmp_path, fault, scenario, told):
    result = tmp_path / "none.json"
    only = ["--compare", "raw", "--scenario", scenario, "--json", result]
    ended = wsbench(release, "--quick", *only, "--server", f"wrong={WRONG} {fault}")
    assert ended.returncode == 1 and "wrong, " in ended.stderr and told in ended.stderr, ended.stderr
    assert not result.exists()


def test_a_build_with_sanitizers_is_refused():
    if not is_sanitized(BUILD):
        pytest.skip("this is a build without")
    ended = wsbench(BUILD, "--quick")
    assert ended.returncode == 1 and "sanitizers" in ended.stderr and "release build" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scenario", "nonsense"], "there is no scenario nonsense"),
        (["--compare", "nonsense"], "there is no server nonsense"),
        (["--server", "nonsense"], "NAME=COMMAND"),
        (["--processors", "0,0"], "two different ones"),
        (["--rounds", "-1"], "--rounds"),
        (["--compare", "raw", "--scenario", "ping-pong", "--server", "silent=true"], "silent did not start"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(release, arguments, told):
    ended = wsbench(release, "--quick", *arguments)
    assert ended.returncode == 1 and told in ended.stderr and "Traceback" not in ended.stderr, ended.stderr


def test_a_server_that_cannot_be_started_is_named_with_the_remedy(tmp_path):
    workshop = servers.Workshop(tmp_path, tmp_path, (0, 1))
    missing = {server.name: server.missing(workshop) for server in servers.known_servers()}
    assert "libwebsockets-dev" in missing["libwebsockets"] and "libsoup-3.0-dev" in missing["libsoup"]


def descendants(pid):
    found = []
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(int(child))]
    return found


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_leaves_nothing_behind(release):
    command = [ROOT / "tools" / "wsbench", "--build", release, "--scenario", "ping-pong", "--compare", "channel,raw"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        while "round 1" not in (line := running.stderr.readline()):
            assert line, "ended before its first round"
        started = descendants(running.pid)
        running.send_signal(signal.SIGINT)
        assert running.wait(STEP) == 128 + signal.SIGINT
    assert len(started) >= 6  # bus, wsserverd, worker, app, raw server, load generators
    deadline = time.monotonic() + STEP
    while any(map(is_running, started)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


# ---- The load generator, also with sanitizers ----


@pytest.mark.parametrize(
    "options",
    [
        ["--connections=20", "--in-flight=7"],
        ["--connections=3", "--in-flight=3", "--size=300000", "--text"],
        ["--size=12"],
        ["--mode=broadcast", "--connections=10", "--size=1500"],
        ["--mode=sink", "--connections=2", "--in-flight=2"],
        ["--mode=rate", "--connections=8"],
    ],
)
def test_every_kind_of_load_runs_twice_on_the_same_connections(options):
    raw, load = BUILD / "tools/bench/servers/server-raw", BUILD / "tools/bench/load/load"
    with subprocess.Popen([raw], stdout=subprocess.PIPE, text=True) as server:
        try:
            port = re.search(r":(\d+)/", server.stdout.readline())[1]
            command = [load, f"--port={port}", f"--processes={server.pid}", *options]
            commands = "run 10 60\nrun 0 60\n"
            ended = subprocess.run(command, input=commands, capture_output=True, text=True, timeout=STEP)
        finally:
            server.kill()
    assert ended.returncode == 0, ended.stderr
    results = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(results) == 2 and all(result["messages"] > 0 and result["cpu"] > 0 for result in results)


# ---- The figures ----


def test_a_ratio_is_taken_within_a_round():
    def result(messages):
        return {"messages": messages, "nanoseconds": 10**9, "cpu": 10**9, "switches": 0}

    ours, theirs = [result(100), result(10), result(1000)], [result(200), result(10), result(500)]
    spread = figures.Spread.of(figures.paired(figures.rate, ours, theirs))
    assert (spread.least, spread.median, spread.most) == (0.5, 1, 2)
    costs = figures.Spread.of(figures.paired(figures.cpu, ours, theirs))
    assert (costs.least, costs.median, costs.most) == (0.5, 1, 2)


def test_floor_and_goal_are_reached_from_the_right_side():
    more, less = scenarios.Claim("rate", "raw", 0.9, 1.0), scenarios.Claim("cpu", "raw", 1.15, 1.0)
    assert [more.verdict(value) for value in (0.89, 0.9, 1.0)] == ["missed", "floor", "goal"]
    assert [less.verdict(value) for value in (1.16, 1.15, 1.0)] == ["missed", "floor", "goal"]


def test_growth_is_compared_with_growth():
    first, last = scenarios.Point(100), scenarios.Point(5000)
    claim = scenarios.Claim("growth", "raw", 1.2, 1.05, (first, last), ("channel",))
    scenario = scenarios.Scenario("connections", "", (first, last), claims=(claim,), together=True)

    def rounds(*costs):
        return [{"messages": 1, "nanoseconds": 1, "cpu": cost, "switches": 0} for cost in costs]

    results = {
        (first, "channel"): rounds(10, 10),
        (last, "channel"): rounds(22, 22),
        (first, "raw"): rounds(5, 5),
        (last, "raw"): rounds(10, 10),
    }
    [judgement] = figures.judge(scenario, results)
    assert judgement.ratio.median == pytest.approx(1.1) and judgement.verdict == "floor"
