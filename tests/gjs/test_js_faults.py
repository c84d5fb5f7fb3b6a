# SPDX-License-Identifier: Apache-2.0
"""Faults that servers and clients with the guide's API are known for, each of which must not be seen from JavaScript. FAULTS says which test is about which."""

import json
import sys

import pytest
from blackbox.authority import Authority
from blackbox.peer import BINARY, TEXT, Peer, Refused, Stream, can_bind, free_port, refusal, request
from listener import Listener

FAULTS = {
    1: ["test_a_close_frame_without_a_code_ends_one_connection"],
    2: ["test_three_messages_in_a_row_all_leave"],
    3: ["test_a_server_with_a_certificate_speaks_tls_and_nothing_else"],
    4: ["test_the_address_is_the_one_that_was_asked_for", "test_an_address_of_another_machine_is_refused"],
    5: ["test_limits_that_are_left_out_are_ten"],
    6: ["test_a_stopped_server_starts_again_at_once_on_its_port"],
    7: ["test_a_port_that_is_taken_is_told", "test_a_second_start_leaves_the_running_server_alone"],
    8: ["test_the_subprotocol_is_agreed_on", "test_a_peer_with_other_subprotocols_gets_an_answer"],
    9: ["test_refused_peers_get_a_status"],
    10: ["test_pages_of_other_origins_are_refused", "test_another_version_of_the_protocol_is_refused",
         "test_frames_that_break_the_protocol_end_their_connection_alone", "test_messages_have_a_largest_size"],
    11: ["test_codes_of_apps_are_sent_and_told", "test_codes_that_never_travel_are_refused", "test_what_was_sent_before_a_close_arrives",
         "test_what_a_client_has_sent_before_its_close_arrives"],
    12: ["test_a_message_counts_as_sent_when_it_was_written", "test_what_waits_for_a_peer_is_bounded"],
    13: ["test_a_late_message_reaches_no_stranger"],
    14: ["test_too_many_connections_of_one_address_are_refused_by_that_server_alone", "test_the_limit_of_connections_a_minute_can_be_switched_off"],
    15: ["test_no_file_is_served"],
    16: ["test_binary_messages_arrive_as_they_are"],
    17: ["test_a_client_checks_chain_and_name", "test_a_long_subprotocol_is_no_danger", "test_headers_that_are_numbers_arrive"],
}


def test_every_fault_has_its_tests():
    assert sorted(FAULTS) == list(range(1, 18))
    assert not [name for names in FAULTS.values() for name in names if not hasattr(sys.modules[__name__], name)]


def status(port: int, **options) -> int:
    with pytest.raises(Refused) as refused:
        Peer(port, **options)
    return refused.value.response.status


# --- 1 and 2 ---

def test_a_close_frame_without_a_code_ends_one_connection(server):
    other, leaving = server.join("other"), server.join("leaving")
    assert leaving.leave(None) == (None, b"")
    assert server.event("close")[1] == {"code": 1005, "reason": ""}
    other.send_message("still here")
    assert server.event("messageReceive")[0]["data"] == "still here"
    assert len(server.call("listAllConnections")) == 1


def test_three_messages_in_a_row_all_leave(server):
    peer = server.join()
    assert server.program.run("return await Promise.all(['1', '2', '3'].map(text => server.send(text, peer)))") == [True, True, True]
    assert [peer.read_message() for _ in range(3)] == ["1", "2", "3"]


# --- 3 and 4 ---

def test_a_server_with_a_certificate_speaks_tls_and_nothing_else(program, port, authority):
    identity = authority.issue()
    server = program.running_server(port, serverCert={"certPath": str(identity.certificate), "keyPath": str(identity.key)})
    peer = server.join(tls=authority.context())
    peer.send_message("secret")
    assert server.event("messageReceive")[0]["data"] == "secret"
    with Stream(port) as plain:
        plain.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not plain.read_to_end().startswith(b"HTTP/1.1 101")


def test_the_address_is_the_one_that_was_asked_for(program, port):
    server = program.running_server(port, serverIP="127.0.0.2")
    server.join(host="127.0.0.2")
    with pytest.raises(ConnectionRefusedError):
        Peer(port, host="127.0.0.1")


def test_an_address_of_another_machine_is_refused(program, port):
    assert program.new_server().start_error(serverPort=port, serverIP="192.0.2.1").code == 2302004


# --- 5 to 7 ---

