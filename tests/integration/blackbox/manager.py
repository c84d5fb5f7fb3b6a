# SPDX-License-Identifier: Apache-2.0
"""What systemd does for a service of Type=notify with a file descriptor store, without systemd.

One thread takes the service's notifications in the order in which they were sent, keeps what it stores, and drops a stored
descriptor once poll(2) finds its other end gone. The next start hands the store back, shuffled: systemd promises no order.
The rules are those of systemd 252: only the main process may notify; a descriptor that is stored already is not stored
again; a full store drops what comes, and says so to nobody. Unlike systemd, nothing is started again unless a test says so.
"""

import array
import ctypes
import fcntl
import os
import pathlib
import platform
import random
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from typing import NamedTuple

from .wire import TIMEOUT, until

FIRST_DESCRIPTOR = 3
HANDED_OVER_FROM = 1000  # where descriptors wait on their way to their place in the service
KCMP = {"x86_64": 312, "aarch64": 272}
KCMP_FILE = 0
PR_SET_CHILD_SUBREAPER = 36
WORKER_NAME = "wsserver-worker"
NEVER = float("inf")

# Moves the stored descriptors to where LISTEN_FDS wants them and becomes the service.
LAUNCHER = """
place=3
for waiting in $STORED; do
  eval "exec $place<&$waiting $waiting<&-"
  place=$((place + 1))
done
unset STORED
[ $place -eq 3 ] || export LISTEN_PID=$$
[ -z "$WATCHDOG_USEC" ] || export WATCHDOG_PID=$$
exec "$@"
"""

_libc = ctypes.CDLL(None, use_errno=True)


class Stored(NamedTuple):
    name: str
    fd: int
    watched: bool


class Notification(NamedTuple):
    at: float  # monotonic
    start: int  # which start of the service it comes from, from 1
    assignments: dict
    fds: int


