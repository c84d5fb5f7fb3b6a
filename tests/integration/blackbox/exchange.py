# SPDX-License-Identifier: Apache-2.0
"""The programs of the folder clients: one for each WebSocket client that others wrote, all with the same command line.

    PROGRAM URL yes|no CA

has every payload echoed by the server at URL/echo, sends a Ping where the client can, and closes: there with 1000, on a
connection to URL/4321 with that code and a reason, and, where the client can, on one to URL/none without a code. It offers
compression or does not, and trusts the authority whose certificate the file CA holds. It prints an Exchange as JSON and ends
with 0, or says what went wrong.
"""

import json
import os
import subprocess
from typing import NamedTuple

from .bystander import CLIENTS

ECHOED = ["text", "text with U+0000", "4-octet UTF-8", "empty text", "1-octet text", "text worth compressing", "the same again",
          "large text", "largest text", "binary", "empty binary", "1-octet binary", "largest binary"]
LARGE = 6 * 87381  # octets; an app's message of this size is compressed, one of the largest goes out at once as it is
LARGEST = 5242864
PYTHON = "/usr/bin/python3"


class Client(NamedTuple):
    command: tuple
    offers: str = ""  # "on request", "always" or not at all: permessage-deflate
    tells_extensions: bool = False
    pings: bool = True
    closes_without_code: bool = True
    waits_for_close: bool = True  # else it hangs up and tells its own code and reason, not the server's answer


KNOWN = {
    "node": Client(("node", "npm_ws.js"), "on request", tells_extensions=True),
    "python-websockets": Client((PYTHON, "python_websockets.py"), "on request", tells_extensions=True),
    "chromium": Client((PYTHON, "chromium.py"), "always", tells_extensions=True, pings=False),
    "libsoup": Client((PYTHON, "soup.py"), "on request", tells_extensions=True),
    "java": Client(("java", "Exchange.java"), closes_without_code=False),
    "qt": Client((PYTHON, "qt.py"), closes_without_code=False, waits_for_close=False),
}


class Exchange(NamedTuple):
    echoed: list  # the names of the payloads that came back as they were
    extensions: str | None  # in use on the first connection, as the client tells; None from one that does not
    ponged: bool | None  # whether its Ping was answered with the same octets
    closed: dict  # by the last part of the path: [code, reason] as the client heard them

    @classmethod
    def run(cls, name: str, url: str, compressed: bool, authority, clients_folder: str = "") -> "Exchange":
        program, script = KNOWN[name].command
        environment = {**os.environ, "WSSERVERD_CLIENTS": clients_folder, "PYTHONDONTWRITEBYTECODE": "1"}
        ran = subprocess.run([program, CLIENTS / script, url, "yes" if compressed else "no", authority], env=environment,
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)
        assert ran.returncode == 0, ran.stderr or ran.stdout
        return cls(**json.loads(ran.stdout))
