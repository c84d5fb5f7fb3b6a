# SPDX-License-Identifier: Apache-2.0
"""How much of the two processors went to processes that are not measured: a turn that had to share them says little."""

import time

QUIET = 0.1  # of the two processors together; beyond, the turn is taken again
TICKS = 100  # a second, in /proc/stat (USER_HZ)


def _used(processors):
    """Seconds that these were not idle."""
    wanted = {f"cpu{number}" for number in processors}
    ticks = 0
    with open("/proc/stat", encoding="ascii") as stat:
        for line in stat:
            name, *fields = line.split()
            if name in wanted:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
                ticks += user + nice + system + irq + softirq + steal
    return ticks / TICKS


def _cpu_of(pid):
    """The clock that clock_getcpuclockid(3) would name."""
    return time.clock_gettime((~pid << 3) | 2)


class Watch:
    """From its constructor to share()."""

    def __init__(self, processors, pids):
        self.processors, self.pids = processors, [*pids]
        self.begin = self._read()

    def _read(self):
        return time.monotonic(), _used(self.processors), sum(map(_cpu_of, self.pids))

    def share(self):
        """The part of the processors that others had, 0 to 1."""
        seconds, used, own = (end - begin for begin, end in zip(self.begin, self._read()))
        return max(0.0, min(1.0, (used - own) / (seconds * len(self.processors))))
