# SPDX-License-Identifier: Apache-2.0
"""A wsserverd under test: started on a private bus, watched, and at the end asked whether it stayed healthy."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

from .bus import PrivateBus
from .wire import Connection, until

BUS_NAME = "org.wsserver1"
EVERYBODY = [{"name": "everybody", "users": ["*"], "ports": [0, "1-65535"]}]
DEFAULT_CONFIGURATION = {"deviceProfile": "smart-screen", "connectionRate": 0, "policy": EVERYBODY}
SANITIZER_REPORT = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:|MemorySanitizer")
COMPLAINT = re.compile(r"-CRITICAL \*\*|GLib-ERROR|Bail out|Assertion .* failed|stack smashing|"
                       r"ended by signal (?!9\b|15\b)")


def daemon_path(build: str) -> str:
    return os.path.join(build, "daemon", "wsserverd")


def worker_path(build: str) -> str:
    return os.path.join(build, "worker", "wsserver-worker")


class Service:
    def __init__(self, bus: PrivateBus, build: str, configuration: dict | None = None, worker: str | None = None):
        self.bus = bus
        self.build = build
        self.folder = bus.folder
        self.configuration = self.folder / "wsserverd.json"
        self.configure(DEFAULT_CONFIGURATION if configuration is None else configuration)
        self.log = self.folder / "wsserverd.log"
        self.environment = {**os.environ, "WSSERVERD_WORKER": worker or worker_path(build), "G_DEBUG": "fatal-criticals"}
        self.environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        self.process: subprocess.Popen | None = None

    def configure(self, configuration: dict) -> None:
        """Everybody may serve, unless the configuration says something about policy."""
        self.configuration.write_text(json.dumps({"policy": EVERYBODY, **configuration}))

    def start(self, which_bus: str | None = None) -> "Service":
        """`which_bus`: the option that names the bus; the private bus's address unless given, empty for none."""
        option = f"--address={self.bus.address}" if which_bus is None else which_bus
        command = [daemon_path(self.build), f"--config={self.configuration}", *([option] if option else [])]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)
        self.wait_for_name()
        return self

    def wait_for_name(self, timeout: float = 30) -> None:
        watcher = Connection(self.bus.address)
        try:
            until(lambda: self._is_alive() and watcher.bus_call("NameHasOwner", "s", BUS_NAME).result(), timeout,
                  f"wsserverd to own its name; it wrote:\n{self.output()}")
        finally:
            watcher.close()

    def _is_alive(self) -> bool:
        assert self.process.poll() is None, f"wsserverd ended with status {self.process.returncode}:\n{self.output()}"
        return True

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def workers(self) -> set:
        """The process ids of the workers this daemon has now."""
        return {pid for pid, parent, state in processes() if parent == self.pid and state != "Z"}

    def open_descriptors(self) -> int:
        return len(list(pathlib.Path(f"/proc/{self.pid}/fd").iterdir()))

    def zombies(self) -> list:
        return [pid for pid, parent, state in processes() if parent == self.pid and state == "Z"]

    def check_health(self) -> None:
        """Raises when the daemon died or anything complained since it was started."""
        self._is_alive()
        self._check_output()

    def _check_output(self) -> None:
        lines = self.output().splitlines()
        bad = next((at for at, line in enumerate(lines) if SANITIZER_REPORT.search(line) or COMPLAINT.search(line)), None)
        assert bad is None, "\n".join(lines[max(bad - 2, 0) : bad + 40])

    def stop(self) -> None:
        """As systemd does it: SIGTERM, then the workers leave because nobody holds their control sockets any more."""
        if self.process.poll() is None:
            workers = self.workers()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"wsserverd did not end within 20 s of SIGTERM:\n{self.output()[-5000:]}") from None
            until(lambda: not (workers & {pid for pid, _parent, state in processes() if state != "Z"}), 20,
                  "the workers to leave after their daemon")
        self._check_output()
        assert self.process.returncode == 0, f"wsserverd ended with status {self.process.returncode}:\n{self.output()[-5000:]}"


def processes():
    """(process id, parent's, state) of every process."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found.append((int(entry.name), int(after_name[1]), after_name[0]))
    return found


def memory(pid: int) -> dict:
    """Memory of a process in octets, by the names of smaps_rollup (Rss, Private_Dirty, ...)."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


def end_services(services: list) -> None:
    """Ends all of them, their buses and folders; what was wrong with the first one is raised then."""
    failures = []
    for service in services:
        try:
            if service.process:
                service.stop()
        except (AssertionError, TimeoutError) as failure:
            failures.append(failure)
        finally:
            service.bus.stop()
            shutil.rmtree(service.folder, ignore_errors=True)
    if failures:
        raise failures[0]
