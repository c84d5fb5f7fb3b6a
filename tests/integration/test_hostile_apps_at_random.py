# SPDX-License-Identifier: Apache-2.0
"""Apps that do anything at all, and leave at any moment. Nobody else loses a message by that, and nothing of theirs stays."""

import os
import random
import time
from collections import deque

import pytest

from blackbox.app import Echo
from blackbox.bystander import Bystander
from blackbox.hanging import HangingFile
from blackbox.hostile_app import Descriptors, HostileApp
from blackbox.service import memory
from blackbox.wire import DBusError, Variant, until

APPS = 5
ACTS = 1200
SECONDS = 4.0  # at most, for those
MEMORY_MAX = 128 << 20  # that the daemon may have more than before, sanitizers included


@pytest.fixture
def hanging(tmp_path):
    """A file whose reads never return; none where this user cannot mount one."""
    try:
        file = HangingFile(tmp_path / "hanging")
    except OSError:
        yield None
        return
    yield file
    file.close()


@pytest.fixture
def descriptors(tmp_path, authority, hanging):
    kinds = Descriptors(tmp_path, authority.issue(), *([hanging.fd] if hanging else []))
    yield kinds
    kinds.close()


class PatientEcho(Echo):
    """A bus has room for so many octets and descriptors on their way to one service; who is refused for want of it calls again."""

    def _replied(self, connection, message, reply):
        if reply.reply.error_name == "org.freedesktop.DBus.Error.LimitsExceeded":
            self.waiting.setdefault(connection, deque()).appendleft(message)
            self.outstanding[connection] -= 1
            self._send_next(connection)
        else:
            super()._replied(connection, message, reply)


class Scene:
    """A daemon with a calm app, whose peer has messages echoed all the time."""

    def __init__(self, service, new_app):
        self.service = service
        self.calm = new_app(service)
        self.server = self.calm.running_server()
        self.workers = service.workers()
        self.echo = PatientEcho(self.server)
        self.bystander = Bystander(self.server.port)
        self.address = service.bus.address
        until(lambda: self.bystander.rounds > 20, what="the calm app to echo")
        self.descriptors = service.open_descriptors()
        self.memory = memory(service.pid)["Rss"]

    def expect_only_calm(self, hanging) -> None:
        """Now that the others are gone."""
        service = self.service
        if hanging:
            hanging.close()
        until(self._is_heard, what="the bus to let the calm app call")
        until(lambda: service.workers() == self.workers, what="the workers to be gone")
        until(lambda: service.open_descriptors() <= self.descriptors, what="the descriptors to be closed")
        assert not service.zombies()
        assert memory(service.pid)["Rss"] - self.memory < MEMORY_MAX
        rounds = self.bystander.rounds
        until(lambda: self.bystander.rounds > rounds + 5, what="the calm app to echo")
        assert not self.echo.failures and self.calm.get(self.server.path, "org.wsserver1.Server", "State") == "running"
        service.check_health()

    def _is_heard(self) -> bool:
        try:
            return [path for path, _properties in self.calm.manager("ListServers")] == [self.server.path]
        except DBusError as error:
            assert error.name == "org.freedesktop.DBus.Error.LimitsExceeded", error
            return False

    def end(self) -> None:
        self.bystander.leave()
        until(lambda: self.echo.echoed >= self.bystander.rounds, what="the answers to the calm app's calls")


@pytest.fixture
def scene(new_service, new_app):
    service = new_service(start=False)
    options = service.environment.get("ASAN_OPTIONS", "")
    service.environment["ASAN_OPTIONS"] = f"{options}:quarantine_size_mb=4"  # so that memory shows what is in use
    scene = Scene(service.start(), new_app)
    yield scene
    scene.end()


