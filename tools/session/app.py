# SPDX-License-Identifier: Apache-2.0
"""One of the example apps out of a build folder, on a given bus."""

import os
import pathlib
import re
import select
import subprocess
import threading
import time

from session import child

START_TIMEOUT = 30  # seconds


class App:
    """Started by the constructor, which returns when the app's server listens; `url` says where. What the app prints after
    that goes to `show`, line by line, from a thread."""

    def __init__(self, build, name, bus_address, options, show=print):
        self.show = show
        self.name = name
        self.process = child.start_background(
            [pathlib.Path(build) / "client-lib" / "examples" / name, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus_address},
            text=True,
            bufsize=1,
        )
        try:
            self.url = self._wait_for_url()
        except BaseException:
            child.stop(self.process)
            raise
        self.reader = threading.Thread(target=self._relay, daemon=True)
        self.reader.start()

    def _wait_for_url(self):
        said = ""
        deadline = time.monotonic() + START_TIMEOUT
        while select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            line = self.process.stdout.readline()
            if not line:
                raise child.Failure(f"{self.name} did not start; it said:\n{said}")
            if found := re.fullmatch(r"listening on (wss?://\S+)\n", line):
                return found[1]
            said += line
        raise child.Failure(f"{self.name} did not listen within {START_TIMEOUT} seconds; it said:\n{said}")

    def _relay(self):
        for line in self.process.stdout:
            self.show(line.rstrip("\n"))

    def stop(self):
        status = child.stop(self.process)
        self.reader.join(5)
        return status
