# SPDX-License-Identifier: Apache-2.0
"""Numbered traffic both ways that notices whatever goes missing, comes twice, or comes in another order.

Peers number their messages one by one, so the app knows what has to come next. Every call of Send carries a number of its
own and is never repeated, so a peer has to see ascending numbers: all that were answered with success, none that were
answered with an error that says they went nowhere, and perhaps some whose outcome nobody can know, because the daemon was killed.
"""

import struct
import threading
import time

from .app import Event, Server
from .peer import Peer
from .wire import TIMEOUT, DBusError, Pending, until

FORM = struct.Struct(">Qd")  # number, monotonic time of sending
NOT_DELIVERED = ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
                 "org.wsserver1.Error.WouldBlock")
UNKNOWN_OUTCOME = ("org.freedesktop.DBus.Error.NoReply",)


class Line:
    """One connection."""

    def __init__(self, peer: Peer, connection: int):
        self.peer = peer
        self.connection = connection
        self.sent = 0  # by the peer
        self.received: list = []  # numbers, by the peer
        self.expected = 0  # by the app: the next number
        self.outstanding = 0  # calls of Send
        self.confirmed: set = set()
        self.refused: set = set()
        self.unknown: set = set()


class NumberedTraffic:
    OUTSTANDING = 3  # calls per connection

    def __init__(self, server: Server, connections: int, acknowledge: bool = False, pause: float = 0.025):
        """`pause`: seconds between two messages on one connection, each way."""
        self.server = server
        self.acknowledge = acknowledge
        self.pause = pause
        self.faults: list = []
        self.recovered: list = []  # the figures of Recovered
        self.repeats = 0
        self.events = len(server.events)  # without repeats
        self.number = 0
        self.worst_latency = self.worst_gap = 0.0  # seconds, since measure()
        self._answered_at = time.monotonic()
        self._history: list = []
        self._places: dict = {}
        self._announced = 0  # how many of the next events may be repeats
        self._place: int | None = None  # in the history, while events are repeated
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._closing = False
        server.on_event = self._take
        server.keep_events = True
        self.lines = {}
        for _ in range(connections):
            peer, connection = server.join()
            self.lines[connection] = Line(peer, connection)
        server.keep_events = False
        self._threads = [threading.Thread(target=self._run, args=(work,), daemon=True)
                         for work in (self._send_as_peers, self._send_as_app)]
        self._threads += [threading.Thread(target=self._read_as_peer, args=(line,), daemon=True) for line in self.lines.values()]
        for thread in self._threads:
            thread.start()

    def measure(self) -> None:
        self.worst_latency = self.worst_gap = 0.0

    def finish(self) -> None:
        """Ends the traffic, waits for what is on its way, and raises if anything was not as it should be."""
        self._ending.set()
        for thread in self._threads[:2]:
            thread.join(TIMEOUT)
        until(lambda: self.faults or all(self._is_complete(line) for line in self.lines.values()), TIMEOUT,
              "everything on its way to arrive: " + ", ".join(self._missing()))
        assert not self.faults, self.faults[:5]
        for line in self.lines.values():
            seen = set(line.received)
            assert not line.confirmed - seen, f"lost on {line.connection}: {sorted(line.confirmed - seen)[:10]}"
            assert not line.refused & seen, f"refused and yet delivered: {sorted(line.refused & seen)[:10]}"
            assert len(line.confirmed) > 0 and line.expected > 0

    def leave(self) -> None:
        """Each connection is closed in order, which shows that it lived to the end."""
        self._closing = True
        for line in self.lines.values():
            line.peer.send_close()
        for thread in self._threads[2:]:
            thread.join(TIMEOUT)
        assert not self.faults, self.faults[:5]

    def _is_complete(self, line: Line) -> bool:
        return line.outstanding == 0 and line.expected == line.sent and line.confirmed <= set(line.received)

    def _missing(self) -> list:
        return [f"{line.connection}: app has {line.expected} of {line.sent}, {line.outstanding} calls open"
                for line in self.lines.values() if not self._is_complete(line)]

    # Peers

    def _run(self, work) -> None:
        try:
            while not self._ending.wait(self.pause):
                work()
        except Exception as failure:
            self.faults.append(f"{work.__name__}: {failure!r}")

    def _send_as_peers(self) -> None:
        for line in self.lines.values():
            line.sent += 1
            line.peer.send_message(FORM.pack(line.sent - 1, time.monotonic()))

    def _read_as_peer(self, line: Line) -> None:
        try:
            line.peer.socket.settimeout(None)
            while True:
                frame = line.peer.next_frame()
                if frame.opcode == 8:
                    if not self._closing:
                        self.faults.append(f"connection {line.connection} was closed: {frame.payload!r}")
                    return
                number, _at = FORM.unpack(frame.payload)
                if line.received and number <= line.received[-1]:
                    self.faults.append(f"the peer of {line.connection} got {number} behind {line.received[-1]}")
                line.received.append(number)
        except Exception as failure:
            self.faults.append(f"connection {line.connection} was lost: {failure!r}")

    # The app

    def _send_as_app(self) -> None:
        for line in self.lines.values():
            if line.outstanding < self.OUTSTANDING:
                line.outstanding += 1
                self.number += 1
                number = self.number
                self.server.call_later("Send", "tbay", line.connection, False, FORM.pack(number, time.monotonic()),
                                       on_reply=lambda reply, line=line, number=number: self._replied(line, number, reply))
        if self.acknowledge:
            self.server.call_later("Acknowledge", "t", self.events, on_reply=self._acknowledged)

    def _replied(self, line: Line, number: int, reply: Pending) -> None:
        try:
            reply.message()
            line.confirmed.add(number)
            now = time.monotonic()
            self.worst_gap = max(self.worst_gap, now - self._answered_at)
            self._answered_at = now
        except DBusError as error:
            if error.name in NOT_DELIVERED:
                line.refused.add(number)
            elif error.name in UNKNOWN_OUTCOME:
                line.unknown.add(number)
            else:
                self.faults.append(f"Send: {error}")
        line.outstanding -= 1

    def _acknowledged(self, reply: Pending) -> None:
        try:
            reply.message()
        except DBusError as error:
            if error.name not in NOT_DELIVERED + UNKNOWN_OUTCOME:
                self.faults.append(f"Acknowledge: {error}")

    def _take(self, event: Event) -> None:
        """Called in the app's reading thread, for one signal after the other."""
        if event.member == "Recovered":
            self.recovered.append(event.args[0])
            self._announced, self._place = event.args[0], None
            return
        data = event.args[2] if event.member == "MessageReceive" else b""
        key = (event.member, event.args[0], data)
        if self._is_repeat(key):
            self.repeats += 1
            return
        self._places[key] = len(self._history)
        self._history.append(key)
        self.events += 1
        if event.member == "MessageReceive":
            self._take_message(self.lines.get(event.args[0]), data)
        elif event.member not in ("Connect", "Closed") or (event.member == "Closed" and not self._closing):
            self.faults.append(f"{event.member}{event.args}")

    def _is_repeat(self, key: tuple) -> bool:
        """Repeats come first of what was announced, and repeat a piece of what came before, in its order."""
        known = self._places.get(key)
        if self._announced == 0:
            if known is not None:
                self.faults.append(f"a repeat that nobody announced: {key}")
            return known is not None
        self._announced -= 1
        if self._place is None:
            self._place = len(self._history) if known is None else known
        if self._place < len(self._history):
            if self._history[self._place] != key:
                self.faults.append(f"repeated {key} instead of {self._history[self._place]}")
            self._place += 1
            return True
        self._place += 1
        if known is not None:
            self.faults.append(f"repeated {key} behind new events")
        return known is not None

    def _take_message(self, line: Line | None, data: bytes) -> None:
        number, sent_at = FORM.unpack(data)
        if line is None:
            self.faults.append("a message of an unknown connection")
            return
        if number != line.expected:
            self.faults.append(f"the app got {number} of {line.connection} instead of {line.expected}")
        line.expected = number + 1
        self.worst_latency = max(self.worst_latency, time.monotonic() - sent_at)
