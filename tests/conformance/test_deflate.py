# SPDX-License-Identifier: Apache-2.0
"""permessage-deflate (RFC 7692) beyond sections 12 and 13: which offers and answers are taken, damaged and malicious data, windows,
contexts, and the examples of the RFC itself. Both roles, with sanitizers."""

import random
import zlib

import pytest
from blackbox.app import Echo
from blackbox.peer import BINARY, PING, PONG, TEXT
from deflating import RSV1, TAIL, Deflate, Terms, check_answer, compressed, hear_message, parse, terms_of
from heads import Head
from script import at_once, cut, fragments, hear_failure, hear_pong, leave, ping
from wires import ClientUnderTest, F, ServerUnderTest, Wire, read_request

PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009
PMD = "permessage-deflate"
NOISE = random.Random(7692).randbytes(2000)
DIGITS = NOISE[:1000].hex().encode()
PROSE = ("Der Fernseher steht im Wohnzimmer, und das Telefon liegt auf dem Tisch. " * 40).encode()

# Offers


ACCEPTED_OFFERS = [
    PMD, f"{PMD}; server_no_context_takeover", f"{PMD}; client_no_context_takeover",
    f"{PMD}; server_no_context_takeover; client_no_context_takeover", f"{PMD}; client_max_window_bits",
    *(f"{PMD}; server_max_window_bits={bits}" for bits in range(8, 16)),
    *(f"{PMD}; client_max_window_bits={bits}" for bits in range(8, 16)),
    f"{PMD}; server_max_window_bits=\"10\"", f"{PMD} ;server_max_window_bits=10;client_max_window_bits",
    f"{PMD}; client_no_context_takeover; server_no_context_takeover; client_max_window_bits=9; server_max_window_bits=9",
]  # fmt: skip

DECLINED_OFFERS = [
    f"{PMD}; unheard_of", f"{PMD}; unheard_of=1", f"{PMD}; client_max_window_bits; unheard_of",
    f"{PMD}; server_no_context_takeover=1", f"{PMD}; client_no_context_takeover=true", f"{PMD}; server_max_window_bits",
    *(f"{PMD}; {end}_max_window_bits={bits}" for end in ("server", "client")
      for bits in ("7", "16", "0", "08", "1", "150", "-9", "9.0", "x", "99999999999999999999")),
    f"{PMD}; server_no_context_takeover; server_no_context_takeover", f"{PMD}; client_max_window_bits; client_max_window_bits",
    f"{PMD}; server_max_window_bits=9; server_max_window_bits=9", f"{PMD}; server_max_window_bits=9; server_max_window_bits=10",
    "permessage-deflat", f"{PMD}2", "permessage-bzip2", "x-webkit-deflate-frame", "deflate-stream",
]  # fmt: skip


def answer_to(port: int, *headers: str) -> str | None:
    """The extensions of the 101 that these Sec-WebSocket-Extensions headers get; the connection works as agreed."""
    wire = ServerUnderTest(port, headers={"Sec-WebSocket-Extensions": "\r\nSec-WebSocket-Extensions: ".join(headers)})
    answer = wire.peer.response.headers.get("sec-websocket-extensions")
    if answer is None:
        wire.send(F(TEXT, PROSE))
        assert wire.hear() == (True, 0, TEXT, False, PROSE)
    else:
        deflate = Deflate(terms_of(answer), is_client=True)
        for _ in range(3):
            wire.send(*compressed(deflate, TEXT, PROSE))
            assert hear_message(wire, deflate) == (TEXT, PROSE, True)
    leave(wire)
    return answer


@pytest.mark.parametrize("offer", ACCEPTED_OFFERS)
def test_a_right_offer_is_taken_on_its_own_terms(sanitized_echo_port, offer):
    check_answer(offer, answer_to(sanitized_echo_port, offer))


@pytest.mark.parametrize("offer", DECLINED_OFFERS)
def test_a_wrong_or_unknown_offer_is_passed_over_and_harms_nobody(sanitized_echo_port, offer):
    assert answer_to(sanitized_echo_port, offer) is None


NARROW = f"{PMD}; server_max_window_bits=10"


