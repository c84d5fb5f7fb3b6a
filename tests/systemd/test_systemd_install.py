# SPDX-License-Identifier: Apache-2.0
"""What a package of the service holds, and how far the unit's sandbox goes."""

import configparser
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = "usr/lib/systemd/system/wsserverd.service"
ACTIVATION = "usr/share/dbus-1/system-services/org.wsserver1.service"
FOR_SYSTEMD = {UNIT, "usr/lib/sysusers.d/wsserverd.conf", "usr/lib/wsserverd/low-ports.conf"}
ALWAYS = {
    ACTIVATION,
    "usr/share/dbus-1/system.d/org.wsserver1.conf",
    "usr/share/dbus-1/interfaces/org.wsserver1.xml",
    "usr/libexec/wsserverd/wsserverd",
    "usr/libexec/wsserverd/wsserver-worker",
    "usr/share/man/man8/wsserverd.8",
}


def files_below(folder: pathlib.Path) -> set:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def exposure_is_at_most(root: pathlib.Path, tenths: int) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("this machine has no systemd-analyze")
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--root={root}", f"--threshold={tenths}",
                           "--no-pager", "wsserverd.service"], capture_output=True, text=True, check=False)
    faults = [line for line in done.stdout.splitlines() if not line.startswith("✓")]
    assert done.returncode == 0, "\n".join(faults) + done.stderr


def sections(path: pathlib.Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(path.read_text())
    return parser


def test_the_package_holds_everything_and_nothing_that_is_active_by_mistake(installed):
    files = files_below(installed)
    assert FOR_SYSTEMD | ALWAYS <= files
    assert not any(".service.d/" in name for name in files), "a drop-in is active though nobody asked for it"


def test_a_call_starts_the_service_through_systemd(installed):
    activation = sections(installed / ACTIVATION)["D-BUS Service"]
    assert (activation["Name"], activation["SystemdService"], activation["User"]) == ("org.wsserver1", "wsserverd.service", "wsserverd")
    unit = sections(installed / UNIT)["Service"]
    assert unit["ExecStart"] == "/usr/libexec/wsserverd/wsserverd" and unit["BusName"] == "org.wsserver1"


@pytest.fixture(scope="module")
def without_systemd(tmp_path_factory):
    """The files of a build with -Dsystemd=disabled."""
    if not os.environ.get("WSSERVERD_RELEASE"):
        pytest.skip("WSSERVERD_RELEASE is not set")
    build, root = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("root")
    subprocess.run(["meson", "setup", build, ROOT, "--prefix=/usr", "--buildtype=plain", "-Dsystemd=disabled"], check=True,
                   capture_output=True)
    plan = json.loads((build / "meson-info" / "intro-install_plan.json").read_text())
    installed = [os.path.relpath(file, build) for file in plan["targets"]]
    subprocess.run(["ninja", "-j2", "-C", build, *installed], check=True, capture_output=True)
    # The examples and tests are neither built nor installed.
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", root], check=True, capture_output=True)
    return root


def test_a_build_without_systemd_installs_a_service_that_the_bus_can_start(without_systemd):
    files = files_below(without_systemd)
    assert ALWAYS <= files and not FOR_SYSTEMD & files
    activation = sections(without_systemd / ACTIVATION)["D-BUS Service"]
    assert activation["Exec"] == "/usr/libexec/wsserverd/wsserverd" and "SystemdService" not in activation
    needed = subprocess.run(["readelf", "--dynamic", without_systemd / "usr/libexec/wsserverd/wsserverd"], capture_output=True,
                            text=True, check=True).stdout
    assert "libsystemd" not in needed


def test_a_hole_in_the_service_reaches_little_of_the_device(installed):
    exposure_is_at_most(installed, 12)


def test_the_unit_lets_workers_lock_their_keys_into_memory(installed):
    filters = re.findall(r"^SystemCallFilter=(.*)$", (installed / UNIT).read_text(), re.MULTILINE)
    assert filters[-1].split() == ["mlock", "mlock2"], "taken away again behind what lets them"


def test_ports_below_1024_cost_one_capability_and_nothing_else(installed, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(installed, root, symlinks=True)
    folder = root / (UNIT + ".d")
    folder.mkdir()
    shutil.copy(root / "usr/lib/wsserverd/low-ports.conf", folder)
    exposure_is_at_most(root, 15)


def test_the_unit_says_nothing_that_systemd_does_not_understand(television):
    complaints = television.machine.run("systemd-analyze", "verify", "wsserverd.service", check=False)
    assert "wsserverd" not in complaints.stderr, complaints.stderr


def test_the_page_on_integration_gives_a_reason_for_each_directive_left_out(installed):
    """Whatever the analysis still finds at fault is explained."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("this machine has no systemd-analyze")
    page = (ROOT / "docs/integration.md").read_text()
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--root={installed}", "--no-pager", "wsserverd.service"],
                          capture_output=True, text=True, check=False)
    directives = {re.split(r"[=/ ]", line[2:])[0] for line in done.stdout.splitlines() if line.startswith("✗")}
    assert directives and not [name for name in directives if f"`{name}=" not in page]
