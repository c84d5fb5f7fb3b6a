# SPDX-License-Identifier: Apache-2.0
"""Programs that use the package wsserver."""

import json
import os
import pathlib
import signal
import subprocess
import textwrap
import threading

TESTS = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "client-lib" / "python"
STEP = 60  # seconds that any one step may take on a busy machine

PRELUDE = """
import asyncio, json, logging, os, sys
import wsserver
logging.basicConfig(level="WARNING")
def say(*values): print(json.dumps(values), flush=True)
"""


class Program:
    """A program in Python, which says lines of JSON."""

    def __init__(self, library: pathlib.Path, bus_address: str, source, environment: dict | None = None):
        settings = {**os.environ, "GI_TYPELIB_PATH": str(library), "LD_LIBRARY_PATH": str(library), "PYTHONPATH": str(PACKAGE),
                    "PYTHONWARNINGS": "error,ignore::ImportWarning", "PYTHONASYNCIODEBUG": "0", "G_DEBUG": "fatal-criticals",
                    "DBUS_SYSTEM_BUS_ADDRESS": bus_address, **(environment or {})}
        words = [source] if isinstance(source, pathlib.Path) else ["-c", PRELUDE + textwrap.dedent(source)]
        self.process = subprocess.Popen(["/usr/bin/python3", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE,
                                        text=True, env=settings,
                                        # where tests run in the background, it would be ignored
                                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.complaints: list = []
        self._reader = threading.Thread(target=lambda: self.complaints.extend(self.process.stderr), daemon=True)
        self._reader.start()

    def line(self, seconds: float = STEP) -> list | str:
        ended = threading.Timer(seconds, self.process.kill)
        ended.start()
        line = self.process.stdout.readline()
        ended.cancel()
        assert line, "".join(self.complaints)
        return json.loads(line) if line.startswith("[") else line.strip()

    def lines(self) -> list:
        """What it still says until it ends, well."""
        text, _ = self.process.communicate(timeout=STEP)
        self._reader.join(STEP)
        assert self.process.returncode == 0, "".join(self.complaints)[-4000:]
        return [json.loads(line) for line in text.splitlines()]

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
