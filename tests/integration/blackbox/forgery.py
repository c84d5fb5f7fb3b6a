# SPDX-License-Identifier: Apache-2.0
"""Descriptors as a fault, or somebody with bad intentions, might leave them in the store; and the state in it, readable."""

import fcntl
import os
import socket

from gi.repository import GLib

from .manager import Manager

TYPE = "(uta{sv}aa{sv})"
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def memfd(octets: bytes, seals: int = SEALS) -> int:
    fd = os.memfd_create("forged", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, octets)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def newest(manager: Manager) -> int:
    return max(int(name.removeprefix("state-")) for name in manager.names() if name.startswith("state-"))


def read_state(manager: Manager) -> bytes:
    fd = manager.take(f"state-{newest(manager)}")
    try:
        return os.pread(fd, 1 << 22, 0)
    finally:
        os.close(fd)


def changed_state(octets: bytes, sequence: int, change=None) -> bytes:
    """The state with another sequence number; change(version, globals, servers) edits dictionaries of GLib.Variant in place
    and may return another version."""
    variant = GLib.Variant.new_from_bytes(GLib.VariantType.new(TYPE), GLib.Bytes.new(octets), False)
    version = variant.get_child_value(0).get_uint32()
    parts = [dictionary(variant.get_child_value(2)),
             [dictionary(variant.get_child_value(3).get_child_value(i)) for i in range(variant.get_child_value(3).n_children())]]
    version = (change(version, *parts) if change else None) or version
    return GLib.Variant(TYPE, (version, sequence, *parts)).get_data_as_bytes().get_data()


def dictionary(variant: GLib.Variant) -> dict:
    entries = (variant.get_child_value(i) for i in range(variant.n_children()))
    return {entry.get_child_value(0).get_string(): entry.get_child_value(1).get_variant() for entry in entries}


def pipe_end() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


def half(pair: tuple) -> int:
    """One end of a socket pair; the other end stays open as long as this process lives."""
    mine, theirs = pair
    mine.detach()
    return theirs.detach()


def stream_end() -> int:
    return half(socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))


def packet_end() -> int:
    return half(socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))


def bound(kind: int = socket.SOCK_STREAM, listening: bool = False) -> int:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(("127.0.0.1", 0))
    if listening:
        sock.listen()
    return sock.detach()


def plain_file() -> int:
    return os.open("/etc/passwd", os.O_RDONLY | os.O_CLOEXEC)
