# SPDX-License-Identifier: Apache-2.0
"""tests/client-lib/plain-echo under the eyes of a test: an app in C on libwschannel, in a process of its own."""

import os
import pathlib
import re
import subprocess

from .bystander import Bystander


class PlainEcho:
    def __init__(self, service, build: str, **options):
        """`options` of Start, as GVariant text."""
        program = pathlib.Path(build) / "tests" / "client-lib" / "plain-echo"
        self.process = subprocess.Popen([program, *(f"{key}={value}" for key, value in options.items())],
                                        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": service.bus.address},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(re.fullmatch(r"port (\d+)\n", self.line())[1])

    def line(self) -> str:
        line = self.process.stdout.readline()
        assert line, f"the app ended with status {self.process.wait()}"
        return line

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def bystander(self) -> Bystander:
        return Bystander(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