class Manager:
    """Runs `command` with its output appended to `log`."""

    def __init__(self, folder: pathlib.Path, command: list, environment: dict, log: pathlib.Path, maximum: int = 1024,
                 announce_maximum: bool = False, watchdog: float = 0):
        """`maximum`: of stored descriptors; `announce_maximum`: the service is told it, as systemd 254 and later do.
        `watchdog`: seconds without WATCHDOG=1 until the service is killed; 0 is off."""
        self.command = command
        self.environment = environment
        self.log = log
        self.maximum = maximum
        self.announce_maximum = announce_maximum
        self.watchdog = watchdog
        self.store: list = []
        self.notifications: list = []
        self.dropped: list = []  # names of what did not fit into the store
        self.hung_up: list = []  # names of what was dropped because its other end went away
        self.ignored: list = []  # (process id, octets) of notifications from others than the main process
        self.shuffle = random.Random(1)
        self.process: subprocess.Popen | None = None
        self.starts = 0
        self.started_at = 0.0
        self.watchdog_fired = 0
        self._fed_at = 0.0
        self._changed = threading.Condition(threading.RLock())
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.notify_path = str(folder / "notify")
        pathlib.Path(self.notify_path).unlink(missing_ok=True)
        self._socket.bind(self.notify_path)
        self._wake_read, self._wake_write = os.pipe()
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphaned workers become ours, as they become PID 1's

    def close(self) -> None:
        """Everything is over; a service that still runs is killed."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.drop_store()
        self._ending = True
        self._wake()
        self._thread.join(TIMEOUT)
        for fd in (self._wake_read, self._wake_write):
            os.close(fd)
        self._socket.close()
        until(lambda: not self.workers(), what="the workers to leave")
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    # What systemctl does

    def start(self, wait: bool = True) -> None:
        assert self.process is None or self.process.poll() is not None
        self.sync()
        with self._changed:
            handed = [fcntl.fcntl(stored.fd, fcntl.F_DUPFD_CLOEXEC, HANDED_OVER_FROM) for stored in self.store]
            together = list(zip(handed, [stored.name for stored in self.store], strict=True))
            self.starts += 1
        self.shuffle.shuffle(together)
        environment = {**self.environment, "NOTIFY_SOCKET": self.notify_path, "STORED": " ".join(str(fd) for fd, _name in together)}
        if together:
            environment["LISTEN_FDS"] = str(len(together))
            environment["LISTEN_FDNAMES"] = ":".join(name for _fd, name in together)
        if self.announce_maximum:
            environment["FDSTORE"] = str(self.maximum)
        environment["WATCHDOG_USEC"] = str(int(self.watchdog * 1e6)) if self.watchdog else ""
        try:
            # Nothing that the new process says is looked at before it is known which one that is.
            with open(self.log, "ab") as log, self._changed:
                self.started_at = self._fed_at = time.monotonic()
                self.process = subprocess.Popen(["/bin/bash", "-c", LAUNCHER, "bash", *self.command], stdin=subprocess.DEVNULL,
                                                stdout=log, stderr=log, env=environment, pass_fds=handed)
        finally:
            for fd in handed:
                os.close(fd)
        self._wake()
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout: float = TIMEOUT) -> None:
        def ready_or_dead():
            return self.is_ready() or self.process.poll() is not None

        deadline = time.monotonic() + timeout
        with self._changed:
            while not ready_or_dead() and time.monotonic() < deadline:
                self._changed.wait(0.1)
        assert self.is_ready(), f"not ready; status {self.process.poll()}:\n{self.log.read_text(errors='replace')[-8000:]}"

    def is_ready(self) -> bool:
        return bool(self.find("READY", "1"))

    def terminate(self, timeout: float = TIMEOUT) -> int:
        """SIGTERM; returns the exit status when all that it said before is handled."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_end(timeout)

    def kill(self) -> None:
        """kill -9 of the main process alone: its workers live on."""
        self.process.kill()
        self.wait_end()

    def wait_end(self, timeout: float = TIMEOUT) -> int:
        status = self.process.wait(timeout)
        self.sync()
        return status

    def restart(self, wait: bool = True) -> None:
        status = self.terminate()
        assert status == 0, f"status {status} after SIGTERM:\n{self.log.read_text(errors='replace')[-8000:]}"
        self.start(wait)

    def crash(self, wait: bool = True) -> None:
        self.kill()
        self.start(wait)

    def stop(self) -> int:
        """SIGTERM, and nobody keeps the store any more."""
        status = self.terminate() if self.process.poll() is None else self.process.returncode
        self.drop_store()
        return status

    def sync(self) -> None:
        """Returns when every notification sent before is handled."""
        read, write = os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.connect(self.notify_path)
            own.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [write]))])
        os.close(write)
        select.select([read], [], [], TIMEOUT)
        os.close(read)

    # The service, from outside

    def workers(self) -> set:
        """Process ids of the service's living workers, those that outlived their daemon too; the dead are buried."""
        parents = {os.getpid()} | ({self.process.pid} if self.process else set())
        alive = set()
        for pid, parent, state in workers_of(parents):
            if state != "Z":
                alive.add(pid)
            elif parent == os.getpid():
                os.waitpid(pid, os.WNOHANG)
        return alive

    def find(self, key: str, value: str | None = None, start: int | None = None) -> list:
        """Notifications of one start, the latest unless told, that assign `key`."""
        start = self.starts if start is None else start
        with self._changed:
            return [found for found in self.notifications if found.start == start and key in found.assignments
                    and value in (None, found.assignments[key])]

    def wait_for(self, condition, timeout: float = TIMEOUT, what: str = "a condition") -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"{what}; store: {self.names()}, last notifications: {self.notifications[-5:]}")

    # The store, as tests see and forge it

    def names(self) -> list:
        with self._changed:
            return sorted(stored.name for stored in self.store)

    def take(self, name: str) -> int:
        """A duplicate of the only descriptor of that name; the caller closes it."""
        with self._changed:
            (found,) = [stored for stored in self.store if stored.name == name]
            return os.dup(found.fd)

    def add(self, name: str, fd: int) -> None:
        """Takes `fd`, which stays even if its other end is gone, as with FDPOLL=0."""
        self._store(name, fd, False)

    def remove(self, *names: str) -> None:
        with self._changed:
            gone = [stored for stored in self.store if stored.name in names]
            self.store = [stored for stored in self.store if stored.name not in names]
            for stored in gone:
                os.close(stored.fd)
            self._changed.notify_all()
        self._wake()

    def drop_store(self) -> None:
        self.remove(*self.names())

    # Inside

    def _store(self, name: str, fd: int, watched: bool) -> None:
        with self._changed:
            if any(same_file(stored.fd, fd) for stored in self.store):
                os.close(fd)
            elif len(self.store) >= self.maximum:
                self.dropped.append(name)
                os.close(fd)
            else:
                self.store.append(Stored(name, fd, watched))
            self._changed.notify_all()
        self._wake()

    def _wake(self) -> None:
        os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while not self._ending:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            poll.register(self._wake_read, select.POLLIN)
            with self._changed:
                for stored in self.store:
                    if stored.watched:
                        poll.register(stored.fd, 0)
            ready = dict(poll.poll(self._watchdog_left()))
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            # Notifications come first: what they store or remove is not dropped behind their back.
            if self._socket.fileno() in ready:
                self._receive()
            else:
                self._drop_hung_up()
            self._check_watchdog()

    def _drop_hung_up(self) -> None:
        with self._changed:
            for stored in list(self.store):
                poll = select.poll()
                poll.register(stored.fd, 0)
                if stored.watched and poll.poll(0):
                    self.store.remove(stored)
                    self.hung_up.append(stored.name)
                    os.close(stored.fd)
            self._changed.notify_all()

    def _watchdog_left(self) -> float | None:
        if not self.watchdog or not self.process or self.process.returncode is not None or self._fed_at == NEVER:
            return None
        return max(0, self._fed_at + self.watchdog - time.monotonic()) * 1000 + 1

    def _check_watchdog(self) -> None:
        process = self.process
        if self.watchdog and process and process.returncode is None and time.monotonic() > self._fed_at + self.watchdog:
            self.watchdog_fired += 1
            self._fed_at = NEVER
            process.kill()  # systemd tries SIGABRT first, which a process that was stopped does not even see

    def _receive(self) -> None:
        octets, ancillary, flags, _address = self._socket.recvmsg(65536, socket.CMSG_SPACE(253 * 4) + socket.CMSG_SPACE(12),
                                                                  socket.MSG_CMSG_CLOEXEC)
        fds, sender = [], 0
        for _level, kind, data in ancillary:
            if kind == socket.SCM_RIGHTS:
                fds.extend(array.array("i", data[: len(data) // 4 * 4]))
            elif kind == socket.SCM_CREDENTIALS:
                (sender,) = struct.unpack_from("i", data)
        try:
            assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC), "a notification larger than systemd takes"
            self._handle(octets, fds, sender)
        finally:
            for fd in fds:
                os.close(fd)

    def _handle(self, octets: bytes, fds: list, sender: int) -> None:
        """Descriptors that are left in `fds` are closed by the caller, which is what answers a barrier."""
        if octets == b"BARRIER=1":
            return
        with self._changed:
            known = self.process and sender == self.process.pid
        if not known:
            self.ignored.append((sender, octets))
            return
        assignments = dict(line.split("=", 1) for line in octets.decode().split("\n") if "=" in line)
        with self._changed:
            self.notifications.append(Notification(time.monotonic(), self.starts, assignments, len(fds)))
            if assignments.get("WATCHDOG") == "1" or assignments.get("READY") == "1":
                self._fed_at = time.monotonic()
            if assignments.get("FDSTORE") == "1":
                while fds:
                    self._store(valid_name(assignments.get("FDNAME")), fds.pop(0), assignments.get("FDPOLL") != "0")
            elif assignments.get("FDSTOREREMOVE") == "1" and "FDNAME" in assignments:
                self.remove(assignments["FDNAME"])
            self._changed.notify_all()


def valid_name(name: str | None) -> str:
    right = name and len(name) <= 255 and all(" " <= letter <= "~" and letter != ":" for letter in name)
    return name if right else "stored"


def same_file(one: int, other: int) -> bool:
    """Whether both stand for one open file description, so that systemd would not store the second."""
    number = KCMP.get(platform.machine())
    return number is not None and _libc.syscall(number, os.getpid(), os.getpid(), KCMP_FILE, one, other) == 0


def workers_of(parents: set) -> list:
    """(process id, parent's, state) of every worker process, dead ones that nobody buried too."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                before, _, after = (entry / "stat").read_text().rpartition(")")
            except OSError:
                continue
            state, parent = after.split()[:2]
            if int(parent) in parents and before.partition("(")[2] == WORKER_NAME:
                found.append((int(entry.name), int(parent), state))
    return found
