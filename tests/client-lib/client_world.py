# SPDX-License-Identifier: Apache-2.0
"""For the tests of WsClient: how it visits a server, and servers and certificates for it."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest
import websockets

FOLDER = pathlib.Path(__file__).resolve().parent
RELEASE = pathlib.Path(os.environ.get("WSSERVERD_RELEASE", "build"))
STEP = 60  # seconds that any one step may take on a busy machine

needs_introspection = pytest.mark.skipif(not list(RELEASE.glob("client-lib/Ws-*.typelib")),
                                         reason="introspection is not built (libgirepository1.0-dev, and no sanitizers)")


def visit(url: str, environment: dict | None = None, **plan) -> list:
    """What happened, in order."""
    library = str(RELEASE / "client-lib")
    environment = {**os.environ, "GI_TYPELIB_PATH": library, "LD_LIBRARY_PATH": library, **(environment or {})}
    done = subprocess.run(["/usr/bin/python3", FOLDER / "visit.py", url], input=json.dumps(plan), env=environment,
                          stdout=subprocess.PIPE, text=True, timeout=STEP)
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(events: list, name: str) -> list:
    return [event[1:] for event in events if event[0] == name]


@contextlib.contextmanager
def serving(handler, **options):
    """A server by Python websockets; its port."""
    loop, ready, servers = asyncio.new_event_loop(), threading.Event(), []

    async def serve():
        servers.append(await websockets.serve(handler, "127.0.0.1", 0, **options))
        ready.set()

    async def end():
        servers[0].close()
        await servers[0].wait_closed()

    def run():
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(STEP)
    yield servers[0].sockets[0].getsockname()[1]
    asyncio.run_coroutine_threadsafe(end(), loop).result(STEP)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(STEP)


async def echo(peer, _path=None):
    async for message in peer:
        await peer.send(message)


@contextlib.contextmanager
def listening(behaviour, address: str = "127.0.0.1"):
    """A bare listener; behaviour(socket) is called for whoever comes, in a thread."""
    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=behaviour, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def failure(events: list) -> str:
    [[_domain, _code, message]] = of(events, "failed")
    assert not of(events, "open") and not of(events, "close")
    return message


def shake_hands(peer, more: str = "") -> None:
    request = peer.recv(65536).decode()
    key = next(line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    peer.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Accept: {accept}\r\n{more}\r\n".encode())