@pytest.mark.parametrize("run", [1, 2])
def test_apps_that_do_anything_at_all_cost_nobody_else_a_message(scene, descriptors, hanging, run):
    seed = os.environ.get("WSSERVERD_SEED") or str(random.SystemRandom().getrandbits(64))
    print(f"seed: {seed} (WSSERVERD_SEED={seed} repeats it)")
    apps = [HostileApp(scene.address, f"{seed}-{number}", descriptors, [scene.server.path]) for number in range(APPS)]
    deadline = time.monotonic() + SECONDS
    try:
        for act in range(ACTS):
            if time.monotonic() > deadline:
                break
            apps[act % APPS].act()
        assert act > ACTS / 10, "hardly anything was done"
    finally:
        for app in apps:
            app.close()
    scene.expect_only_calm(hanging)


def running(app, _identity):
    return app.running_server()


def private(app, identity):
    server = app.create_server()
    identity.start(server)
    return server


def created(app, _identity):
    return app.create_server()


LEAVING = {  # the state in which it has a server, and what it does as the last
    "before CreateServer returned": (created, lambda server, _fds: server.app.call_later("/org/wsserver1", "org.wsserver1.Manager",
                                                                                      "CreateServer")),
    "before Start returned": (created, lambda server, _fds: server.start_later(serverIP="127.0.0.1")),
    "before Start returned that cannot succeed": (created, lambda server, _fds: server.start_later(serverIP="203.0.113.7")),
    "while a certificate is read": (created, lambda server, fds: start_with_tls(server, fds.good)),
    "while a certificate hangs": (created, lambda server, fds: start_with_tls(server, fds.all[-1:] * 2)),
    "while a certificate is replaced": (private, lambda server, fds: replace(server, fds.good)),
    "while a replacement hangs": (private, lambda server, fds: replace(server, fds.all[-1:] * 2)),
    "during Stop": (running, lambda server, _fds: server.call_later("Stop")),
    "during Stop of a private server": (private, lambda server, _fds: server.call_later("Stop")),
    "during Release": (running, lambda server, _fds: server.call_later("Release")),
    "with OpenChannel unanswered": (running, lambda server, _fds: server.call_later("OpenChannel")),
    "with OpenSharedChannel unanswered": (running, lambda server, _fds: server.call_later("OpenSharedChannel")),
    "with OpenSharedChannel unanswered before Start": (created, lambda server, _fds: server.call_later("OpenSharedChannel")),
    "with a list unanswered": (running, lambda server, _fds: server.call_later("ListAllConnections")),
    "with descriptors on their way that nobody wants": (running, lambda server, fds: server.call_later("Stop", fds=fds.all[:16])),
}


def start_with_tls(server, fds):
    return server.start_later(fds, serverIP="127.0.0.1", certificate=Variant("h", 0), privateKey=Variant("h", 1))


def replace(server, fds):
    return server.call_later("ReplaceCertificate", "hhs", 0, 1, "", fds=fds)


def test_an_app_may_leave_at_any_moment_and_nothing_of_it_stays(scene, descriptors, hanging, authority, new_app):
    identity = authority.issue()
    for state, last in LEAVING.values():
        for pause in (0, 0.001, 0.01, 0.05):
            app = new_app(scene.service)
            server = state(app, identity)
            last(server, descriptors)
            time.sleep(pause)  # not to wait for anything, but to leave at another moment
            app.close()
    scene.expect_only_calm(hanging)


def test_an_app_whose_connection_is_cut_in_the_middle_of_a_message_leaves_nothing(scene, descriptors, hanging, new_app):
    for cut in (1, 20, 100):
        app = new_app(scene.service)
        server = app.running_server()
        octets, sock = [], app.connection._socket
        app.connection._send_octets = lambda message, fds, octets=octets: octets.append(message)
        server.call_later("Broadcast", "atbay", [], False, bytes(1000))
        sock.sendmsg([octets[0][:cut]], [(1, 1, bytes(descriptors.good[0].to_bytes(4, "little")))])
        app.connection._socket.shutdown(2)
    scene.expect_only_calm(hanging)
