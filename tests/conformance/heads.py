# SPDX-License-Identifier: Apache-2.0
"""Heads of HTTP messages written by hand: a right one, and changes that make it strange or wrong."""

import base64
import os

CRLF = b"\r\n"


def key_of(octets: int = 16) -> str:
    return base64.b64encode(os.urandom(octets)).decode()


class Head:
    """A head under construction: every change returns it, so changes can be strung together."""

    def __init__(self, start: str, fields: list):
        self.start = start
        self.fields = fields  # (name, value)
        self.line_end = CRLF

    def line(self, start: str) -> "Head":
        self.start = start
        return self

    def put(self, name: str, value: str) -> "Head":
        """Replaces, or adds at the end."""
        if name.lower() not in [field.lower() for field, _value in self.fields]:
            return self.add(name, value)
        self.fields = [(name, value) if field.lower() == name.lower() else (field, old) for field, old in self.fields]
        return self

    def add(self, name: str, value: str) -> "Head":
        self.fields.append((name, value))
        return self

    def drop(self, name: str) -> "Head":
        self.fields = [field for field in self.fields if field[0].lower() != name.lower()]
        return self

    def repeat(self, name: str) -> "Head":
        self.fields += [field for field in self.fields if field[0].lower() == name.lower()]
        return self

    def raw(self, line: str) -> "Head":
        """A line as it is, behind the others."""
        self.fields.append((None, line))
        return self

    def fill(self, size: int) -> "Head":
        """One more header, so that the whole head has that many octets."""
        return self.add("X-Fill", "y" * (size - len(self.octets()) - len("X-Fill: \r\n")))

    def count(self, fields: int) -> "Head":
        """More headers, so that there are that many."""
        self.fields += [(f"X-{number}", "y") for number in range(fields - len(self.fields))]
        return self

    def octets(self) -> bytes:
        lines = [self.start] + [value if name is None else f"{name}: {value}" for name, value in self.fields] + ["", ""]
        return self.line_end.join(line.encode("latin-1") for line in lines)


def upgrade(host: str = "127.0.0.1") -> Head:
    return Head("GET / HTTP/1.1", [("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                   ("Sec-WebSocket-Key", key_of()), ("Sec-WebSocket-Version", "13")])


def with_line_end(head: Head, line_end: bytes) -> Head:
    head.line_end = line_end
    return head


# Changes of a head, for tables of cases


def put(name: str, value: str):
    return lambda head: head.put(name, value)


def add(name: str, value: str):
    return lambda head: head.add(name, value)


def line(start: str):
    return lambda head: head.line(start)


def raw(text: str):
    return lambda head: head.raw(text)
