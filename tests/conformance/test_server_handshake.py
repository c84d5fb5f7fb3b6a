# SPDX-License-Identifier: Apache-2.0
"""The opening handshake that a server gives (RFC 6455 section 4.2): what it has to take, what it has to refuse, and how."""

import base64
import hashlib

import pytest
from blackbox.peer import GUID, TEXT, Stream, encode_frame
from heads import Head, add, key_of, line, put, raw, upgrade, with_line_end
from wires import PATIENCE

HEAD_MAX = 16384
TARGET_MAX = 8196
HEADERS_MAX = 64
NONCE = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module")
def port(sanitized_echo_port):
    return sanitized_echo_port


ACCEPTED = {
    "as it should be": lambda head: head,
    "a higher minor version": line("GET / HTTP/1.2"),
    "a path and a query": line("GET /a/b%20c?x=1&y=%00 HTTP/1.1"),
    "an absolute target": line("GET http://tv.example:8080/path?x HTTP/1.1"),
    "an absolute target without a path": line("GET http://tv.example HTTP/1.1"),
    "the longest target": line(f"GET /{'x' * (TARGET_MAX - 1)} HTTP/1.1"),
    "a host with a port": put("Host", "tv.example:8080"),
    "an IPv6 host": put("Host", "[::1]:8080"),
    "Upgrade in other letters": put("Upgrade", "WebSocket"),
    "Upgrade in capitals": put("UPGRADE", "WEBSOCKET"),
    "Upgrade as a list": put("Upgrade", "h2c, websocket"),
    "Upgrade with versions of others": put("Upgrade", "HTTP/2.0, IRC/6.9, websocket"),
    "Connection as a list": put("Connection", "keep-alive, Upgrade"),
    "Connection in other letters": put("Connection", "uPGRADE"),
    "Connection in two lines": add("Connection", "keep-alive"),
    "Connection with empty elements": put("Connection", ", ,Upgrade ,"),
    "names in other letters": lambda head: Head(head.start, [(name.swapcase(), value) for name, value in head.fields]),
    "white space around values": lambda head: Head(head.start, [(name, f" \t {value}\t ") for name, value in head.fields]),
    "no white space around values": lambda head: Head(head.start, [(None, f"{n}:{v}") for n, v in head.fields]),
    "an empty value": add("X-Empty", ""),
    "octets that are no ASCII": add("X-Latin", "Gr\xfc\xdfe"),
    "an origin": add("Origin", "https://app.example"),
    "the origin of a file": add("Origin", "null"),
    "an empty body": add("Content-Length", "0"),
    "an extension nobody knows": add("Sec-WebSocket-Extensions", "x-unheard-of; a; b=1; c=\"d\", x-other"),
    "as many headers as there may be": lambda head: head.count(HEADERS_MAX),
    "as many octets as there may be": lambda head: head.fill(HEAD_MAX),
}

