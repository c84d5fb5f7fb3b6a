# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of webSocket.js: those of tests/integration (bus, daemon, peers) and programs that gjs runs. The daemon comes from WSSERVERD_BUILD,
libwsserver and its typelib from WSSERVERD_RELEASE: gjs has no sanitizers in it."""

import importlib.util
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "gjs"))

_spec = importlib.util.spec_from_file_location("integration_fixtures", TESTS / "integration" / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)  # also lets the package blackbox be found

from blackbox.bus import PrivateBus  # noqa: E402
from blackbox.peer import free_port  # noqa: E402
from program import Program, find_library  # noqa: E402
from gjs_script import Script  # noqa: E402

for _name in ("build", "release_build", "clients_folder", "authority", "_shared", "service", "new_service", "figure",
              "pytest_terminal_summary"):
    globals()[_name] = getattr(_fixtures, _name)


@pytest.fixture(scope="session")
def library(release_build) -> pathlib.Path:
    """The folder with libwsserver and its typelib."""
    return find_library(release_build)


@pytest.fixture
def bare_bus(tmp_path):
    """A bus on which nobody serves yet. To be named in front of new_program, whose programs then end before it does."""
    bus = PrivateBus(tmp_path).start()
    yield bus
    bus.stop()


@pytest.fixture
def new_program(library):
    """Makes programs that end well at the end of the test: new_program(bus address, settings)."""
    programs = []

    def make(bus_address: str, settings: dict | None = None) -> Program:
        programs.append(Program(library, bus_address, settings))
        return programs[-1]

    yield make
    failures = []
    for program in programs:
        try:
            program.end()
        except AssertionError as failure:
            failures.append(failure)
            program.kill()
    if failures:
        raise failures[0]


@pytest.fixture
def run_script(library, service):
    """Starts programs on the shared daemon: run_script(path, arguments)."""
    scripts = []

    def run(path, *arguments: str) -> Script:
        scripts.append(Script(library, service.bus.address, path, *arguments))
        return scripts[-1]

    yield run
    for script in scripts:
        script.kill()


@pytest.fixture
def program(new_program, service) -> Program:
    """A program on the shared daemon."""
    return new_program(service.bus.address)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(program, port):
    """Its server, running, with everything else at its default but the address."""
    return program.running_server(port)
