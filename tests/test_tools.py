# SPDX-License-Identifier: Apache-2.0
"""The commands in tools/: what a newcomer types first."""

import asyncio
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import termios
import time
import urllib.error
import urllib.request

import pytest
import websockets

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("WSSERVERD_BUILD", ROOT / "build"))
STEP = 120  # seconds that any one step may take on a busy machine
ECHO_SERVER = BUILD / "client-lib" / "examples" / "echo-server"


def tool(name, *arguments, **options):
    return subprocess.run([ROOT / "tools" / name, *arguments], capture_output=True, text=True, timeout=STEP, **options)


def with_daemon(*arguments, **options):
    return tool("with-daemon", "--build", BUILD, *arguments, **options)


def is_running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Terminal:
    """A command with a terminal of its own, where Ctrl-C is what it is for a person."""

    def __init__(self, *command):
        self.master, slave = pty.openpty()

        def take_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=take_terminal
        )
        os.close(slave)
        self.shown = ""

    def read_until(self, wanted):
        """Reads on until the whole output matches `wanted`."""
        while not (found := re.search(wanted, self.shown)):
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # how Linux says that nobody has the terminal open any more
                piece = b""
            assert piece, f"ended without {wanted!r}:\n{self.shown}"
            self.shown += piece.decode(errors="replace")
        return found

    def press_ctrl_c(self):
        os.write(self.master, b"\x03")

    def wait(self):
        status = self.process.wait(STEP)
        os.close(self.master)
        return status


@pytest.mark.parametrize("name", ["run", "test", "with-daemon", "setup", "build", "fuzz", "coverage", "wsbench"])
def test_each_command_explains_itself(name):
    shown = tool(name, "--help", env={})
    assert shown.returncode == 0 and shown.stdout.startswith(f"Usage: tools/{name}") and shown.stderr == ""


@pytest.mark.parametrize("name", ["run", "test", "with-daemon", "setup", "fuzz", "coverage", "wsbench"])
def test_a_wrong_argument_is_named(name):
    ended = tool(name, "--nonsense", "x")
    assert ended.returncode == 1 and "--nonsense" in ended.stderr and "--help" in ended.stderr


def test_check_makes_one_round_trip_with_a_client_that_is_not_ours():
    ended = tool("run", "--check", "--build", BUILD)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert 'Python "websockets"' in ended.stdout and "pressed volume-up: volume 25" in ended.stdout
    assert ended.stdout.endswith("Check passed.\n")
    pids = re.findall(r"process (\d+)", ended.stdout)
    assert len(pids) == 3 and not any(map(is_running, pids))


def test_check_fails_when_the_server_cannot_start():
    ended = tool("run", "--check", "--build", BUILD, "--listen", "192.0.2.1")
    assert ended.returncode == 1 and "InvalidAddress" in ended.stderr and ended.stdout.endswith("Check failed.\n")


def test_run_serves_page_and_television_until_ctrl_c_and_leaves_nothing():
    terminal = Terminal(ROOT / "tools" / "run", "--build", BUILD)
    page = terminal.read_until(r"open +(http://\S+)")[1]
    websocket = terminal.read_until(r"WebSocket +(ws://\S+)")[1]
    terminal.read_until("Ctrl-C ends everything")
    with urllib.request.urlopen(page, timeout=STEP) as answer:
        assert b"Second screen" in answer.read()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(page.partition("?")[0] + "../second-screen.c", timeout=STEP)
    assert page.endswith(f"?ws={websocket}")

    async def visit():
        async with websockets.connect(websocket, open_timeout=STEP) as phone:
            terminal.press_ctrl_c()
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(phone.recv(), STEP)
            return phone.close_code

    assert asyncio.run(visit()) == 1001
    terminal.read_until("Everything has ended")
    assert terminal.wait() == 0
    assert not any(map(is_running, re.findall(r"process (\d+)", terminal.shown)))
    folder = re.search(r"unix:path=(\S+)/bus", terminal.shown)[1]
    assert not os.path.exists(folder)