REFUSED = {
    # The request line.
    "POST": (line("POST / HTTP/1.1"), 405),
    "HEAD": (line("HEAD / HTTP/1.1"), 405),
    "OPTIONS": (line("OPTIONS / HTTP/1.1"), 405),
    "CONNECT": (line("CONNECT / HTTP/1.1"), 405),
    "a method in small letters": (line("get / HTTP/1.1"), 405),
    "a method that is none": (line("G@T / HTTP/1.1"), 400),
    "an endless method": (line("G" * 17 + " / HTTP/1.1"), 400),
    "HTTP/1.0": (line("GET / HTTP/1.0"), 426),
    "HTTP/0.9": (line("GET / HTTP/0.9"), 505),
    "HTTP/2.0": (line("GET / HTTP/2.0"), 505),
    "HTTP/2's preface": (line("PRI * HTTP/2.0"), 505),
    "a version of two digits": (line("GET / HTTP/1.10"), 400),
    "a version without a point": (line("GET / HTTP/11"), 400),
    "HTTP in small letters": (line("GET / http/1.1"), 400),
    "no version": (line("GET /"), 400),
    "another protocol": (line("GET / RTSP/1.0"), 400),
    "no target": (line("GET  HTTP/1.1"), 400),
    "two spaces": (line("GET  / HTTP/1.1"), 400),
    "a space behind the version": (line("GET / HTTP/1.1 "), 400),
    "a tab for a space": (line("GET\t/ HTTP/1.1"), 400),
    "an asterisk for a target": (line("GET * HTTP/1.1"), 400),
    "an authority for a target": (line("GET tv.example:80 HTTP/1.1"), 400),
    "another scheme": (line("GET ftp://tv.example/ HTTP/1.1"), 400),
    "a target with a control character": (line("GET /a\x01b HTTP/1.1"), 400),
    "a target that is no ASCII": (line("GET /\xe4 HTTP/1.1"), 400),
    "a target one octet too long": (line(f"GET /{'x' * TARGET_MAX} HTTP/1.1"), 431),
    "an empty line first": (lambda head: head.line("\r\n" + head.start), 400),
    # Host.
    "no Host": (lambda head: head.drop("Host"), 400),
    "Host twice": (lambda head: head.repeat("Host"), 400),
    "an empty Host": (put("Host", ""), 400),
    "a Host with a space": (put("Host", "tv example"), 400),
    "a Host with a path": (put("Host", "tv.example/path"), 400),
    "a Host with a user": (put("Host", "me@tv.example"), 400),
    "a list of Hosts": (put("Host", "tv.example, other.example\x7f"), 400),
    # Upgrade and Connection.
    "no Upgrade": (lambda head: head.drop("Upgrade"), 426),
    "Upgrade twice": (lambda head: head.repeat("Upgrade"), 400),
    "an empty Upgrade": (put("Upgrade", ""), 426),
    "an Upgrade to something else": (put("Upgrade", "h2c"), 426),
    "an Upgrade to something longer": (put("Upgrade", "websocket2"), 426),
    "an Upgrade to something shorter": (put("Upgrade", "websocke"), 426),
    "an Upgrade to a version": (put("Upgrade", "websocket/13"), 426),
    "an Upgrade that is no list": (put("Upgrade", "websocket, @"), 400),
    "no Connection": (lambda head: head.drop("Connection"), 400),
    "an empty Connection": (put("Connection", ""), 400),
    "Connection: close": (put("Connection", "close"), 400),
    "Connection: keep-alive": (put("Connection", "keep-alive"), 400),
    "Connection with something longer": (put("Connection", "Upgrades"), 400),
    "Connection in quotes": (put("Connection", "\"Upgrade\""), 400),
    "Connection that is no list": (put("Connection", "Upgrade; x"), 400),
    # Sec-WebSocket-Key.
    "no key": (lambda head: head.drop("Sec-WebSocket-Key"), 400),
    "a key twice": (lambda head: head.repeat("Sec-WebSocket-Key"), 400),
    "two keys": (add("Sec-WebSocket-Key", NONCE), 400),
    "a list of keys": (put("Sec-WebSocket-Key", f"{NONCE}, {NONCE}"), 400),
    "an empty key": (put("Sec-WebSocket-Key", ""), 400),
    "a key of 15 octets": (put("Sec-WebSocket-Key", key_of(15)), 400),
    "a key of 17 octets": (put("Sec-WebSocket-Key", key_of(17)), 400),
    "a key without its padding": (put("Sec-WebSocket-Key", NONCE.rstrip("=")), 400),
    "a key with a space": (put("Sec-WebSocket-Key", NONCE[:10] + " " + NONCE[11:]), 400),
    "a key of another alphabet": (put("Sec-WebSocket-Key", "-_" + NONCE[2:]), 400),
    # Sec-WebSocket-Version.
    "no version of WebSocket": (lambda head: head.drop("Sec-WebSocket-Version"), 426),
    "version twice": (lambda head: head.repeat("Sec-WebSocket-Version"), 400),
    **{f"version {version!r}": (put("Sec-WebSocket-Version", version), 426)
       for version in ("", "0", "7", "8", "12", "14", "256", "013", "+13", "13.0", "13, 8", "xiii")},
    # Offers.
    "an empty list of subprotocols": (add("Sec-WebSocket-Protocol", ""), 400),
    "an empty subprotocol": (add("Sec-WebSocket-Protocol", "a,,b"), 400),
    "a subprotocol that is no token": (add("Sec-WebSocket-Protocol", "a b"), 400),
    "a subprotocol twice": (add("Sec-WebSocket-Protocol", "a, b, a"), 400),
    "a subprotocol twice in two lines": (lambda head: head.add("Sec-WebSocket-Protocol", "a").repeat("Sec-WebSocket-Protocol"), 400),
    "too many subprotocols": (add("Sec-WebSocket-Protocol", ", ".join(f"p{n}" for n in range(33))), 400),
    "a subprotocol that is too long": (add("Sec-WebSocket-Protocol", "p" * 257), 400),
    **{f"extensions {value!r}": (add("Sec-WebSocket-Extensions", value), 400)
       for value in ("", ",", ";", "a,,b", "a;", "a; =1", "a; b=", "a; b=\"", "a b", "a; b=\"c d\"", "\"a\"", "a; b; ;")},
    # Syntax.
    "a line that is folded": (raw("X-Folded: y\r\n folded"), 400),
    "a line that is folded by a tab": (raw("X-Folded: y\r\n\tfolded"), 400),
    "a first line that is folded": (lambda head: head.line(head.start + "\r\n X: y"), 400),
    "a bare LF": (raw("X-Line: a\nb: c"), 400),
    "bare LFs": (lambda head: with_line_end(head, b"\n"), 400),
    "a bare CR": (raw("X-Line: a\rb: c"), 400),
    "bare CRs": (lambda head: with_line_end(head, b"\r"), 400),
    "a header without a colon": (raw("nonsense"), 400),
    "a header without a name": (raw(": nonsense"), 400),
    "a space before the colon": (raw("X : y"), 400),
    "a name with a space": (raw("X Y: z"), 400),
    "a name in brackets": (raw("(X): y"), 400),
    "a name that is no ASCII": (raw("X\xe4: y"), 400),
    "a NUL": (raw("X: a\0b"), 400),
    "a control character": (raw("X: a\x1bb"), 400),
    "a DEL": (raw("X: a\x7fb"), 400),
    # Bodies, and too much of everything.
    "a body": (lambda head: head.add("Content-Length", "5"), 400),
    "a body in chunks": (lambda head: head.add("Transfer-Encoding", "chunked"), 400),
    "a length that is no number": (lambda head: head.add("Content-Length", "-0"), 400),
    "an octet too many": (lambda head: head.fill(HEAD_MAX + 1), 431),
    "octets without end": (lambda head: head.fill(20 * HEAD_MAX), 431),
    "a header too many": (lambda head: head.count(HEADERS_MAX + 1), 431),
    "headers without end": (lambda head: head.count(5000), 431),
}

