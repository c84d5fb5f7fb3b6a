# SPDX-License-Identifier: Apache-2.0
"""What is sent compressed: five kinds of content, made by generators with a seed, so that every run sends the same."""

import json
import random
from functools import lru_cache

BLOB = 384 << 10  # of each kind; messages are cut out of it at varying places
SYLLABLES = "al ber dach ei fern gar haus ich jahr kind licht mor nacht ohr preis quer rat stadt tag und vor wald zeit".split()
UMLAUTS = "ä ö ü ß".split()


def _words(rng: random.Random) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 4))) + (rng.choice(UMLAUTS) if rng.random() < 0.2 else "")


def _json(rng: random.Random) -> bytes:
    def record(number: int) -> dict:
        return {"id": number, "time": f"2024-0{rng.randint(1, 9)}-{rng.randint(10, 28)}T{rng.randint(10, 23)}:00:00Z",
                "user": {"name": _words(rng), "friends": rng.randint(0, 9999), "verified": rng.random() < 0.1, "url": None},
                "text": " ".join(_words(rng) for _ in range(12)), "place": [rng.uniform(-90, 90), rng.uniform(-180, 180)]}

    return json.dumps([record(number) for number in range(BLOB // 250)]).encode()


def _bitmap(rng: random.Random) -> bytes:
    """Rows of a picture with three octets a pixel: flat areas, slopes, a little noise."""
    rows, width = bytearray(b"BM"), 256
    while len(rows) < BLOB:
        base, slope, noise = rng.randrange(256), rng.choice((0, 0, 1, 2)), rng.choice((0, 0, 3))
        for x in range(width):
            value = (base + x * slope // 4 + (rng.randint(0, noise) if noise else 0)) & 255
            rows += bytes((value, value, 255 - value))
    return bytes(rows)


def _prose(rng: random.Random) -> bytes:
    pieces = []
    for _ in range(BLOB // 60):
        sentence = " ".join(_words(rng) for _ in range(rng.randint(4, 14)))
        pieces.append(sentence[0].upper() + sentence[1:] + rng.choice((". ", ". ", "! ", ", aber ", ".\n\n")))
    return "".join(pieces).encode()


def _html(rng: random.Random) -> bytes:
    pieces = ["<!DOCTYPE html>\n<html lang=\"de\"><head><title>Fernsehen</title></head>\n<body>\n"]
    for number in range(BLOB // 90):
        words = " ".join(_words(rng) for _ in range(6)).encode("ascii", "xmlcharrefreplace").decode()
        pieces.append(f"<div class=\"row\" id=\"row-{number}\"><a href=\"/{rng.randint(1, 999)}.html\">{words}</a><br></div>\n")
    return "".join(pieces).encode()


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(BLOB)


_GENERATORS = {"json": _json, "bitmap": _bitmap, "prose": _prose, "html": _html, "noise": _noise}
TEXTS = ("json", "html")  # ASCII alone, so that they may be cut anywhere


@lru_cache(maxsize=None)
def blob(kind: str) -> bytes:
    octets = _GENERATORS[kind](random.Random(f"conformance {kind}"))
    assert len(octets) >= BLOB and (kind not in TEXTS or octets.isascii())
    return octets[:BLOB]


def message(kind: str, number: int, size: int) -> bytes:
    """The number-th message of that kind and size."""
    octets = blob(kind)
    start = number * 7919 % (len(octets) - size)
    return octets[start : start + size]
