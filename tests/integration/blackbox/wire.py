# SPDX-License-Identifier: Apache-2.0
"""A D-Bus connection small enough to control entirely.

The tests need apps that leave the daemon's Ping unanswered, that stop reading, that pass an argument of any type, and that
see replies and signals in the one order in which they arrived. Libraries for apps hide all of that, so this module speaks
the D-Bus wire format itself. Values map to Python as: `ay` bytes, other arrays list, dictionaries dict, structures tuple,
`v` Variant, `h` the index of a descriptor.
"""

import array
import os
import socket
import struct
import threading
import time
from functools import lru_cache
from typing import Any, NamedTuple

TIMEOUT = 30.0  # seconds until a wait has failed; generous, nothing waits for it to pass

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY_EXPECTED = 1

_FIXED = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "b": "I", "h": "I"}
_FIXED = {code: struct.Struct("<" + form) for code, form in _FIXED.items()}
_ALIGNMENT = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "x": 8, "t": 8, "d": 8, "(": 8, "{": 8}
_FIELD_SIGNATURES = {1: "o", 2: "s", 3: "s", 4: "s", 5: "u", 6: "s", 7: "s", 8: "g", 9: "u"}


class Variant(NamedTuple):
    signature: str
    value: Any


class DBusError(Exception):
    """An error reply."""

    def __init__(self, name: str, message: str):
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class Message(NamedTuple):
    kind: int
    serial: int
    path: str
    interface: str
    member: str
    error_name: str
    reply_serial: int
    sender: str
    signature: str
    body: tuple
    fds: list


