# SPDX-License-Identifier: Apache-2.0
"""A peer that goes on talking in the background while others misbehave, and an app in a process of its own."""

import json
import pathlib
import subprocess
import threading
import time

from .peer import Peer

CLIENTS = pathlib.Path(__file__).resolve().parents[1] / "clients"


class Bystander:
    """Has a message echoed, over and over. leave() tells how often, and raises if anything was not as it should be."""

    def __init__(self, port: int, host: str = "127.0.0.1", **options):
        self.peer = Peer(port, host, **options)
        self.rounds = 0
        self.slowest = 0.0
        self.failure: Exception | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        try:
            while not self._ending.is_set():
                started = time.monotonic()
                message = f"round {self.rounds}"
                self.peer.send_message(message)
                answer = self.peer.read_message()
                assert answer == message, f"{answer!r} instead of {message!r}"
                self.rounds += 1
                self.slowest = max(self.slowest, time.monotonic() - started)
        except Exception as failure:
            self.failure = failure

    def rate(self, seconds: float) -> float:
        """Echoes per second over the next `seconds`."""
        rounds, started = self.rounds, time.monotonic()
        self._ending.wait(seconds)
        return (self.rounds - rounds) / (time.monotonic() - started)

    def leave(self) -> int:
        self._ending.set()
        self._thread.join(30)
        assert self.failure is None, self.failure
        assert not self._thread.is_alive()
        assert self.peer.leave()[0] == 1000
        return self.rounds


class AppProcess:
    """clients/gdbus_app.py under the eyes of a test."""

    def __init__(self, address: str, mode: str):
        self.process = subprocess.Popen(["/usr/bin/python3", CLIENTS / "gdbus_app.py", address, mode], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = self._line()["port"]

    def _line(self) -> dict:
        line = self.process.stdout.readline()
        assert line, "the app ended"
        return json.loads(line)

    def report(self) -> dict:
        self.process.stdin.write("report\n")
        self.process.stdin.flush()
        return self._line()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        self.process.stdin.close()
        status = self.process.wait(30)
        self.process.stdout.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
