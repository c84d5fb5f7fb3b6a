# SPDX-License-Identifier: Apache-2.0
"""The records of the channel and of the control socket, as docs/channel.md specifies them, for tests in Python.

Written from that page, not from the C code, so that a test that uses it also checks the page.
"""

import fcntl
import mmap
import os
import select
import socket
import struct
import time

WELCOME, STANDING, CREDIT, ASK, RELEASED = 0x01, 0x02, 0x03, 0x04, 0x05
CONNECT, MESSAGE, CLOSED, ERROR, DRAINED, SHARED_MESSAGE = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
SEND, BROADCAST, CLOSE, ACKNOWLEDGE, WANT_DRAINED, SHARED_SEND, RELEASE, SHARED_FORWARD = range(0x40, 0x48)
EVENTS = (CONNECT, MESSAGE, CLOSED, ERROR, DRAINED, SHARED_MESSAGE)
TEXT, CLEAN, WANT_CREDIT = 0x01, 0x02, 0x04
MESSAGE_COST = 16
QUEUE_HIGH, QUEUE_LOW, CREDIT_STEP = 1 << 20, 256 << 10, 128 << 10

CONFIGURE, ATTACH, STATISTICS, LIST, CONTROL_CLOSE, STOP = 1, 2, 3, 4, 5, 6
LIST_BANS, CLEAR_BAN, BANS, ATTACH_SHARED = 8, 9, 40, 11
READY, FAILED, COUNTERS, CONNECTIONS, RESULT, STOPPED, CHANNEL_ENDED = range(32, 39)
(F_VERSION, F_GENERATION, F_MAX_CLIENTS, F_MAX_PER_CLIENT, F_PROTOCOL, F_MAX_MESSAGE, F_PING_INTERVAL, F_PONG_TIMEOUT,
 F_HANDSHAKE_TIMEOUT, F_ACKNOWLEDGED, F_WINDOW_EVENTS, F_WINDOW_OCTETS, F_AFTER, F_CONNECTION, F_CODE, F_REASON,
 F_DEADLINE, F_ERROR, F_TEXT, F_COUNTERS, F_CONNECTION_ENTRY, F_MORE, F_FOUND, F_NAME) = range(1, 25)
F_COMPRESSION = 25
F_ALLOWED_ORIGINS, F_CONNECTION_RATE, F_BAN_SECONDS, F_BAN_ENTRY, F_ADDRESS = range(26, 31)
F_LAST_REQUEST, F_ARENA = 35, 36
U64_FIELDS = (F_GENERATION, F_MAX_MESSAGE, F_WINDOW_OCTETS, F_AFTER, F_CONNECTION, F_ARENA)
ARENA_SIZE, ARENA_UNIT, ARENA_RANGES_MAX, SHARED_MIN, RELEASES_MAX = 8 << 20, 64, 256, 8 << 10, 64
TEXT_FIELDS = (F_PROTOCOL, F_ALLOWED_ORIGINS, F_REASON, F_TEXT, F_NAME)
COUNTER_NAMES = ("connections", "messages_received", "messages_sent", "bytes_received", "bytes_sent", "refused",
                 "queued_bytes")


class Record:
    def __init__(self, type, flags, code, connection, body):
        self.type, self.flags, self.code, self.connection, self.body = type, flags, code, connection, body

    def __repr__(self):
        return f"Record({self.type:#x}, flags={self.flags}, code={self.code}, {self.connection:#x}, {self.body[:40]!r})"


def encode(type, connection=0, body=b"", flags=0, code=0):
    return struct.pack("<IBBHQ", len(body), type, flags, code, connection) + body


def decode_connect(body):
    family, flags, port, scope = struct.unpack_from("<BBHI", body)
    connected_at, *lengths, count, subject_length = struct.unpack_from("<QIIIIHH", body, 24)
    lengths.append(subject_length)
    offset = 52
    texts = []
    for length in lengths:
        texts.append(body[offset:offset + length])
        offset += length
    headers = []
    for _ in range(count):
        name, value = struct.unpack_from("<II", body, offset)
        offset += 8
        headers.append((body[offset:offset + name], body[offset + name:offset + name + value]))
        offset += name + value
    assert offset == len(body)
    address = body[8:24]
    shown = socket.inet_ntop(socket.AF_INET, address[:4]) if family == 4 else socket.inet_ntop(socket.AF_INET6, address)
    return dict(family=family, tls=bool(flags & 1), port=port, scope=scope, address=shown, connected_at=connected_at,
                path=texts[0], query=texts[1], origin=texts[2], protocol=texts[3], subject=texts[4], headers=headers)


