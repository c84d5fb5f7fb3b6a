# SPDX-License-Identifier: Apache-2.0
"""An app that does what comes into its head. Everything it decides comes from one seed."""

import os
import pathlib
import random
import select
import socket
import struct
import tempfile

from .app import INTROSPECTABLE, MANAGER, MANAGER_PATH, PROPERTIES, SERVER, App
from .forgery import memfd
from .service import BUS_NAME
from .wire import DBusError, Variant, complete_types

MEMBERS = {  # with the signatures that they have
    MANAGER: {"CreateServer": "", "ListServers": "", "ListBans": "", "ClearBan": "s", "Reload": ""},
    SERVER: {"Start": "a{sv}", "Stop": "", "Send": "tbay", "Broadcast": "atbay", "Close": "tqs", "ListAllConnections": "",
             "OpenChannel": "", "OpenSharedChannel": "", "Acknowledge": "t", "ReplaceCertificate": "hhs", "Release": ""},
    PROPERTIES: {"Get": "ss", "GetAll": "s", "Set": "ssv"},
    INTROSPECTABLE: {"Introspect": ""},
    "org.freedesktop.DBus.Peer": {"Ping": "", "GetMachineId": ""},
}
OPTIONS = {"serverPort": "q", "serverIP": "s", "maxConcurrentClientsNumber": "u", "maxConnectionsForOneClient": "u", "protocol": "s",
           "privateKeyPassword": "s", "tlsMinVersion": "s", "allowedOrigins": "as", "maxMessageSize": "t", "pingInterval": "u",
           "pongTimeout": "u", "compression": "b"}
TEXTS = ("", "127.0.0.1", "::1", "0.0.0.0", "fe80::1%lo", "chat", "a" * 5000, "é\u2028\U0001f600", "\x01\x7f\n", "%s%n%p", "../../etc",
         SERVER, MANAGER, "State", "Connections", "null", "https://a.example", "1.3", "/", "," * 300)
NUMBERS = (0, 1, 2, 3, 1000, 1001, 1005, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63, 2**64 - 1)
BITS = {"y": 8, "q": 16, "u": 32, "t": 64, "h": 32}


class Descriptors:
    """One of every kind that an app can have."""

    def __init__(self, folder: pathlib.Path, identity, *more: int):
        fifo = folder / "fifo"
        os.mkfifo(fifo)
        sparse = tempfile.TemporaryFile(dir=folder)
        sparse.truncate(1 << 40)
        self.pipe = os.pipe()
        self.pair = socket.socketpair()
        self.growing = memfd(b"x" * 100, 0)
        self.poll = select.epoll()
        opened = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (folder, "/dev/zero", "/dev/null", "/proc/self/mem",
                                                                       identity.certificate, identity.key)]
        self.good = opened[-2:]
        self._numbers = [*self.pipe, *opened, os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), self.growing,
                         memfd(b"-----BEGIN CERTIFICATE-----\n")]
        self.all = [*self._numbers, sparse.fileno(), self.pair[0].fileno(), self.poll.fileno(), *more]
        self._sparse = sparse

    def grow(self) -> None:
        os.write(self.growing, b"x" * 1000)

    def close(self) -> None:
        self.poll.close()
        self.pair[0].close()
        self.pair[1].close()
        self._sparse.close()
        for fd in self._numbers:
            os.close(fd)


