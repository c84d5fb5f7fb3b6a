# SPDX-License-Identifier: Apache-2.0
"""Frames that no case of the list has: masking (RFC 6455 section 5.1), lengths (5.2) and what is refused from a header alone."""

import struct

import pytest
from blackbox.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, encode_frame
from script import (at_once, binary, chopped, continuation, each, echoes, fails, fragments, hear_failure, hear_message,
                    hear_pong, leave, octetwise, ping, text)
from wires import ClientUnderTest, F, ServerUnderTest, Wire

PROTOCOL_ERROR, TOO_BIG = 1002, 1009
NAMES = {TEXT: "text", BINARY: "binary", CLOSE: "Close", PING: "Ping", PONG: "Pong"}


def play(wire: Wire, *steps) -> None:
    try:
        for step in steps:
            step(wire)
    finally:
        wire.abandon()


def octets(raw: bytes):
    return lambda wire: wire.write(raw)


def header(wire: Wire, opcode: int, length_code: int, extended: bytes = b"", fin: bool = True, key: bytes = bytes(4)) -> bytes:
    """A header written by hand, masked as this end must."""
    bit = 0x80 if wire.masks else 0
    return bytes([(0x80 if fin else 0) | opcode, bit | length_code]) + extended + (key if wire.masks else b"")


# Masking


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8"], ids=["empty", "two octets"])
@pytest.mark.parametrize("opcode", NAMES, ids=NAMES.values())
def test_a_frame_that_is_masked_the_wrong_way_round_fails_the_connection(open_wire, opcode, payload):
    wire = open_wire()
    wrong = encode_frame(opcode, payload, key=None if wire.masks else b"")
    play(wire, octets(wrong), hear_failure(PROTOCOL_ERROR))


def test_the_wrong_mask_bit_is_enough_to_fail_without_the_payload(open_wire):
    wire = open_wire()
    play(wire, octets(bytes([0x82, 0x0A if wire.masks else 0x8A])), hear_failure(PROTOCOL_ERROR))


def test_the_second_fragment_is_held_to_masking_as_the_first(open_wire):
    wire = open_wire()
    wrong = encode_frame(CONTINUATION, b"second", key=None if wire.masks else b"")
    play(wire, at_once(text("first", fin=False)), octets(wrong), hear_failure(PROTOCOL_ERROR))


@pytest.mark.parametrize("key", [bytes(4), b"\xff\xff\xff\xff", b"\x00\x00\x00\x01", b"\x80\x00\x00\x00"], ids=bytes.hex)
@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 7, 8, 9, 31, 32, 33, 125, 126, 1000, 65537])
def test_every_masking_key_is_undone(sanitized_echo_port, key, length):
    payload = bytes(range(256)) * (length // 256 + 1)
    payload = payload[:length]
    play(ServerUnderTest(sanitized_echo_port), octets(encode_frame(BINARY, payload, key=key)), hear_message(BINARY, payload), leave)


def test_a_client_takes_a_new_key_for_each_frame(engine):
    wire = ClientUnderTest(engine)
    keys = []
    for number in range(200):
        wire.send(text("the same each time"))
        frame_head = wire.peer.read(6)
        keys.append(frame_head[2:])
        wire.peer.read(18)
        wire.send(ping(b"%d" % number))
        keys.append(wire.peer.read(6)[2:])
        wire.peer.read(len(b"%d" % number))
    play(wire, leave)
    assert len(set(keys)) == len(keys) == 400


# Lengths


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE], ids=NAMES.get)
@pytest.mark.parametrize("code, extended", [
    (126, struct.pack(">H", 0)), (126, struct.pack(">H", 125)), (127, struct.pack(">Q", 0)), (127, struct.pack(">Q", 125)),
    (127, struct.pack(">Q", 126)), (127, struct.pack(">Q", 65535)),
], ids=["0 in 16 bits", "125 in 16 bits", "0 in 64 bits", "125 in 64 bits", "126 in 64 bits", "65535 in 64 bits"])  # fmt: skip
def test_a_length_that_is_not_in_its_shortest_form_fails_from_the_header_alone(open_wire, opcode, code, extended):
    wire = open_wire()
    play(wire, octets(header(wire, opcode, code, extended)[: 2 + len(extended)]), hear_failure(PROTOCOL_ERROR))


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1, (1 << 63) + 5], ids=hex)
def test_a_length_with_the_top_bit_set_fails_at_its_first_octet(open_wire, length):
    wire = open_wire()
    play(wire, octets(header(wire, BINARY, 127, struct.pack(">Q", length))[:3]), hear_failure(PROTOCOL_ERROR))


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE], ids=NAMES.get)
@pytest.mark.parametrize("code", [126, 127])
def test_a_control_frame_with_a_long_length_fails_at_its_second_octet(open_wire, opcode, code):
    wire = open_wire()
    play(wire, octets(header(wire, opcode, code)[:2]), hear_failure(PROTOCOL_ERROR))


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 65537])
def test_a_length_may_come_an_octet_at_a_time(open_wire, length):
    payload = b"\xfe" * length

    def step(wire: Wire) -> None:
        frame = wire.encode(F(BINARY, payload))
        head = len(frame) - length
        wire.write(frame[:head], chop=1)
        wire.write(frame[head:])

    play(open_wire(), step, hear_message(BINARY, payload), leave)


