# SPDX-License-Identifier: Apache-2.0
"""A worker that keeps no rule. The daemon starts it in place of wsserver-worker, it carries out a list of steps that the test wrote.

Puppets is the test's side: it chooses who plays the next worker. Nobody is told in advance whose server that will be, so a test
starts the servers that are to have the real worker before.
"""

import json
import os
import pathlib
import select
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
import channel_client as cc  # noqa: E402

GENERATION = 1
FIRST = (GENERATION << 32) + 1  # id of the first connection of a server's first worker
STEPS = sys.argv[1] if __name__ == "__main__" else ""
SELECTOR = """#!/bin/sh
[ -e {steps} ] && exec /usr/bin/python3 -S {script} {steps}
exec {worker}
"""


class Puppets:
    """Makes the program that the daemon takes for its worker."""

    def __init__(self, folder: pathlib.Path, worker: str):
        self.steps = folder / "steps.json"
        self.program = folder / "any-worker"
        self.program.write_text(SELECTOR.format(steps=self.steps, script=pathlib.Path(__file__).resolve(), worker=worker))
        self.program.chmod(0o755)

    def play(self, *steps) -> None:
        """From the next worker on. A step is the name of a method of Puppet and its arguments."""
        written = self.steps.with_suffix(".new")
        written.write_text(json.dumps(steps, default=lambda octets: {"octets": octets.hex()}))
        written.rename(self.steps)

    def taken(self) -> int:
        """How many have begun so far."""
        log = self.steps.with_suffix(".log")
        return log.stat().st_size if log.exists() else 0

    def leave(self) -> None:
        """From the next worker on it is the real one again."""
        self.steps.unlink(missing_ok=True)


class Puppet:
    """The process: each method is a step."""

    def __init__(self):
        self.control = socket.socket(fileno=os.dup(3))
        self.control.setblocking(True)
        os.close(3)
        self.channel = self.listener = None
        self.last = None  # the last request
        self.kept = []  # descriptors that came

    def alone(self):
        """Waits until the test has seen to it that the next worker is another one."""
        while os.path.exists(STEPS):
            time.sleep(0.005)

    def _receive(self):
        octets, fds, _flags, _address = socket.recv_fds(self.control, 65536, 4)
        if not octets:
            sys.exit(0)
        self.kept += fds
        return cc.ControlRecord(octets), fds

    def configured(self, attached=True):
        """Takes CONFIGURE and ATTACH, says nothing."""
        self.last, fds = self._receive()
        if self.last.type == cc.CONFIGURE:
            self.listener = socket.socket(fileno=fds[0])
        if attached and self.last.type == cc.CONFIGURE:
            _attach, fds = self._receive()
            self.channel = socket.socket(fileno=fds[0])
            self.channel.setblocking(True)

    def say(self, octets, descriptors=0):
        """One packet on the control socket."""
        try:
            if descriptors:
                socket.send_fds(self.control, [octets], [0] * descriptors)
            else:
                self.control.send(octets)
        except OSError:
            pass  # the daemon has had enough

    def write(self, octets, descriptors=0):
        """On the channel."""
        try:
            if descriptors:
                socket.send_fds(self.channel, [octets], [0] * descriptors)
            else:
                self.channel.sendall(octets)
        except OSError:
            pass

    def asked(self, type):
        """Waits for a request of that type; others before it are answered as they should be."""
        while True:
            self.last, _fds = self._receive()
            if self.last.type == type:
                return
            self._answer()

    def answer(self, octets, descriptors=0):
        """The record, with the tag of the last request in place of its own."""
        self.say(octets[:4] + struct.pack("<I", self.last.tag) + octets[8:], descriptors)

    def pages(self, count, connect):
        """Whenever it is asked for connections it has so many above those, and more to come; else as serve()."""
        while True:
            self.last, _fds = self._receive()
            if self.last.type == cc.LIST:
                self._page(count, connect)
            else:
                self._answer()

    def _page(self, count, connect):
        after = self.last.get(cc.F_AFTER) or FIRST - 1
        field = cc.encode_field(cc.F_CONNECTION_ENTRY, bytes(8) + connect)
        entries = [field[:8] + struct.pack("<Q", after + 1 + i) + field[16:] for i in range(count)]
        self.answer(cc.encode_control(cc.CONNECTIONS, more="") + b"".join(entries))

    def _answer(self):
        answers = {cc.STATISTICS: cc.encode_control(cc.COUNTERS, counters=bytes(56)), cc.LIST: cc.encode_control(cc.CONNECTIONS),
                   cc.CONTROL_CLOSE: cc.encode_control(cc.RESULT, found=0), cc.LIST_BANS: cc.encode_control(cc.BANS),
                   cc.STOP: cc.encode_control(cc.STOPPED, counters=bytes(56))}
        if self.last.type in answers:
            self.answer(answers[self.last.type])

    def serve(self):
        """Answers every question until it is told to stop, then leaves."""
        self.asked(cc.STOP)
        self._answer()

    def flood(self, where, octets):
        """For ever."""
        sock = self.control if where == "control" else self.channel
        try:
            while True:
                sock.sendall(octets)
        except OSError:
            self.hang()

    def many(self, type, first, count, body):
        """So many records about one connection after the other."""
        for start in range(first, first + count, 1000):
            ids = range(start, min(start + 1000, first + count))
            self.write(b"".join(cc.encode(type, connection, body) for connection in ids))

    def accept(self):
        """Takes peers of the listening socket, as long as there is one."""
        while True:
            try:
                self.kept.append(self.listener.accept()[0])
            except OSError:
                self.hang()

    def close(self, where):
        if where == "control":
            self.control.close()
        else:
            self.channel.close()

    def linger(self):
        """Does nothing until the daemon has let go of it."""
        end = select.poll()
        end.register(self.control, 0)
        end.poll()
        os._exit(0)

    def split(self):
        """Goes on as the child of a process that exits: no id that the daemon knows belongs to it any more."""
        if os.fork():
            os._exit(0)

    def hang(self):
        signal.pause()
        self.hang()

    def exit(self, status):
        os._exit(status)


def main() -> None:
    def octets(found: dict):
        return bytes.fromhex(found["octets"]) if found.keys() == {"octets"} else found
    steps = json.loads(pathlib.Path(STEPS).read_text(), object_hook=octets)
    with open(pathlib.Path(STEPS).with_suffix(".log"), "a") as log:
        log.write(".")
    puppet = Puppet()
    for name, *arguments in steps:
        getattr(puppet, name)(*arguments)


if __name__ == "__main__":
    main()
