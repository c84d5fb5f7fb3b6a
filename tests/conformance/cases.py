# SPDX-License-Identifier: Apache-2.0
"""The cases of sections 1 to 10: 301 conversations with one connection each, for both roles.

They cover the ground of the Autobahn|Testsuite's list of cases, with its numbers, in words and code of our own. Where that list
knows an outcome that is right and another that is merely tolerated, the right one is demanded here.
"""

from functools import lru_cache, partial

from blackbox.peer import BINARY, TEXT
from script import (Case, Step, at_once, binary, chopped, close, continuation, cut, each, echoes, fails, fragments,
                    hear_answer, hear_message, hear_pong, leave, octetwise, ping, pong, text)
from wires import F, Wire

PROTOCOL_ERROR, INVALID_DATA = 1002, 1007
KIB = 1024
MIB = 1024 * KIB

GOOD = text("good so far")
WAYS = (at_once, each, octetwise)


def numbered(section: str, conversations) -> list:
    return [Case(f"{section}.{at}", steps) for at, steps in enumerate(conversations, 1)]


# 1 Framing


def framing() -> list:
    lengths = (0, 125, 126, 127, 128, 65535, 65536)
    cases = []
    for part, opcode, octet in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        conversations = [echoes(opcode, octet * length) for length in lengths]
        payload = octet * 65536
        conversations.append(echoes(opcode, payload, chopped(997, F(opcode, payload))))
        cases += numbered(f"1.{part}", conversations)
    return cases


# 2 Ping and Pong


def pings() -> list:
    longest = b"\xfe" * 125
    ten = [ping(b"ping %d" % number) for number in range(10)]
    ten_pongs = [hear_pong(frame.payload) for frame in ten]
    return numbered("2", [
        (at_once(ping()), hear_pong(b""), leave),
        (at_once(ping(b"Hello, world!")), hear_pong(b"Hello, world!"), leave),
        (at_once(ping(b"\x00\xff\xfe\xfd\x80\xc0")), hear_pong(b"\x00\xff\xfe\xfd\x80\xc0"), leave),
        (at_once(ping(longest)), hear_pong(longest), leave),
        fails(PROTOCOL_ERROR, at_once(ping(b"\xfe" * 126))),
        (octetwise(ping(longest)), hear_pong(longest), leave),
        (at_once(pong()), leave),
        (at_once(pong(b"nobody asked")), leave),
        (each(pong(b"nobody asked"), ping(b"but now")), hear_pong(b"but now"), leave),
        (each(*ten), *ten_pongs, leave),
        (octetwise(*ten), *ten_pongs, leave),
    ])  # fmt: skip


# 3 Reserved bits


def good_then(way, *bad: F) -> tuple:
    """A message, what is wrong, and a Ping behind it: the echo comes, then the failure, never a Pong."""
    return fails(PROTOCOL_ERROR, way(GOOD, *bad, ping()), hear_message(TEXT, GOOD.payload))


def reserved_bits() -> list:
    return numbered("3", [
        fails(PROTOCOL_ERROR, at_once(text("reserved", rsv=1))),
        good_then(at_once, text("reserved", rsv=2)),
        good_then(each, text("reserved", rsv=3)),
        good_then(octetwise, text("reserved", rsv=4)),
        fails(PROTOCOL_ERROR, at_once(binary(b"\x00\xff\xfe", rsv=5))),
        fails(PROTOCOL_ERROR, at_once(ping(b"reserved", rsv=6))),
        fails(PROTOCOL_ERROR, at_once(close(1000)._replace(rsv=7))),
    ])  # fmt: skip


# 4 Opcodes


def opcodes() -> list:
    cases = []
    for part, first in ((1, 3), (2, 11)):
        cases += numbered(f"4.{part}", [
            fails(PROTOCOL_ERROR, at_once(F(first))),
            fails(PROTOCOL_ERROR, at_once(F(first + 1, b"reserved"))),
            good_then(each, F(first + 2)),
            good_then(each, F(first + 3, b"reserved")),
            good_then(octetwise, F(first + 4, b"reserved")),
        ])  # fmt: skip
    return cases


