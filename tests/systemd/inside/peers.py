# SPDX-License-Identifier: Apache-2.0
"""Peers with the third-party library "websockets", which send numbered messages at a constant rate and expect each back, once and
in order; and one that connects anew all the time.

Its arguments are JSON: ports, the number of connections, the seconds between two messages of a connection, and whether to connect anew.
It says "ready" as JSON, then answers each line of standard input with a report: "report", or "finish", which first ends the
sending and waits for what is under way. It ends with its standard input.
"""

import asyncio
import json
import sys
import time

import websockets

FINISH_SECONDS = 60
ANEW_SECONDS = 0.05  # between two new connections


class Line:
    def __init__(self, name: str, port: int):
        self.name = name
        self.port = port
        self.sent = self.received = self.repeats = 0
        self.sent_at = {}
        self.worst = 0.0
        self.faults = []
        self.end = None  # [code, reason, monotonic seconds]
        self.socket = None

    async def open(self):
        self.socket = await websockets.connect(f"ws://127.0.0.1:{self.port}/{self.name}", compression=None, ping_interval=None,
                                               open_timeout=30, close_timeout=5)

    async def send(self):
        self.sent += 1
        self.sent_at[self.sent] = time.monotonic()
        await self.socket.send(f"{self.name}:{self.sent}")

    async def send_regularly(self, period: float, ending: asyncio.Event):
        while not ending.is_set() and self.end is None:
            try:
                await self.send()
            except websockets.ConnectionClosed:
                self.sent -= 1
            await asyncio.sleep(period)

    async def receive(self):
        try:
            async for text in self.socket:
                self.take(text)
        except websockets.ConnectionClosedError:
            pass
        self.end = [self.socket.close_code, self.socket.close_reason, time.monotonic()]

    def take(self, text: str):
        name, _colon, number = text.rpartition(":")
        number = int(number)
        if name != self.name:
            self.faults.append(f"{self.name} got what is for {name}")
        elif number <= self.received:
            self.repeats += 1
        else:
            if number != self.received + 1:
                self.faults.append(f"{self.name}: {number} came after {self.received}")
            self.received = number
            self.worst = max(self.worst, time.monotonic() - self.sent_at.pop(number))


class Anew:
    """Connects, says something, waits for the answer, leaves; again and again."""

    def __init__(self, ports: list):
        self.ports = ports
        self.count = 0
        self.worst = 0.0
        self.failed = []

    async def run(self, ending: asyncio.Event):
        while not ending.is_set():
            line = Line(f"anew{self.count}", self.ports[self.count % len(self.ports)])
            started = time.monotonic()
            try:
                await line.open()
                self.worst = max(self.worst, time.monotonic() - started)
                await line.send()
                while line.received == 0:
                    line.take(await asyncio.wait_for(line.socket.recv(), 30))
                await line.socket.close()
                self.failed += line.faults
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException) as failure:
                self.failed.append(f"{type(failure).__name__} {failure}")
            self.count += 1
            await asyncio.sleep(ANEW_SECONDS)


class Peers:
    def __init__(self, ports: list, connections: int, period: float, anew: bool):
        self.lines = [Line(f"line{number}", ports[number % len(ports)]) for number in range(connections)]
        self.anew = Anew(ports) if anew else None
        self.period = period
        self.ending = asyncio.Event()
        self.tasks = []

    async def start(self):
        for line in self.lines:
            await line.open()
            self.tasks.append(asyncio.create_task(line.receive()))
        for line in self.lines:
            self.tasks.append(asyncio.create_task(line.send_regularly(self.period, self.ending)))
            await asyncio.sleep(self.period / len(self.lines))  # evenly spread
        if self.anew:
            self.tasks.append(asyncio.create_task(self.anew.run(self.ending)))

    async def finish(self):
        self.ending.set()
        deadline = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < deadline and any(line.received < line.sent and line.end is None for line in self.lines):
            await asyncio.sleep(0.05)

    def report(self) -> dict:
        now = time.monotonic()
        lost = sum(line.sent - line.received for line in self.lines)
        # A message that is still under way counts with its age.
        worst = max([line.worst for line in self.lines] + [now - at for line in self.lines for at in line.sent_at.values() if not line.end])
        report = {
            "sent": sum(line.sent for line in self.lines), "received": sum(line.received for line in self.lines), "missing": lost,
            "repeats": sum(line.repeats for line in self.lines), "worst_ms": worst * 1000,
            "faults": [fault for line in self.lines for fault in line.faults][:20],
            "ended": [[line.port, *line.end] for line in self.lines if line.end],
            "anew": self.anew.count if self.anew else 0, "anew_failed": self.anew.failed[:20] if self.anew else [],
            "anew_worst_ms": self.anew.worst * 1000 if self.anew else 0.0,
        }
        for line in self.lines:
            line.worst = 0.0
        if self.anew:
            self.anew.worst = 0.0
        return report


async def main():
    ports, connections, period, anew = json.loads(sys.argv[1])
    peers = Peers(ports, connections, period, anew)
    await peers.start()
    print(json.dumps("ready"), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        if line.strip() == b"finish":
            await peers.finish()
        print(json.dumps(peers.report()), flush=True)


asyncio.run(main())
