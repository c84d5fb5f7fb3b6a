# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the package wsserver: those of tests/integration (bus, daemon, peers) and programs that use it. The daemon comes from
WSSERVERD_BUILD, libwsserver and its typelib from WSSERVERD_RELEASE: Python has no sanitizers in it."""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "client-lib" / "python"
STEP = 60  # seconds that any one step may take on a busy machine

_spec = importlib.util.spec_from_file_location("integration_fixtures", TESTS / "integration" / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)  # also lets the package blackbox be found

for _name in ("build", "release_build", "authority", "_shared", "service", "new_service", "figure", "pytest_terminal_summary"):
    globals()[_name] = getattr(_fixtures, _name)

PRELUDE = """
import asyncio, json, logging, os, sys
import wsserver
logging.basicConfig(level="WARNING")
def say(*values): print(json.dumps(values), flush=True)
"""


class Program:
    """A program in Python, which says lines of JSON."""

    def __init__(self, library: pathlib.Path, bus_address: str, source, environment: dict | None = None):
        settings = {**os.environ, "GI_TYPELIB_PATH": str(library), "LD_LIBRARY_PATH": str(library), "PYTHONPATH": str(PACKAGE),
                    "PYTHONWARNINGS": "error,ignore::ImportWarning", "PYTHONASYNCIODEBUG": "0", "G_DEBUG": "fatal-criticals",
                    "DBUS_SYSTEM_BUS_ADDRESS": bus_address, **(environment or {})}
        words = [source] if isinstance(source, pathlib.Path) else ["-c", PRELUDE + textwrap.dedent(source)]
        self.process = subprocess.Popen(["/usr/bin/python3", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE,
                                        text=True, env=settings,
                                        # where tests run in the background, it would be ignored
                                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.complaints: list = []
        self._reader = threading.Thread(target=lambda: self.complaints.extend(self.process.stderr), daemon=True)
        self._reader.start()

    def line(self) -> list | str:
        ended = threading.Timer(STEP, self.process.kill)
        ended.start()
        line = self.process.stdout.readline()
        ended.cancel()
        assert line, "".join(self.complaints)
        return json.loads(line) if line.startswith("[") else line.strip()

    def lines(self) -> list:
        """What it still says until it ends, well."""
        text, _ = self.process.communicate(timeout=STEP)
        self._reader.join(STEP)
        assert self.process.returncode == 0, "".join(self.complaints)[-4000:]
        return [json.loads(line) for line in text.splitlines()]

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="session")
def library(release_build) -> pathlib.Path:
    """The folder with libwsserver and its typelib."""
    folder = pathlib.Path(release_build) / "client-lib"
    if not list(folder.glob("Ws-*.typelib")):
        pytest.skip("introspection is not built (libgirepository1.0-dev)")
    return folder


@pytest.fixture
def start(library, service):
    """Starts programs on the shared daemon, or on another: start(source)."""
    programs = []

    def start_one(source, on=service, **environment) -> Program:
        programs.append(Program(library, on.bus.address, source, environment))
        return programs[-1]

    yield start_one
    for program in programs:
        program.kill()