NO_UPGRADE = {
    "a page": (b"GET / HTTP/1.1\r\nHost: tv\r\nAccept: text/html\r\n\r\n", 426),
    "a page, as a browser of old": (b"GET / HTTP/1.0\r\n\r\n", 426),
    "a form": (b"POST / HTTP/1.1\r\nHost: tv\r\nContent-Length: 3\r\n\r\na=b", 405),
    "a proxy's request": (b"CONNECT tv:80 HTTP/1.1\r\nHost: tv\r\n\r\n", 405),
    "HTTP/2 without asking": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "an empty line": (b"\r\n", 400),
}


def open_and_echo(stream: Stream, key: str) -> dict:
    """The 101 in every detail, and then a connection that works."""
    response = stream.read_response()
    assert response.status == 101, response
    assert response.headers["upgrade"] == "websocket" and response.headers["connection"] == "Upgrade"
    assert response.headers["sec-websocket-accept"] == base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    stream.send(encode_frame(TEXT, b"open"))
    assert stream.read(6) == b"\x81\x04open"
    return response.headers


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_right_request_is_accepted(port, change):
    head = change(upgrade().put("Sec-WebSocket-Key", NONCE))
    with Stream(port, timeout=PATIENCE) as stream:
        stream.send(head.octets())
        headers = open_and_echo(stream, NONCE)
        assert not {"sec-websocket-protocol", "sec-websocket-extensions"} & headers.keys()


def expect_refusal(stream: Stream, status: int) -> None:
    response = stream.read_response()
    assert (response.status, response.headers["connection"]) == (status, "close, Upgrade" if status == 426 else "close"), response
    assert response.body.endswith(b".\n") and response.headers["content-type"].startswith("text/plain"), response
    if status == 426:
        assert (response.headers["upgrade"], response.headers["sec-websocket-version"]) == ("websocket", "13")
    if status == 405:
        assert response.headers["allow"] == "GET"
    assert stream.read_to_end() == b""


@pytest.mark.parametrize("change, status", REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_request_is_refused_with_its_status_and_a_sentence(port, change, status):
    with Stream(port, timeout=PATIENCE) as stream:
        stream.send(change(upgrade()).octets())
        expect_refusal(stream, status)


@pytest.mark.parametrize("octets, status", NO_UPGRADE.values(), ids=NO_UPGRADE.keys())
def test_whoever_speaks_something_else_gets_an_answer(port, octets, status):
    with Stream(port, timeout=PATIENCE) as stream:
        stream.send(octets)
        expect_refusal(stream, status)


@pytest.mark.parametrize("octets, status", [
    (b"\x16", 400), (b"POST / HTTP/1.1\r\n", 405), (b"GET / HTTP/3.0\r\n", 505),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400), (b"GET / HTTP/1.1\r\nX: a\n", 400),
    (b"GET / HTTP/1.1\r\nContent-Length: 1\r\n", 400),
], ids=["no HTTP", "method", "version", "repetition", "bare LF", "body"])  # fmt: skip
def test_the_answer_comes_at_the_octet_that_proves_the_fault(port, octets, status):
    with Stream(port, timeout=PATIENCE) as stream:
        stream.send(octets)
        expect_refusal(stream, status)


