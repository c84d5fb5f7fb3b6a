# SPDX-License-Identifier: Apache-2.0
"""wsserverd's command line and its configuration."""

import json
import subprocess

import pytest
from blackbox.service import daemon_path, worker_path
from blackbox.users import ORDINARY_USER, needs_root
from blackbox.wire import until


@pytest.fixture
def wsserverd(build):
    """Runs the program, with no bus in reach."""

    def run(*arguments) -> subprocess.CompletedProcess:
        return subprocess.run([daemon_path(build), *map(str, arguments)], capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def check(wsserverd, tmp_path):
    """What --check-config says of a file with that text."""

    def run(text: str) -> subprocess.CompletedProcess:
        file = tmp_path / "checked.json"
        file.write_text(text)
        return wsserverd("--check-config", f"--config={file}")

    return run


def test_version_and_help_are_printed(wsserverd):
    version, usage = wsserverd("--version"), wsserverd("--help")
    assert (version.returncode, usage.returncode) == (0, 0)
    assert version.stdout.startswith("wsserverd ") and any(octet.isdigit() for octet in version.stdout)
    for option in ("--session", "--address", "--config", "--check-config", "--version", "--help"):
        assert option in usage.stdout


def test_the_worker_says_what_it_is_and_does_not_run_by_hand(build):
    version = subprocess.run([worker_path(build), "--version"], capture_output=True, text=True, timeout=60)
    assert version.returncode == 0 and "wsserver-worker" in version.stdout
    by_hand = subprocess.run([worker_path(build)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert by_hand.returncode == 2 and by_hand.stderr.strip()


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["surplus"], ["--config"], ["--session", "--address=unix:path=/x"]])
def test_a_wrong_command_line_is_refused_with_a_sentence(wsserverd, arguments):
    ran = wsserverd(*arguments)
    assert ran.returncode == 2
    assert ran.stderr.strip() and "Traceback" not in ran.stderr


@pytest.mark.parametrize("configuration", [
    {}, {"deviceProfile": "smart-screen"}, {"deviceProfile": "tv", "allowedProfiles": ["smart-screen", "tv"]},
    {"administrators": {"users": ["root"], "groups": []}}, {"administrators": {}}, {"handshakeTimeout": 10},
    {"connectionRate": 0, "banSeconds": 60}, {"policy": []},
])
def test_a_right_configuration_passes_the_check(check, configuration):
    ran = check(json.dumps(configuration))
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("configuration, key", [
    ({"deviceProfle": "smart-screen"}, "deviceProfle"), ({"deviceProfile": 1}, "deviceProfile"), ({"deviceProfile": None}, "deviceProfile"),
    ({"allowedProfiles": "smart-screen"}, "allowedProfiles"), ({"allowedProfiles": [1]}, "allowedProfiles"),
    ({"administrators": []}, "administrators"), ({"administrators": {"user": []}}, "user"),
    ({"administrators": {"users": "root"}}, "users"), ({"administrators": {"groups": [0]}}, "groups"),
    ({"policy": {}}, "policy"), ({"handshakeTimeout": "10"}, "handshakeTimeout"), ({"handshakeTimeout": 0}, "handshakeTimeout"),
    ({"handshakeTimeout": -1}, "handshakeTimeout"), ({"handshakeTimeout": 1.5}, "handshakeTimeout"),
    ({"handshakeTimeout": 2**40}, "handshakeTimeout"), ({"connectionRate": -1}, "connectionRate"),
    ({"connectionRate": True}, "connectionRate"), ({"banSeconds": []}, "banSeconds"),
])
def test_a_fault_in_the_configuration_is_found_by_file_and_key(check, configuration, key):
    ran = check(json.dumps(configuration))
    assert ran.returncode != 0
    assert "checked.json" in ran.stderr and key in ran.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"deviceProfile": "x"} {}', '{"deviceProfile": "x",}', "\x00", "{'a': 1}"])
def test_what_is_no_json_object_is_found_by_file(check, text):
    ran = check(text)
    assert ran.returncode != 0
    assert "checked.json" in ran.stderr


def test_a_file_that_is_not_there_is_found_by_name(wsserverd, tmp_path):
    ran = wsserverd("--check-config", f"--config={tmp_path / 'nothing.json'}")
    assert ran.returncode != 0 and "nothing.json" in ran.stderr


def test_a_faulty_configuration_keeps_the_service_from_starting_half_configured(new_service):
    service = new_service({"noSuchKey": 1}, start=False)
    with pytest.raises(AssertionError, match="wsserverd ended"):
        service.start()
    assert service.process.returncode not in (0, None) and service.process.returncode > 0
    assert "noSuchKey" in service.output() and service.configuration.name in service.output()
    service.process = None


def test_a_bus_that_is_not_there_is_named(build, tmp_path):
    """The service goes on trying, since its bus may come later, but it says which one it misses."""
    file = tmp_path / "right.json"
    file.write_text("{}")
    log = tmp_path / "log"
    command = [daemon_path(build), f"--address=unix:path={tmp_path / 'no-bus'}", f"--config={file}"]
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until(lambda: "no-bus" in log.read_text(), what="a word about the missing bus")
    finally:
        process.terminate()
        status = process.wait(20)
    assert status == 0


def test_the_service_serves_the_session_bus_on_request(new_service, new_app):
    service = new_service(start=False)
    service.environment["DBUS_SESSION_BUS_ADDRESS"] = service.bus.address
    service.start("--session")
    new_app(service).running_server().join()[0].assert_alive()


@needs_root
def test_on_the_system_bus_root_is_an_administrator_without_configuration(new_service, new_app):
    service = new_service(start=False)
    service.environment["DBUS_SYSTEM_BUS_ADDRESS"] = service.bus.address
    service.start("")
    server = new_app(service, user=ORDINARY_USER).create_server()
    assert server.path in dict(new_app(service).manager("ListServers"))


@needs_root
def test_on_the_session_bus_root_is_no_administrator(new_service, new_app):
    service = new_service(start=False)
    service.environment["DBUS_SESSION_BUS_ADDRESS"] = service.bus.address
    service.start("--session")
    new_app(service, user=ORDINARY_USER).create_server()
    assert new_app(service).manager("ListServers") == []
