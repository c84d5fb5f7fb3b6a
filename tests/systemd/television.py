# SPDX-License-Identifier: Apache-2.0
"""wsserverd in a machine, as its administrator sees it."""

import contextlib
import time

from machine import Machine

UNIT = "wsserverd.service"
DROP_INS = "/run/systemd/system/wsserverd.service.d"
GENEROUS = 30.0


def until(condition, what: str, seconds: float = GENEROUS, pause: float = 0.02):
    """Waits for a true result and returns it."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(pause)
    return result


class Television:
    def __init__(self, machine: Machine, bus: str):
        self.machine = machine
        self.bus = bus

    def run(self, *words, **options) -> str:
        return self.machine.run(*words, **options).stdout

    def systemctl(self, *words, **options) -> str:
        return self.run("systemctl", *words, **options)

    def show(self, name: str, unit: str = UNIT) -> str:
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def main_process(self) -> int:
        """As the machine numbers it; 0 when there is none."""
        return int(self.show("MainPID"))

    def processes(self) -> dict:
        """Of the unit's control group: {process id in the machine: program}."""
        found = {}
        for pid in self.run("cat", f"/sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs", check=False).split():
            with contextlib.suppress(OSError):
                found[int(pid)] = self.machine.path(f"/proc/{pid}/comm").read_text().strip()
        return found

    def workers(self) -> list:
        return sorted(pid for pid, program in self.processes().items() if program.startswith("wsserver-worker"))

    def kept(self) -> int:
        """Descriptors in the unit's store."""
        return int(self.show("NFileDescriptorStore"))

    def journal(self) -> str:
        return self.run("journalctl", "--no-pager", "--unit", UNIT, "--output=cat")

    def crash(self) -> None:
        self.systemctl("kill", "--signal=KILL", "--kill-whom=main", UNIT, check=False)

    def call(self, member: str, *arguments, user: str = "viewer", check: bool = True) -> str:
        return self.run("busctl", "call", "org.wsserver1", "/org/wsserver1", "org.wsserver1.Manager", member, *arguments,
                        user=user, check=check)

    @contextlib.contextmanager
    def drop_in(self, name: str, text: str):
        """The unit with a drop-in, from its next start on."""
        folder = self.machine.path(DROP_INS)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.conf").write_text(text)
        self.systemctl("daemon-reload")
        try:
            yield
        finally:
            (folder / f"{name}.conf").unlink()
            self.systemctl("daemon-reload")

    @contextlib.contextmanager
    def configuration(self, text: str):
        path = self.machine.path("/etc/wsserverd/wsserverd.json.d")
        path.mkdir(exist_ok=True)
        (path / "test.json").write_text(text)
        try:
            yield
        finally:
            (path / "test.json").unlink()

    def tidy(self) -> None:
        self.systemctl("stop", UNIT, check=False)
        until(lambda: not self.processes(), "the unit's processes to leave")
        self.systemctl("reset-failed", UNIT, check=False)
