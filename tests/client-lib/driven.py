# SPDX-License-Identifier: Apache-2.0
"""An app that uses libwsserver, told by tests what to do: see driver.c."""

import hashlib
import itertools
import json
import os
import pathlib
import subprocess
import threading

from blackbox.peer import Peer

STEP = 60  # seconds that any one step may take on a busy machine
VALGRIND = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite"]


class Failed(Exception):
    """A call ended with an error of the library."""

    def __init__(self, error: dict):
        super().__init__(f"{error['domain']}: {error['message']}")
        self.error = error
        self.name = error["name"].removeprefix("org.wsserver1.Error.") or f"{error['domain']} {error['code']}"


class App:
    """`expected_status`: at its end; a test that kills it says otherwise."""

    def __init__(self, build: str, bus_address: str, delivery: str = "channel", prefix=(), environment: dict | None = None):
        program = pathlib.Path(build) / "tests" / "client-lib" / "wsserver-driver"
        settings = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus_address, "WS_DELIVERY": delivery,
                    "G_DEBUG": "fatal-criticals fatal-warnings", **(environment or {})}
        self.process = subprocess.Popen([*prefix, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=settings, text=True)
        self.delivery = delivery
        self.lines: list = []
        self.complaints: list = []
        self.expected_status = 0
        self.servers: list = []
        self._tags = itertools.count(1)
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._read, daemon=True),
                         threading.Thread(target=self._read_complaints, daemon=True)]
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

    def wait(self, condition, count: int = 1, start: int = 0, timeout: float = STEP) -> dict:
        """The count-th line from `start` on that satisfies the condition."""

        def found():
            return [line for line in self.lines[start:] if condition(line)]

        def is_over():
            return len(found()) >= count or self.lines[-1:] == [{"event": "end of output"}]

        with self._changed:
            self._changed.wait_for(is_over, timeout)
            assert len(found()) >= count, f"did not come; the last lines: {self.lines[-8:]}\n{''.join(self.complaints[-60:])}"
            return found()[count - 1]

    def now(self) -> int:
        with self._changed:
            return len(self.lines)

    def say(self, do: str, **fields) -> int:
        """Returns the tag of the answer."""
        tag = next(self._tags)
        self.process.stdin.write(json.dumps({"do": do, "tag": tag, **fields}) + "\n")
        self.process.stdin.flush()
        return tag

    def answer(self, tag: int, timeout: float = STEP) -> dict:
        return self.wait(lambda line: line.get("tag") == tag, timeout=timeout)

    def call(self, do: str, **fields) -> dict:
        """The answer to a command; raises Failed where that has an error."""
        answer = self.answer(self.say(do, **fields))
        if answer.get("error"):
            raise Failed(answer["error"])
        return answer

    def new_server(self, name: str = "a", **options) -> "Server":
        self.call("new", server=name, **options)
        self.servers.append(Server(self, name))
        return self.servers[-1]

    def running_server(self, name: str = "a", thread: bool = False, **options) -> "Server":
        server = self.new_server(name, thread=thread)
        server.start(**options)
        return server

    def figures(self) -> dict:
        return self.call("figures")

    def cancel(self, name: str) -> None:
        self.say("cancel", cancellable=name)

    def end(self, how: str = "quit") -> None:
        """The app must end well: with its status, no complaint of GLib, no leak."""
        if self.process.poll() is None:
            try:
                self.say(how)
            except OSError:
                pass
        for server in self.servers:
            server.leave()
        try:
            status = self.process.wait(STEP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the app did not end; its last lines: {self.lines[-5:]}") from None
        for thread in self._threads:
            thread.join(STEP)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except OSError:
                pass
        complaints = "".join(self.complaints)
        assert status == self.expected_status, f"status {status}\n{complaints[-6000:]}"
        assert self.expected_status or not complaints, complaints[-6000:]

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()


class Server:
    """One server of the app, and its peers."""

    def __init__(self, app: App, name: str):
        self.app = app
        self.name = name
        self.port = 0
        self.host = "127.0.0.1"
        self.peers: list = []

    def say(self, do: str, **fields) -> int:
        return self.app.say(do, server=self.name, **fields)

    def call(self, do: str, **fields) -> dict:
        return self.app.call(do, server=self.name, **fields)

    def start_later(self, port: int = 0, then=(), cancellable: str | None = None, cancel: bool = False, sync: bool = False,
                    **config) -> int:
        """`config` by the names of WsServerConfig's properties, with _ for -."""
        config = {key.replace("_", "-"): value for key, value in config.items()}
        return self.say("start", port=port, config=config, then=list(then), cancellable=cancellable, cancel=cancel, sync=sync)

    def start(self, **options) -> None:
        answer = self.app.answer(self.start_later(**options))
        if answer.get("error"):
            raise Failed(answer["error"])
        assert answer["result"] is True
        self.port = self.state()["port"]
        self.host = options.get("server_ip", "127.0.0.1")

    def stop(self, **options) -> None:
        assert self.call("stop", **options)["result"] is True

    def state(self) -> dict:
        return self.call("state")

    def plan(self, event: str, *commands) -> None:
        """From now on handlers of that event carry out these commands."""
        self.call("plan", event=event, commands=[{"server": self.name, **command} for command in commands])

    # Events

    def events(self, name: str | None = None, start: int = 0, **fields) -> list:
        return [line for line in list(self.app.lines[start:])
                if self._is_mine(line) and (name is None or line["event"] == name)
                and all(line.get(key) == value for key, value in fields.items())]

    def _is_mine(self, line: dict) -> bool:
        return line.get("server") == self.name and "event" in line

    def wait(self, name: str, count: int = 1, start: int = 0, timeout: float = STEP, **fields) -> dict:
        return self.app.wait(
            lambda line: self._is_mine(line) and line["event"] == name and all(line.get(k) == v for k, v in fields.items()),
            count, start, timeout)

    def wait_state(self, state: str, count: int = 1, start: int = 0) -> None:
        self.wait("notify", count, start, property="state", value=state)

    def wait_message(self, data: str | bytes, start: int = 0, **fields) -> dict:
        return self.wait("message", start=start, message=shown(data), **fields)

    def closed(self, connection: int) -> tuple:
        event = self.wait("close", connection=connection)
        return event["code"], event["reason"], event["clean"]

    # Peers

    def join(self, **options) -> tuple:
        """A peer that has connected, and the number of its connection."""
        peer = Peer(self.port, self.host, **options)
        self.peers.append(peer)
        return peer, self.wait("connect", port=peer.address[1])["connection"]

    def leave(self) -> None:
        for peer in self.peers:
            peer.close()
        self.peers.clear()

    def send(self, connection: int, data: str | bytes, via: str = "send") -> bool:
        return self.call("send", connection=connection, via=via, **payload(data))["result"]

    def send_later(self, connection: int, data: str | bytes, **options) -> int:
        return self.say("send", connection=connection, via="async", **payload(data), **options)

    def assert_serves(self, data: str = "served?") -> None:
        """A new peer gets in, and messages go both ways."""
        peer, connection = self.join()
        peer.send_message(data)
        self.wait_message(data, connection=connection)
        assert self.send(connection, data)
        assert peer.read_message() == data


def payload(data: str | bytes) -> dict:
    return {"text": data} if isinstance(data, str) else {"hex": data.hex()}


def shown(data: str | bytes) -> dict:
    """A message as the app prints it."""
    octets = data.encode() if isinstance(data, str) else data
    body = {"hex": octets.hex()} if len(octets) <= 4096 else {"sha256": hashlib.sha256(octets).hexdigest()}
    return {"text": isinstance(data, str), "length": len(octets), **body}


def numbered(number: int, size: int) -> bytes:
    """A message of the command `flood`."""
    return number.to_bytes(4, "big") + b"x" * (size - 4)


def error_of(call, *args, **options) -> Failed:
    try:
        result = call(*args, **options)
    except Failed as failed:
        return failed
    raise AssertionError(f"no error, but {result!r}")


def expect_error(name: str, call, *args, names: str = "", **options) -> dict:
    """The call must fail with that error, in a sentence that mentions `names`."""
    failed = error_of(call, *args, **options)
    assert failed.name == name, failed.error
    assert names in failed.error["message"], failed.error
    return failed.error


CANCELLED = "g-io-error-quark 19"
