# SPDX-License-Identifier: Apache-2.0
"""The machine that is measured on: which processor is the server's and which the load generator's."""

import contextlib
import os
import pathlib
import platform

from session import child


def _siblings(processor):
    """Processors that share a core with that one, itself included."""
    path = pathlib.Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
    try:
        listed = path.read_text(encoding="ascii").strip()
    except OSError:
        return {processor}
    found = set()
    for part in listed.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def choose_processors(wanted=None):
    """(the server's, the load generator's), on different cores where there are some."""
    allowed = sorted(os.sched_getaffinity(0))
    if wanted:
        if len(set(wanted)) != 2 or not set(wanted) <= set(allowed):
            raise child.Failure(f"--processors wants two different ones of {', '.join(map(str, allowed))}")
        return tuple(wanted)
    if len(allowed) < 2:
        raise child.Failure("two processors are needed, one for the servers and one for the load generator")
    server = allowed[0]
    other_cores = [processor for processor in allowed[1:] if processor not in _siblings(server)]
    return server, (other_cores or allowed[1:])[0]


@contextlib.contextmanager
def on_processor(number):
    """What is started inside stays on that processor, with all that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def set_priority(pid, level):
    """Of that process and what it starts from here on; and of its session, where the kernel shares out processors by session."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, level)
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as group:
            group.write(str(level))
    except PermissionError as error:
        raise child.Failure(f"--nice {level}: only root may go below 0") from error


def describe():
    model = platform.machine()
    memory = 0
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal"):
            memory = int(line.split()[1]) // 1024
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.system()
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "memory_mib": memory,
        "kernel": platform.release(),
        "system": system,
    }
