# SPDX-License-Identifier: Apache-2.0
"""A throw-away machine: systemd as process 1 with journal and system bus, on a copy-on-write view of this one's files.

Three processes make it. The caller holds a Machine. The keeper (this file with "keep") lives in a mount namespace and a
control group of its own, so that nothing shows outside, and takes the machine down when its standard input ends, however the
caller went. The builder (this file with "build") puts the root together in the machine's namespaces and becomes systemd.

The machine starts only what a bus needs. It shares no folder but those it is told, has a loopback interface and no other
network, and cannot write this kernel's settings. Limits of memory and tasks have no effect in it, because the control groups that would
enforce them belong to this machine.
"""

import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

BOOT_SECONDS = 60
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup")
SYSTEMD = "/lib/systemd/systemd"
NEEDED = (SYSTEMD, "/usr/bin/systemd-sysusers", "/usr/bin/dbus-daemon", "/usr/bin/nsenter", "/usr/bin/unshare", "/usr/bin/setpriv")
BUS_UNITS = {"daemon": "dbus.service", "broker": "dbus-broker.service"}
TARGET = """[Unit]
Requires=sysinit.target dbus.socket
Wants=systemd-journald.service systemd-tmpfiles-setup.service dbus.service
After=systemd-tmpfiles-setup.service dbus.socket dbus.service
AllowIsolate=yes
"""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
CLONE_NEWNS = 0x20000


def why_not(bus: str = "daemon") -> str:
    """Why no machine can be made here, or nothing."""
    if os.geteuid() != 0:
        return "only root can boot a throw-away systemd"
    needed = [*NEEDED, "/usr/bin/dbus-broker-launch"] if bus == "broker" else NEEDED
    missing = [path for path in needed if not os.path.exists(path)]
    return f"this machine has no {', '.join(missing)}" if missing else ""