# 5 Fragmentation


def in_three_ways(*frames: F) -> list:
    return [way(*frames) for way in WAYS]


def five_fragments_with_pings(way) -> tuple:
    pieces = fragments(TEXT, *(f"fragment {number} " for number in range(1, 6)))
    whole = b"".join(piece.payload for piece in pieces)
    return (way(*pieces[:2], ping(b"first")), hear_pong(b"first"), way(*pieces[2:4], ping(b"second")), hear_pong(b"second"),
            way(pieces[4]), hear_message(TEXT, whole), leave)


def fragmentation() -> list:
    two = fragments(TEXT, "first half, ", "second half")
    whole = "first half, second half"
    stray_last, stray_first = continuation("stray"), continuation("stray", fin=False)
    conversations = [
        fails(PROTOCOL_ERROR, at_once(ping(b"ping", fin=False), continuation("continued"))),
        fails(PROTOCOL_ERROR, at_once(pong(b"pong", fin=False), continuation("continued"))),
    ]
    conversations += [echoes(TEXT, whole, send) for send in in_three_ways(*two)]
    conversations += [(send, hear_pong(b"between"), hear_message(TEXT, whole), leave)
                      for send in in_three_ways(two[0], ping(b"between"), two[1])]
    for stray in (stray_last, stray_first):
        conversations += [fails(PROTOCOL_ERROR, send) for send in in_three_ways(stray, GOOD)]
    conversations += [
        fails(PROTOCOL_ERROR, at_once(*two, stray_first, GOOD), hear_message(TEXT, whole)),
        fails(PROTOCOL_ERROR, each(stray_first, *two, stray_first, *two)),
        fails(PROTOCOL_ERROR, each(stray_last, *two, stray_last, *two)),
        fails(PROTOCOL_ERROR, at_once(text("first half, ", fin=False), text("second half"))),
        five_fragments_with_pings(at_once),
        five_fragments_with_pings(each),
    ]
    return numbered("5", conversations)


# 6 UTF-8. What is valid is decided by Python's codec, which knows nothing of ours.

GREEK = "κ\u1f79σμε".encode()  # with a code point of three octets
SURROGATES = (0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF)
LAST_MISSING = ["c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"]


def of_code_points(*code_points: int) -> bytes:
    return "".join(map(chr, code_points)).encode("utf-8", "surrogatepass")


def lonely(first: int, last: int) -> bytes:
    """Octets that begin a sequence, each followed by a space instead of the rest."""
    return b"".join(bytes([octet]) + b" " for octet in range(first, last + 1))


def from_hex(*sequences: str) -> list:
    return [bytes.fromhex(sequence) for sequence in sequences]


def utf8_sequences() -> dict:
    """Subsection: the payloads that are sent in one frame each."""
    high, low = SURROGATES[:4], (0xDC00, 0xDFFF)
    return {
        5: [f"hello{sign}world".encode() for sign in "$¢€𤭢"] + [GREEK],
        6: [GREEK[:length] for length in range(1, len(GREEK) + 1)],
        7: [of_code_points(point) for point in (0, 0x80, 0x800, 0x10000)],
        8: from_hex("f888808080", "fc8480808080"),
        9: [of_code_points(point) for point in (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)],
        10: from_hex("f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"),
        11: [of_code_points(point) for point in (0xD7FF, 0xE000, 0xFFFD, 0x10FFFF)] + from_hex("f4908080"),
        12: [bytes([0x80]), bytes([0xBF])] + [(b"\x80\xbf" * 4)[:length] for length in range(2, 7)] + [bytes(range(0x80, 0xBF))],
        13: [lonely(0xC0, 0xDE), lonely(0xE0, 0xEE), lonely(0xF0, 0xF6), lonely(0xF8, 0xFA), lonely(0xFC, 0xFC)],
        14: from_hex(*LAST_MISSING),
        15: from_hex("".join(LAST_MISSING)),
        16: from_hex("fe", "ff", "fefeffff"),
        17: from_hex("c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"),
        18: from_hex("c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"),
        19: from_hex("c080", "e08080", "f0808080", "f880808080", "fc8080808080"),
        20: [of_code_points(point) for point in SURROGATES],
        21: [of_code_points(first, second) for first in high for second in low],
        22: [of_code_points(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)],
        23: [of_code_points(point) for point in range(0xFFF9, 0x10000)],
    }


