# SPDX-License-Identifier: Apache-2.0
"""Runs the real worker over a control socket and a channel, with raw TCP clients on the other side."""

import base64
import os
import select
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import channel_client as cc  # noqa: E402

FAST = dict(version=1, generation=1, max_clients=10, max_per_client=10, protocol="", max_message=5242864,
            ping_interval=0, pong_timeout=0, handshake_timeout=10, name="/test/server")


def worker_path():
    path = os.environ.get("WSSERVER_WORKER")
    if not path and os.environ.get("WSSERVERD_BUILD"):
        path = os.path.join(os.environ["WSSERVERD_BUILD"], "worker", "wsserver-worker")
    return path


def is_sanitized():
    with open(worker_path(), "rb") as file:
        return b"__asan_init" in file.read()


def listen(address="127.0.0.1", family=socket.AF_INET):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((address, 0))
    listener.listen(512)
    return listener


def spawn(control_end, **popen):
    """Starts the worker with `control_end` as descriptor 3."""
    def arrange():
        if control_end.fileno() == 3:
            os.set_inheritable(3, True)
        else:
            os.dup2(control_end.fileno(), 3)
    env = dict(os.environ)
    env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
    return subprocess.Popen([worker_path()], preexec_fn=arrange, close_fds=False, stderr=subprocess.PIPE, env=env,
                            **popen)


class Worker:
    """A worker with its control socket; configured and attached unless told otherwise."""

    def __init__(self, configure=True, acknowledged=1, attach=True, listener=None, window={}, **configuration):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = spawn(theirs)
        theirs.close()
        self.pid = self.process.pid
        self.control = cc.Control(ours)
        self.listener = listener or listen()
        self.port = self.listener.getsockname()[1]
        self.channel = None
        self.peers = []
        self.generation = configuration.get("generation", 1)
        if configure:
            self.control.send(cc.CONFIGURE, 1, [self.listener.fileno()], **{**FAST, **configuration})
            if attach:
                self.channel = self.control.attach(acknowledged, **window)
            ready = self.control.receive()
            assert ready and ready.type == cc.READY, ready and ready.get(cc.F_TEXT)

    def id(self, number):
        return (self.generation << 32) + number

    def connect(self, source="127.0.0.1", **options):
        peer = Peer(self.port, source, **options)
        self.peers.append(peer)
        return peer

    def open(self, number=1, source="127.0.0.1", **options):
        """A peer whose handshake is done, and its CONNECT."""
        peer = self.connect(source, **options)
        peer.handshake()
        peer.id = self.id(number)
        self.channel.wait_for(cc.CONNECT, peer.id)
        return peer

    def wait(self, timeout=20):
        return self.process.wait(timeout)

    def stop(self, code=1001, deadline=2000):
        self.control.send(cc.STOP, 99, code=code, deadline=deadline)

    def confirm(self):
        """Takes all events that are there: a worker that stops stays until its last ones are safe."""
        self.channel.quiet(0.2)
        self.channel.acknowledge(len(self.channel.events()))

    def finish(self):
        """Ends whatever still runs; what the worker said on standard error."""
        for peer in self.peers:
            peer.sock.close()
        self.control.sock.close()
        if self.channel:
            self.channel.sock.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.listener.close()
        said = self.process.stderr.read().decode(errors="replace")
        self.process.stderr.close()
        return said


def frame(opcode, payload=b"", fin=True, mask=True):
    head = bytes([(0x80 if fin else 0) | opcode])
    length = len(payload)
    bit = 0x80 if mask else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", length)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", length)
    if not mask:
        return head + payload
    key = b"\x37\xfa\x21\x3d"
    repeated = (key * (length // 4 + 1))[:length]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(length, "big") if length else b""
    return head + key + masked


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Peer:
    """A raw TCP client that speaks just enough WebSocket."""

    def __init__(self, port, source="127.0.0.1", receive_buffer=None, family=socket.AF_INET, target=None):
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(20)
        self.sock.connect((target or ("127.0.0.1" if family == socket.AF_INET else "::1"), port))
        self.buffer = b""

    def request(self, path="/", headers=(), key=None, leave_out=()):
        key = key or base64.b64encode(b"0123456789abcdef").decode()
        lines = [("Host", "tv"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", key),
                 ("Sec-WebSocket-Version", "13"), *headers]
        text = f"GET {path} HTTP/1.1\r\n"
        text += "".join(f"{name}: {value}\r\n" for name, value in lines if name not in leave_out)
        return (text + "\r\n").encode()

    def send(self, octets):
        self.sock.sendall(octets)

    def handshake(self, more=b"", **request):
        self.send(self.request(**request) + more)
        status, headers, _ = self.response(body=False)
        assert status == 101, status
        return headers

    def _fill(self):
        octets = self.sock.recv(1 << 20)
        self.buffer += octets
        return bool(octets)

    def response(self, body=True):
        """Status, headers and body of an HTTP answer."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._fill():
                raise AssertionError(f"no HTTP answer: {self.buffer!r}")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        status = int(lines[0].split()[1])
        content = b""
        if body:
            length = int(headers["content-length"])
            while len(self.buffer) < length:
                assert self._fill(), "the body is cut off"
            content, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, headers, content.decode()

    def text(self, text):
        self.send(frame(TEXT, text.encode()))

    def binary(self, data):
        self.send(frame(BINARY, data))

    def close(self, code=None, reason=""):
        self.send(frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason.encode()))

    def _need(self, length):
        while len(self.buffer) < length:
            if not self._fill():
                raise EOFError

    def receive(self):
        """The next frame: opcode and payload. EOFError at the end."""
        self._need(2)
        opcode, length, offset = self.buffer[0] & 15, self.buffer[1], 2
        assert not length & 0x80, "the server masked a frame"
        if length == 126:
            self._need(4)
            length, offset = struct.unpack(">H", self.buffer[2:4])[0], 4
        elif length == 127:
            self._need(10)
            length, offset = struct.unpack(">Q", self.buffer[2:10])[0], 10
        parts, self.buffer = [self.buffer[offset:offset + length]], self.buffer[offset + length:]
        have = len(parts[0])
        while have < length:
            octets = self.sock.recv(min(1 << 20, length - have))
            if not octets:
                raise EOFError
            parts.append(octets)
            have += len(octets)
        return opcode, b"".join(parts)

    def receive_close(self):
        """Code and reason of the Close frame that comes next."""
        opcode, payload = self.receive()
        assert opcode == CLOSE, (opcode, payload[:50])
        return (struct.unpack(">H", payload[:2])[0], payload[2:].decode()) if payload else (None, "")

    def receive_end(self, timeout=20):
        """The server closed its side, in order: no reset."""
        self.sock.settimeout(timeout)
        while self._fill():
            pass
        self.sock.settimeout(20)

    def has_data(self, timeout=0.3):
        poll = select.poll()  # which takes descriptors above 1023 too
        poll.register(self.sock, select.POLLIN)
        return bool(self.buffer) or bool(poll.poll(timeout * 1000))


def eventually(condition, timeout=20, what="a condition"):
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what} never came true")
        time.sleep(0.02)
