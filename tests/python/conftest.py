# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the package wsserver: those of tests/integration (bus, daemon, peers) and programs that use it. The daemon comes from
WSSERVERD_BUILD, libwsserver and its typelib from WSSERVERD_RELEASE: Python has no sanitizers in it."""

import importlib.util
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "python"))

_spec = importlib.util.spec_from_file_location("integration_fixtures", TESTS / "integration" / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)  # also lets the package blackbox be found

from python_program import Program  # noqa: E402

for _name in ("build", "release_build", "authority", "_shared", "service", "new_service", "figure", "pytest_terminal_summary"):
    globals()[_name] = getattr(_fixtures, _name)


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
