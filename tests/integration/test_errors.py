# SPDX-License-Identifier: Apache-2.0
"""Every error of the interface, as an app gets it: its name, and a sentence that says what is wrong and what to do about it."""

import os
import pathlib
import re

import pytest
from blackbox.app import error_of
from blackbox.peer import free_port
from blackbox.users import ORDINARY_USER, needs_root
from blackbox.wire import DBusError, Variant, until

ERRORS = re.findall(r'WSD_ERROR_PREFIX "(\w+)"', (pathlib.Path(__file__).resolve().parents[2] / "daemon" / "error.c").read_text())
# What a remedy begins with, or is said with.
REMEDY = re.compile(r"\b(must|use|call|choose|wait|give|try|send|see|ask|Stop|Start|Release|add|name|names|pass|leave|take|takes|open|administrator)\b")


class Stage:
    def __init__(self, service, app, authority):
        self.service, self.app, self.authority = service, app, authority

    def running(self, **options):
        return self.app.running_server(**options)


def permission_denied(stage):
    return error_of(stage.running().app.manager, "Reload")


def invalid_argument(stage):
    return error_of(stage.app.create_server().start, pingInterval=Variant("s", "often"))


def message_too_big(stage):
    server = stage.running(maxMessageSize=10)
    return error_of(server.send, server.join()[1], "x" * 11)


def certificate_not_found(stage):
    read_end, write_end = os.pipe()
    try:
        return error_of(stage.app.create_server().start, [read_end, read_end], certificate=Variant("h", 0), privateKey=Variant("h", 1))
    finally:
        os.close(read_end)
        os.close(write_end)


def invalid_address(stage):
    return error_of(stage.app.create_server().start, serverIP="203.0.113.1")


def invalid_port(stage):
    return error_of(stage.app.create_server().start, serverPort=Variant("u", 65536))


def connection_not_found(stage):
    return error_of(stage.running().send, 4711, "x")


def port_in_use(stage):
    return error_of(stage.app.create_server().start, serverPort=stage.running().port, serverIP="127.0.0.1")


def already_running(stage):
    return error_of(stage.running().start)


def not_running(stage):
    return error_of(stage.app.create_server().send, 1, "x")


def limit_exceeded(stage):
    return error_of(lambda: [stage.app.create_server() for _ in range(17)])


def would_block(stage):
    server = stage.running()
    _peer, connection = server.join(receive_buffer=4096)

    def send_for_ever():
        for _ in range(1000):
            server.send(connection, b"x" * 100000)

    return error_of(send_for_ever)


def channel_in_use(stage):
    server = stage.running()
    server.call("OpenChannel")
    return error_of(server.call, "OpenChannel")


def shutting_down(stage):
    server = stage.app.create_server()
    identity = stage.authority.issue()
    start = identity.start_later(server, serverIP="127.0.0.1")
    until(lambda: server.get("State") == "starting" or start.done(), what="the start to be under way")
    server.call("Stop")
    return error_of(start.result)


CAUSES = {
    "PermissionDenied": permission_denied, "InvalidArgument": invalid_argument, "MessageTooBig": message_too_big,
    "CertificateNotFound": certificate_not_found, "InvalidAddress": invalid_address, "InvalidPort": invalid_port,
    "ConnectionNotFound": connection_not_found, "PortInUse": port_in_use, "AlreadyRunning": already_running, "NotRunning": not_running,
    "LimitExceeded": limit_exceeded, "WouldBlock": would_block, "ChannelInUse": channel_in_use, "ShuttingDown": shutting_down,
}
ELSEWHERE = {"NotSupported", "Failed"}  # need a service of their own, below


def assert_speaks(error: DBusError, name: str) -> None:
    assert error.name == f"org.wsserver1.Error.{name}", error
    assert len(error.message) > 20 and "\n" not in error.message
    assert REMEDY.search(error.message), f"{error.message!r} does not say what to do"


def test_no_error_is_forgotten():
    assert set(ERRORS) == set(CAUSES) | ELSEWHERE


@pytest.mark.parametrize("name", CAUSES)
def test_an_error_names_cause_and_remedy(new_service, new_app, authority, name):
    service = new_service()
    assert_speaks(CAUSES[name](Stage(service, new_app(service), authority)), name)


def test_a_device_that_runs_no_servers_says_so(new_service, new_app):
    error = error_of(new_app(new_service({"deviceProfile": "phone"})).create_server().start)
    assert_speaks(error, "NotSupported")
    assert "phone" in error.message


def test_a_worker_that_cannot_be_started_is_no_riddle(new_service, new_app):
    error = error_of(new_app(new_service(worker="/no/such/program")).create_server().start, serverIP="127.0.0.1", serverPort=free_port())
    assert_speaks(error, "Failed")


@needs_root
def test_who_may_not_serve_is_told_by_which_rule_and_whom_to_ask(new_service, new_app):
    service = new_service({"policy": [{"users": ["65534"], "allow": False, "name": "no servers for nobody"}]})
    error = error_of(new_app(service, user=ORDINARY_USER).create_server().start)
    assert_speaks(error, "PermissionDenied")
    assert "no servers for nobody" in error.message and "administrator" in error.message
