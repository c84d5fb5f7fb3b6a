# SPDX-License-Identifier: Apache-2.0
"""What the Python programs of this folder have echoed, and how they report; the other programs send the same."""

import json
import sys

LARGEST = 5242864  # the default of maxMessageSize
OCTETS = bytes(range(256))

PAYLOADS = {
    "text": "hello",
    "text with U+0000": "a\u0000b\u0000",
    "4-octet UTF-8": "\U0001f600 \U0010ffff",
    "empty text": "",
    "1-octet text": "x",
    "text worth compressing": "hello " * 100,
    "the same again": "hello " * 100,
    "large text": "hello " * 87381,
    "largest text": "y" * LARGEST,
    "binary": OCTETS,
    "empty binary": b"",
    "1-octet binary": b"\x00",
    "largest binary": (bytes(i * 31 & 255 for i in range(256)) * (LARGEST // 256 + 1))[:LARGEST],
}


def arguments() -> tuple:
    """URL, whether to offer compression, and the file with the authority's certificate."""
    url, compressed, authority = sys.argv[1:]
    return url, compressed == "yes", authority


def report(echoed: list, extensions: str | None, ponged: bool | None, closed: dict) -> None:
    print(json.dumps({"echoed": echoed, "extensions": extensions, "ponged": ponged, "closed": closed}))
