# SPDX-License-Identifier: Apache-2.0
"""The example of a client with heartbeat: it drops a server that does not answer, in the right second, and comes back."""

import base64
import hashlib
import socket
import time

from program import MODULE, ROOT

EXAMPLE = ROOT / "client-lib" / "examples" / "heartbeat.js"
INSTALLED = "file:///usr/share/wsserver-0/gjs/webSocket.js"


def shake_hands(peer: socket.socket) -> None:
    request = peer.recv(65536).decode()
    key = next(line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    peer.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())


def test_a_silent_server_is_dropped_and_visited_again(run_script, tmp_path):
    path = tmp_path / "heartbeat.js"
    path.write_text(EXAMPLE.read_text().replace(INSTALLED, f"file://{MODULE}"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        script = run_script(path, f"ws://127.0.0.1:{listener.getsockname()[1]}/", "2", "1")
        first, _ = listener.accept()
        shake_hands(first)
        began = time.monotonic()
        script.wait("connected")
        first.sendall(b"\x81\x05hello")
        script.wait("heard hello")
        script.wait("closed: 1006")
        assert 3 <= time.monotonic() - began < 20  # a Ping after two seconds, one second for its Pong
        second, _ = listener.accept()
        shake_hands(second)
        first.close()
        second.close()
        script.kill()