class Channel:
    """The app side's end. Keeps every record it read in `records`."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()
        self.records = []
        self.ended = False
        self.welcome = None
        self.answers = True  # ASK, at once: whoever uses this handles events as they come

    def write(self, octets):
        self.sock.sendall(octets)

    def send(self, connection, data, want_credit=False):
        flags = WANT_CREDIT if want_credit else 0
        if isinstance(data, str):
            data, flags = data.encode(), flags | TEXT
        self.write(encode(SEND, connection, data, flags))

    def broadcast(self, connections, data):
        flags = 0
        if isinstance(data, str):
            data, flags = data.encode(), TEXT
        head = struct.pack("<II", len(connections), 0) + b"".join(struct.pack("<Q", c) for c in connections)
        self.write(encode(BROADCAST, 0, head + data, flags))

    def close_connection(self, connection, code=1000, reason=""):
        self.write(encode(CLOSE, connection, reason.encode(), code=code))

    def acknowledge(self, event):
        self.write(encode(ACKNOWLEDGE, 0, struct.pack("<Q", event)))

    def want_drained(self, connection):
        self.write(encode(WANT_DRAINED, connection))

    def read_some(self, timeout):
        """Reads what is there; False when nothing came in time."""
        if self.ended or not select.select([self.sock], [], [], max(timeout, 0))[0]:
            return False
        try:
            octets = self.sock.recv(1 << 20)
        except ConnectionResetError:
            octets = b""
        if not octets:
            self.ended = True
            return False
        self.buffer += octets
        self._decode()
        return True

    def _decode(self):
        offset = 0
        while len(self.buffer) - offset >= 16:
            size, type, flags, code, connection = struct.unpack_from("<IBBHQ", self.buffer, offset)
            if len(self.buffer) - offset < 16 + size:
                break
            body = bytes(self.buffer[offset + 16:offset + 16 + size])
            offset += 16 + size
            if type == ASK and self.answers:
                self.write(encode(ACKNOWLEDGE, 0, body))
                continue
            self.records.append(Record(type, flags, code, connection, body))
            if type == WELCOME:
                self.welcome = dict(zip(
                    ("version", "flags", "zero", "repeats", "generation", "first_event", "max_message", "high", "low", "standing", "abilities"),
                    struct.unpack_from("<HBBIQQQIIII", body)))
        del self.buffer[:offset]

    def wait(self, condition, timeout=20, what="a record"):
        """Reads until condition(records) is true and returns that."""
        end = time.monotonic() + timeout
        while True:
            result = condition(self.records)
            if result:
                return result
            if not self.read_some(end - time.monotonic()) and (self.ended or time.monotonic() > end):
                result = condition(self.records)
                if result:
                    return result
                raise AssertionError(f"no {what}; ended={self.ended}; records: {self.records[-10:]}")

    def wait_for(self, type, connection=None, count=1, timeout=20):
        """The count-th record of that type (and connection)."""
        def condition(records):
            found = [r for r in records if r.type == type and connection in (None, r.connection)]
            return found[count - 1] if len(found) >= count else None
        return self.wait(condition, timeout, f"record {type:#x}")

    def wait_for_end(self, timeout=20):
        end = time.monotonic() + timeout
        while not self.ended and time.monotonic() < end:
            self.read_some(end - time.monotonic())
        assert self.ended, "the channel did not end"

    def events(self):
        return [r for r in self.records if r.type in EVENTS]

    def quiet(self, seconds=0.3):
        """Reads whatever comes until nothing came for so long."""
        while self.read_some(seconds):
            pass
        return self.records


def new_arena(size=ARENA_SIZE):
    """Descriptors of an arena: one to write, one that is only open for reading."""
    writer = os.memfd_create("arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(writer, size)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(writer, fcntl.F_ADD_SEALS, seals)
    return writer, os.open(f"/proc/self/fd/{writer}", os.O_RDONLY | os.O_CLOEXEC)


class SharedChannel(Channel):
    """The app side's end of a channel with shared memory. Takes the descriptors over."""

    def __init__(self, sock, events, commands):
        super().__init__(sock)
        self.events_fd, self.commands_fd = events, commands
        self.size = os.fstat(events).st_size
        self.arena = mmap.mmap(events, self.size, prot=mmap.PROT_READ)
        self.own = mmap.mmap(commands, os.fstat(commands).st_size)

    def payload(self, record):
        """Of a MESSAGE or a SHARED_MESSAGE."""
        if record.type == MESSAGE:
            return record.body
        offset, length = struct.unpack("<QQ", record.body)
        assert offset % ARENA_UNIT == 0 and 0 < length and offset + length <= self.size
        return self.arena[offset:offset + length]

    def release(self, *offsets):
        self.write(encode(RELEASE, 0, struct.pack(f"<{len(offsets)}Q", *offsets)))

    def send_shared(self, connection, data, offset=0, want_credit=False):
        flags = WANT_CREDIT if want_credit else 0
        if isinstance(data, str):
            data, flags = data.encode(), flags | TEXT
        self.own[offset:offset + len(data)] = data
        self.write(encode(SHARED_SEND, connection, struct.pack("<QQ", offset, len(data)), flags))

    def released(self):
        return [offset for record in self.records if record.type == RELEASED
                for offset in struct.unpack(f"<{len(record.body) // 8}Q", record.body)]

    def close(self):
        self.sock.close()
        self.arena.close()
        self.own.close()
        os.close(self.events_fd)
        os.close(self.commands_fd)