@pytest.mark.parametrize("headers", [
    [f"{NARROW}, {PMD}"], [NARROW, PMD], [f"{PMD}; server_max_window_bits=7, {NARROW}, {PMD}"], [f"x-unknown, {NARROW}"],
    [f"{PMD}; unheard_of", f"x-unknown; a=1, {NARROW}", PMD], [f"{NARROW}, {NARROW}"],
], ids=["two", "in two lines", "behind a wrong one", "behind an unknown one", "in three lines", "twice"])  # fmt: skip
def test_of_several_offers_the_first_that_will_do_is_taken_and_no_other(sanitized_echo_port, headers):
    answer = answer_to(sanitized_echo_port, *headers)
    assert len(parse(answer)) == 1
    assert check_answer(NARROW, answer).server_bits == 10


def test_a_server_without_compression_takes_no_offer(new_server):
    server = new_server(compression=False)
    Echo(server)
    assert answer_to(server.port, PMD) is None


# Answers

ACCEPTED_ANSWERS = {
    PMD: Terms(), f"{PMD}; server_no_context_takeover": Terms(server_takeover=False),
    f"{PMD}; client_no_context_takeover": Terms(client_takeover=False),
    **{f"{PMD}; server_max_window_bits={bits}": Terms(server_bits=bits) for bits in range(8, 16)},
    **{f"{PMD}; client_max_window_bits={bits}": Terms(client_bits=bits) for bits in range(8, 16)},
    f"{PMD};client_max_window_bits=\"9\" ; server_max_window_bits=9": Terms(True, True, 9, 9),
    f"{PMD}; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=8": Terms(False, False, 15, 8),
}

REFUSED_ANSWERS = [
    "", f"{PMD}, {PMD}", f"{PMD}, x-unknown", f"x-unknown, {PMD}", "x-unknown", f"{PMD}; unheard_of", f"{PMD}; unheard_of=1",
    f"{PMD}; client_max_window_bits", f"{PMD}; server_max_window_bits", f"{PMD}; server_no_context_takeover=1",
    *(f"{PMD}; {end}_max_window_bits={bits}" for end in ("server", "client") for bits in ("7", "16", "0", "08", "x")),
    f"{PMD}; server_no_context_takeover; server_no_context_takeover", f"{PMD}; client_max_window_bits=9; client_max_window_bits=9",
    f"{PMD};", f"{PMD}; ; client_max_window_bits=9",
]  # fmt: skip


@pytest.mark.parametrize("answer", ACCEPTED_ANSWERS)
def test_a_client_keeps_to_the_terms_of_a_right_answer(engine, answer):
    wire = ClientUnderTest(engine, "compression=1", headers={"Sec-WebSocket-Extensions": answer})
    deflate = Deflate(ACCEPTED_ANSWERS[answer], is_client=False)
    for payload in (PROSE, NOISE, PROSE, b"", NOISE + PROSE, PROSE):
        wire.send(*compressed(deflate, BINARY, payload))
        opcode, echo, was_compressed = hear_message(wire, deflate)
        assert (opcode, echo) == (BINARY, payload) and was_compressed >= (payload == PROSE)
    leave(wire)


@pytest.mark.parametrize("answer", REFUSED_ANSWERS)
def test_a_client_refuses_a_wrong_answer(engine, answer):
    check_refused(engine, [answer], "compression=1")


@pytest.mark.parametrize("answers", [[PMD], [PMD, PMD]], ids=["not offered", "twice"])
def test_a_client_refuses_an_answer_that_was_not_asked_for(engine, answers):
    check_refused(engine, answers, *(["compression=1"] if len(answers) > 1 else []))


