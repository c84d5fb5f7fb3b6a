# SPDX-License-Identifier: Apache-2.0
"""A control group in which a process finds that it cannot fork: root, too, whom RLIMIT_NPROC does not stop."""

import os
import pathlib

import pytest

PIDS = pathlib.Path("/sys/fs/cgroup/pids")


class ProcessLimit:
    """The process and its threads are all that there may be, until lift() or the end of the block."""

    def __init__(self, pid: int):
        if not os.access(PIDS / "cgroup.procs", os.W_OK):
            pytest.skip("no control groups that count processes, or they are not ours to make")
        lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        [home] = [line.split(":", 2)[2] for line in lines if line.split(":")[1] == "pids"]
        self.home = PIDS / home.lstrip("/")
        self.group = PIDS / f"wsserverd-test-{pid}"
        self.group.mkdir()
        self._move(pid, self.group)
        (self.group / "pids.max").write_text("0")

    @staticmethod
    def _move(pid: int, group: pathlib.Path) -> None:
        (group / "cgroup.procs").write_text(str(pid))

    def lift(self) -> None:
        (self.group / "pids.max").write_text("max")

    def refusals(self) -> int:
        """How often a fork was refused."""
        return int((self.group / "pids.events").read_text().split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.lift()
        while pids := (self.group / "cgroup.procs").read_text().split():  # workers that were born in it too
            for pid in pids:
                try:
                    self._move(int(pid), self.home)
                except ProcessLookupError:
                    continue  # it has just ended
        self.group.rmdir()