def test_limits_that_are_left_out_are_ten(server):
    for number in range(10):
        server.join(f"own{number}")
    assert status(server.port) == 429
    for number in range(2, 11):
        server.join(f"others{number}", source=f"127.0.0.{number}")
    assert status(server.port, source="127.0.0.11") == 503


def test_a_stopped_server_starts_again_at_once_on_its_port(server):
    for turn in range(3):
        start = server.program.now()
        peers = [server.join(f"peer{number}") for number in range(4)]
        stopping = server.program.begin("return await server.stop()")
        assert [peer.finish_close()[0] for peer in peers] == [1001] * 4
        assert server.program.answer(stopping) is True
        assert [server.event("close", count, start)[1]["code"] for count in range(1, 5)] == [1001] * 4
        assert can_bind(server.port)
        server.start(server.port)


def test_a_port_that_is_taken_is_told(server, program):
    other = program.new_server("other")
    assert other.start_error(serverPort=server.port, serverIP="127.0.0.1").code == 2302007
    server.assert_serves()


def test_a_second_start_leaves_the_running_server_alone(server):
    peer = server.join()
    assert server.start_error(serverPort=server.port, serverIP="127.0.0.1").code == 2302999
    assert server.call("send", "'still there'", "peer") is True
    assert peer.read_message() == "still there"
    server.assert_serves()


# --- 8 to 10 ---

def test_the_subprotocol_is_agreed_on(program, port):
    server = program.running_server(port, protocol="my-protocol")
    peer = server.join(headers={"Sec-WebSocket-Protocol": "other, my-protocol"})
    assert peer.response.headers["sec-websocket-protocol"] == "my-protocol"


def test_a_peer_with_other_subprotocols_gets_an_answer(program, port):
    program.running_server(port, protocol="my-protocol")
    answer = refusal(port, headers={"Sec-WebSocket-Protocol": "other"})
    assert answer.status == 400 and b"my-protocol" in answer.body


def test_refused_peers_get_a_status(program, port):
    server = program.running_server(port, maxConnectionsForOneClient=1, maxConcurrentClientsNumber=1)
    server.join()
    for source, expected in (("127.0.0.1", 429), ("127.0.0.2", 503)):
        answer = refusal(port, source=source)
        assert answer.status == expected and answer.body.strip()


def test_pages_of_other_origins_are_refused(program, port):
    server = program.running_server(port, allowedOrigins=["https://a.example"])
    server.join(headers={"Origin": "https://a.example"})
    assert status(port, headers={"Origin": "https://b.example"}) == 403


def test_another_version_of_the_protocol_is_refused(server):
    answer = refusal(server.port, headers={"Sec-WebSocket-Version": "8"})
    assert answer.status == 426 and answer.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("opcode, payload, options, code", [
    (TEXT, b"plain", {"key": None}, 1002),
    (TEXT, b"\xff", {}, 1007),
    (TEXT, b"reserved", {"rsv": 2}, 1002),
])
def test_frames_that_break_the_protocol_end_their_connection_alone(server, opcode, payload, options, code):
    other, faulty = server.join("other"), server.join("faulty")
    faulty.send_frame(opcode, payload, **options)
    assert faulty.read_close()[0] == code
    faulty.close()
    assert server.event("close")[1]["code"] == code
    other.send_message("still here")
    assert server.event("messageReceive")[0]["data"] == "still here"


def test_messages_have_a_largest_size(server):
    program, limit = server.program, 5242864
    peer = server.join()
    peer.send_frame(BINARY, bytes(limit))
    start = program.now()
    program.run("server.on('messageReceive', ({ data }) => say('length', data.byteLength))")
    peer.send_frame(BINARY, bytes(limit))
    program.wait(lambda line: line.get("event") == "length" and line["values"] == [limit], start=start)
    assert server.error("send", f"new ArrayBuffer({limit + 1})", "peer").code == 401
    assert server.error("send", f"'x'.repeat({limit + 1})", "peer").code == 401
    sending = program.begin(f"return await server.send(new ArrayBuffer({limit}), peer)")
    assert len(peer.read_message()) == limit
    assert program.answer(sending) is True
    peer.send(b"\x82\xff" + (limit + 1).to_bytes(8, "big") + bytes(4))
    assert peer.read_close()[0] == 1009


# --- 11 ---

@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4321, 4999])
def test_codes_of_apps_are_sent_and_told(server, code):
    peer = server.join()
    assert server.call("close", "peer", json.dumps({"code": code, "reason": "because"})) is True
    assert peer.finish_close() == (code, b"because")
    assert server.event("close")[1] == {"code": code, "reason": "because"}