def is_valid(payload: bytes) -> bool:
    try:
        payload.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return False
    return True


def judged_by_python(payload: bytes) -> tuple:
    return echoes(TEXT, payload) if is_valid(payload) else fails(INVALID_DATA, at_once(text(payload)))


def fails_behind(proof: list, rest: list) -> tuple:
    """The failure comes when the frames of `proof` are there; `rest`, which would come next, is sent behind it."""
    return (each(*proof), partial(hear_failure_before, rest))


def hear_failure_before(rest: list, wire: Wire) -> None:
    code, reason = wire.hear_close()
    assert code == INVALID_DATA and reason
    wire.send(*rest)
    wire.finish_failed(code)


def within_one_frame(*pieces: bytes) -> tuple:
    """As above with the pieces of one frame's payload: the first two prove it wrong."""

    def step(wire: Wire) -> None:
        octets = wire.encode(text(b"".join(pieces)))
        first = len(octets) - len(pieces[2]) - len(pieces[1])
        wire.write(octets[:first])
        wire.write(octets[first : first + len(pieces[1])])
        code, reason = wire.hear_close()
        assert code == INVALID_DATA and reason
        wire.write(octets[first + len(pieces[1]) :])
        wire.finish_failed(code)

    return (step,)


def utf8() -> list:
    surrogate = GREEK + bytes.fromhex("eda080") + b"edited"
    letters = "Hello-µ@ßöäüàá-UTF-8!!"
    coarse = (GREEK, bytes.fromhex("f4908080"), b"edited")
    fine = (GREEK + b"\xf4", b"\x90", b"\x80\x80edited")
    cases = numbered("6.1", [
        echoes(TEXT, ""),
        echoes(TEXT, "", at_once(*fragments(TEXT, "", "", ""))),
        echoes(TEXT, "middle", at_once(*fragments(TEXT, "", "middle", ""))),
    ])  # fmt: skip
    cases += numbered("6.2", [
        echoes(TEXT, letters),
        echoes(TEXT, letters, at_once(*fragments(TEXT, letters[:11], letters[11:]))),
        echoes(TEXT, letters, at_once(*fragments(TEXT, *cut(letters.encode(), 1)))),
        echoes(TEXT, GREEK, at_once(*fragments(TEXT, *cut(GREEK, 1)))),
    ])
    cases += numbered("6.3", [
        fails(INVALID_DATA, at_once(text(surrogate))),
        fails(INVALID_DATA, at_once(*fragments(TEXT, *cut(surrogate, 1)))),
    ])
    cases += numbered("6.4", [
        *(fails_behind(frames[:2], frames[2:]) for frames in (fragments(TEXT, *coarse), fragments(TEXT, *fine))),
        within_one_frame(*coarse),
        within_one_frame(*fine),
    ])
    for subsection, payloads in utf8_sequences().items():
        cases += numbered(f"6.{subsection}", map(judged_by_python, payloads))
    return cases


# 7 Closing

CLOSE_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
CODES_NOT_FOR_THE_WIRE = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)


def answered(code: int | None, *frames: F) -> tuple:
    return (each(*frames), hear_answer(code))


