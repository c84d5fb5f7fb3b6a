# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of libwsserver: those of tests/integration (bus, daemon, manager) and apps of its own."""

import importlib.util
import pathlib
import re
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "client-lib"))

_spec = importlib.util.spec_from_file_location("integration_fixtures", TESTS / "integration" / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)  # also lets the package blackbox be found

from driven import App  # noqa: E402

for _name in ("build", "release_build", "authority", "_shared", "service", "new_service", "new_managed", "managed",
              "administrated", "figure", "new_app", "pytest_terminal_summary"):
    globals()[_name] = getattr(_fixtures, _name)

LIMITS = (TESTS.parent / "client-lib" / "limits.h").read_text()


@pytest.fixture(scope="session")
def limit():
    """limit("WS_SENDS_MAX"): a bound of the library."""

    def find(name: str) -> int:
        factor, shift = re.search(rf"#define {name}\s+(?:\\\s+)?\(?(\d+)u?(?: << (\d+)\))?", LIMITS).groups()
        return int(factor) << int(shift or 0)

    return find


@pytest.fixture(params=["channel", "signal"])
def delivery(request) -> str:
    return request.param


@pytest.fixture
def new_driven(build):
    """Makes apps that end well at the end of the test: new_driven(service, delivery, ...)."""
    apps = []

    def make(service, delivery: str = "channel", **options) -> App:
        options.setdefault("build", build)
        apps.append(App(bus_address=service.bus.address, delivery=delivery, **options))
        return apps[-1]

    yield make
    failures = []
    for app in apps:
        try:
            app.end()
        except AssertionError as failure:
            failures.append(failure)
            app.kill()
    if failures:
        raise failures[0]


@pytest.fixture
def app(new_driven, service, delivery) -> App:
    """An app on the shared daemon, by each delivery."""
    return new_driven(service, delivery)


@pytest.fixture
def server(app):
    """Its server, running."""
    return app.running_server()
