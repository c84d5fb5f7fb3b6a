# SPDX-License-Identifier: Apache-2.0
"""What somebody at a shell can do with busctl and gdbus: an administrator looks, an app's whole life runs."""

import json
import subprocess

import pytest
from blackbox.app import MANAGER_PATH
from blackbox.users import ORDINARY_USER, needs_root
from blackbox.wire import until

pytestmark = needs_root
NAME = "org.wsserver1"
SERVER = "org.wsserver1.Server"


@pytest.fixture
def watched(administrated, new_app):
    """An ordinary app's server, and busctl as the administrator runs it."""
    server = new_app(administrated, user=ORDINARY_USER).running_server(protocol="tv")

    def busctl(*arguments) -> str:
        command = ["busctl", f"--address={administrated.bus.address}", "--no-pager", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return server, busctl


def test_busctl_tree_shows_every_server(watched):
    server, busctl = watched
    assert busctl("tree", "--list", NAME).split() == ["/", "/org", MANAGER_PATH, "/org/wsserver1/server", server.path]


def test_busctl_introspect_shows_members_and_values(watched):
    server, busctl = watched
    manager, shown = busctl("introspect", NAME, MANAGER_PATH), busctl("introspect", NAME, server.path)
    for member in (".CreateServer", ".ListServers", ".ListBans", ".ClearBan", ".Reload", ".Version", ".DeviceProfile", ".ServerAllowed"):
        assert member in manager
    for member in (".Start", ".Stop", ".Send", ".Broadcast", ".Close", ".ListAllConnections", ".OpenChannel", ".OpenSharedChannel", ".Acknowledge",
                   ".ReplaceCertificate", ".Release", ".Connect", ".MessageReceive", ".Closed", ".Error", ".Drained", ".Recovered",
                   ".State", ".QueuedBytes"):
        assert member in shown
    assert str(server.port) in shown and '"running"' in shown and '"tv"' in shown


def test_busctl_reads_properties_and_calls_members(watched):
    server, busctl = watched
    server.join()
    assert busctl("get-property", NAME, server.path, SERVER, "State", "ServerPort", "Connections").split() == \
        ["s", '"running"', "q", str(server.port), "u", "1"]
    listed = json.loads(busctl("--json=short", "call", NAME, MANAGER_PATH, "org.wsserver1.Manager", "ListServers"))
    assert listed["data"][0][0][0] == server.path
    busctl("call", NAME, server.path, SERVER, "Stop")
    assert server.get("State") == "stopped"


def test_busctl_monitor_shows_an_administrator_what_happens(administrated, watched, tmp_path):
    server, _busctl = watched
    log = tmp_path / "monitor"
    with open(log, "wb") as output:
        monitor = subprocess.Popen(["busctl", f"--address={administrated.bus.address}", "monitor", NAME], stdout=output,
                                   stderr=subprocess.STDOUT)
    try:
        until(lambda: "Monitoring bus message stream" in log.read_text(), what="busctl monitor to listen")
        server.join()
        until(lambda: "Member=Connect" in log.read_text(), what="the signal in busctl monitor")
    finally:
        monitor.terminate()
        monitor.wait(10)


def test_gdbus_explains_what_is_wrong(administrated):
    def gdbus(path, member, *arguments):
        return subprocess.run(["gdbus", "call", "--address", administrated.bus.address, "--dest", NAME, "--object-path", path,
                               "--method", member, *arguments], capture_output=True, text=True, timeout=60)

    # Each gdbus is an app of its own, so the server goes when it ends.
    created = gdbus(MANAGER_PATH, "org.wsserver1.Manager.CreateServer")
    assert created.returncode == 0, created.stderr
    path = created.stdout.split("'")[1]
    gone = gdbus(path, f"{SERVER}.Start", "{'serverPort': <uint16 0>}")
    assert gone.returncode != 0 and "UnknownObject" in gone.stderr
