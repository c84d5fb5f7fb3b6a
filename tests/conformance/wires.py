# SPDX-License-Identifier: Apache-2.0
"""The other end of a connection of ours, in either role: a client of the server under test, or a server for the client
under test. Both send exact octets and take nothing on trust."""

import base64
import hashlib
import pathlib
import socket
import struct
import subprocess
from typing import NamedTuple

from blackbox.peer import CLOSE, GUID, TIMEOUT, Frame, Peer, Stream, encode_frame

PATIENCE = 60.0  # seconds for anything that has to happen, on a machine that is busy


class F(NamedTuple):
    """A frame to send."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0


class Wire:
    """What the roles share. `peer` has the socket."""

    masks = True  # whether this end has to mask, and the other must not

    def __init__(self, peer: Peer):
        self.peer = peer

    def encode(self, frame: F) -> bytes:
        return encode_frame(frame.opcode, frame.payload, frame.fin, frame.rsv, key=b"" if self.masks else None)

    def write(self, octets: bytes, chop: int = 0) -> None:
        """In one piece, or in pieces of `chop` octets, each a segment of its own as far as TCP lets us say."""
        for start in range(0, len(octets), chop or len(octets) or 1):
            self.peer.send(octets[start : start + chop] if chop else octets)

    def send(self, *frames: F, chop: int = 0) -> None:
        self.write(b"".join(self.encode(frame) for frame in frames), chop)

    def hear(self) -> Frame:
        """The next frame, which must be masked as its role demands."""
        frame = self.peer.read_frame()
        assert frame.masked != self.masks, frame
        return frame

    def hear_close(self) -> tuple:
        """(code or None, reason) of the Close frame that must come next."""
        frame = self.hear()
        assert (frame.opcode, frame.fin, frame.rsv) == (CLOSE, True, 0) and len(frame.payload) != 1, frame
        if not frame.payload:
            return None, ""
        return struct.unpack(">H", frame.payload[:2])[0], frame.payload[2:].decode()

    def hear_end(self) -> None:
        """The other end hangs up, in order and without another octet."""
        assert self.peer.read_to_end() == b""

    def finish_closed(self) -> None:
        """After both Close frames: the server, whoever that is, hangs up first."""
        raise NotImplementedError

    def finish_failed(self, code: int) -> None:
        """After the Close frame with which the other end failed the connection: it hangs up without waiting for ours."""
        self.hear_end()
        self.peer.close()

    def leave(self, code: int | None = 1000, reason: bytes = b"") -> tuple:
        """The closing handshake from this end; returns the answer."""
        self.send(F(CLOSE, b"" if code is None else struct.pack(">H", code) + reason))
        answer = self.hear_close()
        self.finish_closed()
        return answer

    def abandon(self) -> None:
        self.peer.close()


class ServerUnderTest(Wire):
    """We are the client, over TCP to a server of the daemon's."""

    def __init__(self, port: int, **options):
        super().__init__(Peer(port, timeout=PATIENCE, **options))

    def finish_closed(self) -> None:
        self.hear_end()
        self.peer.close()


class Accepted(Peer):
    """The socket of a client that connected to us: frames by hand, as in its base class, but the handshake is ours to give."""

    def __init__(self, sock: socket.socket):  # pylint: disable=super-init-not-called
        self.socket = sock
        self.buffer = bytearray()
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Request(NamedTuple):
    line: str
    headers: list  # (name in lower case, value)

    def value(self, name: str) -> str:
        [value] = [value for header, value in self.headers if header == name]
        return value

    @property
    def accept(self) -> str:
        return base64.b64encode(hashlib.sha1(self.value("sec-websocket-key").encode() + GUID).digest()).decode()


def read_request(stream: Stream) -> Request:
    lines = stream.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
    fields = [line.split(": ", 1) for line in lines[1:]]
    return Request(lines[0], [(name.lower(), value) for name, value in fields])


def response(request: Request, **changes) -> bytes:
    """A right answer to an upgrade, then changed: `status_line`; `headers` replaces or adds; `remove` leaves out."""
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": request.accept}
    fields.update(changes.get("headers", {}))
    lines = [changes.get("status_line", "HTTP/1.1 101 Switching Protocols")]
    lines += [f"{name}: {value}" for name, value in fields.items() if name not in changes.get("remove", ())]
    return "\r\n".join(lines + ["", ""]).encode("latin-1")


class EngineClient:
    """The program engine-client, or library-client, which visits us when told to, as often as we like."""

    def __init__(self, build: pathlib.Path, name: str = "engine-client"):
        program = build / "tests" / "conformance" / name
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)

    def visit(self, *options: str) -> Accepted:
        self.process.stdin.write(" ".join([str(self.listener.getsockname()[1]), *options]) + "\n")
        return Accepted(self.listener.accept()[0])

    def report(self) -> str:
        """The next line of what it has to tell."""
        line = self.process.stdout.readline()
        assert line, "the client ended"
        return line.rstrip("\n")

    def stop(self) -> int:
        self.process.stdin.close()
        self.listener.close()
        status = self.process.wait(TIMEOUT)
        self.process.stdout.close()
        return status


class ClientUnderTest(Wire):
    """We are the server, for one visit of the engine in its client's role."""

    masks = False

    def __init__(self, engine: EngineClient, *options: str, **changes):
        super().__init__(engine.visit(*options))
        self.engine = engine
        self.request = read_request(self.peer)
        self.peer.send(response(self.request, **changes))
        self.ended = False
        self.protocol = engine.report().removeprefix("open").strip()

    def finish_closed(self) -> None:
        self.peer.finish_sending()
        self.hear_end()
        self.hear_report("closed ")
        self.peer.close()

    def finish_failed(self, code: int) -> None:
        super().finish_failed(code)
        self.hear_report(f"failed {code} ")

    def hear_report(self, start: str) -> None:
        report = self.engine.report()
        self.ended = True
        assert report.startswith(start), report

    def abandon(self) -> None:
        """The visit must have ended before the next one can begin, also after a case that went wrong."""
        self.peer.close()
        if not self.ended:
            self.hear_report("")
