# SPDX-License-Identifier: Apache-2.0
"""One wsserverd out of a build folder, on a given bus."""

import os
import pathlib
import subprocess
import time

from session import child

BUS_NAME = "org.wsserver1"
START_TIMEOUT = 30  # seconds; a sanitizer build on a busy machine needs a few
DEFAULT_CONFIGURATION = """\
{
  "deviceProfile": "smart-screen",
  "connectionRate": 0,
  "policy": [
    { "name": "whoever calls", "users": ["*"], "ports": [0, "1-65535"] }
  ]
}
"""


class Daemon:
    """Started by the constructor, which returns when the bus name is owned. Call stop()."""

    def __init__(self, build, bus_address, folder, config=None):
        self.log = pathlib.Path(folder) / "wsserverd.log"
        if config is None:
            config = pathlib.Path(folder) / "wsserverd.json"
            config.write_text(DEFAULT_CONFIGURATION, encoding="utf-8")
        build = pathlib.Path(build)
        program = build / "daemon" / "wsserverd"
        if not os.access(program, os.X_OK):
            raise child.Failure(f"there is no {program}; build first: tools/build {build}")
        environment = {
            **os.environ,
            "DBUS_SYSTEM_BUS_ADDRESS": bus_address,
            "WSSERVERD_WORKER": str(build / "worker" / "wsserver-worker"),
        }
        with self.log.open("wb") as log:
            self.process = child.start_background(
                [program, f"--address={bus_address}", f"--config={pathlib.Path(config).resolve()}"],
                stdout=log,
                stderr=log,
                env=environment,
            )
        try:
            self._wait_for_name(environment)
        except BaseException:
            child.stop(self.process)
            raise

    def _wait_for_name(self, environment):
        command = ["gdbus", "wait", "--system", "--timeout", str(START_TIMEOUT), BUS_NAME]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        waiter = child.start_background(command, env=environment, **quiet)
        deadline = time.monotonic() + START_TIMEOUT
        try:
            while waiter.poll() is None:
                if self.process.poll() is not None:
                    self._fail(child.describe_end("wsserverd", self.process.returncode))
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)
            if waiter.poll() != 0:
                self._fail(f"wsserverd did not take the name {BUS_NAME} within {START_TIMEOUT} seconds")
        finally:
            child.stop(waiter)

    def _fail(self, what):
        said = self.output().strip() or "(nothing)"
        raise child.Failure(f"{what}; it said:\n{said}")

    def output(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self):
        """Ends wsserverd and its workers; returns wsserverd's status."""
        return child.stop(self.process)