def check_refused(engine, answers: list, *options: str) -> None:
    peer = engine.visit(*options)
    request = read_request(peer)
    head = Head("HTTP/1.1 101 Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                                     ("Sec-WebSocket-Accept", request.accept)])
    for answer in answers:
        head.add("Sec-WebSocket-Extensions", answer)
    peer.send(head.octets())
    assert peer.read_to_end() == b""
    peer.close()
    assert engine.report().startswith("refused 101 ")


def test_a_client_offers_every_window_and_every_context(engine):
    wire = ClientUnderTest(engine, "compression=1")
    assert parse(wire.request.value("sec-websocket-extensions")) == [(PMD, {"client_max_window_bits": None})]
    leave(wire)


# Messages


class Compressed:
    """A connection with compression agreed, in either role."""

    def __init__(self, wire: Wire, deflate: Deflate):
        self.wire = wire
        self.deflate = deflate

    def send(self, opcode: int, payload: bytes, fragment: int = 0) -> None:
        self.wire.send(*compressed(self.deflate, opcode, payload, fragment))

    def expect(self, opcode: int, payload: bytes) -> bool:
        heard, echo, was_compressed = hear_message(self.wire, self.deflate)
        assert (heard, echo) == (opcode, payload), (heard, echo[:100])
        return was_compressed

    def echo(self, opcode: int, payload: bytes, fragment: int = 0) -> bool:
        self.send(opcode, payload, fragment)
        return self.expect(opcode, payload)

    def play(self, *steps) -> None:
        try:
            for step in steps:
                step(self.wire)
        finally:
            self.wire.abandon()

    def leave(self) -> None:
        leave(self.wire)


@pytest.fixture
def open_compressed(open_wire, request):
    """open_compressed(own=..., other=..., no_own=..., no_other=...): window bits, and whose context is not taken over, as seen from
    this end."""

    def make(own: int = 15, other: int = 15, no_own: bool = False, no_other: bool = False, **options) -> Compressed:
        is_client = request.node.callspec.params["open_wire"] == "server"
        mine, yours = ("client", "server") if is_client else ("server", "client")
        terms = PMD + (f"; {yours}_max_window_bits={other}" if other < 15 else "") + (f"; {mine}_max_window_bits={own}" if own < 15 else "")
        terms += (f"; {mine}_no_context_takeover" if no_own else "") + (f"; {yours}_no_context_takeover" if no_other else "")
        if is_client:
            wire = open_wire(headers={"Sec-WebSocket-Extensions": terms}, **options)
            terms = wire.peer.response.headers["sec-websocket-extensions"]
        else:
            wire = open_wire(options=["compression=1"], headers={"Sec-WebSocket-Extensions": terms}, **options)
        return Compressed(wire, Deflate(terms_of(terms), is_client, level=6))

    return make


def echoed_size(pair: Compressed, payload: bytes) -> int:
    """How many octets the echo takes on the wire, which must be compressed."""
    pair.send(TEXT, payload)
    frame = pair.wire.hear()
    assert (frame.fin, frame.rsv, pair.deflate.decompress(frame.payload)) == (True, RSV1, payload)
    return len(frame.payload)


def test_what_came_before_is_remembered_where_that_was_agreed(open_compressed):
    """Digits that can hardly be compressed by themselves: the second time both ends can refer to the first."""
    pair = open_compressed()
    assert echoed_size(pair, DIGITS) > len(DIGITS) // 3
    assert echoed_size(pair, DIGITS) < len(DIGITS) // 10
    pair.leave()


def test_our_context_is_used_by_the_other_end(open_compressed):
    pair = open_compressed()
    pair.echo(TEXT, DIGITS)
    [frame] = compressed(pair.deflate, TEXT, DIGITS)
    assert len(frame.payload) < 100, "this test wants a message that is made of references"
    pair.wire.send(frame)
    pair.expect(TEXT, DIGITS)
    pair.leave()


def test_the_other_end_forgets_where_that_was_agreed(open_compressed):
    """Our inflater is new for each message, so a reference to an earlier one would be found out."""
    pair = open_compressed(no_other=True)
    for _ in range(3):
        assert echoed_size(pair, DIGITS) > len(DIGITS) // 3
    pair.leave()


def test_a_reference_to_what_was_to_be_forgotten_fails_the_connection(open_compressed):
    pair = open_compressed(no_own=True)
    pair.echo(BINARY, NOISE)
    remembering = zlib.compressobj(6, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, NOISE)
    octets = (remembering.compress(NOISE) + remembering.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
    pair.play(at_once(F(BINARY, octets, rsv=RSV1)), hear_failure(INVALID_DATA))


@pytest.mark.parametrize("bits", range(8, 16))
def test_no_reference_goes_further_back_than_the_window_agreed(open_compressed, bits):
    """The same text at distances around the window; our inflater has a window of exactly that size."""
    pair = open_compressed(other=bits)
    for distance in (200, 1 << bits, (1 << bits) + 1, 2 << bits):
        filler = random.Random(distance).randbytes(distance)
        pair.echo(BINARY, PROSE[:100] + filler + PROSE[:100] + filler[:100])
    pair.leave()


@pytest.mark.parametrize("bits", range(8, 16))
def test_every_window_of_ours_is_inflated(open_compressed, bits):
    pair = open_compressed(own=bits)
    for payload in (PROSE, NOISE, PROSE, PROSE + NOISE * 20 + PROSE):
        pair.echo(BINARY, payload)
    pair.leave()


def test_messages_that_are_not_compressed_come_between_those_that_are(open_compressed):
    pair = open_compressed()
    for number in range(20):
        if number % 3:
            pair.echo(BINARY, PROSE[number:])
        else:
            pair.wire.send(F(BINARY, NOISE[number:]))
            pair.expect(BINARY, NOISE[number:])
    pair.leave()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_an_empty_message_may_be_compressed(open_compressed, opcode):
    pair = open_compressed()
    for _ in range(3):
        pair.echo(opcode, b"")
        pair.echo(opcode, PROSE)
    pair.leave()


@pytest.mark.parametrize("fragment", [1, 2, 7, 100])
def test_a_compressed_message_may_be_cut_anywhere(open_compressed, fragment):
    pair = open_compressed()
    for payload in (PROSE, b"", b"x", "äöüß€𤭢".encode() * 100):
        pair.echo(TEXT, payload, fragment)
    pair.leave()


def test_empty_fragments_and_pings_come_between_those_of_a_compressed_message(open_compressed):
    pair = open_compressed()
    octets = pair.deflate.compress(PROSE)
    frames = []
    for frame in fragments(TEXT, b"", *cut(octets, 20), b""):
        frames += [frame, ping(b"between")]
    frames[0] = frames[0]._replace(rsv=RSV1)
    pair.wire.send(*frames[:-1], chop=5)
    for _ in range(len(frames) // 2 - 1):
        assert pair.wire.hear().payload == b"between"
    pair.expect(TEXT, PROSE)
    pair.leave()


def test_a_large_message_comes_through_compressed(open_compressed):
    pair = open_compressed()
    payload = PROSE * (4 * (1 << 20) // len(PROSE))
    for _ in range(2):
        pair.echo(TEXT, payload)
        pair.echo(TEXT, payload, 4096)
    pair.leave()


def test_a_compressed_message_of_no_octets_is_an_empty_one(open_compressed):
    """Strictly one octet is needed (section 7.2.3.6), but some senders leave it out, and it can mean nothing else."""
    pair = open_compressed()
    pair.wire.send(F(BINARY, b"", rsv=RSV1))
    pair.expect(BINARY, b"")
    pair.echo(TEXT, PROSE)
    pair.leave()


# The examples of section 7.2.3

EXAMPLES = {
    "one block": ["f248cdc9c90700"],
    "the same again, by reference": ["f248cdc9c90700", "f200110000"],
    "without compression": ["000500faff48656c6c6f00"],
    "a final block": ["f348cdc9c9070000"],
    "a final block and another message": ["f348cdc9c9070000", "f248cdc9c90700"],
    "two blocks": ["f248050000 00ffffcac9c90700"],
}


@pytest.mark.parametrize("messages", EXAMPLES.values(), ids=EXAMPLES.keys())
@pytest.mark.parametrize("fragment", [0, 3, 1], ids=["whole", "in threes", "in ones"])
def test_the_examples_of_the_rfc_say_hello(open_compressed, messages, fragment):
    pair = open_compressed()
    for message in messages:
        octets = bytes.fromhex(message)
        frames = fragments(TEXT, *cut(octets, fragment or len(octets)))
        frames[0] = frames[0]._replace(rsv=RSV1)
        pair.wire.send(*frames)
        pair.expect(TEXT, b"Hello")
    pair.leave()


# Damage

DAMAGED = {
    "noise": b"\xff" * 50,
    "a block of a type that is none": b"\x07\x00",
    "lengths that contradict each other": bytes.fromhex("000500f0ff48656c6c6f00"),
    "a reference before the beginning": bytes.fromhex("f200110000"),
    "cut off": zlib.compressobj(9, zlib.DEFLATED, -15).compress(NOISE) + bytes.fromhex("f248cdc9"),
    "a table of codes that is none": bytes.fromhex("edfd01"),
    "the header of zlib": zlib.compress(b"Hello"),
    "gzip": bytes.fromhex("1f8b0800000000000003"),
}


@pytest.mark.parametrize("octets", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_data_fails_the_connection(open_compressed, octets):
    open_compressed().play(at_once(F(BINARY, octets, rsv=RSV1)), hear_failure(INVALID_DATA))


def test_damaged_data_fails_before_the_message_ends(open_compressed):
    open_compressed().play(at_once(F(BINARY, b"\x07\x00" * 20, fin=False, rsv=RSV1)), hear_failure(INVALID_DATA))


def test_text_that_is_none_fails_although_it_was_compressed(open_compressed):
    pair = open_compressed()
    frames = compressed(pair.deflate, TEXT, PROSE + b"\xed\xa0\x80" + PROSE)
    pair.play(at_once(*frames), hear_failure(INVALID_DATA))


def test_text_that_is_none_fails_before_the_message_ends(open_compressed):
    pair = open_compressed()
    octets = pair.deflate.compress(PROSE + b"\xff" + NOISE)
    pair.play(at_once(F(TEXT, octets, fin=False, rsv=RSV1)), hear_failure(INVALID_DATA))


def test_text_that_ends_within_a_character_fails(open_compressed):
    pair = open_compressed()
    pair.play(at_once(*compressed(pair.deflate, TEXT, PROSE + "ä".encode()[:1])), hear_failure(INVALID_DATA))


# Bits


@pytest.mark.parametrize("frames", [
    [F(TEXT, b"", fin=False, rsv=RSV1), F(0, b"\x00", rsv=RSV1)], [F(TEXT, b"a", fin=False), F(0, b"b", rsv=RSV1)],
    [F(PING, b"p", rsv=RSV1)], [F(PONG, b"p", rsv=RSV1)], [F(8, b"\x03\xe8", rsv=RSV1)],
    [F(TEXT, b"a", rsv=2)], [F(TEXT, b"a", rsv=1)], [F(TEXT, b"\x00", rsv=5)], [F(TEXT, b"\x00", rsv=6)], [F(TEXT, b"\x00", rsv=7)],
], ids=["continuation", "continuation of plain text", "Ping", "Pong", "Close", "RSV2", "RSV3", "RSV1 and 3", "RSV1 and 2", "all"])  # fmt: skip
def test_a_bit_where_it_means_nothing_fails_the_connection(open_compressed, frames):
    open_compressed().play(at_once(*frames), hear_failure(PROTOCOL_ERROR))


def test_pings_are_never_compressed(open_compressed):
    pair = open_compressed()
    pair.play(at_once(ping(b"p" * 125)), hear_pong(b"p" * 125), leave)


# Bombs

LIMIT = 100_000


def test_the_limit_is_that_of_the_inflated_message(open_compressed):
    pair = open_compressed(max_message=LIMIT)
    for fragment in (0, 5):
        pair.echo(BINARY, bytes(LIMIT), fragment)
    pair.play(at_once(*compressed(pair.deflate, BINARY, bytes(LIMIT + 1))), hear_failure(TOO_BIG))


@pytest.mark.parametrize("size", [LIMIT + 1, 10 * LIMIT, 1 << 24, 1 << 26], ids="{} octets".format)
def test_a_bomb_fails_at_the_limit_and_before_it_ends(open_compressed, size):
    pair = open_compressed(max_message=LIMIT)
    octets = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = octets.compress(bytes(size)) + octets.flush(zlib.Z_SYNC_FLUSH)
    frames = fragments(BINARY, *cut(first[:LIMIT], 10_000), b"")[:-1]
    frames[0] = frames[0]._replace(rsv=RSV1)
    pair.play(at_once(*frames), hear_failure(TOO_BIG))


def test_a_bomb_of_stored_blocks_without_content_costs_nothing(open_compressed):
    """Empty blocks inflate to nothing: a message of them is empty, however many there are."""
    pair = open_compressed(max_message=LIMIT)
    pair.wire.send(F(BINARY, bytes.fromhex("000000ffff") * 10_000 + b"\x00", rsv=RSV1))
    pair.expect(BINARY, b"")
    pair.leave()
