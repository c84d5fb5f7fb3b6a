# SPDX-License-Identifier: Apache-2.0
"""A server by hand, for clients under test: it shows what they have asked, and answers as it is told."""

import base64
import contextlib
import hashlib
import socket
import ssl
import struct

from blackbox.peer import GUID, TIMEOUT


class Visit:
    """A client that has asked for an upgrade (or for a tunnel, if this plays a proxy)."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self.read_request()

    def read_request(self) -> None:
        octets = b""
        while not octets.endswith(b"\r\n\r\n"):
            piece = self.socket.recv(4096)
            assert piece, f"no whole request: {octets!r}"
            octets += piece
        self.request, *lines = octets.decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        self.headers = {f"{name.lower()}: {value.strip()}" for name, _, value in pairs}
        self._key = next((value.strip() for name, _, value in pairs if name.lower() == "sec-websocket-key"), "")

    def answer(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def accept(self, extra: str = "") -> None:
        proof = base64.b64encode(hashlib.sha1(self._key.encode() + GUID).digest()).decode()
        self.answer(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n"
                    f"{extra}\r\n".encode())

    def send_frame(self, opcode: int, payload: bytes = b"") -> None:
        """At most 125 octets."""
        self.answer(struct.pack(">BB", 0x80 | opcode, len(payload)) + payload)

    def read_frame(self) -> tuple:
        """(opcode, payload), of at most 125 octets."""
        first, second = self._read(2)
        key, payload = self._read(4), self._read(second & 0x7F)
        return first & 15, bytes(octet ^ key[at % 4] for at, octet in enumerate(payload))

    def _read(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            piece = self.socket.recv(count - len(octets))
            assert piece, "the client has left"
            octets += piece
        return octets


class Listener(contextlib.AbstractContextManager):
    """With `tls`, a server's context, over TLS."""

    def __init__(self, tls: ssl.SSLContext | None = None):
        self._tls = tls
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(TIMEOUT)
        self.port = self.socket.getsockname()[1]
        self.visits: list = []

    def accept(self) -> Visit:
        connection = self.socket.accept()[0]
        connection.settimeout(TIMEOUT)
        self.visits.append(Visit(self._tls.wrap_socket(connection, server_side=True) if self._tls else connection))
        return self.visits[-1]

    def __exit__(self, *_exception):
        for visit in self.visits:
            visit.socket.close()
        self.socket.close()
