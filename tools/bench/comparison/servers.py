# SPDX-License-Identifier: Apache-2.0
"""The servers under comparison: how each is started, which processes it consists of, and why it cannot be started here."""

import dataclasses
import os
import pathlib
import re
import select
import shlex
import shutil
import subprocess
import tempfile
import time

from session import bus, child, daemon

from comparison import machine

ROOT = pathlib.Path(__file__).resolve().parents[3]
START_TIMEOUT = 30  # seconds
LAST_WORDS = 2000  # characters
LISTENING = re.compile(r"listening on wss?://[^:]+:(\d+)/")


@dataclasses.dataclass(frozen=True)
class Server:
    """A kind of server. `command` and `missing` take the workshop; `own`: through wsserverd."""

    name: str
    title: str
    command: callable
    missing: callable  # None, or a sentence: what is missing and how to get it
    own: bool = False
    over_bus: bool = False  # its messages pass dbus-daemon, which counts as part of it
    drives_itself: bool = False  # no WebSocket server: obeys the load generator's commands
    environment: dict = dataclasses.field(default_factory=dict)


def children(pid):
    return {int(one) for one in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()}


class Workshop:
    """What starting servers needs: a build folder, two processors, and for servers of our own one bus with one wsserverd."""

    def __init__(self, build, folder, processors, nice=0):
        self.build = pathlib.Path(build)
        self.folder = pathlib.Path(folder)
        self.server_processor, self.load_processor = processors
        self.nice = nice
        self.bus = self.daemon = None

    def prefer(self, *pids):
        """Gives them the priority that was asked for."""
        if self.nice:
            for pid in pids:
                machine.set_priority(pid, self.nice)

    def program(self, name):
        return self.build / "tools" / "bench" / "servers" / name

    @property
    def processors(self):
        return (self.server_processor, self.load_processor)

    @property
    def load(self):
        return self.build / "tools" / "bench" / "load" / "load"

    def start_daemon(self):
        if self.daemon is None:
            with machine.on_processor(self.server_processor):
                self.bus = bus.PrivateBus(self.folder)
                self.daemon = daemon.Daemon(self.build, self.bus.address, self.folder)
            self.prefer(self.bus.process.pid, self.daemon.process.pid)

    def workers(self):
        return children(self.daemon.process.pid)

    def stop(self):
        for part in (self.daemon, self.bus):
            if part is not None:
                part.stop()


class Running:
    """One server, started by the constructor; `processes` maps what each process is to its id."""

    def __init__(self, workshop, server, max_message):
        self.server = server
        environment = {**os.environ, **server.environment, "WSBENCH_MAX_MESSAGE": str(max_message)}
        workers = set()
        if server.own:
            workshop.start_daemon()
            environment["DBUS_SYSTEM_BUS_ADDRESS"] = workshop.bus.address
            workers = workshop.workers()
        command = [str(part) for part in server.command(workshop, max_message)]
        # A pipe would be full one day, and the server would stand still.
        self.log = tempfile.TemporaryFile("w+", dir=workshop.folder, encoding="utf-8", errors="replace")
        with machine.on_processor(workshop.server_processor):
            self.process = child.start_background(
                command, stdout=subprocess.PIPE, stderr=self.log, env=environment, text=True, bufsize=1
            )
        try:
            self.port = self._wait_for_port()
            self.processes = {"server": self.process.pid}
            if server.own:
                [worker] = workshop.workers() - workers
                self.processes = {"wsserverd": workshop.daemon.process.pid, "worker": worker, "app": self.process.pid}
                if server.over_bus:
                    self.processes["dbus-daemon"] = workshop.bus.process.pid
            workshop.prefer(*self.processes.values())
        except BaseException:
            self.stop()
            raise

    def _wait_for_port(self):
        said = ""
        deadline = time.monotonic() + START_TIMEOUT
        while select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            line = self.process.stdout.readline()
            if found := LISTENING.search(line):
                return int(found[1])
            said += line
            if not line:
                said += self.last_words()
                raise child.Failure(f"the server {self.server.name} did not start; it said:\n{said or '(nothing)'}")
        raise child.Failure(f"the server {self.server.name} did not listen within {START_TIMEOUT} seconds")

    def last_words(self):
        """The end of what it has written to its standard error."""
        self.log.seek(0)
        return self.log.read()[-LAST_WORDS:].strip()

    def stop(self):
        child.stop(self.process)
        self.process.stdout.close()
        self.log.close()