def plain(value: Any) -> Any:
    """The value with every Variant replaced by what it holds."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _alignment(signature: str) -> int:
    return _ALIGNMENT.get(signature[0], 4)


def _end_of_type(signature: str, start: int) -> int:
    code = signature[start]
    if code == "a":
        return _end_of_type(signature, start + 1)
    if code in "({":
        end = start + 1
        while signature[end] not in ")}":
            end = _end_of_type(signature, end)
        return end + 1
    return start + 1


@lru_cache(maxsize=None)
def complete_types(signature: str) -> tuple:
    types, start = [], 0
    while start < len(signature):
        end = _end_of_type(signature, start)
        types.append(signature[start:end])
        start = end
    return tuple(types)


def _pad(out: bytearray, alignment: int) -> None:
    out.extend(bytes(-len(out) % alignment))


def marshal(out: bytearray, signature: str, value: Any) -> None:
    """Appends one value of one complete type."""
    code = signature[0]
    _pad(out, _alignment(signature))
    if code in _FIXED:
        out.extend(_FIXED[code].pack(int(value) if code != "d" else value))
    elif code in "so":
        octets = value.encode("utf-8") if isinstance(value, str) else value
        out.extend(struct.pack("<I", len(octets)) + octets + b"\0")
    elif code == "g":
        out.extend(bytes([len(value)]) + value.encode() + b"\0")
    elif code == "v":
        marshal(out, "g", value.signature)
        marshal(out, value.signature, value.value)
    elif code == "a":
        _marshal_array(out, signature[1:], value)
    elif code in "({":
        for item_type, item in zip(complete_types(signature[1:-1]), value, strict=True):
            marshal(out, item_type, item)
    else:
        raise ValueError(f"unknown type {signature!r}")


def _marshal_array(out: bytearray, element: str, value: Any) -> None:
    length_at = len(out)
    out.extend(bytes(4))
    _pad(out, _alignment(element))
    start = len(out)
    if element == "y":
        out.extend(value)
    else:
        for item in value.items() if isinstance(value, dict) else value:
            marshal(out, element, item)
    struct.pack_into("<I", out, length_at, len(out) - start)


class _Reader:
    def __init__(self, octets: bytes, offset: int = 0):
        self.octets = octets
        self.offset = offset

    def value(self, signature: str) -> Any:
        code = signature[0]
        alignment = _alignment(signature)
        self.offset += -self.offset % alignment
        if code in _FIXED:
            (value,) = _FIXED[code].unpack_from(self.octets, self.offset)
            self.offset += _FIXED[code].size
            return bool(value) if code == "b" else value
        if code in "so":
            return self._take(self.value("u"), terminator=1).decode("utf-8")
        if code == "g":
            return self._take(self.value("y"), terminator=1).decode()
        if code == "v":
            inner = self.value("g")
            return Variant(inner, self.value(inner))
        if code == "a":
            return self._array(signature[1:])
        return tuple(self.value(item) for item in complete_types(signature[1:-1]))

    def _take(self, length: int, terminator: int = 0) -> bytes:
        piece = self.octets[self.offset : self.offset + length]
        self.offset += length + terminator
        return piece

    def _array(self, element: str) -> Any:
        length = self.value("u")
        self.offset += -self.offset % _alignment(element)
        if element == "y":
            return self._take(length)
        end = self.offset + length
        items = []
        while self.offset < end:
            items.append(self.value(element))
        return dict(items) if element[0] == "{" else items


def encode_message(kind: int, serial: int, fields: dict, signature: str, body: tuple, flags: int, fd_count: int) -> bytes:
    payload = bytearray()
    for item_type, item in zip(complete_types(signature), body, strict=True):
        marshal(payload, item_type, item)
    if signature:
        fields = {**fields, 8: signature}
    if fd_count:
        fields = {**fields, 9: fd_count}
    out = bytearray(struct.pack("<cBBBII", b"l", kind, flags, 1, len(payload), serial))
    marshal(out, "a(yv)", [(code, Variant(_FIELD_SIGNATURES[code], value)) for code, value in fields.items()])
    _pad(out, 8)
    return bytes(out) + bytes(payload)


def _message_size(octets: bytearray, start: int) -> int:
    """Octets of the message that begins at `start`, or 0 while its header is not whole."""
    if len(octets) - start < 16:
        return 0
    body, _serial, fields = struct.unpack_from("<III", octets, start + 4)
    return 16 + fields + (-fields % 8) + body


def _decode_message(octets: bytes, fds: list) -> Message:
    assert octets[:1] == b"l", "the bus passes messages on in the sender's byte order; every sender here is little-endian"
    kind = octets[1]
    (serial,) = struct.unpack_from("<I", octets, 8)
    reader = _Reader(octets, 12)
    fields = {code: variant.value for code, variant in reader.value("a(yv)")}
    reader.offset += -reader.offset % 8
    signature = fields.get(8, "")
    body_reader = _Reader(octets[reader.offset :])
    body = tuple(body_reader.value(item) for item in complete_types(signature))
    taken = [fds.pop(0) for _ in range(fields.get(9, 0))]
    return Message(kind, serial, fields.get(1, ""), fields.get(2, ""), fields.get(3, ""), fields.get(4, ""),
                   fields.get(5, 0), fields.get(7, ""), signature, body, taken)


class Pending:
    """A call whose reply may not have come yet."""

    def __init__(self, connection: "Connection", serial: int, on_reply=None):
        self.connection = connection
        self.serial = serial
        self.on_reply = on_reply
        self.reply: Message | None = None
        self.position = -1  # of the reply in the order of everything that arrived

    def done(self) -> bool:
        return self.reply is not None

    def message(self, timeout: float = TIMEOUT) -> Message:
        self.connection.wait_for(self.done, timeout, f"reply to call {self.serial}")
        if self.reply.kind == ERROR:
            raise DBusError(self.reply.error_name, plain(self.reply.body[0]) if self.reply.body else "")
        return self.reply

    def result(self, timeout: float = TIMEOUT) -> Any:
        """The only value of the reply, None without one, or a tuple of several, with variants taken out."""
        body = plain(self.message(timeout).body)
        return None if not body else body[0] if len(body) == 1 else body


class Connection:
    """One client of the bus. A thread of its own reads; everything that arrives counts up `position`."""

    def __init__(self, address: str, answer_pings: bool = True, user: tuple | None = None):
        self.answer_pings = answer_pings
        self.changed = threading.Condition()
        self.position = 0
        self.signals: list = []  # (position, Message) of those that no handler took
        self.calls_received: list = []
        self.on_signal = None  # called in the reading thread; returns True for a signal it took
        self.lost = False
        self._pending: dict = {}
        self._serial = 0
        self._send_lock = threading.Lock()
        self._buffer = bytearray()
        self._fds: list = []
        self._reading = threading.Event()
        self._reading.set()
        self._socket = _connect(address, user)
        self._thread = threading.Thread(target=self._read_for_ever, daemon=True)
        self._thread.start()
        self.unique_name = self.bus_call("Hello").result()

    # Sending

    def send(self, kind: int, fields: dict, signature: str = "", body: tuple = (), flags: int = 0, fds=(), on_reply=None,
             expect_reply: bool = False) -> Pending:
        with self._send_lock:
            self._serial += 1
            pending = Pending(self, self._serial, on_reply)
            if expect_reply:
                self._pending[self._serial] = pending
            octets = encode_message(kind, self._serial, fields, signature, body, flags, len(fds))
            self._send_octets(octets, fds)
        return pending

    def _send_octets(self, octets: bytes, fds) -> None:
        try:
            if fds:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                sent = self._socket.sendmsg([octets], rights)
                octets = octets[sent:]
            self._socket.sendall(octets)
        except OSError:
            if not self.lost:
                raise

    def call(self, destination: str, path: str, interface: str, member: str, signature: str = "", *body, fds=(),
             on_reply=None) -> Pending:
        fields = {1: path, 3: member, 6: destination}
        if interface:
            fields[2] = interface
        return self.send(CALL, fields, signature, body, 0, fds, on_reply, expect_reply=True)

    def call_without_reply(self, destination: str, path: str, interface: str, member: str, signature: str = "", *body) -> None:
        self.send(CALL, {1: path, 2: interface, 3: member, 6: destination}, signature, body, NO_REPLY_EXPECTED)

    def bus_call(self, member: str, signature: str = "", *body) -> Pending:
        return self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member, signature, *body)

    # Receiving

    def stop_reading(self) -> None:
        """From now on octets pile up in the socket, then in the bus."""
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    def wait_for(self, condition, timeout: float = TIMEOUT, what: str = "a condition") -> None:
        """Waits until condition() is true; it is tried whenever something has arrived."""
        with self.changed:
            if not self.changed.wait_for(lambda: condition() or self.lost, timeout) or not condition():
                raise TimeoutError(f"{'the bus went away' if self.lost else 'nothing'} while waiting for {what}")

    def round_trip(self) -> None:
        """Returns when everything the bus had for this client before has arrived."""
        self.bus_call("GetId").result()

    def _read_for_ever(self) -> None:
        try:
            while True:
                self._reading.wait()
                octets, ancillary, _flags, _address = self._socket.recvmsg(1 << 18, socket.CMSG_SPACE(16 * 4))
                if not octets:
                    break
                for level, kind, data in ancillary:
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                        self._fds.extend(array.array("i", data[: len(data) // 4 * 4]))
                self._take_messages(octets)
        except OSError:
            pass
        with self.changed:
            self.lost = True
            self.changed.notify_all()

    def _take_messages(self, octets: bytes) -> None:
        buffer = self._buffer
        buffer.extend(octets)
        start = 0
        messages = []
        while True:
            size = _message_size(buffer, start)
            if not size or len(buffer) - start < size:
                break
            messages.append(_decode_message(bytes(buffer[start : start + size]), self._fds))
            start += size
        del buffer[:start]
        if messages:
            with self.changed:
                callbacks = [self._dispatch(message) for message in messages]
                self.changed.notify_all()
            for callback in callbacks:
                if callback:
                    callback()

    def _dispatch(self, message: Message):
        """Called with the lock held; returns what to run without it."""
        self.position += 1
        if message.kind in (RETURN, ERROR):
            pending = self._pending.pop(message.reply_serial, None)
            if pending:
                pending.position = self.position
                pending.reply = message
                if pending.on_reply:
                    return lambda: pending.on_reply(pending)
        elif message.kind == SIGNAL:
            if not (self.on_signal and self.on_signal(self.position, message)):
                self.signals.append((self.position, message))
        elif message.kind == CALL:
            self.calls_received.append(message)
            return lambda: self._answer(message)
        return None

    def _answer(self, message: Message) -> None:
        fields = {5: message.serial, 6: message.sender}
        if (message.interface, message.member) == ("org.freedesktop.DBus.Peer", "Ping"):
            if self.answer_pings:
                self.send(RETURN, fields)
        else:
            self.send(ERROR, {**fields, 4: "org.freedesktop.DBus.Error.UnknownMethod"}, "s", ("not here",))

    def close(self) -> None:
        self.lost = True
        self._reading.set()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if threading.current_thread() is not self._thread:
            self._thread.join(TIMEOUT)
        self._socket.close()


def _connect(address: str, user: tuple | None) -> socket.socket:
    """Connects and authenticates, as another user (uid, gid) when asked, which only root can do."""
    path = address.removeprefix("unix:path=").split(",")[0]
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if user:
            groups = os.getgroups()
            os.setgroups([user[1]])
            os.setegid(user[1])
            os.seteuid(user[0])
        try:
            sock.connect(path)
            uid = os.geteuid()
        finally:
            if user:
                os.seteuid(0)
                os.setegid(0)
                os.setgroups(groups)
        sock.settimeout(TIMEOUT)
        sock.sendall(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\n")
        _expect_line(sock, b"OK ")
        sock.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        _expect_line(sock, b"AGREE_UNIX_FD")
        sock.sendall(b"BEGIN\r\n")
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


def _expect_line(sock: socket.socket, start: bytes) -> None:
    line = b""
    while not line.endswith(b"\r\n"):
        octet = sock.recv(1)
        if not octet:
            raise ConnectionError("the bus hung up during authentication")
        line += octet
    if not line.startswith(start):
        raise ConnectionError(f"the bus answered {line!r}")


def until(condition, timeout: float = TIMEOUT, what: str = "a condition", pause: float = 0.02) -> Any:
    """Polls what nobody announces (processes, /proc, ports) and returns the first true value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(pause)
