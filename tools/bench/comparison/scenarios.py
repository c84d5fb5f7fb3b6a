# SPDX-License-Identifier: Apache-2.0
"""What is measured, and what of it is promised: the floor is owed, the goal is what we are here for."""

import dataclasses

OWN = ("channel", "gobject")
ALL = ("channel", "gobject", "libwebsockets", "libsoup", "ws", "raw")
WITH_STREAM = (*ALL, "stream")
WITH_EMIT = (*ALL, "gobject-emit")
WITH_SIGNALS = (*ALL, "signals")
KIB, MIB = 1 << 10, 1 << 20


def size_text(size):
    if size >= MIB:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size >= KIB else f"{size} B"


@dataclasses.dataclass(frozen=True)
class Point:
    """One load: what every server gets in turn."""

    connections: int
    size: int = 20
    in_flight: int = 1
    mode: str = "echo"
    text: bool = False

    @property
    def label(self):
        if self.mode == "rate":
            return f"{self.connections} handshakes at a time"
        many = f"{self.connections} connection{'s' if self.connections > 1 else ''}"
        if self.mode == "broadcast":
            return f"{size_text(self.size)} to {many}"
        if self.mode == "sink":
            return f"{size_text(self.size)} from {many}"
        return f"{size_text(self.size)}, {many}, {self.in_flight} in flight"

    def smaller(self):
        """The same for a quick look."""
        return dataclasses.replace(self, connections=min(self.connections, 50))

    def with_text(self):
        return dataclasses.replace(self, text=True)

    def arguments(self):
        values = {"mode": self.mode, "connections": self.connections, "in-flight": self.in_flight, "size": self.size}
        return [*(f"--{name}={value}" for name, value in values.items()), *(["--text"] if self.text else [])]


@dataclasses.dataclass(frozen=True)
class Claim:
    """`measure` of ours against that of another server, in the same round. Of "rate" more is better, of all others less.
    "growth": of processor time per message from the first named point to the last, both of `between`."""

    measure: str
    against: str
    floor: float
    goal: float
    points: tuple = None  # None: each point
    servers: tuple = OWN

    def with_text(self):
        return dataclasses.replace(self, points=self.points and tuple(point.with_text() for point in self.points))

    @property
    def more_is_better(self):
        return self.measure == "rate"

    def verdict(self, value):
        def reaches(bound):
            return value >= bound if self.more_is_better else value <= bound

        return "goal" if reaches(self.goal) else "floor" if reaches(self.floor) else "missed"

    def text(self, bound):
        return f"{'>=' if self.more_is_better else '<='} {bound:.3g}"


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    points: tuple = ()
    servers: tuple = ALL
    claims: tuple = ()
    together: bool = False  # the points are compared with each other: all of them in each round
    unit: str = "messages"

    def with_text(self):
        """The same with text messages: wsserverd checks that they are UTF-8, the others do not have to."""
        points = tuple(point.with_text() for point in self.points)
        return dataclasses.replace(self, points=points, claims=tuple(claim.with_text() for claim in self.claims))


SMALL = (Point(100), Point(1000), Point(100, KIB), Point(1000, KIB))
CONNECTIONS = (Point(10), Point(100), Point(1000), Point(5000))
SIZES = (20, 128, KIB, 8 * KIB, 64 * KIB, 256 * KIB, MIB)

SCENARIOS = (
    Scenario(
        "small",
        "Echo of small messages, one in flight on each connection",
        SMALL,
        claims=(
            Claim("rate", "libwebsockets", 0.9, 1.0),
            Claim("cpu", "libwebsockets", 1.15, 1.0),
            Claim("rate", "libsoup", 2, 2.5),
            Claim("rate", "ws", 1.7, 2),
        ),
    ),
    Scenario(
        "pipelined",
        "Echo with many messages in flight",
        (Point(10, 20, 64), Point(10, KIB, 16)),
        WITH_EMIT,
        claims=(
            Claim("rate", "libwebsockets", 12, 20, (Point(10, 20, 64),)),
            Claim("rate", "libwebsockets", 2, 4, (Point(10, KIB, 16),)),
        ),
    ),
    Scenario(
        "large",
        "Echo of large messages",
        (Point(10, 16 * KIB), Point(1, MIB)),
        WITH_STREAM,
        claims=(
            Claim("rate", "libwebsockets", 0.6, 0.9, (Point(10, 16 * KIB),)),
            Claim("rate", "libwebsockets", 0.8, 1.0, (Point(1, MIB),)),
        ),
    ),
    Scenario(
        "ping-pong",
        "One connection, one message at a time",
        (Point(1),),
        WITH_SIGNALS,
        (Claim("rate", "libwebsockets", 0.45, 0.6),),
    ),
    Scenario(
        "connections",
        "Growth with the number of connections",
        CONNECTIONS,
        claims=(Claim("growth", "raw", 1.2, 1.05, (Point(100), Point(5000))),),
        together=True,
    ),
    Scenario("sizes", "Growth with the size of messages, ten connections", tuple(Point(10, size) for size in SIZES), WITH_STREAM),
    Scenario(
        "broadcast",
        "One message of a peer, sent to everybody",
        (Point(1000, KIB, mode="broadcast"),),
        claims=(Claim("rate", "libwebsockets", 1.0, 1.3),),
        unit="deliveries",
    ),
    Scenario(
        "handshakes",
        "Connections accepted",
        (Point(32, mode="rate"),),
        # Connecting costs the load generator as much as accepting costs a server: where it is what limits, cost decides.
        claims=(Claim("rate", "libwebsockets", 1.0, 1.3), Claim("cpu", "libwebsockets", 1.0, 1 / 1.3)),
        unit="handshakes",
    ),
    Scenario(
        "signals",
        "Messages of peers to the app as D-Bus signals",
        (Point(4, 20, 4, "sink"),),
        ("signals", "signal-app", "bare-signals"),
        (Claim("rate", "bare-signals", 0.7, 0.9, servers=("signals", "signal-app")),),
    ),
    Scenario("memory", "Memory of idle connections"),
)


@dataclasses.dataclass(frozen=True)
class MemoryClaim:
    """Octets of one process for each idle connection."""

    server: str
    process: str
    floor: float
    goal: float

    def verdict(self, value):
        return "goal" if value <= self.goal else "floor" if value <= self.floor else "missed"

    @staticmethod
    def text(bound):
        return f"<= {bound:g}"


MEMORY_CONNECTIONS = (0, 1000, 2000, 3000, 4000, 5000)
MEMORY_CLAIMS = (
    MemoryClaim("channel", "worker", 400, 250),
    MemoryClaim("gobject", "worker", 400, 250),
    MemoryClaim("gobject", "app", 500, 300),
    MemoryClaim("channel", "app", 500, 100),  # the issue has a goal for it, and the floor of any app
)