def closing() -> list:
    normal = close(1000)
    first, last = fragments(TEXT, "first half, ", "second half")
    big = text(b"0123456789abcdef" * (256 * KIB // 16))
    cases = numbered("7.1", [
        (each(GOOD, normal), hear_message(TEXT, GOOD.payload), hear_answer(1000)),
        answered(1000, normal, normal),
        answered(1000, normal, ping(b"too late")),
        answered(1000, normal, text("too late")),
        answered(1000, first, normal, last),
        (at_once(big, normal, ping(b"too late")), hear_message(TEXT, big.payload), hear_answer(1000)),
    ])  # fmt: skip
    cases += numbered("7.3", [
        answered(None, F(normal.opcode)),
        fails(PROTOCOL_ERROR, at_once(F(normal.opcode, b"\x03"))),
        answered(1000, normal),
        answered(1000, close(1000, b"as good as any")),
        answered(1000, close(1000, b"*" * 123)),
        fails(PROTOCOL_ERROR, at_once(close(1000, b"*" * 124))),
    ])  # fmt: skip
    cases += numbered("7.5", [fails(INVALID_DATA, at_once(close(1000, GREEK + bytes.fromhex("eda080") + b"edited")))])
    cases += numbered("7.7", [answered(code, close(code, b"why not")) for code in CLOSE_CODES])
    cases += numbered("7.9", [fails(PROTOCOL_ERROR, at_once(close(code, b"no"))) for code in CODES_NOT_FOR_THE_WIRE])
    cases += numbered("7.13", [fails(PROTOCOL_ERROR, at_once(close(code, b"no"))) for code in (5000, 65535)])
    return cases


# 9 Sizes and numbers


@lru_cache
def most_letters() -> bytes:
    return b"".join(b"%07d " % number + "äß€𤭢".encode()[: 11 if number % 3 else 0] for number in range(MIB))


@lru_cache
def most_octets() -> bytes:
    return b"".join(number.to_bytes(4, "big") + b"\x00\xff\xfe\x80" for number in range(2 * MIB))


def letters_of(length: int) -> bytes:
    """Text that differs everywhere, so that a piece in a wrong place is seen; multi-byte in places."""
    return most_letters()[:length].decode("utf-8", "ignore").encode().ljust(length, b".")


def octets_of(length: int) -> bytes:
    return most_octets()[:length]


def lazily(make) -> tuple:
    """Steps that are made when the case is played: all payloads at once would fill the memory."""
    return (lambda wire: [step(wire) for step in make()],)


def large(opcode: int, fill, length: int, cut_to: int = 0, chop: int = 0) -> tuple:
    def make() -> tuple:
        payload = fill(length)
        frames = fragments(opcode, *cut(payload, cut_to)) if cut_to else [F(opcode, payload)]
        return echoes(opcode, payload, chopped(chop, *frames))

    return lazily(make)


def one_after_the_other(opcode: int, fill, length: int) -> Step:
    """1000 messages, each after the echo of the one before."""

    def step(wire: Wire) -> None:
        for number in range(1000):
            payload = fill(length - 8) + b"%08d" % number if length else b""
            wire.send(F(opcode, payload))
            hear_message(opcode, payload)(wire)

    return step


def sizes() -> list:
    cases = []
    for part, (opcode, fill) in enumerate(((TEXT, letters_of), (BINARY, octets_of)), 1):
        sizes_whole = (64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB)
        cases += numbered(f"9.{part}", [large(opcode, fill, size) for size in sizes_whole])
    for part, (opcode, fill) in enumerate(((TEXT, letters_of), (BINARY, octets_of)), 3):
        sizes_cut = [64 * 4**power for power in range(9)]
        cases += numbered(f"9.{part}", [large(opcode, fill, 4 * MIB, cut_to=size) for size in sizes_cut])
    for part, (opcode, fill) in enumerate(((TEXT, letters_of), (BINARY, octets_of)), 5):
        cases += numbered(f"9.{part}", [large(opcode, fill, MIB, chop=64 << power) for power in range(6)])
    for part, (opcode, fill) in enumerate(((TEXT, letters_of), (BINARY, octets_of)), 7):
        cases += numbered(f"9.{part}", [(one_after_the_other(opcode, fill, size), leave) for size in (0, 16, 64, 256, 1024, 4096)])
    return cases


# 10 Anything else


def anything_else() -> list:
    payload = b"*" * 65536
    return [Case("10.1.1", echoes(TEXT, payload, at_once(*fragments(TEXT, *cut(payload, 1300)))))]


def all_cases() -> list:
    return [*framing(), *pings(), *reserved_bits(), *opcodes(), *fragmentation(), *utf8(), *closing(), *sizes(), *anything_else()]
