# SPDX-License-Identifier: Apache-2.0
"""Bus, daemon and example apps for the tests in this folder, made of the same parts as tools/with-daemon and tools/run."""

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from session import app, bus, daemon, page  # noqa: E402


@pytest.fixture(scope="session")
def build():
    return pathlib.Path(os.environ.get("WSSERVERD_BUILD", ROOT / "build"))


@pytest.fixture
def private_bus(tmp_path):
    running = bus.PrivateBus(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def service(build, private_bus, tmp_path):
    running = daemon.Daemon(build, private_bus.address, tmp_path)
    yield running
    running.stop()


@pytest.fixture
def start_app(build, private_bus, service):
    """start_app(name, option, ...) returns a running App whose lines of output are collected in `said`."""
    apps = []

    def start(name, *options):
        said = []
        running = app.App(build, name, private_bus.address, options, show=said.append)
        running.said = said
        apps.append(running)
        return running

    yield start
    for running in apps:
        running.stop()


@pytest.fixture
def demo_page():
    running = page.Page("127.0.0.1")
    yield running
    running.stop()