class HostileApp:
    def __init__(self, address: str, seed: str, descriptors: Descriptors, foreign: list):
        """`foreign`: paths of others' servers."""
        self.address = address
        self.random = random.Random(seed)
        self.descriptors = descriptors
        self.foreign = foreign
        self.channels: list = []
        self.peers: list = []
        self.done: dict = {}  # how often what was done
        self.app = None
        self._connect()

    def _connect(self) -> None:
        self.app = App(self.address, answer_pings=self.random.random() < 0.7)
        # One that does not read its replies is not read any more by the bus.
        self.app.connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("qq", 0, 300000))
        self.paths: list = []
        self.ports: list = []

    def act(self) -> None:
        acts = {self._call: 30, self._create: 8, self._start: 12, self._start_with_tls: 4, self._replace_certificate: 4,
                self._open_channel: 5, self._abuse_channel: 12, self._visit: 5, self._leave: 3, self._flood: 1, self._deafen: 1}
        (act,) = self.random.choices(list(acts), list(acts.values()))
        self.done[act.__name__] = self.done.get(act.__name__, 0) + 1
        try:
            act()
        except (OSError, struct.error, DBusError, TimeoutError):
            self._leave()  # the bus has thrown us out: so it should for some of this

    # Calls

    def _later(self, path, interface, member, signature="", *body, fds=(), on_reply=None) -> None:
        self.app.call_later(path, interface, member, signature, *body, fds=fds, on_reply=on_reply)

    def _path(self) -> str:
        others = [MANAGER_PATH, "/", "/org/wsserver1/server/4294967296", "/org/wsserver1/server", *self.foreign]
        return self.random.choice(others) if not self.paths or self.random.random() < 0.2 else self.random.choice(self.paths)

    def _call(self) -> None:
        interface = self.random.choice(list(MEMBERS))
        member = self.random.choice(list(MEMBERS[interface]))
        signature = MEMBERS[interface][member]
        if self.random.random() < 0.15:
            signature = self.random.choice(("", "s", "t", "v", "ay", "at", "a{sv}", "tbay", "(ss)", "aaas", "hhhh"))
        fds = [self.random.choice(self.descriptors.all) for _ in range(self.random.choice((0, 0, 0, 1, 2, 16)))]
        path = MANAGER_PATH if interface == MANAGER and self.random.random() < 0.8 else self._path()
        self._later(path, interface, member, signature, *self._values(signature), fds=fds)

    def _values(self, signature: str) -> list:
        return [self._value(kind) for kind in complete_types(signature)]

    def _value(self, kind: str):
        choose = self.random.choice
        if kind in BITS:
            return choose(NUMBERS) % (1 << BITS[kind])
        if kind == "b":
            return choose((True, False))
        if kind == "s":
            return choose(TEXTS)
        if kind == "v":
            inner = choose(("s", "t", "u", "as", "b", "ay"))
            return Variant(inner, self._value(inner))
        if kind == "ay":
            return choose((b"", b"x", b"\xff\xfe", bytes(70000), bytes(2000000)))
        if kind == "a{sv}":
            return self._options()
        if kind.startswith("a"):
            return [self._value(kind[1:]) for _ in range(choose((0, 1, 3) if kind[1] == "a" else (0, 1, 3, 3000)))]
        return tuple(self._values(kind[1:-1]))

    def _options(self) -> dict:
        options = {"serverPort": Variant("q", 0), "serverIP": Variant("s", "127.0.0.1")}
        for _ in range(self.random.choice((0, 0, 1, 2, 8))):
            key = self.random.choice([*OPTIONS, "certificate", "unknown", ""])
            kind = OPTIONS.get(key, "h") if self.random.random() < 0.7 else self.random.choice(("s", "t", "as", "v"))
            options[key] = Variant(kind, self._value(kind))
        return options

    def _create(self) -> None:
        paths = self.paths
        self._later(MANAGER_PATH, MANAGER, "CreateServer",
                    on_reply=lambda reply: paths.append(reply.reply.body[0]) if not reply.reply.error_name else None)

    def _start(self) -> None:
        path, app, ports = self._path(), self.app, self.ports
        def ask(_reply):
            app.call_later(path, PROPERTIES, "Get", "ss", SERVER, "ServerPort",
                           on_reply=lambda reply: ports.append(reply.reply.body[0].value) if not reply.reply.error_name else None)
        self._later(path, SERVER, "Start", "a{sv}", self._options(), on_reply=ask)

    def _pair(self) -> list:
        good = self.random.random() < 0.4
        return self.descriptors.good if good else self.random.choices(self.descriptors.all, k=2)

    def _start_with_tls(self) -> None:
        options = {**self._options(), "certificate": Variant("h", 0), "privateKey": Variant("h", 1)}
        self._later(self._path(), SERVER, "Start", "a{sv}", options, fds=self._pair())
        self.descriptors.grow()

    def _replace_certificate(self) -> None:
        self._later(self._path(), SERVER, "ReplaceCertificate", "hhs", 0, 1, "", fds=self._pair())

    # Channels

    def _open_channel(self) -> None:
        def take(reply):
            self.channels += reply.reply.fds
        member = self.random.choice(("OpenChannel", "OpenSharedChannel"))
        self._later(self._path(), SERVER, member, on_reply=take)

    def _abuse_channel(self) -> None:
        if not self.channels:
            return
        fd = self.random.choice(self.channels)
        what = self.random.choice(("noise", "half", "close", "ignore", "record"))
        if what == "close":
            self.channels.remove(fd)
            os.close(fd)
        elif what != "ignore":
            record = struct.pack("<IBBHQ", 8, self.random.randrange(0x40, 0x47), 0, 0, self.random.choice((0, 2**32 + 1))) + bytes(8)
            octets = {"noise": self.random.randbytes(5000), "half": record[:-3], "record": record}[what]
            try:
                os.set_blocking(fd, False)
                os.write(fd, octets)
            except OSError:
                pass  # closed by the other side, or an arena that cannot be written

    # Peers, and the end

    def _visit(self) -> None:
        port = self.random.choice(self.ports) if self.ports else 0
        try:
            peer = socket.create_connection(("127.0.0.1", port), 1)
        except OSError:
            return
        peer.setblocking(False)
        request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        request += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + self.random.choice((b"", b"\x81\x81\0\0\0\0x" * 1000))
        try:
            peer.send(self.random.choice((request, request[:50], self.random.randbytes(500))))
        except OSError:
            pass
        self.peers.append(peer)

    def _deafen(self) -> None:
        self.app.connection.stop_reading()

    def _flood(self) -> None:
        for _ in range(1000):
            self.app.connection.call_without_reply(BUS_NAME, MANAGER_PATH, MANAGER, "CreateServer")

    def _leave(self) -> None:
        """And comes back as somebody else."""
        self.close()
        self._connect()

    def close(self) -> None:
        self.app.close()
        for peer in self.peers:
            peer.close()
        for fd in self.channels:
            os.close(fd)
        self.peers, self.channels = [], []