class Machine:
    def __init__(self, bus: str = "daemon", install: str = "", shared: tuple = (), users: tuple = ()):
        """`install`: a folder copied over the root before boot. `shared`: folders that are the same inside. `users`: made."""
        plan = {"bus": bus, "install": str(install), "shared": [str(folder) for folder in shared], "users": list(users)}
        self.keeper = subprocess.Popen([sys.executable, __file__, "keep", json.dumps(plan)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answer = self.keeper.stdout.readline()
        if not answer.startswith("init "):
            self.end()
            raise RuntimeError(f"no machine: {answer.strip() or 'its keeper ended'}")
        self.init = int(answer.split()[1])
        try:
            self._wait_until_up()
        except BaseException:
            self.end()
            raise

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while self.run("systemctl", "is-active", "machine.target", "dbus.service", check=False).returncode != 0:
            if time.monotonic() > deadline or self.keeper.poll() is not None:
                journal = self.run("journalctl", "-b", "--no-pager", "-n", "40", check=False).stdout
                raise RuntimeError(f"not up within {BOOT_SECONDS} s:\n{journal}")
            time.sleep(0.05)

    def command(self, *words: str, user: str = "", environment: dict | None = None) -> list:
        """The words that run `words` in the machine."""
        given = [f"{name}={value}" for name, value in {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(environment or {})}.items()]
        switch = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        # -r and -w are the root and folder of process 1.
        return ["nsenter", f"--target={self.init}", *NAMESPACES, "-r", "-w", "--", "env", "-i", *given, *switch, *map(str, words)]

    def run(self, *words, user: str = "", check: bool = True, timeout: float = 60, **options) -> subprocess.CompletedProcess:
        done = subprocess.run(self.command(*words, user=user), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=timeout, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def popen(self, *words, user: str = "", **options) -> subprocess.Popen:
        return subprocess.Popen(self.command(*words, user=user), **options)

    def path(self, path: str) -> pathlib.Path:
        """A path of the machine as seen from outside."""
        return pathlib.Path(f"/proc/{self.init}/root{path}")

    def end(self) -> None:
        if self.keeper.stdin and not self.keeper.stdin.closed:
            self.keeper.stdin.close()
        self.keeper.wait()
        self.keeper.stdout.close()


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, stdout=sys.stderr)


def keep(plan: str) -> int:
    """Holds the machine until standard input ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        print(f"unshare: {os.strerror(ctypes.get_errno())}", flush=True)
        return 1
    mount("--make-rprivate", "/")
    work = pathlib.Path(tempfile.mkdtemp(prefix="wsserverd-machine.", dir="/run"))
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(work))
    for name in ("groups", "changes", "overlay", "root"):
        (work / name).mkdir()
    mount("-t", "cgroup2", "cgroup2", str(work / "groups"))
    group = work / "groups" / work.name
    group.mkdir()

    def enter_group():  # before unshare, so that the new namespace's root is this group and not the machine's own
        (group / "cgroup.procs").write_text(str(os.getpid()))

    log = (work / "log").open("w+")
    builder = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES, "--propagation", "private", "--fork", "--kill-child", "--",
         sys.executable, __file__, "build", str(work), plan],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=enter_group)
    try:
        init = wait_for_systemd(builder)
        if init:
            print(f"init {init}", flush=True)
            sys.stdin.read()
        else:
            print("builder failed: " + " / ".join((work / "log").read_text().splitlines()[-5:]), flush=True)
    finally:
        (group / "cgroup.kill").write_text("1")  # takes process 1, and with it its namespace
        builder.wait()
        while "populated 1" in (group / "cgroup.events").read_text():
            time.sleep(0.01)
        for folder, _folders, _files in os.walk(group, topdown=False):
            os.rmdir(folder)
        subprocess.run(["umount", "--lazy", str(work)], check=False)
        work.rmdir()
    return 0


def wait_for_systemd(builder: subprocess.Popen) -> int:
    """The process id of the machine's process 1 once that is systemd, 0 when the builder failed."""
    while builder.poll() is None:
        try:
            [child] = pathlib.Path(f"/proc/{builder.pid}/task/{builder.pid}/children").read_text().split()
            if pathlib.Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                return int(child)
        except (ValueError, OSError):
            pass  # not forked yet
        time.sleep(0.01)
    return 0


def build(work: pathlib.Path, plan: dict) -> None:
    """Puts the root together, in the machine's namespaces, and becomes systemd."""
    root = work / "root"
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={work}/changes,workdir={work}/overlay", str(root))
    mount_kernel_file_systems(root)
    make_devices(root / "dev")
    for folder in plan["shared"]:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        mount("--bind", folder, str(root / folder.lstrip("/")))
    if plan["install"]:
        subprocess.run(["cp", "-a", "--no-preserve=ownership", f"{plan['install']}/.", str(root)], check=True)
    choose_units(root, plan["bus"])
    make_users(root, plan["users"])
    os.chdir(root)
    subprocess.run(["pivot_root", ".", "."], check=True)  # no chroot: systemd makes user namespaces, which want a true root
    subprocess.run(["umount", "--lazy", "."], check=True)
    os.chdir("/")
    mount("--make-rshared", "/")
    os.execve(SYSTEMD, [SYSTEMD, "--unit=machine.target", "--log-target=journal", "--show-status=no"],
              {"container": "wsserverd-machine", "PATH": PATH})


def mount_kernel_file_systems(root: pathlib.Path) -> None:
    mount("-t", "proc", "proc", str(root / "proc"))
    for name in ("fs", "kernel", "vm"):  # settings of the whole kernel; those of the network are the machine's own
        mount("--bind", "-o", "ro", str(root / "proc/sys" / name), str(root / "proc/sys" / name))
    mount("-t", "sysfs", "-o", "ro", "sysfs", str(root / "sys"))
    mount("-t", "cgroup2", "cgroup2", str(root / "sys/fs/cgroup"))
    for name, mode in (("run", "755"), ("tmp", "1777"), ("var/tmp", "1777"), ("dev", "755")):
        mount("-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", str(root / name))


def make_devices(devices: pathlib.Path) -> None:
    for name in DEVICES:
        (devices / name).touch()
        mount("--bind", f"/dev/{name}", str(devices / name))
    for name, kind, options in (("pts", "devpts", "newinstance,ptmxmode=666,mode=620,gid=5"), ("shm", "tmpfs", "mode=1777")):
        (devices / name).mkdir()
        mount("-t", kind, "-o", options, kind, str(devices / name))
    (devices / "ptmx").symlink_to("pts/ptmx")
    (devices / "fd").symlink_to("/proc/self/fd")


def choose_units(root: pathlib.Path, bus: str) -> None:
    """machine.target and nothing else: what this machine has enabled for its own boot stays out."""
    for folder in ("lib/systemd/system", "etc/systemd/system"):
        for target in ("sysinit.target", "local-fs.target", "basic.target", "timers.target", "sockets.target"):
            shutil.rmtree(root / folder / f"{target}.wants", ignore_errors=True)
    own = root / "etc/systemd/system"
    own.mkdir(parents=True, exist_ok=True)
    (own / "machine.target").write_text(TARGET)
    (own / "dbus.service").unlink(missing_ok=True)
    (own / "dbus.service").symlink_to(f"/lib/systemd/system/{BUS_UNITS[bus]}")
    (root / "etc/fstab").write_text("")
    (root / "etc/machine-id").write_text(os.urandom(16).hex() + "\n")
    (root / ".dockerenv").unlink(missing_ok=True)


def make_users(root: pathlib.Path, users: list) -> None:
    """The installed sysusers.d files are put to work, and the test's own users are made the same way."""
    lines = "".join(f'u {name} - "a user of the tests" /\n' for name in users)
    (root / "etc/sysusers.d").mkdir(exist_ok=True)
    (root / "etc/sysusers.d/machine.conf").write_text(lines)
    subprocess.run(["systemd-sysusers", f"--root={root}"], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        sys.exit(keep(sys.argv[2]))
    build(pathlib.Path(sys.argv[2]), json.loads(sys.argv[3]))