def test_a_request_may_come_an_octet_at_a_time_with_messages_behind_it(port):
    octets = upgrade().put("Sec-WebSocket-Key", NONCE).octets() + encode_frame(TEXT, b"right behind")
    with Stream(port, timeout=PATIENCE) as stream:
        for octet in octets:
            stream.send(bytes([octet]))
        assert stream.read_response().status == 101
        assert stream.read(14) == b"\x81\x0cright behind"


def test_what_is_pipelined_behind_a_request_is_not_lost(port):
    messages = [b"%d" % number * 50 for number in range(200)]
    octets = upgrade().put("Sec-WebSocket-Key", NONCE).octets() + b"".join(encode_frame(TEXT, message) for message in messages)
    with Stream(port, timeout=PATIENCE) as stream:
        stream.send(octets)
        assert stream.read_response().status == 101
        for message in messages:
            head = b"\x81" + (bytes([len(message)]) if len(message) < 126 else b"\x7e" + len(message).to_bytes(2, "big"))
            assert stream.read(len(head) + len(message)) == head + message


def test_a_key_whose_last_bits_mean_nothing_is_a_key(port):
    key = NONCE[:21] + "R=="
    with Stream(port, timeout=PATIENCE) as stream:
        stream.send(upgrade().put("Sec-WebSocket-Key", key).octets())
        open_and_echo(stream, key)


def test_what_is_pipelined_behind_a_refused_request_is_no_message(port):
    with Stream(port, timeout=PATIENCE) as stream:
        stream.send(upgrade().put("Sec-WebSocket-Version", "8").octets() + encode_frame(TEXT, b"nobody's"))
        expect_refusal(stream, 426)


# Subprotocols


@pytest.fixture
def choosy(new_server):
    return new_server(protocol="v2.tv, v1.tv")


@pytest.mark.parametrize("offers, chosen", [
    (["v1.tv"], "v1.tv"), (["v1.tv, v2.tv"], "v2.tv"), (["other", "v1.tv"], "v1.tv"), (["v1.tv", "other, v2.tv"], "v2.tv"),
    ([], None), (["x" * 256 + ", v1.tv"], "v1.tv"), ([", ".join([f"p{n}" for n in range(31)] + ["v1.tv"])], "v1.tv"),
], ids=["one", "server's order", "two lines", "two lines, server's order", "none", "longest", "most"])  # fmt: skip
def test_the_subprotocol_is_the_first_of_the_servers_that_the_peer_offers(choosy, offers, chosen):
    head = upgrade().put("Sec-WebSocket-Key", NONCE)
    for offer in offers:
        head.add("Sec-WebSocket-Protocol", offer)
    with Stream(choosy.port, timeout=PATIENCE) as stream:
        stream.send(head.octets())
        response = stream.read_response()
        assert response.status == 101 and response.headers.get("sec-websocket-protocol") == chosen
        assert choosy.wait("Connect").args[3]["protocol"] == (chosen or "")


@pytest.mark.parametrize("offer", ["other", "V1.TV", "v1.tvx", "v1"])
def test_offers_without_a_common_subprotocol_are_refused(choosy, offer):
    with Stream(choosy.port, timeout=PATIENCE) as stream:
        stream.send(upgrade().add("Sec-WebSocket-Protocol", offer).octets())
        response = stream.read_response()
        assert response.status == 400 and b"v2.tv" in response.body and b"v1.tv" in response.body


# What the app is told


def test_the_app_is_told_what_the_request_said(new_server):
    server = new_server()
    head = upgrade("tv.example").line("GET /room/1?seat=4 HTTP/1.1").add("Origin", "https://app.example")
    head.add("X-Twice", "one").add("x-twice", "two").add("X-Empty", "").add("X-Latin", "Gr\xfc\xdfe")
    with Stream(server.port, timeout=PATIENCE) as stream:
        stream.send(head.octets())
        assert stream.read_response().status == 101
        details = server.wait("Connect").args[3]
    assert (details["path"], details["query"], details["origin"]) == ("/room/1", "seat=4", "https://app.example")
    headers = details["headers"]
    assert (headers["host"], headers["x-twice"], headers["x-empty"]) == ("tv.example", "one, two", "")
    assert headers["x-latin"] == "Gr\ufffd\ufffde"


def test_a_refused_peer_is_counted_and_never_told_to_the_app(new_server):
    server = new_server()
    for _ in range(3):
        with Stream(server.port, timeout=PATIENCE) as stream:
            stream.send(upgrade().drop("Host").octets())
            expect_refusal(stream, 400)
    assert server.get("Refused") == 3 and server.get("Connections") == 0 and server.events == []
