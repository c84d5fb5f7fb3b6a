# SPDX-License-Identifier: Apache-2.0
"""An app that is as hostile as it can be, for so long as it is told: it does whatever comes into its head on the bus and on its channels,
crashes and comes back, and its own peers flood its server. As another user than who starts it, where it may.

rampage.py ADDRESS SECONDS SEED CERTIFICATE KEY"""

import collections
import os
import pathlib
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from blackbox.app import App  # noqa: E402
from blackbox.hostile_app import Descriptors, HostileApp  # noqa: E402

APPS = 4
NOBODY = 65534
LIFE = 3.0  # seconds after which an app dies without a word
Pair = collections.namedtuple("Pair", "certificate key")
REQUEST = (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def flood(port: int, until: float) -> None:
    """A peer that sends and never reads, again and again."""
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as peer:
                peer.settimeout(0.5)
                peer.sendall(REQUEST)
                for _ in range(200):
                    peer.sendall(b"\x82\xfe\x04\x00\0\0\0\0" + bytes(1024))
        except OSError:
            time.sleep(0.01)


def flooded_server(address: str, until: float) -> None:
    """An app that never looks at what its peers flood it with."""
    app = App(address, answer_pings=False)
    server = app.running_server(maxConnectionsForOneClient=1000)
    server.keep_events = False
    for _ in range(2):
        threading.Thread(target=flood, args=(server.port, until), daemon=True).start()


def main() -> None:
    address, seconds, seed, certificate, key = sys.argv[1:]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rampage-"))
    descriptors = Descriptors(folder, Pair(certificate, key))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if os.geteuid() == 0:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, 0)
    end = time.monotonic() + float(seconds)
    flooded_server(address, end)
    apps = [HostileApp(address, f"{seed}-{number}", descriptors, ["/org/wsserver1/server/1"]) for number in range(APPS)]
    born = dict.fromkeys(range(APPS), time.monotonic())
    acts = 0
    while time.monotonic() < end:
        number = acts % APPS
        if time.monotonic() - born[number] > LIFE:
            apps[number].close()
            apps[number] = HostileApp(address, f"{seed}-{acts}", descriptors, ["/org/wsserver1/server/1"])
            born[number] = time.monotonic()
        apps[number].act()
        acts += 1
    print(acts, flush=True)
    if os.geteuid() != 0 and os.getresuid()[2] == 0:
        os.seteuid(0)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # as a crash: nobody is told


if __name__ == "__main__":
    main()
