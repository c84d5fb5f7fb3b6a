# SPDX-License-Identifier: Apache-2.0
"""What the journal holds of it, and what the policy can do, under the unit's sandbox."""

import json
import pathlib
import re

import pytest
from television import UNIT, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
IDS = dict(re.findall(r'\[WSD_EVENT_(\w+)\] = \{"([0-9a-f]{32})"', (ROOT / "daemon" / "journal.c").read_text()))


def entries(television, event: str, *matches) -> list:
    """Of that kind, oldest first."""
    lines = television.run("journalctl", "--no-pager", "--output=json", "--unit", UNIT, f"MESSAGE_ID={IDS[event]}", *matches, check=False)
    return [json.loads(line) for line in lines.splitlines() if line.startswith("{")]


def viewer(television) -> str:
    return "uid:" + television.run("id", "-u", "viewer").strip()


def serve(television, conversations):
    return conversations(television, "echo_app.py", [[{"pingInterval": 0}]])


def nice_value(television, pid: int) -> int:
    return int(television.machine.path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


def test_starts_and_stops_can_be_searched_for_by_app_and_kind(television, conversations):
    app = serve(television, conversations)
    started = until(lambda: entries(television, "STARTED", f"WSSERVERD_APP={viewer(television)}"), "the line about the start")[-1]
    assert started["WSSERVERD_SERVER"].startswith("/org/wsserver1/server/") and started["WSSERVERD_RULE"].startswith("rule ")
    assert started["SYSLOG_IDENTIFIER"] == "wsserverd" and started["PRIORITY"] == "6"
    assert started["WSSERVERD_SENDER"].startswith(":") and " listens on " in started["MESSAGE"]
    app.end()
    until(lambda: entries(television, "STOPPED", f"WSSERVERD_SERVER={started['WSSERVERD_SERVER']}"), "the line about the stop")


def test_a_denied_app_is_in_the_journal_with_rule_and_error(television, conversations):
    with television.configuration(json.dumps({"policy": [{"name": "no viewers", "users": ["viewer"], "allow": False}]})):
        television.systemctl("start", UNIT)
        assert "no viewers" in str(serve(television, conversations).greeting)
        refused = until(lambda: entries(television, "START_REFUSED"), "the line about the refusal")[-1]
        assert refused["WSSERVERD_ERROR"] == "org.wsserver1.Error.PermissionDenied" and 'rule "no viewers"' in refused["MESSAGE"]
        ran = television.machine.run("/usr/libexec/wsserverd/wsserverd", "--explain", "viewer", "8080", check=False)
        assert ran.returncode == 3 and 'rule "no viewers" (/etc/wsserverd/wsserverd.json.d/test.json:1) denies' in ran.stdout


def test_the_unit_lets_a_worker_give_way_as_the_policy_says(television, conversations):
    with television.configuration(json.dumps({"policy": [{"users": ["viewer"], "nice": 9}]})):
        serve(television, conversations)
        [worker] = television.workers()
        assert nice_value(television, worker) == 9


def test_the_unit_of_a_caller_is_told_where_the_service_may_look(television):
    drop_in = (ROOT / "systemd" / "unit-rules.conf").read_text()

    def reload_from(unit: str) -> dict:
        television.systemctl("restart", UNIT)
        television.run("systemd-run", "--quiet", "--wait", f"--unit={unit}", "busctl", "call", "org.wsserver1", "/org/wsserver1",
                       "org.wsserver1.Manager", "Reload")
        return until(lambda: entries(television, "ADMINISTERED"), "the line about the reload")[-1]

    assert "WSSERVERD_UNIT" not in reload_from("first-tool")
    with television.drop_in("unit-rules", drop_in):
        assert reload_from("second-tool")["WSSERVERD_UNIT"] == "second-tool.service"
    television.systemctl("restart", UNIT)


def test_a_rule_that_this_bus_cannot_tell_enough_for_is_reported(television, request):
    if "broker" in request.node.name:
        pytest.skip("whether this bus hands out pidfds depends on its version")
    with television.configuration(json.dumps({"policy": [{"units": ["app-*.scope"]}]})):
        television.systemctl("restart", UNIT)
        until(lambda: entries(television, "RULE_IDLE"), "the report")
