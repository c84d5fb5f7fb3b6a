# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client that shows and sends exact octets: handshake by hand, frames one by one, faults on purpose."""

import base64
import hashlib
import os
import socket
import ssl
import struct
from typing import NamedTuple

TIMEOUT = 30.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Frame(NamedTuple):
    fin: bool
    rsv: int
    opcode: int
    masked: bool
    payload: bytes


class Response(NamedTuple):
    status: int
    headers: dict  # names in lower case
    body: bytes


class Refused(Exception):
    """The server answered the upgrade with something else than 101."""

    def __init__(self, response: Response):
        super().__init__(f"{response.status}: {response.body!r}")
        self.response = response


def mask(octets: bytes, key: bytes) -> bytes:
    if key == bytes(4) or not octets:
        return octets
    stream = (key * (len(octets) // 4 + 1))[: len(octets)]
    return (int.from_bytes(octets, "little") ^ int.from_bytes(stream, "little")).to_bytes(len(octets), "little")


def encode_frame(opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0, key: bytes | None = b"") -> bytes:
    """A client's frame. Without `key` a random one; None for an unmasked frame."""
    key = os.urandom(4) if key == b"" else key
    bit = 0x80 if key is not None else 0
    length = len(payload)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += struct.pack(">BH", bit | 126, length)
    else:
        head += struct.pack(">BQ", bit | 127, length)
    return head + (payload if key is None else key + mask(payload, key))


def upgrade_request(host: str, path: str = "/", headers: dict | None = None, remove=(), method: str = "GET",
                    version: str = "HTTP/1.1") -> bytes:
    """A right upgrade request, then changed: `headers` replaces or adds, `remove` leaves out."""
    fields = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade",
              "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), "Sec-WebSocket-Version": "13"}
    fields.update(headers or {})
    lines = [f"{method} {path} {version}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if name not in remove]
    return "\r\n".join(lines + ["", ""]).encode("latin-1")


class Stream:
    """A TCP connection, with TLS where a context for it is given, and a buffer to read from."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str | tuple | None = None, receive_buffer: int = 0,
                 timeout: float = TIMEOUT, tls: ssl.SSLContext | None = None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self.buffer = bytearray()
        try:
            self.socket.settimeout(timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if source:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.socket.bind((source, 0) if isinstance(source, str) else source)
            self.socket.connect(socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)[0][4])  # knows %zones
            self.address = self.socket.getsockname()[:2]
            if tls:
                self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        except BaseException:
            self.socket.close()
            raise

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def fill(self) -> bool:
        """Reads once; False at the end of the stream."""
        octets = self.socket.recv(1 << 18)
        self.buffer.extend(octets)
        return bool(octets)

    def read(self, length: int) -> bytes:
        while len(self.buffer) < length:
            if not self.fill():
                raise EOFError(f"the server hung up; {len(self.buffer)} octets of {length} came")
        octets = bytes(self.buffer[:length])
        del self.buffer[:length]
        return octets

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not self.fill():
                raise EOFError(f"the server hung up behind {bytes(self.buffer)!r}")
        return self.read(self.buffer.index(mark) + len(mark))

    def read_to_end(self) -> bytes:
        while self.fill():
            pass
        return self.read(len(self.buffer))

    def read_response(self) -> Response:
        """A response with its body, which must have the length it says."""
        head = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = b"" if status == 101 else self.read(int(headers["content-length"]))
        return Response(status, headers, body)

    def close(self) -> None:
        self.socket.close()

    def finish_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection with RST, as a crash or a cut cable does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


class Peer(Stream):
    """A Stream on which the upgrade has succeeded."""

    def __init__(self, port: int, host: str = "127.0.0.1", path: str = "/", headers: dict | None = None, first: bytes = b"",
                 **options):
        """`first`: octets sent in the same segment as the request."""
        super().__init__(port, host, **options)
        try:
            key = base64.b64encode(os.urandom(16))
            self.send(upgrade_request(f"{host}:{port}", path, {"Sec-WebSocket-Key": key.decode(), **(headers or {})}) + first)
            self.response = self.read_response()
            if self.response.status != 101:
                raise Refused(self.response)
            proof = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
            assert self.response.headers["sec-websocket-accept"] == proof
        except BaseException:
            self.socket.close()
            raise

    def send_frame(self, opcode: int, payload: bytes = b"", **options) -> None:
        self.send(encode_frame(opcode, payload, **options))

    def send_message(self, data: str | bytes) -> None:
        if isinstance(data, str):
            self.send_frame(TEXT, data.encode())
        else:
            self.send_frame(BINARY, data)

    def send_close(self, code: int | None = 1000, reason: bytes = b"") -> None:
        self.send_frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason)

    def read_frame(self) -> Frame:
        first, second = self.read(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.read(8))
        key = self.read(4) if second & 0x80 else None
        payload = self.read(length)
        return Frame(bool(first & 0x80), first >> 4 & 7, first & 15, key is not None, mask(payload, key) if key else payload)

    def next_frame(self) -> Frame:
        """The next frame that is no Ping; Pings are answered."""
        while True:
            frame = self.read_frame()
            assert not frame.masked and frame.rsv == 0, frame
            if frame.opcode != PING:
                return frame
            self.send_frame(PONG, frame.payload)

    def read_message(self) -> str | bytes:
        frame = self.next_frame()
        opcode, pieces = frame.opcode, [frame.payload]
        assert opcode in (TEXT, BINARY), frame
        while not frame.fin:
            frame = self.next_frame()
            assert frame.opcode == CONTINUATION, frame
            pieces.append(frame.payload)
        payload = b"".join(pieces)
        return payload.decode() if opcode == TEXT else payload

    def read_close(self) -> tuple:
        """(code or None, reason) of the Close frame, which must come next."""
        frame = self.next_frame()
        assert frame.opcode == CLOSE, frame
        if not frame.payload:
            return None, b""
        return struct.unpack(">H", frame.payload[:2])[0], frame.payload[2:]

    def finish_close(self) -> tuple:
        """Answers the server's Close frame with the same code, expects the end of the stream, and returns (code, reason)."""
        code, reason = self.read_close()
        self.send_close(code)
        assert self.read_to_end() == b""
        self.close()
        return code, reason

    def leave(self, code: int | None = 1000, reason: bytes = b"") -> tuple:
        """The closing handshake from this side; returns the server's (code, reason)."""
        self.send_close(code, reason)
        answer = self.read_close()
        assert self.read_to_end() == b""
        self.close()
        return answer

    def assert_alive(self) -> None:
        """A Ping is answered and nothing else has come."""
        token = os.urandom(8)
        self.send_frame(PING, token)
        frame = self.next_frame()
        assert (frame.opcode, frame.payload) == (PONG, token), frame


def request(port: int, octets: bytes, host: str = "127.0.0.1", source: str | None = None, then_finish: bool = True) -> Response:
    """Sends a request, reads the response to the end of the connection, and checks that nothing follows it."""
    with Stream(port, host, source) as stream:
        stream.send(octets)
        response = stream.read_response()
        if then_finish and response.status != 101:
            assert stream.read_to_end() == b""
        return response


def refusal(port: int, host: str = "127.0.0.1", source: str | None = None, **changes) -> Response:
    """What the server answers to an upgrade request changed as upgrade_request() says."""
    return request(port, upgrade_request(f"{host}:{port}", **changes), host, source)


def can_bind(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a plain server with SO_REUSEADDR can have the port now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            plain.bind((host, port))
            plain.listen()
        except OSError:
            return False
        return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody uses, below the range from which the kernel hands out ports on its own."""
    for _attempt in range(200):
        port = 20000 + int.from_bytes(os.urandom(2), "little") % 12000
        if can_bind(port, host):
            return port
    raise RuntimeError("no free port")
