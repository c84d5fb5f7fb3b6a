# SPDX-License-Identifier: Apache-2.0
"""What a peer that is not let in gets: a real HTTP response that tells it why."""

import re

import pytest
from blackbox.app import App
from blackbox.peer import Peer, Stream, refusal, request, upgrade_request

# What is changed in a right upgrade request, and the status it leads to.
REFUSALS = {
    "no upgrade": ({"remove": ["Upgrade"]}, 426),
    "an upgrade to something else": ({"headers": {"Upgrade": "h2c"}}, 426),
    "no Connection": ({"remove": ["Connection"]}, 400),
    "no key": ({"remove": ["Sec-WebSocket-Key"]}, 400),
    "a short key": ({"headers": {"Sec-WebSocket-Key": "c2hvcnQ="}}, 400),
    "a key that is no base64": ({"headers": {"Sec-WebSocket-Key": "????????????????????????"}}, 400),
    "no version": ({"remove": ["Sec-WebSocket-Version"]}, 426),
    "version 8": ({"headers": {"Sec-WebSocket-Version": "8"}}, 426),
    "version 12": ({"headers": {"Sec-WebSocket-Version": "12"}}, 426),
    "version 14": ({"headers": {"Sec-WebSocket-Version": "14"}}, 426),
    "no host": ({"remove": ["Host"]}, 400),
    "two keys": ({"headers": {"X": "y\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}}, 400),
    "a header without a colon": ({"headers": {"X": "y\r\nnonsense"}}, 400),
    "a space before a colon": ({"headers": {"X ": "y"}}, 400),
    "a folded header": ({"headers": {"X": "y\r\n folded"}}, 400),
    "a control character": ({"headers": {"X": "a\x01b"}}, 400),
    "too many octets of headers": ({"headers": {"X": "y" * 20000}}, 431),
    "a long target": ({"path": "/" + "x" * 9000}, 431),
    "too many headers": ({"headers": {f"X-{number}": "y" for number in range(100)}}, 431),
}


def check(response, status: int) -> None:
    assert response.status == status
    assert response.body.strip() and re.fullmatch(r"[ -~\u0080-\uffff]+\n?", response.body.decode())
    assert response.headers["content-type"].startswith("text/plain")
    assert "close" in [token.strip().lower() for token in response.headers["connection"].split(",")]
    if status == 426:
        assert response.headers["sec-websocket-version"] == "13"
        assert response.headers["upgrade"].lower() == "websocket"


@pytest.mark.parametrize("changes, status", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refused_peer_learns_why(server, changes, status):
    check(refusal(server.port, **changes), status)
    assert server.get("Refused") == 1
    assert server.events == []


@pytest.mark.parametrize("octets", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", b"\x00" * 600, b"SSH-2.0-OpenSSH\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", b"\r\n\r\n", b"GET /\r\n\r\n",
], ids=["TLS", "zeros", "SSH", "HTTP/1.0", "POST", "empty lines", "HTTP/0.9"])
def test_a_peer_of_another_protocol_gets_an_http_answer_and_harms_nobody(server, octets):
    bystander, _connection = server.join()
    response = request(server.port, octets)
    assert 400 <= response.status <= 505 and response.body
    bystander.assert_alive()


def test_a_peer_without_a_common_protocol_is_told_which_there_are(app):
    server = app.running_server(protocol="tv-remote")
    response = refusal(server.port, headers={"Sec-WebSocket-Protocol": "mqtt, soap"})
    check(response, 400)
    assert b"tv-remote" in response.body


def test_a_peer_above_the_limit_of_its_address_is_told_to_come_back(app):
    server = app.running_server(maxConnectionsForOneClient=2)
    server.join()
    server.join()
    response = refusal(server.port)
    check(response, 429)
    assert int(response.headers["retry-after"]) > 0
    Peer(server.port, source="127.0.0.2").assert_alive()


def test_a_peer_of_one_address_too_many_is_told_that_the_server_is_full(app):
    server = app.running_server(maxConcurrentClientsNumber=1)
    first, _connection = server.join()
    check(refusal(server.port, source="127.0.0.2"), 503)
    server.join()
    first.assert_alive()


def test_a_peer_that_is_too_slow_is_told_so(new_service, new_app):
    server = new_app(new_service({"handshakeTimeout": 1})).running_server()
    with Stream(server.port) as silent, Stream(server.port) as dripping:
        dripping.send(upgrade_request("x")[:40])
        for stream in (silent, dripping):
            check(stream.read_response(), 408)
            assert stream.read_to_end() == b""
    server.join()[0].assert_alive()


def test_a_peer_that_is_still_asking_when_the_server_stops_gets_an_answer(app: App):
    server = app.running_server()
    lively, _connection = server.join()  # its handshake is behind the other's in the same worker
    with Stream(server.port) as asking:
        asking.send(upgrade_request("x")[:-2])
        server.join()
        stop = server.call_later("Stop")
        check(asking.read_response(), 503)
        assert asking.read_to_end() == b""
    for peer in (lively,):
        peer.finish_close()
    stop.result()


def test_a_request_in_single_octets_is_accepted(server):
    with Stream(server.port) as stream:
        for octet in upgrade_request("x"):
            stream.send(bytes([octet]))
        assert stream.read_response().status == 101


def test_a_refusal_is_read_by_a_client_that_sends_on(server):
    """A reset on unread octets would take the answer away from it."""
    for _ in range(5):
        with Stream(server.port) as stream:
            stream.send(upgrade_request("x", remove=["Upgrade"]) + b"z" * 50000)
            check(stream.read_response(), 426)


def test_peers_that_come_and_go_at_any_moment_leave_a_server_that_works(app):
    server = app.running_server(maxConnectionsForOneClient=100)
    octets = upgrade_request("x")
    for length in range(0, len(octets), 7):
        stream = Stream(server.port)
        stream.send(octets[:length])
        (stream.reset if length % 2 else stream.close)()
    server.join()[0].assert_alive()
