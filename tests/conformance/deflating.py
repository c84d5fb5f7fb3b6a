# SPDX-License-Identifier: Apache-2.0
"""permessage-deflate (RFC 7692) from the other end, with zlib alone and to the letter: what may be answered to which offer, and
messages whose windows and contexts are exactly as agreed. An end that refers further back than it may is found out."""

import zlib
from typing import NamedTuple

from blackbox.peer import BINARY, CONTINUATION, TEXT
from wires import F, Wire

TAIL = b"\x00\x00\xff\xff"
RSV1 = 4
BITS = ("server_max_window_bits", "client_max_window_bits")
NO_TAKEOVER = ("server_no_context_takeover", "client_no_context_takeover")


def parse(header: str) -> list:
    """[(name, {parameter: value or None})] of a Sec-WebSocket-Extensions header; a repeated parameter raises."""
    extensions = []
    for element in header.split(","):
        name, *parameters = [part.strip() for part in element.split(";")]
        found: dict = {}
        for parameter in parameters:
            key, equals, value = parameter.partition("=")
            assert key not in found, f"{key} twice in {header!r}"
            found[key] = value.strip('"') if equals else None
        extensions.append((name, found))
    return extensions


class Terms(NamedTuple):
    server_takeover: bool = True
    client_takeover: bool = True
    server_bits: int = 15
    client_bits: int = 15


def terms_of(answer: str) -> Terms:
    """What a server's answer means; it must be one permessage-deflate and nothing that no answer may have."""
    [(name, parameters)] = parse(answer)
    assert name == "permessage-deflate", answer
    assert set(parameters) <= {*BITS, *NO_TAKEOVER}, answer
    for bits in BITS:
        assert bits not in parameters or parameters[bits] in [str(number) for number in range(8, 16)], answer
    for flag in NO_TAKEOVER:
        assert parameters.get(flag) is None, answer
    return Terms(NO_TAKEOVER[0] not in parameters, NO_TAKEOVER[1] not in parameters, int(parameters.get(BITS[0], 15)),
                 int(parameters.get(BITS[1], 15)))


def check_answer(offer: str, answer: str) -> Terms:
    """Section 7.1: whether that answers that one offer."""
    terms = terms_of(answer)
    [(_name, offered)] = parse(offer)
    [(_name, answered)] = parse(answer)
    if NO_TAKEOVER[0] in offered:
        assert not terms.server_takeover, answer
    if BITS[0] in offered:
        assert BITS[0] in answered and terms.server_bits <= int(offered[BITS[0]]), answer
    if BITS[1] in answered:
        assert BITS[1] in offered and terms.client_bits <= int(offered[BITS[1]] or 15), answer
    return terms


class Deflate:
    """One end's compressor and decompressor."""

    def __init__(self, terms: Terms, is_client: bool, level: int = 1):
        self.level = level
        self.own_bits, self.other_bits = (terms.client_bits, terms.server_bits) if is_client else (terms.server_bits, terms.client_bits)
        self.own_takeover, self.other_takeover = ((terms.client_takeover, terms.server_takeover) if is_client
                                                  else (terms.server_takeover, terms.client_takeover))  # fmt: skip
        self._compressor = self._new_compressor()
        self._decompressor = zlib.decompressobj(-self.other_bits)

    def _new_compressor(self):
        # zlib has no compressor with a window of 256 octets: without any reference it keeps to every window.
        strategy = zlib.Z_DEFAULT_STRATEGY if self.own_bits > 8 else zlib.Z_HUFFMAN_ONLY
        return zlib.compressobj(self.level, zlib.DEFLATED, -max(self.own_bits, 9), 8, strategy)

    def compress(self, payload: bytes) -> bytes:
        if not self.own_takeover:
            self._compressor = self._new_compressor()
        octets = self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        assert octets.endswith(TAIL)
        return octets[:-4]

    def decompress(self, octets: bytes) -> bytes:
        if not self.other_takeover:
            self._decompressor = zlib.decompressobj(-self.other_bits)
        payload = self._decompressor.decompress(octets + TAIL)
        assert not self._decompressor.unconsumed_tail and not self._decompressor.unused_data
        return payload


def compressed(deflate: Deflate, opcode: int, payload: bytes, fragment: int = 0) -> list:
    """The frames of one compressed message: RSV1 on the first alone."""
    octets = deflate.compress(payload)
    pieces = [octets[start : start + fragment] for start in range(0, len(octets), fragment)] if fragment else [octets]
    last = len(pieces) - 1
    return [F(CONTINUATION if at else opcode, piece, fin=at == last, rsv=0 if at else RSV1) for at, piece in enumerate(pieces)]


def hear_message(wire: Wire, deflate: Deflate) -> tuple:
    """(opcode, payload, whether it was compressed) of the next message."""
    frame = wire.hear()
    opcode, rsv, pieces = frame.opcode, frame.rsv, [frame.payload]
    assert opcode in (TEXT, BINARY) and rsv in (0, RSV1), (opcode, rsv, frame.payload[:130])
    while not frame.fin:
        frame = wire.hear()
        assert (frame.opcode, frame.rsv) == (CONTINUATION, 0), frame
        pieces.append(frame.payload)
    payload = b"".join(pieces)
    return opcode, deflate.decompress(payload) if rsv else payload, bool(rsv)
