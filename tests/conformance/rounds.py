# SPDX-License-Identifier: Apache-2.0
"""A long conversation of compressed messages, at little cost to our own end, so that what is measured out is the other one's time.

A few messages go round and round. With context takeover a message is compressed behind the ones before it; from the second round on
those are always the same, so its frames are made once. As for the echo: the same octets behind the same history mean the same message,
so octets that were inflated and compared in an earlier round need no more than to be recognised. Others, such as the first of all, or
any that the other end makes differently each time, are inflated behind the history that they belong to, in a window no larger than agreed.
"""

import zlib

from blackbox.peer import BINARY, CONTINUATION, TEXT
from deflating import RSV1, TAIL, Terms
from payloads import TEXTS, message
from wires import F, Wire

ROUND = 8  # different messages
LEVEL = 1


class Rounds:
    def __init__(self, wire: Wire, terms: Terms, is_client: bool, kind: str, size: int, fragment: int):
        self.wire = wire
        self.opcode = TEXT if kind in TEXTS else BINARY
        self.fragment = fragment
        bits, takeover = (terms.client_bits, terms.server_bits), (terms.client_takeover, terms.server_takeover)
        self.own_bits, self.other_bits = bits if is_client else bits[::-1]
        self.own_takeover, self.other_takeover = takeover if is_client else takeover[::-1]
        self.payloads = [message(kind, at, size) for at in range(ROUND)]
        self.round = b"".join(self.payloads)
        self.first = [self._frames(at, self._first_history(at)) for at in range(ROUND)]
        self.later = [self._frames(at, self._history(at)) for at in range(ROUND)] if self.own_takeover else self.first
        self.recognised: list = [b""] * ROUND

    def _history(self, at: int) -> bytes:
        """The round before message `at`, as far as any window goes."""
        before = len(self.payloads[0]) * at
        return (self.round[before:] + self.round[:before])[-(1 << 15) :]

    def _first_history(self, at: int) -> bytes:
        return self.round[: at * len(self.payloads[0])][-(1 << 15) :]

    def _frames(self, at: int, history: bytes) -> bytes:
        dictionary = history[-(1 << self.own_bits) :] if self.own_takeover else b""
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -self.own_bits, 8, zlib.Z_DEFAULT_STRATEGY, dictionary)
        octets = (compressor.compress(self.payloads[at]) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
        size = self.fragment or len(octets)
        pieces = [octets[start : start + size] for start in range(0, len(octets), size)]
        last = len(pieces) - 1
        return b"".join(self.wire.encode(F(CONTINUATION if number else self.opcode, piece, number == last, 0 if number else RSV1))
                        for number, piece in enumerate(pieces))

    def play(self, number: int) -> bool:
        """Sends the number-th message and checks its echo; returns whether that came compressed."""
        at = number % ROUND
        self.wire.write(self.first[at] if number < ROUND else self.later[at])
        frame = self.wire.hear()
        opcode, rsv, octets = frame.opcode, frame.rsv, frame.payload
        while not frame.fin:
            frame = self.wire.hear()
            assert (frame.opcode, frame.rsv) == (CONTINUATION, 0), frame
            octets += frame.payload
        assert opcode == self.opcode and rsv in (0, RSV1), (number, opcode, rsv, octets[:130])
        if rsv and octets != self.recognised[at]:
            assert self._inflate(number, octets) == self.payloads[at], f"message {number} came back otherwise"
            self.recognised[at] = octets
        assert rsv or octets == self.payloads[at], f"message {number} came back otherwise"
        return bool(rsv)

    def _inflate(self, number: int, octets: bytes) -> bytes:
        history = b""
        if self.other_takeover:
            rounds, at = divmod(number, ROUND)
            before = self.round[: at * len(self.payloads[0])]
            enough = (1 << 15) // max(len(self.round), 1) + 1
            history = (self.round * min(rounds, enough) + before)[-(1 << self.other_bits) :]
        inflater = zlib.decompressobj(-self.other_bits, history)
        payload = inflater.decompress(octets + TAIL)
        assert not inflater.unconsumed_tail and not inflater.unused_data
        return payload