# Limits

LIMIT = 1000


@pytest.mark.parametrize("length", [LIMIT + 1, 65536, (1 << 31), (1 << 32) + 1, (1 << 63) - 1], ids=hex)
def test_a_length_beyond_the_limit_is_refused_from_the_header_alone(open_wire, length):
    wire = open_wire(LIMIT)
    extended = struct.pack(">H", length) if length < 65536 else struct.pack(">Q", length)
    play(wire, octets(header(wire, BINARY, 126 if length < 65536 else 127, extended)), hear_failure(TOO_BIG))


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=NAMES.get)
def test_a_message_at_the_limit_comes_through_and_one_octet_more_does_not(open_wire, opcode):
    wire = open_wire(LIMIT)
    whole = b"*" * LIMIT
    play(wire, at_once(F(opcode, whole)), hear_message(opcode, whole), at_once(F(opcode, whole + b"*")), hear_failure(TOO_BIG))


@pytest.mark.parametrize("way", [at_once, each, octetwise], ids=["at once", "each", "octetwise"])
def test_the_limit_holds_for_all_fragments_together(open_wire, way):
    pieces = [b"*" * 250] * 4
    wire = open_wire(LIMIT)
    play(wire, way(*fragments(BINARY, *pieces, b"")), hear_message(BINARY, b"*" * LIMIT),
         way(*fragments(BINARY, *pieces, b"*")), hear_failure(TOO_BIG))  # fmt: skip


def test_a_fragment_too_many_is_refused_from_its_header_alone(open_wire):
    wire = open_wire(LIMIT)
    play(wire, at_once(binary(b"*" * LIMIT, fin=False)), octets(header(wire, CONTINUATION, 1)), hear_failure(TOO_BIG))


def test_control_frames_between_fragments_count_for_nothing(open_wire):
    first, *others = fragments(BINARY, *[b"*" * 100] * 10)
    frames = [first]
    for other in others:
        frames += [ping(b"p" * 125), other]
    play(open_wire(LIMIT), at_once(*frames), *[hear_pong(b"p" * 125)] * 9, hear_message(BINARY, b"*" * LIMIT), leave)


def test_empty_fragments_without_end_cost_nothing_and_end_nothing(open_wire):
    frames = [binary(b"", fin=False)] + [continuation(b"", fin=False)] * 20000
    play(open_wire(LIMIT), at_once(*frames), at_once(continuation(b"*" * LIMIT)), hear_message(BINARY, b"*" * LIMIT), leave)


def test_the_limit_is_no_smaller_for_text_in_many_octets(open_wire):
    letters = "ä€𤭢" * 100
    wire = open_wire(len(letters.encode()))
    play(wire, *echoes(TEXT, letters, chopped(7, text(letters))))


def test_a_peer_that_failed_is_not_heard_any_more(open_wire):
    rest = [text("late"), ping(b"late"), F(CLOSE, b"\x03\xe8")] * 100
    play(open_wire(), *fails(PROTOCOL_ERROR, at_once(F(3), *rest)))
