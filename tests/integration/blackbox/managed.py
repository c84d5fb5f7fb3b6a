# SPDX-License-Identifier: Apache-2.0
"""A wsserverd whose connections outlive it, because a service manager keeps its sockets."""

import subprocess

from .bus import PrivateBus
from .manager import Manager
from .service import Service, daemon_path
from .wire import until
class ManagedService(Service):
    def __init__(self, bus: PrivateBus, build: str, configuration: dict | None = None, **options):
        """`options` are those of Manager."""
        super().__init__(bus, build, configuration)
        command = [daemon_path(build), f"--config={self.configuration}", f"--address={bus.address}"]
        self.expected_status = 0  # at the end
        self.manager = Manager(self.folder, command, self.environment, self.log, **options)

    @property
    def process(self) -> subprocess.Popen | None:
        return self.manager.process if hasattr(self, "manager") else None

    @process.setter
    def process(self, _nothing) -> None:
        """The manager alone starts processes."""

    def start(self, which_bus: str | None = None) -> "ManagedService":
        self.manager.start()
        return self

    def workers(self) -> set:
        return self.manager.workers()

    def kept(self) -> list:
        """Names of what is kept for servers."""
        self.manager.sync()
        return [name for name in self.manager.names() if not name.startswith("state-") and name != "reserve"]

    def states(self) -> list:
        return [name for name in self.manager.names() if name.startswith("state-")]

    def stop(self) -> None:
        try:
            status = self.manager.stop()
            until(lambda: not self.workers(), what="the workers to leave when the service is stopped")
        finally:
            self.manager.close()
        self._check_output()
        assert status == self.expected_status, f"wsserverd ended with status {status}:\n{self.output()[-5000:]}"
