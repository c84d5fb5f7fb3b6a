# SPDX-License-Identifier: Apache-2.0
"""Programs that gjs runs: one that is told what to do (see stage.js), and the environment of all."""

import itertools
import json
import os
import pathlib
import subprocess
import threading

import pytest
from blackbox.peer import Peer

STEP = 60  # seconds that any one step may take on a busy machine
FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
MODULE = ROOT / "client-lib" / "gjs" / "webSocket.js"
SERVER_EVENTS = ["connect", "messageReceive", "close", "error"]
CLIENT_EVENTS = ["open", "message", "close", "error", "headerReceive", "dataEnd"]


def find_library(release_build: str) -> pathlib.Path:
    found = list(pathlib.Path(release_build).glob("client-lib/Ws-*.typelib"))
    if not found:
        pytest.skip("introspection is not built (libgirepository1.0-dev)")
    return found[0].parent


def environment(library: pathlib.Path, bus_address: str) -> dict:
    """G_MESSAGES_DEBUG: or console.info() would not be seen."""
    return {**os.environ, "GI_TYPELIB_PATH": str(library), "LD_LIBRARY_PATH": str(library), "DBUS_SYSTEM_BUS_ADDRESS": bus_address,
            "G_MESSAGES_DEBUG": "Gjs-Console", "LC_ALL": "C.UTF-8"}


class Failed(Exception):
    """The code of a test has thrown."""

    def __init__(self, error: dict):
        super().__init__(f"{error['name']} {error.get('code')}: {error['message']}")
        self.error = error
        self.code = error.get("code")
        self.message = error["message"]


class Program:
    def __init__(self, library: pathlib.Path, bus_address: str, settings: dict | None = None):
        """`settings`: more of its environment."""
        self.process = subprocess.Popen(["gjs", "-m", FOLDER / "stage.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**environment(library, bus_address), **(settings or {})}, text=True)
        self.lines: list = []
        self.complaints: list = []
        self.expects_complaints = False
        self.servers: list = []
        self._tags = itertools.count(1)
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._read, daemon=True), threading.Thread(target=self._read_complaints, daemon=True)]
        for thread in self._threads:
            thread.start()
        self.wait(lambda line: line.get("event") == "ready")

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self.lines.append({"event": "end of output"})
            self._changed.notify_all()

    def _read_complaints(self) -> None:
        self.complaints.extend(self.process.stderr)

    def now(self) -> int:
        with self._changed:
            return len(self.lines)

    def wait(self, condition, count: int = 1, start: int = 0) -> dict:
        """The count-th line from `start` on that satisfies the condition."""

        def found():
            return [line for line in self.lines[start:] if condition(line)]

        def is_over():
            return len(found()) >= count or self.lines[-1:] == [{"event": "end of output"}]

        with self._changed:
            self._changed.wait_for(is_over, STEP)
            assert len(found()) >= count, f"did not come; the last lines: {self.lines[-8:]}\n{''.join(self.complaints[-60:])}"
            return found()[count - 1]

    def event(self, event: str, who: str | None = None, count: int = 1, start: int = 0) -> list:
        """The arguments that a listener got."""
        return self.wait(lambda line: line.get("event") == event and line.get("who") == who, count, start)["values"]

    def events(self, who: str, start: int = 0) -> list:
        """The names of the events until now."""
        with self._changed:
            return [line["event"] for line in self.lines[start:] if line.get("who") == who]

    def begin(self, code: str) -> int:
        """Has the code run; the answer to that tag is what it comes to."""
        tag = next(self._tags)
        self.process.stdin.write(json.dumps({"tag": tag, "code": code}) + "\n")
        self.process.stdin.flush()
        return tag

    def answer(self, tag: int):
        line = self.wait(lambda line: line.get("tag") == tag)
        if "error" in line:
            raise Failed(line["error"])
        return line.get("value")

    def run(self, code: str):
        return self.answer(self.begin(code))

    def value(self, expression: str):
        """What a call comes to, once its Promise is settled."""
        return self.run(f"return await {expression}")

    def error(self, expression: str) -> Failed:
        """The error that it must fail with: a BusinessError."""
        try:
            value = self.value(expression)
        except Failed as failed:
            assert failed.error["name"] == "BusinessError" and failed.error["isError"], failed.error
            assert failed.message
            return failed
        raise AssertionError(f"no error, but {value!r}")

    def new_server(self, name: str = "server") -> "Server":
        self.run(f"globalThis.{name} = webSocket.createWebSocketServer()")
        self.run(f"listen({name!r}, {name}, {SERVER_EVENTS})")
        self.servers.append(Server(self, name))
        return self.servers[-1]

    def running_server(self, port: int, name: str = "server", **config) -> "Server":
        server = self.new_server(name)
        server.start(port, **config)
        return server

    def new_client(self, name: str = "ws") -> None:
        self.run(f"globalThis.{name} = webSocket.createWebSocket()")
        self.run(f"listen({name!r}, {name}, {CLIENT_EVENTS})")

    def end(self) -> None:
        """It must end well: no status, no complaint of GLib or GJS."""
        self.process.stdin.close()
        for server in self.servers:
            server.leave()
        try:
            status = self.process.wait(STEP)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the program did not end; its last lines: {self.lines[-5:]}") from None
        for thread in self._threads:
            thread.join(STEP)
        self.process.stdout.close()
        self.process.stderr.close()
        complaints = "".join(self.complaints)
        assert status == 0, f"status {status}\n{complaints[-6000:]}"
        assert bool(complaints) == self.expects_complaints, complaints[-6000:]

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()


class Server:
    """A server of the program, and its peers."""

    def __init__(self, program: Program, name: str):
        self.program = program
        self.name = name
        self.port = 0
        self.peers: list = []

    def call(self, method: str, *arguments: str):
        """`arguments` are JavaScript."""
        return self.program.value(f"{self.name}.{method}({', '.join(arguments)})")

    def error(self, method: str, *arguments: str) -> Failed:
        return self.program.error(f"{self.name}.{method}({', '.join(arguments)})")

    def start(self, port: int, **config) -> None:
        config = {"serverPort": port, "serverIP": "127.0.0.1", **config}
        assert self.call("start", json.dumps({key: value for key, value in config.items() if value is not None})) is True
        self.port = port

    def start_error(self, **config) -> Failed:
        return self.error("start", json.dumps(config))

    def stop(self) -> None:
        assert self.call("stop") is True

    def event(self, event: str, count: int = 1, start: int = 0) -> list:
        return self.program.event(event, self.name, count, start)

    def join(self, name: str = "peer", **options) -> Peer:
        """A peer that has connected; its connection is the program's variable `name`."""
        start = self.program.now()
        self.program.run(f"""
            globalThis.{name} = null;
            const take = connection => {{ {name} = connection; {self.name}.off('connect', take); say('joined'); }};
            {self.name}.on('connect', take)""")
        peer = Peer(self.port, **options)
        self.peers.append(peer)
        self.program.wait(lambda line: line.get("event") == "joined", start=start)
        return peer

    def leave(self) -> None:
        for peer in self.peers:
            peer.close()
        self.peers.clear()

    def assert_serves(self, text: str = "served?") -> None:
        """A new peer gets in, and messages go both ways."""
        start = self.program.now()
        peer = self.join("visitor")
        peer.send_message(text)
        assert self.event("messageReceive", start=start)[0]["data"] == text
        assert self.call("send", json.dumps(text), "visitor") is True
        assert peer.read_message() == text
        peer.leave()
        self.event("close", start=start)
