# SPDX-License-Identifier: Apache-2.0
"""WsClient, as introspection gives it to Python, against servers of others and against sockets that misbehave."""

import asyncio
import contextlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import time

import pytest
import websockets

FOLDER = pathlib.Path(__file__).resolve().parent
RELEASE = pathlib.Path(os.environ.get("WSSERVERD_RELEASE", "build"))
STEP = 60  # seconds that any one step may take on a busy machine

pytestmark = pytest.mark.skipif(not list(RELEASE.glob("client-lib/Ws-*.typelib")),
                                reason="introspection is not built (libgirepository1.0-dev, and no sanitizers)")


def visit(url: str, **plan) -> list:
    """What happened, in order."""
    library = str(RELEASE / "client-lib")
    environment = {**os.environ, "GI_TYPELIB_PATH": library, "LD_LIBRARY_PATH": library}
    done = subprocess.run(["/usr/bin/python3", FOLDER / "visit.py", url], input=json.dumps(plan), env=environment,
                          stdout=subprocess.PIPE, text=True, timeout=STEP)
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(events: list, name: str) -> list:
    return [event[1:] for event in events if event[0] == name]


@contextlib.contextmanager
def serving(handler, **options):
    """A server by Python websockets; its port."""
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), []

    async def serve():
        server = await websockets.serve(handler, "127.0.0.1", 0, **options)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run():
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(STEP)
    yield ports[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(STEP)


async def echo(peer, _path=None):
    async for message in peer:
        await peer.send(message)


@contextlib.contextmanager
def listening(behaviour):
    """A bare listener; behaviour(socket) is called for whoever comes, in a thread."""
    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=behaviour, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_messages_of_all_kinds_come_back_as_they_were_and_the_goodbye_is_ours():
    messages = ["text", "", "\0 and 😀", {"binary": ""}, {"binary": "00ff"}, "x" * 70000, {"binary": "ab" * 30000}]
    with serving(echo) as port:
        events = visit(f"ws://127.0.0.1:{port}/", send=messages, close=[4321, "bye"])
    assert [message for [message] in of(events, "message")] == messages
    assert of(events, "open") == [[101, None]]
    assert events[-2:] == [["data-end"], ["close", 4321, "bye", True]]


def test_the_request_carries_what_was_asked_for_and_the_answer_is_told():
    seen = []

    async def note(peer, path=None):
        seen.append((peer.path, dict(peer.request_headers)))
        await peer.close(1001, "going")

    with serving(note, subprotocols=["b", "a"]) as port:
        events = visit(f"ws://localhost:{port}/room?x=1", headers={"X-Token": "42"}, config={"protocol": "a, b", "origin": "https://a.example"})
    path, headers = seen[0]
    assert path == "/room?x=1" and headers["x-token"] == "42" and headers["origin"] == "https://a.example"
    assert headers["host"] == f"localhost:{port}"
    assert of(events, "open") == [[101, "a"]] or of(events, "open") == [[101, "b"]]
    assert of(events, "headers")[0][0]["upgrade"].lower() == "websocket"
    assert events[-1] == ["close", 1001, "going", True]


def failure(events: list) -> str:
    [[_domain, _code, message]] = of(events, "failed")
    assert not of(events, "open") and not of(events, "close")
    return message


@pytest.mark.parametrize("answer, told", [
    (b"HTTP/1.1 301 Moved Permanently\r\nLocation: wss://there.example/\r\n\r\n", "redirects are not followed"),
    (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403"),
    (b"220 smtp.example ESMTP\r\n", "no WebSocket server"),
    (b"", "closed the connection before it had answered"),
])
def test_a_server_that_refuses_is_told_about_in_a_sentence(answer, told):
    def refuse(peer):
        peer.recv(65536)
        peer.sendall(answer)
        peer.close()

    with listening(refuse) as port:
        message = failure(visit(f"ws://127.0.0.1:{port}/"))
    assert told in message
    if b"Location" in answer:
        assert "wss://there.example/" in message


def test_nobody_is_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert "127.0.0.1" in failure(visit(f"ws://127.0.0.1:{port}/"))


@pytest.mark.parametrize("url", ["http://a/", "tv.example", "ws://a/#b"])
def test_what_is_no_url_is_refused_at_once(url):
    [[domain, _code, message]] = of(visit(url), "failed")
    assert domain == "ws-error-quark" and message.startswith("url: ")


def test_a_server_that_never_answers_is_given_up_in_time():
    with listening(lambda peer: time.sleep(STEP)) as port:
        assert "did not answer within 1 seconds" in failure(visit(f"ws://127.0.0.1:{port}/", config={"connect-timeout": 1}))


def test_connecting_can_be_cancelled():
    with listening(lambda peer: time.sleep(STEP)) as port:
        events = visit(f"ws://127.0.0.1:{port}/", cancel=300)
    assert of(events, "failed")[0][:2] == ["g-io-error-quark", 19]  # cancelled


def shake_hands(peer) -> None:
    import base64
    import hashlib
    request = peer.recv(65536).decode()
    key = next(line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    peer.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())


def test_a_server_that_stops_answering_pings_is_dropped_and_not_before_its_time():
    def fall_silent(peer):
        shake_hands(peer)
        while peer.recv(65536):
            pass

    with listening(fall_silent) as port:
        began = time.monotonic()
        events = visit(f"ws://127.0.0.1:{port}/", config={"ping-interval": 1, "pong-timeout": 2})
        took = time.monotonic() - began
    assert "did not answer a Ping within 2 seconds" in of(events, "error")[0][0]
    assert events[-1] == ["close", 1006, "", False]
    assert took >= 3


def test_a_server_that_breaks_the_protocol_is_told_so_and_left():
    heard = []

    def lie(peer):
        shake_hands(peer)
        peer.sendall(b"\xc1\x00")  # a reserved bit
        heard.append(peer.recv(65536))

    with listening(lie) as port:
        events = visit(f"ws://127.0.0.1:{port}/")
    assert "broke the protocol" in of(events, "error")[0][0]
    assert events[-1][1] == 1002 and events[-1][3] is False
    assert heard[0][0] == 0x88


# --- TLS ---

@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """A CA, and a certificate for localhost."""
    folder = tmp_path_factory.mktemp("identity")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=STEP)

    openssl("req", "-x509", *key, "-subj", "/CN=CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30", "-extfile", "names",
            "-out", "server.pem")
    return folder


@pytest.fixture
def secure_port(identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity / "server.pem", identity / "server.key")
    with serving(echo, ssl=context) as port:
        yield port


def test_a_server_with_a_certificate_of_a_trusted_ca_is_talked_to(identity, secure_port):
    events = visit(f"wss://localhost:{secure_port}/", config={"ca-path": str(identity / "ca.pem")},
                   send=["secret", "x" * 200000], close=[1000, "done"])
    assert [message for [message] in of(events, "message")] == ["secret", "x" * 200000]
    assert events[-1] == ["close", 1000, "done", True]


def test_a_server_that_nobody_trusts_is_refused(secure_port):
    assert "certificate is not accepted" in failure(visit(f"wss://localhost:{secure_port}/"))


def test_a_server_of_another_name_is_refused(identity, secure_port):
    message = failure(visit(f"wss://127.0.0.1:{secure_port}/", config={"ca-path": str(identity / "ca.pem")}))
    assert "certificate is not accepted" in message


def test_verification_can_be_skipped_for_tests(secure_port):
    events = visit(f"wss://127.0.0.1:{secure_port}/", config={"skip-server-cert-verification": True}, send=["x"], close=[1000, ""])
    assert events[-1][1] == 1000


def test_a_file_that_is_no_ca_is_named(tmp_path, secure_port):
    message = failure(visit(f"wss://localhost:{secure_port}/", config={"ca-path": str(tmp_path / "none.pem")}))
    assert "ca-path" in message and "none.pem" in message
