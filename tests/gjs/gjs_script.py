# SPDX-License-Identifier: Apache-2.0
"""A program that gjs runs as it is, with nobody to tell it what to do; what it writes to its console can be waited for."""

import pathlib
import re
import signal
import subprocess
import threading

from program import STEP, environment

PREFIX = re.compile(r"^(?:\(gjs:\d+\): )?Gjs-Console-[A-Za-z]+(?: \*\*)?: [\d:.]+: ")


class Script:
    def __init__(self, library: pathlib.Path, bus_address: str, path: pathlib.Path, *arguments: str):
        self.process = subprocess.Popen(["gjs", "-m", path, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env=environment(library, bus_address), text=True)
        self.said: list = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._changed:
                if line.strip():
                    self.said.append(PREFIX.sub("", line.rstrip("\n")))
                self._changed.notify_all()
        with self._changed:
            self.said.append("(end)")
            self._changed.notify_all()

    def wait(self, text: str) -> str:
        """The first line that holds the text."""

        def found():
            return next((line for line in self.said if text in line), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self.said[-1:] == ["(end)"], STEP)
            assert found(), f"{text!r} was not said, but: {self.said}"
            return found()

    def is_running(self) -> bool:
        return self.process.poll() is None

    def end(self, number: int | None = signal.SIGTERM) -> int:
        """None: it ends by itself."""
        if number is not None and self.is_running():
            self.process.send_signal(number)
        status = self.process.wait(STEP)
        self._thread.join(STEP)
        self.process.stdout.close()
        return status

    def kill(self) -> None:
        if self.is_running():
            self.process.kill()
            self.end(None)
