# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests under a systemd of their own. WSSERVERD_RELEASE is the build folder of what is installed in the machines."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from conversation import Conversation  # noqa: E402
from machine import Machine, why_not  # noqa: E402
from television import Television  # noqa: E402

CONFIGURATION = {"deviceProfile": "smart-screen", "connectionRate": 0, "policy": [{"users": ["*"], "ports": [0, "1-65535"]}]}
_figures: list = []


def install(build: str, destination: pathlib.Path) -> None:
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", str(destination)], check=True,
                   stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def installed():
    """The release as a package would hold it."""
    build = os.environ.get("WSSERVERD_RELEASE", "")
    if not build:
        pytest.skip("WSSERVERD_RELEASE is not set")
    options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", build], check=True, capture_output=True).stdout)
    prefix = next(option["value"] for option in options if option["name"] == "prefix")
    assert prefix == "/usr", f"{build} was configured with the prefix {prefix}; remove it, and let tools/test make it anew"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wsserverd-installed-"))
    install(build, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["daemon", "broker"])
def television(request, installed):
    """A machine with wsserverd installed and the users viewer and neighbour, once for each implementation of the bus."""
    reason = why_not(request.param)
    if reason:
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="wsserverd-television-") as name:
        root = pathlib.Path(name)
        shutil.copytree(installed, root, dirs_exist_ok=True, symlinks=True)
        shutil.copytree(HERE / "inside", root / "opt/inside")
        (root / "etc/wsserverd").mkdir(parents=True)
        (root / "etc/wsserverd/wsserverd.json").write_text(json.dumps(CONFIGURATION))
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        machine = Machine(request.param, str(root), users=("viewer", "neighbour"))
    try:
        yield Television(machine, request.param)
    finally:
        machine.end()


@pytest.fixture(autouse=True)
def _tidy(request):
    """Each test begins with a service that is not running, under the unit as shipped."""
    yield
    if "television" in request.fixturenames:
        request.getfixturevalue("television").tidy()


@pytest.fixture
def conversations():
    """conversations.app(...), .peers(...): helpers in the machine that end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda television, script, argument, user="viewer": stack.enter_context(
            Conversation(television.machine, script, argument, user))


@pytest.fixture
def figure():
    """figure("name", value) prints a measured figure at the end of the run."""
    return lambda name, value: _figures.append((name, value))


def pytest_terminal_summary(terminalreporter):
    if _figures:
        terminalreporter.section("figures under systemd")
        for name, value in _figures:
            terminalreporter.write_line(f"{name}: {value}")