@pytest.mark.parametrize(("command", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_with_daemon_passes_the_status_of_its_command_on(command, status):
    assert with_daemon("--", "sh", "-c", command).returncode == status


def test_with_daemon_says_which_command_it_did_not_find():
    ended = with_daemon("no-such-command")
    assert ended.returncode == 127 and "no-such-command" in ended.stderr


def test_with_daemon_needs_no_environment():
    ended = with_daemon("--", "sh", "-c", "exit 3", env={})
    assert ended.returncode == 3, ended.stderr


def test_with_daemon_leaves_no_process_and_no_file_behind():
    # The server still runs when the command ends.
    script = f"""{ECHO_SERVER} --port 0 --ip 127.0.0.1 >"$0" &
        while ! grep -q listening "$0"; do sleep 0.05; done
        echo $WSSERVERD_PID $WSSERVERD_BUS_PID $! $(cat /proc/$WSSERVERD_PID/task/*/children)
        echo $DBUS_SYSTEM_BUS_ADDRESS"""
    output = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"echo-{os.getpid()}"
    try:
        ended = with_daemon("--", "sh", "-c", script, output)
    finally:
        output.unlink(missing_ok=True)
    assert ended.returncode == 0, ended.stderr
    pids, address = ended.stdout.splitlines()
    daemon, bus, echo_server, worker = pids.split()
    assert not any(map(is_running, (daemon, bus, worker)))
    assert not os.path.exists(os.path.dirname(address.partition("=")[2]))
    wait_until_gone(echo_server)  # the command's own background process ends by itself: its bus is gone


def test_with_daemon_gives_ctrl_c_to_the_command_and_waits_for_it():
    script = "trap 'echo caught; exit 5' INT; echo ready $WSSERVERD_PID.; while :; do sleep 0.1; done"
    terminal = Terminal(ROOT / "tools" / "with-daemon", "--build", BUILD, "--", "sh", "-c", script)
    daemon = terminal.read_until(r"ready (\d+)\.")[1]
    terminal.press_ctrl_c()
    terminal.read_until("caught")
    assert terminal.wait() == 5 and not is_running(daemon)


def wait_until_gone(*pids):
    deadline = time.monotonic() + STEP
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_ending_with_daemon_ends_what_it_started(number, status):
    script = 'echo "$WSSERVERD_PID $WSSERVERD_BUS_PID"; exec sleep 1000'
    command = [ROOT / "tools" / "with-daemon", "--build", BUILD, "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        daemon, bus = running.stdout.readline().split()
        [sleeper] = set(pathlib.Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()) - {daemon, bus}
        running.send_signal(number)
        try:
            assert running.wait(STEP) == status
        finally:
            running.kill()  # or leaving this block would wait for ever
        wait_until_gone(daemon, bus)
        if number == signal.SIGKILL:
            os.kill(int(sleeper), signal.SIGKILL)  # the command had the terminal and is the caller's to end
        wait_until_gone(sleeper)


def test_with_daemon_shows_why_the_daemon_did_not_start(tmp_path):
    config = tmp_path / "wrong.json"
    config.write_text(json.dumps({"deviceProfil": "smart-screen"}))
    ended = with_daemon("--config", config, "true")
    assert ended.returncode == 1
    assert "wrong.json" in ended.stderr and "deviceProfil" in ended.stderr


def test_with_daemon_uses_the_configuration_it_is_given(tmp_path):
    config = tmp_path / "phone.json"
    config.write_text(json.dumps({"deviceProfile": "phone"}))
    ended = with_daemon("--config", config, "--", ECHO_SERVER, "--port", "0")
    assert ended.returncode == 1 and "org.wsserver1.Error.NotSupported" in ended.stderr


def call(method, *arguments, destination="org.freedesktop.DBus", path="/org/freedesktop/DBus"):
    return ["gdbus", "call", "--system", "-d", destination, "-o", path, "-m", method, *arguments]


def test_the_private_bus_denies_what_the_system_bus_denies():
    denied = with_daemon(*call("org.freedesktop.DBus.RequestName", "org.example.Mine", "0"))
    assert denied.returncode == 1 and "AccessDenied" in denied.stderr
    manager = {"destination": "org.wsserver1", "path": "/org/wsserver1"}
    denied = with_daemon(*call("org.wsserver1.Manager.NoSuchMember", **manager))
    assert denied.returncode == 1 and "AccessDenied" in denied.stderr
    allowed = with_daemon(*call("org.wsserver1.Manager.CreateServer", **manager))
    assert allowed.returncode == 0 and "/org/wsserver1/server/" in allowed.stdout


TAP = "1..3\nok 1 a\nnot ok 2 b\nok 3 c # SKIP why\n"


@pytest.mark.parametrize(
    ("test", "counts"),
    [
        ({"result": "OK", "stdout": "1..2\nok 1 a\nok 2 b\n"}, "2 0 0"),
        ({"result": "FAIL", "stdout": TAP}, "1 1 1"),
        ({"result": "ERROR", "stdout": "1..2\nok 1 a\n"}, "1 1 0"),
        ({"result": "TIMEOUT", "stdout": ""}, "0 1 0"),
        ({"result": "SKIP", "stdout": "1..0 # SKIP no\n"}, "0 0 1"),
        ({"result": "OK", "stdout": "1..1\nok 1 a # SKIP why\n"}, "0 0 1"),
        ({"result": "OK"}, "1 0 0"),
    ],
)
def test_no_failure_of_a_unit_test_is_lost_in_the_count(tmp_path, test, counts):
    log = tmp_path / "testlog.json"
    log.write_text(json.dumps(test) + "\n")
    assert tally("meson", log) == counts


def test_a_missing_report_counts_as_a_failure(tmp_path):
    assert tally("meson", tmp_path / "none") == tally("pytest", tmp_path / "none") == "0 1 0"


def test_no_failure_of_a_python_test_is_lost_in_the_count(tmp_path):
    report = tmp_path / "pytest.xml"
    report.write_text('<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3"/></testsuites>')
    assert tally("pytest", report) == "3 3 3"


def tally(kind, path):
    command = [sys.executable, ROOT / "tools" / "session" / "tally.py", kind, path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


FOUND_NOTHING = "#9 DONE cov: 5 ft: 6 corp: 2/9b\nstat::number_of_executed_units: 9"
PREFIX = 'for argument; do case $argument in -artifact_prefix=*) prefix=${argument#*=} ;; esac; done'


@pytest.mark.parametrize(
    ("script", "status", "told"),
    [
        (f"echo '{FOUND_NOTHING}'", 0, "9 executions"),
        (f"{PREFIX}; echo '{FOUND_NOTHING}'; printf evil >\"${{prefix}}crash-1\"; exit 77", 1, "base64: ZXZpbA=="),
        (f"{PREFIX}; echo '{FOUND_NOTHING}'; printf evil >\"${{prefix}}leak-1\"", 1, "base64: ZXZpbA=="),
        ("echo no library; exit 127", 1, "no library"),
        ("echo stat::number_of_executed_units: 0", 1, "0 executions"),
    ],
)
def test_no_finding_of_a_fuzzer_is_lost(tmp_path, script, status, told):
    fuzzer = tmp_path / "asan" / "tests" / "fuzz" / "fuzz-control"
    fuzzer.parent.mkdir(parents=True)
    fuzzer.write_text(f"#!/bin/sh\n{script}\n")
    fuzzer.chmod(0o755)
    command = [sys.executable, ROOT / "tools" / "session" / "fuzz.py", tmp_path, "--seconds", "1"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == status and told in ended.stdout
    assert (tmp_path / "tally").read_text() == ("0 1 0\n" if status else "1 0 0\n")


def test_every_fuzzer_has_inputs_to_begin_with():
    listed = re.findall(r"^  '([a-z-]+)': \['fuzz-", (ROOT / "tests" / "fuzz" / "meson.build").read_text(), re.MULTILINE)
    corpora = {path.name for path in (ROOT / "tests" / "fuzz" / "corpus").iterdir() if any(path.iterdir())}
    assert listed and set(listed) == corpora
