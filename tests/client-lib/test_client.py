# SPDX-License-Identifier: Apache-2.0
"""WsClient, as introspection gives it to Python, against servers of others and against sockets that misbehave."""

import socket
import time

import pytest
from client_world import STEP, echo, failure, listening, needs_introspection, of, serving, shake_hands, visit

pytestmark = needs_introspection


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