def encode_control(type, tag=0, **fields):
    octets = struct.pack("<HHI", type, 0, tag)
    for name, value in fields.items():
        octets += encode_field(globals()["F_" + name.upper()], value)
    return octets


def encode_field(key, value):
    if isinstance(value, str):
        value = value.encode()
    elif isinstance(value, int):
        value = struct.pack("<Q" if key & 0x7FFF in U64_FIELDS else "<I", value)
    return struct.pack("<HHI", key, 0, len(value)) + value + bytes(-len(value) % 4)


def encode_address(text):
    family = 6 if ":" in text else 4
    octets = socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, text)
    return struct.pack("<B3xI", family, 0) + octets.ljust(16, b"\0")


def decode_address(value):
    family, scope = struct.unpack_from("<B3xI", value)
    assert scope == 0
    return socket.inet_ntop(socket.AF_INET6, value[8:]) if family == 6 else socket.inet_ntop(socket.AF_INET, value[8:12])


class ControlRecord:
    def __init__(self, octets):
        self.type, flags, self.tag = struct.unpack_from("<HHI", octets)
        assert flags == 0
        self.fields = []
        offset = 8
        while offset < len(octets):
            key, zero, length = struct.unpack_from("<HHI", octets, offset)
            assert zero == 0
            self.fields.append((key, octets[offset + 8:offset + 8 + length]))
            offset += 8 + length + -length % 4
        assert offset == len(octets)

    def all(self, key):
        return [value for found, value in self.fields if found == key]

    def get(self, key):
        values = self.all(key)
        if not values:
            return None
        if key in TEXT_FIELDS:
            return values[0].decode()
        return struct.unpack("<Q" if len(values[0]) == 8 else "<I", values[0])[0]

    def bans(self):
        """Address as text, seconds left and reason of each."""
        return [(decode_address(value[:24]), *struct.unpack("<IBBBB", value[24:])[:2]) for value in self.all(F_BAN_ENTRY)]

    def counters(self):
        values = struct.unpack("<7Q", self.all(F_COUNTERS)[0][:56])
        return dict(zip(COUNTER_NAMES, values))


class Control:
    """The daemon's end of the control socket."""

    def __init__(self, sock):
        self.sock = sock
        self.tag = 0
        self.unasked = []

    def send(self, type, tag=0, fds=(), **fields):
        self.send_octets(encode_control(type, tag, **fields), fds)

    def send_octets(self, octets, fds=()):
        if fds:
            socket.send_fds(self.sock, [octets], list(fds))
        else:
            self.sock.send(octets)

    def receive(self, timeout=20):
        if not select.select([self.sock], [], [], timeout)[0]:
            raise AssertionError("nothing came on the control socket")
        octets = self.sock.recv(65536)
        return ControlRecord(octets) if octets else None

    def ask(self, type, expected, **fields):
        self.tag += 1
        self.send(type, self.tag, **fields)
        return self.wait(expected, self.tag)

    def wait(self, expected, tag=None, timeout=20):
        for record in list(self.unasked):
            if record.type == expected and tag in (None, record.tag):
                self.unasked.remove(record)
                return record
        while True:
            record = self.receive(timeout)
            assert record is not None, "the control socket ended"
            if record.type == expected and tag in (None, record.tag):
                return record
            self.unasked.append(record)

    def counters(self):
        return self.ask(STATISTICS, COUNTERS).counters()

    def connections(self):
        found, after = [], 0
        while True:
            record = self.ask(LIST, CONNECTIONS, after=after)
            for entry in record.all(F_CONNECTION_ENTRY):
                after = struct.unpack_from("<Q", entry)[0]
                found.append((after, decode_connect(entry[8:])))
            if not record.all(F_MORE):
                return found

    def attach(self, acknowledged=1, **fields):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.send(ATTACH, 0, [theirs.fileno()], acknowledged=acknowledged, **fields)
        theirs.close()
        return Channel(ours)

    def attach_shared(self, size=ARENA_SIZE, **fields):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        events, commands = new_arena(size), new_arena(size)
        fields = {"acknowledged": 0, "arena": size, **fields}
        self.send(ATTACH_SHARED, 0, [theirs.fileno(), events[0], commands[1]], **fields)
        for descriptor in (theirs.detach(), events[0], commands[1]):
            os.close(descriptor)
        return SharedChannel(ours, events[1], commands[0])


def _open_proc(pid, name):
    """A locked-in worker is root's to look at."""
    try:
        return open(f"/proc/{pid}/{name}")
    except PermissionError:
        import pytest
        pytest.skip("only root may look into a locked-in process")


def private_memory(pid):
    """Octets of private dirty memory of a process."""
    with _open_proc(pid, "smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no figure")


def open_descriptors(pid):
    _open_proc(pid, "smaps_rollup").close()
    return len(os.listdir(f"/proc/{pid}/fd"))