# ---- What is missing ----


def _build_has(name, what):
    def missing(workshop):
        if workshop.program(name).exists():
            return None
        return f"{workshop.program(name)} was not built; {what}"

    return missing


def _clients_folder():
    return pathlib.Path(os.environ.get("WSSERVERD_CLIENTS", ROOT / "build-test" / "clients"))


def _ws_missing(_workshop):
    if shutil.which("node") is None:
        return "there is no node: tools/setup --test installs it"
    if not (_clients_folder() / "node_modules" / "ws").is_dir():
        return (
            f"npm's package ws is not in {_clients_folder()}: cp tests/clients/package*.json there and run npm ci there, as "
            "tools/test does, or name another folder in WSSERVERD_CLIENTS"
        )
    return None


# ---- How each is started ----


def _program(name, *options):
    return lambda workshop, max_message: [workshop.program(name), f"--max-message={max_message}", *options]


def _raw(workshop, _max_message):
    return [workshop.program("server-raw")]


def _ws(_workshop, max_message):
    return ["node", ROOT / "tools" / "bench" / "servers" / "ws.js", max_message]


def _bare_signals(workshop, _max_message):
    """Its messages have 20 octets, as those of the scenario."""
    return [workshop.program("bare-signals"), workshop.bus.process.pid, 20]


def _needs(package):
    return f"install {package} (tools/setup --test), then configure the build anew: meson setup --reconfigure"


def known_servers():
    ws_environment = {"NODE_PATH": str(_clients_folder() / "node_modules")}
    return [
        Server("channel", "wsserverd, app in plain C", _program("app-channel"), _build_has("app-channel", "build it"), own=True),
        Server(
            "stream",
            "wsserverd, without shared memory",
            _program("app-channel"),
            _build_has("app-channel", "build it"),
            own=True,
            environment={"WS_DELIVERY": "stream"},
        ),
        Server("gobject", "wsserverd, app with GObject", _program("app-gobject"), _build_has("app-gobject", "build it"), own=True),
        Server(
            "gobject-emit",
            "wsserverd, app with GObject's signal",
            _program("app-gobject", "--emit"),
            _build_has("app-gobject", "build it"),
            own=True,
        ),
        Server(
            "signals",
            "wsserverd, D-Bus signals",
            _program("app-gobject"),
            _build_has("app-gobject", "build it"),
            own=True,
            over_bus=True,
            environment={"WS_DELIVERY": "signal"},
        ),
        Server(
            "libwebsockets",
            "libwebsockets, in-process",
            _program("server-libwebsockets"),
            _build_has("server-libwebsockets", _needs("libwebsockets-dev")),
        ),
        Server(
            "libsoup",
            "libsoup 3, in-process",
            _program("server-libsoup"),
            _build_has("server-libsoup", _needs("libsoup-3.0-dev")),
        ),
        Server("ws", "npm ws, in-process", _ws, _ws_missing, environment=ws_environment),
        Server("raw", "raw epoll echo", _raw, _build_has("server-raw", "build it")),
        Server(
            "signal-app",
            "wsserverd, D-Bus signals, one way",
            _program("app-signals"),
            _build_has("app-signals", "build it"),
            own=True,
            over_bus=True,
        ),
        Server(
            "bare-signals",
            "GDBus alone, one way",
            _bare_signals,
            _build_has("bare-signals", "build it"),
            drives_itself=True,
        ),
    ]


def named_server(text):
    """A server out of --server NAME=COMMAND."""
    name, equals, command = text.partition("=")
    if not equals or not name or not shlex.split(command):
        raise child.Failure(f"--server wants NAME=COMMAND, not {text}")
    return Server(name, command, lambda _workshop, _max_message: shlex.split(command), lambda _workshop: None)