@pytest.mark.parametrize("code", [1004, 1005, 1006, 1015, 2000, 5000])
def test_codes_that_never_travel_are_refused(server, code):
    peer = server.join()
    assert server.error("close", "peer", f"{{code: {code}}}").code == 401
    peer.assert_alive()


def test_what_was_sent_before_a_close_arrives(server):
    """More than is taken at once: the last ones still wait for room."""
    peer = server.join(receive_buffer=4096)
    pieces, size = 40, 400000
    closing = server.program.begin(f"""
        const sends = Array.from({{ length: {pieces} }}, (_, number) => server.send(new Uint8Array({size}).fill(number).buffer, peer));
        const closed = server.close(peer, {{ code: 4000, reason: 'that was all' }});
        const late = await server.send('too late', peer).catch(error => error.code);
        const again = await server.close(peer).catch(error => error.code);
        return [await Promise.all(sends), await closed, late, again]""")
    for number in range(pieces):
        assert peer.read_message() == bytes([number]) * size
    assert peer.finish_close() == (4000, b"that was all")
    assert server.program.answer(closing) == [[True] * pieces, True, 2302006, 2302006]


def test_what_a_client_has_sent_before_its_close_arrives(server):
    server.program.new_client()
    server.program.run("""
        globalThis.got = 0;
        server.off('messageReceive');
        server.on('messageReceive', ({ data }) => got += data.byteLength)""")
    pieces, size = 20, 400000
    values = server.program.run(f"""
        await ws.connect('ws://127.0.0.1:{server.port}/', {{ proxy: 'no-proxy' }});
        const sends = Array.from({{ length: {pieces} }}, () => ws.send(new ArrayBuffer({size})));
        const closed = ws.close({{ code: 4000, reason: 'that was all' }});
        const late = await ws.send('too late').catch(error => error.code);
        const again = await ws.close().catch(error => error.code);
        return [await Promise.all(sends), await closed, late, again]""")
    assert values == [[True] * pieces, True, 2302999, 2302999]
    assert server.event("close")[1] == {"code": 4000, "reason": "that was all"}
    assert server.program.run("return got") == pieces * size


# --- 12 and 13 ---

def test_a_message_counts_as_sent_when_it_was_written(server):
    """A peer that does not read."""
    peer = server.join(receive_buffer=4096)
    size, pieces = 1 << 20, 24
    sending = server.program.begin(f"""
        globalThis.written = 0;
        const sends = Array.from({{ length: {pieces} }}, () => server.send(new ArrayBuffer({size}), peer).then(() => written++));
        return (await Promise.all(sends)).length""")
    server.assert_serves()  # it has had its turn, and others are not kept
    assert server.program.run("return written") < pieces
    for _ in range(pieces):
        assert len(peer.read_message()) == size
    assert server.program.answer(sending) == pieces


def test_what_waits_for_a_peer_is_bounded(server):
    peer = server.join(receive_buffer=4096)
    refused = server.program.run("""
        const codes = [];
        for (let i = 0; i < 80; i++)
          server.send(new ArrayBuffer(1 << 20), peer).catch(error => codes.push(error.code));
        await later(0);
        return codes""")
    assert refused and set(refused) == {2302999} and len(refused) < 80
    for _ in range(80 - len(refused)):
        peer.read_message()
    peer.assert_alive()


def test_a_late_message_reaches_no_stranger(server):
    source = ("127.0.0.1", 0)
    old = server.join("old", source=source)
    address = old.address
    old.reset()
    server.event("close")
    new = server.join("stranger", source=address)
    assert new.address == address
    assert server.error("send", "'for the old one'", "old").code == 2302006
    assert server.error("close", "old").code == 2302006
    assert server.call("send", "'for the new one'", "stranger") is True
    assert new.read_message() == "for the new one"


# --- 14 and 15 ---

def test_too_many_connections_of_one_address_are_refused_by_that_server_alone(new_service, new_program):
    program = new_program(new_service({"connectionRate": 3}).bus.address)
    one, other = program.running_server(free_port(), "one"), program.running_server(free_port(), "other")
    for _ in range(3):
        Peer(one.port).leave()
    answer = refusal(one.port)
    assert answer.status == 429 and int(answer.headers["retry-after"]) >= 1
    other.assert_serves()
    Peer(one.port, source="127.0.0.2").leave()


