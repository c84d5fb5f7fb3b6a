# SPDX-License-Identifier: Apache-2.0
"""The opening handshake that a client asks for (RFC 6455 section 4.1): its request, and which answers it takes."""

import base64
import re

import pytest
from blackbox.peer import TEXT, encode_frame
from heads import Head, add, line, put, raw, with_line_end
from wires import read_request

HEAD_MAX = 16384
HEADERS_MAX = 64
NOT_OURS = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def answer(accept: str) -> Head:
    return Head("HTTP/1.1 101 Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                                     ("Sec-WebSocket-Accept", accept)])


def change_value(name: str, change):
    return lambda head: head.put(name, change(dict(head.fields)[name]))


ACCEPTED = {
    "as it should be": lambda head: head,
    "another reason": line("HTTP/1.1 101 Welcome to the other side"),
    "no reason": line("HTTP/1.1 101 "),
    "a reason that is no ASCII": line("HTTP/1.1 101 Gr\xfc\xdfe"),
    "a higher minor version": line("HTTP/1.2 101 Switching Protocols"),
    "Upgrade in other letters": put("Upgrade", "WebSocket"),
    "Connection in other letters": put("Connection", "upgrade"),
    "Connection as a list": put("Connection", "keep-alive, Upgrade"),
    "Connection in two lines": add("Connection", "x"),
    "names in other letters": lambda head: Head(head.start, [(name.swapcase(), value) for name, value in head.fields]),
    "white space around values": lambda head: Head(head.start, [(name, f" \t {value}\t ") for name, value in head.fields]),
    "no white space around values": lambda head: Head(head.start, [(None, f"{n}:{v}") for n, v in head.fields]),
    "headers of no interest": lambda head: head.add("Server", "other").add("Set-Cookie", "a=b").add("Set-Cookie", "c=d"),
    "an empty body": add("Content-Length", "0"),
    "as many headers as there may be": lambda head: head.count(HEADERS_MAX),
    "as many octets as there may be": lambda head: head.fill(HEAD_MAX),
}

# What is changed, and the status that is reported; 0 when no status line could be read.
REFUSED = {
    **{f"status {status}": (line(f"HTTP/1.1 {status} No"), status)
       for status in (100, 102, 103, 200, 204, 301, 302, 307, 400, 401, 403, 404, 407, 408, 426, 429, 500, 503, 999)},
    "HTTP/1.0": (line("HTTP/1.0 101 Switching Protocols"), 101),
    "HTTP/2.0": (line("HTTP/2.0 101 Switching Protocols"), 101),
    "HTTP in small letters": (line("http/1.1 101 Switching Protocols"), 0),
    "another protocol": (line("RTSP/1.0 101 Switching Protocols"), 0),
    "a version of two digits": (line("HTTP/1.10 101 Switching Protocols"), 0),
    "a status of two digits": (line("HTTP/1.1 10 Switching Protocols"), 0),
    "a status of four digits": (line("HTTP/1.1 1010 Switching Protocols"), 0),
    "a status that is no number": (line("HTTP/1.1 10x Switching Protocols"), 0),
    "no status": (line("HTTP/1.1"), 0),
    "two spaces": (line("HTTP/1.1  101 Switching Protocols"), 0),
    "a reason with a control character": (line("HTTP/1.1 101 Switching\x01Protocols"), 0),
    "an empty line first": (lambda head: head.line("\r\n" + head.start), 0),
    "no Upgrade": (lambda head: head.drop("Upgrade"), 101),
    "Upgrade twice": (lambda head: head.repeat("Upgrade"), 101),
    "an empty Upgrade": (put("Upgrade", ""), 101),
    "an Upgrade to something else": (put("Upgrade", "h2c"), 101),
    "an Upgrade to something longer": (put("Upgrade", "websockets"), 101),
    "an Upgrade to two things": (put("Upgrade", "websocket, h2c"), 101),
    "no Connection": (lambda head: head.drop("Connection"), 101),
    "Connection: close": (put("Connection", "close"), 101),
    "an empty Connection": (put("Connection", ""), 101),
    "Connection that is no list": (put("Connection", "Upgrade; x"), 101),
    "no proof": (lambda head: head.drop("Sec-WebSocket-Accept"), 101),
    "an empty proof": (put("Sec-WebSocket-Accept", ""), 101),
    "the proof for another key": (put("Sec-WebSocket-Accept", NOT_OURS), 101),
    "the proof twice": (lambda head: head.repeat("Sec-WebSocket-Accept"), 101),
    "a proof and another": (add("Sec-WebSocket-Accept", NOT_OURS), 101),
    "the proof in other letters": (change_value("Sec-WebSocket-Accept", str.swapcase), 101),
    "the proof and more": (change_value("Sec-WebSocket-Accept", lambda proof: proof + "="), 101),
    "the proof cut off": (change_value("Sec-WebSocket-Accept", lambda proof: proof[:-1]), 101),
    "a subprotocol that was not offered": (add("Sec-WebSocket-Protocol", "v1.tv"), 101),
    "an empty subprotocol": (add("Sec-WebSocket-Protocol", ""), 101),
    "an extension that was not offered": (add("Sec-WebSocket-Extensions", "x-unheard-of"), 101),
    "a body": (add("Content-Length", "5"), 101),
    "a body in chunks": (add("Transfer-Encoding", "chunked"), 101),
    "a line that is folded": (raw("X-Folded: y\r\n folded"), 101),
    "a bare LF": (raw("X-Line: a\nb: c"), 101),
    "bare LFs": (lambda head: with_line_end(head, b"\n"), 0),
    "a bare CR": (raw("X-Line: a\rb: c"), 101),
    "a header without a colon": (raw("nonsense"), 101),
    "a space before the colon": (raw("X : y"), 101),
    "a NUL": (raw("X: a\0b"), 101),
    "an octet too many": (lambda head: head.fill(HEAD_MAX + 1), 101),
    "a header too many": (lambda head: head.count(HEADERS_MAX + 1), 101),
    "headers without end": (lambda head: head.count(5000), 101),
    "a status line without end": (line("HTTP/1.1 101 " + "x" * (2 * HEAD_MAX)), 0),
}


def test_the_request_is_one_that_every_server_takes(engine):
    keys = set()
    for _ in range(20):
        peer = engine.visit()
        request = read_request(peer)
        assert request.line == "GET / HTTP/1.1"
        assert [name for name, _value in request.headers] == ["host", "upgrade", "connection", "sec-websocket-key",
                                                              "sec-websocket-version"]
        assert re.fullmatch(r"127\.0\.0\.1:\d+", request.value("host"))
        assert (request.value("upgrade"), request.value("connection")) == ("websocket", "Upgrade")
        assert request.value("sec-websocket-version") == "13"
        key = request.value("sec-websocket-key")
        assert len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
        keys.add(key)
        peer.close()
        assert engine.report() == "lost"
    assert len(keys) == 20


def open_and_echo(engine, peer) -> None:
    assert engine.report() == "open "
    peer.send(encode_frame(TEXT, b"open", key=None))
    frame = peer.read_frame()
    assert (frame.masked, frame.payload) == (True, b"open")
    peer.close()
    assert engine.report() == "lost"


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_right_answer_is_taken(engine, change):
    peer = engine.visit()
    peer.send(change(answer(read_request(peer).accept)).octets())
    open_and_echo(engine, peer)


@pytest.mark.parametrize("change, status", REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_answer_ends_the_connection_before_anything_is_said(engine, change, status):
    peer = engine.visit()
    peer.send(change(answer(read_request(peer).accept)).octets())
    report = engine_report_of(engine, peer)
    assert re.fullmatch(rf"refused {status} [A-Z][^\n]*\.", report), report


def engine_report_of(engine, peer) -> str:
    assert peer.read_to_end() == b""
    peer.close()
    return engine.report()


def test_an_answer_may_come_an_octet_at_a_time_with_messages_behind_it(engine):
    peer = engine.visit()
    head = answer(read_request(peer).accept).octets()
    for octet in head + encode_frame(TEXT, b"right behind", key=None):
        peer.send(bytes([octet]))
    assert peer.read_frame().payload == b"right behind"
    open_and_echo(engine, peer)


def test_what_is_pipelined_behind_an_answer_is_not_lost(engine):
    peer = engine.visit()
    messages = [b"%d" % number * 50 for number in range(200)]
    head = answer(read_request(peer).accept).octets()
    peer.send(head + b"".join(encode_frame(TEXT, message, key=None) for message in messages))
    for message in messages:
        assert peer.read_frame().payload == message
    open_and_echo(engine, peer)


@pytest.mark.parametrize("octets", [b"", b"HTTP/1.1 101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"],
                         ids=["at once", "in the first line", "in the headers"])
def test_a_server_that_hangs_up_before_its_answer_is_whole_is_lost(engine, octets):
    peer = engine.visit()
    read_request(peer)
    peer.send(octets)
    peer.close()
    assert engine.report() == "lost"


@pytest.mark.parametrize("chosen, outcome", [
    (["v1.tv"], "open v1.tv"), (["v2.tv"], "open v2.tv"), ([], "open "), (["V1.tv"], "refused"), (["v3.tv"], "refused"),
    (["v1.tv, v2.tv"], "refused"), (["v1.tv", "v2.tv"], "refused"), (["v1.tv", "v1.tv"], "refused"), ([""], "refused"),
], ids=["first", "second", "none", "other letters", "not offered", "both", "both in two lines", "twice", "empty"])  # fmt: skip
def test_of_the_subprotocols_offered_at_most_one_may_be_chosen(engine, chosen, outcome):
    peer = engine.visit("protocols=v1.tv,v2.tv")
    request = read_request(peer)
    assert request.value("sec-websocket-protocol") == "v1.tv,v2.tv"
    head = answer(request.accept)
    for name in chosen:
        head.add("Sec-WebSocket-Protocol", name)
    peer.send(head.octets())
    if outcome == "refused":
        assert engine_report_of(engine, peer).startswith("refused 101 ")
        return
    assert engine.report() == outcome
    peer.close()
    assert engine.report() == "lost"
