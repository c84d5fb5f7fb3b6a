# SPDX-License-Identifier: Apache-2.0
"""What a case is made of: steps that are done one after the other on one connection. Nothing here waits for a time: what must
not come is proven by what comes instead, or by the end of the stream."""

import struct
from typing import Any, Callable, NamedTuple

from blackbox.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from wires import F, Wire


class Case(NamedTuple):
    number: str
    steps: tuple  # of functions that take the wire


Step = Callable[[Wire], Any]


# Frames


def text(payload: bytes | str, **options) -> F:
    return F(TEXT, payload.encode() if isinstance(payload, str) else payload, **options)


def binary(payload: bytes, **options) -> F:
    return F(BINARY, payload, **options)


def ping(payload: bytes = b"", **options) -> F:
    return F(PING, payload, **options)


def pong(payload: bytes = b"", **options) -> F:
    return F(PONG, payload, **options)


def continuation(payload: bytes | str, **options) -> F:
    return F(CONTINUATION, payload.encode() if isinstance(payload, str) else payload, **options)


def close(code: int, reason: bytes = b"") -> F:
    return F(CLOSE, struct.pack(">H", code) + reason)


def fragments(opcode: int, *pieces: bytes | str) -> list:
    """One message in so many frames."""
    octets = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    last = len(octets) - 1
    return [F(CONTINUATION if at else opcode, piece, fin=at == last) for at, piece in enumerate(octets)]


def cut(payload: bytes, size: int) -> list:
    return [payload[start : start + size] for start in range(0, len(payload), size)]


# Steps


def at_once(*frames: F) -> Step:
    """All frames in one write."""
    return lambda wire: wire.send(*frames)


def each(*frames: F) -> Step:
    """A write for each frame."""

    def step(wire: Wire) -> None:
        for frame in frames:
            wire.send(frame)

    return step


def octetwise(*frames: F) -> Step:
    return lambda wire: wire.send(*frames, chop=1)


def chopped(size: int, *frames: F) -> Step:
    return lambda wire: wire.send(*frames, chop=size)


def hear_message(opcode: int, payload: bytes | str) -> Step:
    """The echo, and nothing before it."""
    octets = payload.encode() if isinstance(payload, str) else payload

    def step(wire: Wire) -> None:
        frame = wire.hear()
        heard = bytearray(frame.payload)
        assert (frame.opcode, frame.rsv) == (opcode, 0), (frame.opcode, frame.payload[:150])
        while not frame.fin:
            frame = wire.hear()
            assert (frame.opcode, frame.rsv) == (CONTINUATION, 0), (frame.opcode, frame.payload[:150])
            heard += frame.payload
        assert heard == octets, f"{len(heard)} octets are not the {len(octets)} sent: {bytes(heard[:100])!r}"

    return step


def hear_pong(payload: bytes) -> Step:
    def step(wire: Wire) -> None:
        frame = wire.hear()
        assert (frame.opcode, frame.fin, frame.rsv, frame.payload) == (PONG, True, 0, payload), frame

    return step


def hear_failure(code: int) -> Step:
    """The other end closes first, with that code and a sentence, and hangs up; nothing comes before or after that."""

    def step(wire: Wire) -> None:
        heard, reason = wire.hear_close()
        assert heard == code and reason, (heard, reason)
        wire.finish_failed(code)

    return step


def hear_answer(code: int | None) -> Step:
    """The answer to a Close frame of ours, the only one, and the end."""

    def step(wire: Wire) -> None:
        heard, _reason = wire.hear_close()
        assert heard == code
        wire.finish_closed()

    return step


def leave(wire: Wire) -> None:
    """A clean close from this end, which shows that nothing else was under way."""
    assert wire.leave()[0] == 1000


def echoes(opcode: int, payload: bytes | str, send: Step | None = None) -> tuple:
    """The message comes back, and the connection is as good as before."""
    octets = payload.encode() if isinstance(payload, str) else payload
    return (send or at_once(F(opcode, octets)), hear_message(opcode, octets), leave)


def fails(code: int, *steps: Step) -> tuple:
    return (*steps, hear_failure(code))