def test_the_limit_of_connections_a_minute_can_be_switched_off(server):
    for _ in range(60):
        Peer(server.port).leave()
    server.assert_serves()


@pytest.mark.parametrize("path", ["/", "/stage.js", "/etc/passwd", "/../../../../etc/passwd"])
def test_no_file_is_served(server, path):
    answer = request(server.port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert answer.status == 426 and b"root:" not in answer.body and b"SPDX" not in answer.body


# --- 16 and 17 ---

@pytest.mark.parametrize("octets", [b"", b"\0", bytes(range(256)), b"text all the same"])
def test_binary_messages_arrive_as_they_are(server, octets):
    peer = server.join()
    peer.send_message(octets)
    assert server.event("messageReceive")[0]["data"] == {"binary": octets.hex()}
    assert server.call("send", f"octets({', '.join(map(str, octets))})", "peer") is True
    assert peer.read_message() == octets
    server.program.new_client()
    server.program.value(f"ws.connect('ws://127.0.0.1:{server.port}/', {{ proxy: 'no-proxy' }})")
    server.call("send", f"octets({', '.join(map(str, octets))})", "(await server.listAllConnections())[1]")
    assert server.program.event("message", "ws")[1] == {"binary": octets.hex()}


@pytest.mark.parametrize("text", ["", "\0 and 😀", "a\0b", "\ufeffa mark in front", "x" * 100000])
def test_text_arrives_as_it_is(server, text):
    peer = server.join()
    peer.send_message(text)
    assert server.event("messageReceive")[0]["data"] == text
    assert server.call("send", json.dumps(text), "peer") is True
    assert peer.read_message() == text


@pytest.mark.parametrize("options, trusted", [({}, False), ({"caPath": True}, True), ({"skipServerCertVerification": True}, True),
                                              ({"caPath": "another"}, False)])
def test_a_client_checks_chain_and_name(program, port, authority, tmp_path, options, trusted):
    (tmp_path / "another").mkdir()
    ca = {True: authority.certificate, "another": Authority(tmp_path / "another").certificate}
    identity = authority.issue()
    program.running_server(port, serverCert={"certPath": str(identity.certificate), "keyPath": str(identity.key)})
    program.new_client()
    options = {"proxy": "no-proxy", **{name: str(ca[value]) if name == "caPath" else value for name, value in options.items()}}
    if trusted:
        assert program.value(f"ws.connect('wss://localhost:{port}/', {json.dumps(options)})") is True
    else:
        failed = program.error(f"ws.connect('wss://localhost:{port}/', {json.dumps(options)})")
        assert failed.code == 2302999 and "certificate" in failed.message
    if options.get("caPath") == str(authority.certificate):  # no other name than those in the certificate
        program.new_client("other")
        failed = program.error(f"other.connect('wss://127.0.0.2:{port}/', {json.dumps(options)})")
        assert "127.0.0.2" in failed.message or "certificate" in failed.message


@pytest.mark.parametrize("length", [128, 1024, 100000])
def test_a_long_subprotocol_is_no_danger(program, port, length):
    """It is agreed on, or refused in words."""
    server = program.new_server()
    config = json.dumps({"serverPort": port, "serverIP": "127.0.0.1", "protocol": "p" * length})
    if length > 128:
        assert server.error("start", config).code == 401
        server.start(port)
    else:
        assert server.call("start", config) is True
        server.port = port
    program.new_client()
    came_to = program.run(f"return await ws.connect('ws://127.0.0.1:{port}/', {{ protocol: 'p'.repeat({length}), proxy: 'no-proxy' }}).catch(error => error.code)")
    assert came_to is True or (length > 128 and came_to in (401, 2302999))
    server.assert_serves()


def test_headers_that_are_numbers_arrive(new_program, service):
    program = new_program(service.bus.address)
    program.new_client()
    with Listener() as listener:
        program.begin(f"return await ws.connect('ws://127.0.0.1:{listener.port}/', {{ proxy: 'no-proxy', header: "
                      "{ 'X-Number': 42, 'X-Truth': true, 'X-Text': 'a b', 'X-Two': ['1', 2], 'X-Nothing': undefined } })")
        headers = listener.accept().headers
    assert {"x-number: 42", "x-truth: true", "x-text: a b", "x-two: 1", "x-two: 2"} <= headers
    assert not [header for header in headers if header.startswith("x-nothing")]
