# SPDX-License-Identifier: Apache-2.0
"""WsClient against servers of others: npm's ws and Python's websockets; names, addresses, subprotocols, headers, goodbyes."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

import pytest
from client_world import FOLDER, STEP, echo, failure, listening, needs_introspection, of, serving, shake_hands, visit

pytestmark = needs_introspection
CLIENTS = pathlib.Path(os.environ.get("WSSERVERD_CLIENTS", FOLDER.parents[1] / "build-test" / "clients"))
MESSAGES = ["text", "", "\0 and 😀", {"binary": ""}, {"binary": "00ff"}, "x" * 126, "y" * 65536, {"binary": "ab" * 3_000_000}]


@contextlib.contextmanager
def npm_ws(**options):
    """npm's ws; its port."""
    if not shutil.which("node") or not (CLIENTS / "node_modules" / "ws").is_dir():
        pytest.skip("npm's ws is not installed")
    process = subprocess.Popen(["node", FOLDER / "ws_server.js", json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True, env={**os.environ, "NODE_PATH": str(CLIENTS / "node_modules")})
    try:
        yield int(process.stdout.readline())
    finally:
        process.communicate(timeout=STEP)


@contextlib.contextmanager
def python_websockets(compression: bool = False, protocol: str | None = None):
    async def answer(peer, _path=None):
        async for message in peer:
            if message == "bye":
                await peer.close(4321, "auf Wiedersehen 👋")
            elif message == "drop":
                peer.transport.abort()
            else:
                await peer.send(message)

    options = {"compression": "deflate" if compression else None, "max_size": 64 << 20}
    if protocol is not None:
        options["subprotocols"] = [protocol]
    with serving(answer, **options) as port:
        yield port


SERVERS = pytest.mark.parametrize("server", [npm_ws, python_websockets], ids=["npm ws", "Python websockets"])


@SERVERS
@pytest.mark.parametrize("theirs", [False, True], ids=["plain server", "compressing server"])
@pytest.mark.parametrize("ours", [False, True], ids=["plain client", "compressing client"])
def test_messages_of_all_kinds_come_back(server, theirs, ours):
    with server(compression=theirs) as port:
        events = visit(f"ws://127.0.0.1:{port}/", config={"compression": ours, "max-message-size": 8 << 20}, send=MESSAGES,
                       close=[4000, "grüß dich"])
    assert [message for [message] in of(events, "message")] == MESSAGES
    assert ("sec-websocket-extensions" in of(events, "headers")[0][0]) == (ours and theirs)
    assert events[-1] == ["close", 4000, "grüß dich", True]


@SERVERS
def test_the_servers_goodbye_is_told_with_code_and_reason(server):
    with server() as port:
        events = visit(f"ws://127.0.0.1:{port}/", send=["bye"])
    assert events[-1] == ["close", 4321, "auf Wiedersehen 👋", True] and not of(events, "error")


@SERVERS
def test_a_server_that_drops_the_connection_is_told_about(server):
    with server() as port:
        events = visit(f"ws://127.0.0.1:{port}/", send=["drop"])
    assert events[-1] == ["close", 1006, "", False]


@SERVERS
def test_the_subprotocol_agreed_on_is_known(server):
    with server(protocol="chat.v2") as port:
        events = visit(f"ws://127.0.0.1:{port}/", config={"protocol": "chat.v1, chat.v2"}, send=["x"], close=[1000, ""])
    assert of(events, "open") == [[101, "chat.v2"]]


@pytest.mark.parametrize("offered", [None, "chat.v1"])
def test_a_subprotocol_that_nobody_offered_is_not_accepted(offered):
    def agree_on_another(peer):
        shake_hands(peer, "Sec-WebSocket-Protocol: other\r\n")
        peer.recv(65536)

    with listening(agree_on_another) as port:
        message = failure(visit(f"ws://127.0.0.1:{port}/", config={"protocol": offered} if offered else {}))
    assert "subprotocol" in message


# --- The request ---

@pytest.mark.parametrize("name, value", [
    ("Host", "other"), ("upgrade", "h2c"), ("Connection", "close"), ("Sec-WebSocket-Key", "x"), ("sec-websocket-version", "8"),
    ("Sec-WebSocket-Extensions", "x"), ("X Y", "1"), ("", "1"), ("X:", "1"), ("X-Ü", "1"), ("X", "a\r\nB: c"), ("X", "a\nb"), ("X", "\x01"),
], ids=lambda value: repr(value)[:24])
def test_headers_that_cannot_be_are_refused_before_anybody_is_asked(name, value):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        message = failure(visit(f"ws://127.0.0.1:{listener.getsockname()[1]}/", headers={name: value}))
        assert "header" in message
        with contextlib.suppress(TimeoutError):
            peer, _ = listener.accept()
            assert not peer.recv(10), "something was sent"


def test_headers_of_the_app_arrive():
    seen = []

    async def note(peer, _path=None):
        seen.append(peer.request_headers)
        await peer.close()

    headers = {"Authorization": "Bearer abc.def", "X-Empty": "", "User-Agent": "tv/1.0", "Cookie": "a=b; c=d"}
    with serving(note) as port:
        visit(f"ws://127.0.0.1:{port}/", headers=headers)
    assert {name: seen[0][name] for name in headers} == headers


# --- Names and addresses ---

def test_an_ipv6_address():
    with listening(lambda peer: (shake_hands(peer), peer.close()), "::1") as port:
        events = visit(f"ws://[::1]:{port}/")
    assert of(events, "open")


def test_a_name_in_another_script_is_looked_up_as_dns_writes_it():
    known_as = "fernseher-grün".encode("idna").decode()
    assert f"{known_as}.invalid" in failure(visit("ws://fernseher-grün.invalid/", config={"connect-timeout": 20}))
    seen = []

    def note(peer):
        seen.append(peer.recv(65536).decode())
        peer.close()

    with listening(note) as port:  # a proxy is told the name that is looked up
        failure(visit("ws://fernseher-grün.example/", config={"proxy-mode": "custom", "proxy-uri": f"http://127.0.0.1:{port}"}))
    assert seen[0].startswith(f"CONNECT {known_as}.example:80 ")


def test_the_second_address_is_tried_where_the_first_does_not_answer():
    """localhost has two; the server listens on one of them."""
    for address in ("127.0.0.1", "::1"):
        with listening(lambda peer: (shake_hands(peer), peer.close()), address) as port:
            assert of(visit(f"ws://localhost:{port}/"), "open"), address


# --- Redirects ---

@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused_and_the_target_is_named(status):
    def redirect(peer):
        peer.recv(65536)
        peer.sendall(f"HTTP/1.1 {status} Go\r\nLocation: wss://elsewhere.example/x?y\r\nContent-Length: 0\r\n\r\n".encode())
        peer.close()

    with listening(redirect) as port:
        message = failure(visit(f"ws://127.0.0.1:{port}/"))
    assert "wss://elsewhere.example/x?y" in message and str(status) in message


def test_a_target_cannot_forge_the_message():
    def redirect(peer):
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 302 Go\r\nLocation: \x1b[2Jhttp://\xff\r\nContent-Length: 0\r\n\r\n")
        peer.close()

    with listening(redirect) as port:
        message = failure(visit(f"ws://127.0.0.1:{port}/"))
    assert "\x1b" not in message


# --- Cancelling ---

def hang_in_tls(peer) -> None:
    peer.recv(65536)
    time.sleep(STEP)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_connecting_is_cancelled_wherever_it_is(scheme):
    """Before the first step, while it is on the way, and in TLS or the opening handshake."""
    with listening(hang_in_tls) as port:
        for milliseconds in (0, 1, 5, 300):
            began = time.monotonic()
            events = visit(f"{scheme}://127.0.0.1:{port}/", cancel=milliseconds)
            assert of(events, "failed")[0][:2] == ["g-io-error-quark", 19] and not of(events, "open")
            assert time.monotonic() - began < 20


def test_cancelling_an_open_connection_does_nothing():
    with serving(echo) as port:
        events = visit(f"ws://127.0.0.1:{port}/", send=["x"] * 3, cancel=400, close=[1000, ""])
    assert not of(events, "failed") and events[-1][1] == 1000

