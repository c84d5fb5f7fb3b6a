# SPDX-License-Identifier: Apache-2.0
"""org.wsserver1.Server while it runs: messages and closing in both directions, lists, counters, and each signal."""

import struct

import pytest
from blackbox.app import SERVER, expect_error
from blackbox.peer import BINARY, CONTINUATION, PONG, TEXT, Peer, encode_frame, refusal
from blackbox.wire import DBusError, Variant, plain

NOBODY = 2**40 + 12345  # an id that no connection has
PAYLOADS = {
    "empty": "", "one octet": "x", "U+0000": "a\u0000b\u0000", "4-octet UTF-8": "\U0001f600 \U0010ffff", "125 octets": "y" * 125,
    "126 octets": "y" * 126, "65535 octets": "z" * 65535, "65536 octets": "z" * 65536, "empty binary": b"", "binary": bytes(range(256)),
    "not UTF-8": b"\xff\xfe\x00\xc0\x80", "the largest": (bytes(range(251)) * 20900)[:5242864],
}
DETAILS = {"path": "s", "query": "s", "origin": "s", "protocol": "s", "tls": "b", "connectedAt": "t"}


# Messages


@pytest.mark.parametrize("data", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_message_reaches_the_other_side_as_it_was_sent(server, data):
    peer, connection = server.join()
    peer.send_message(data)
    received = server.wait("MessageReceive").args
    assert received == (connection, isinstance(data, str), data.encode() if isinstance(data, str) else data)
    server.send(connection, data)
    answer = peer.read_message()
    assert type(answer) is type(data) and answer == data


def test_a_message_in_fragments_arrives_as_one(server):
    peer, connection = server.join()
    peer.send_frame(TEXT, "ä".encode()[:1], fin=False)
    peer.send_frame(CONTINUATION, "ä".encode()[1:], fin=False)
    peer.send_frame(9, b"between")
    peer.send_frame(CONTINUATION, b"")
    assert peer.read_frame()[2:] == (PONG, False, b"between")
    assert server.wait("MessageReceive").args == (connection, True, "ä".encode())


def test_connect_comes_before_messages_and_closed_after_them(server):
    peer, connection = server.join(first=encode_frame(TEXT, b"first"))
    for number in range(50):
        peer.send_message(str(number))
    peer.leave()
    server.wait("Closed")
    assert [event.member for event in server.events] == ["Connect"] + ["MessageReceive"] * 51 + ["Closed"]
    assert {event.args[0] for event in server.events} == {connection}


def test_connect_tells_who_connected_and_how(server):
    peer, connection = server.join(path="/tv/%20x?a=1&b=2", headers={
        "Origin": "https://remote.example", "User-Agent": "Test/1", "X-Twice": "one\r\nx-twice: two", "X-Empty": "",
        "X-Octets": "caf\u00e9",
    })
    event = server.events[0]
    assert event.args[:3] == (connection, *peer.address)
    details = event.args[3]
    assert connection != 0
    assert (details["path"], details["query"], details["origin"]) == ("/tv/%20x", "a=1&b=2", "https://remote.example")
    assert (details["protocol"], details["tls"]) == ("", False)
    headers = details["headers"]
    assert headers["user-agent"] == "Test/1" and headers["x-twice"] == "one, two" and headers["x-empty"] == ""
    assert headers["x-octets"] == "caf\ufffd"
    assert headers["host"] == f"127.0.0.1:{server.port}"


def test_connect_has_the_documented_types(service, new_app):
    app = new_app(service)
    server = app.running_server()
    messages = []
    take = app.connection.on_signal
    app.connection.on_signal = lambda position, message: messages.append(message) or take(position, message)
    peer, _connection = server.join()
    peer.send_message("x")
    peer.leave()
    server.wait("Closed")
    by_member = {message.member: message for message in messages}
    assert {member: message.signature for member, message in by_member.items()} == \
        {"Connect": "tsqa{sv}", "MessageReceive": "tbay", "Closed": "tqsb"}
    details = by_member["Connect"].body[3]
    assert {name: value.signature for name, value in details.items()} == {**DETAILS, "headers": "a{ss}"}
    assert all(message.interface == SERVER and message.path == server.path for message in messages)


def test_a_request_without_query_and_origin_has_empty_ones(server):
    server.join(path="/")
    details = server.events[0].args[3]
    assert (details["path"], details["query"], details["origin"]) == ("/", "", "")


def test_text_that_is_not_utf8_is_refused_before_it_harms_the_peer(server):
    peer, connection = server.join()
    for data in (b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"):
        expect_error("InvalidArgument", server.call, "Send", "tbay", connection, True, data, names="data")
        expect_error("InvalidArgument", server.call, "Broadcast", "atbay", [], True, data, names="data")
    server.send(connection, "still here")
    assert peer.read_message() == "still here"


@pytest.mark.parametrize("connection", [0, 1, NOBODY, 2**64 - 1])
def test_an_unknown_connection_is_told_apart(server, connection):
    server.join()
    expect_error("ConnectionNotFound", server.send, connection, "x")
    expect_error("ConnectionNotFound", server.close_connection, connection)


def test_a_message_above_the_limit_is_refused_on_both_ways_in(app):
    server = app.running_server(maxMessageSize=1000)
    peer, connection = server.join()
    expect_error("MessageTooBig", server.send, connection, b"x" * 1001)
    expect_error("MessageTooBig", server.broadcast, b"x" * 1001)
    server.send(connection, b"x" * 1000)
    assert peer.read_message() == b"x" * 1000
    peer.send_message(b"y" * 1000)
    server.wait("MessageReceive")
    peer.send_message(b"y" * 1001)
    assert peer.read_close()[0] == 1009
    assert server.wait_closed(connection)[0] == 1009
    assert len(server.messages(connection)) == 1


def test_a_message_above_the_default_limit_is_refused(server):
    peer, connection = server.join()
    expect_error("MessageTooBig", server.send, connection, bytes(5242865))
    peer.send(encode_frame(BINARY, bytes(5242865), key=bytes(4))[:14])
    assert peer.read_close()[0] == 1009


# Broadcast


def test_a_broadcast_reaches_everybody_once_and_counts_them(server):
    peers = [server.join() for _ in range(5)]
    assert server.broadcast("to all") == 5
    assert server.broadcast(b"\x00\xff", [connection for _peer, connection in peers[:2]]) == 2
    assert server.broadcast("last") == 5
    for number, (peer, _connection) in enumerate(peers):
        expected = ["to all", b"\x00\xff", "last"] if number < 2 else ["to all", "last"]
        assert [peer.read_message() for _ in expected] == expected


def test_a_broadcast_leaves_out_who_is_not_there(server):
    (peer, connection), (gone, gone_id) = server.join(), server.join()
    gone.leave()
    server.wait("Closed")
    assert server.broadcast("x", [connection, gone_id, NOBODY]) == 1
    assert server.broadcast("y", [gone_id]) == 0
    assert server.broadcast("z") == 1
    assert [peer.read_message(), peer.read_message()] == ["x", "z"]


def test_a_broadcast_to_nobody_is_no_error(server):
    assert server.broadcast("x") == 0


# Closing


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4321, 4999])
def test_every_legal_close_code_can_be_sent(server, code):
    peer, connection = server.join()
    server.close_connection(connection, code, "why")
    assert peer.finish_close() == (code, b"why")
    assert server.wait_closed(connection) == (code, "why", True)


@pytest.mark.parametrize("code", [1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535])
def test_an_illegal_close_code_is_refused_and_the_connection_stays(server, code):
    peer, connection = server.join()
    expect_error("InvalidArgument", server.close_connection, connection, code, names="code")
    peer.assert_alive()


def test_close_code_0_means_1000(server):
    peer, connection = server.join()
    server.close_connection(connection, 0)
    assert peer.finish_close() == (1000, b"")
    assert server.wait_closed(connection) == (1000, "", True)


@pytest.mark.parametrize("reason", ["r" * 123, "\u00e4" * 61, "\U0001f600" * 30 + "abc"])
def test_a_reason_of_123_octets_reaches_the_peer(server, reason):
    peer, connection = server.join()
    server.close_connection(connection, 4000, reason)
    assert peer.finish_close() == (4000, reason.encode())
    assert server.wait_closed(connection) == (4000, reason, True)


@pytest.mark.parametrize("reason", ["r" * 124, "\u00e4" * 62, "r" * 100000])
def test_a_longer_reason_is_refused_and_not_cut(server, reason):
    peer, connection = server.join()
    expect_error("InvalidArgument", server.close_connection, connection, 1000, reason, names="reason")
    peer.assert_alive()


def test_what_was_sent_before_close_arrives_before_it(server):
    peer, connection = server.join()
    sent = [bytes([number]) * 50000 for number in range(15)]
    calls = [server.send_later(connection, data) for data in sent]
    close = server.call_later("Close", "tqs", connection, 4000, "done")
    assert [peer.read_message() for _ in sent] == sent
    assert peer.finish_close() == (4000, b"done")
    for call in [*calls, close]:
        call.result()


def test_a_connection_that_is_closing_takes_no_more_messages(server):
    peer, connection = server.join()
    server.close_connection(connection, 1000)
    expect_error("ConnectionNotFound", server.send, connection, "late")
    expect_error("ConnectionNotFound", server.close_connection, connection)
    peer.finish_close()


def test_what_a_peer_sent_before_its_answer_to_close_still_arrives(server):
    peer, connection = server.join()
    server.close_connection(connection, 1000)
    assert peer.read_close()[0] == 1000
    peer.send_message("last words")
    peer.send_close(1000)
    server.wait("Closed")
    assert server.messages(connection) == [b"last words"]
    assert server.events[-1].member == "Closed"


def test_a_peer_that_never_answers_close_is_dropped_soon(server):
    peer, connection = server.join()
    server.close_connection(connection, 4000, "go")
    code, reason, clean = server.wait_closed(connection)
    assert (code, reason, clean) == (4000, "go", False)
    assert peer.read_close() == (4000, b"go")


@pytest.mark.parametrize("code, reason", [(1000, b""), (1001, b"going"), (4321, "\u00e4".encode()), (3000, b"r" * 123)])
def test_the_app_learns_why_a_peer_left(server, code, reason):
    peer, connection = server.join()
    assert peer.leave(code, reason)[0] == code
    assert server.wait_closed(connection) == (code, reason.decode(), True)


def test_a_reason_with_u0000_is_passed_on_as_valid_text(server):
    peer, connection = server.join()
    peer.leave(4000, b"a\x00b")
    assert server.wait_closed(connection) == (4000, "a\ufffdb", True)


def test_a_peer_that_leaves_without_a_code_is_told_as_1005(server):
    peer, connection = server.join()
    assert peer.leave(None)[0] in (None, 1000)
    assert server.wait_closed(connection) == (1005, "", True)


@pytest.mark.parametrize("cut", [Peer.reset, Peer.close, Peer.finish_sending])
def test_a_connection_that_breaks_is_told_as_1006(server, cut):
    peer, connection = server.join()
    cut(peer)
    assert server.wait_closed(connection) == (1006, "", False)


FAULTS = {
    "an unmasked frame": (encode_frame(TEXT, b"x", key=None), 1002),
    "invalid UTF-8": (encode_frame(TEXT, b"\xc3\x28"), 1007),
    "a reserved bit": (encode_frame(TEXT, b"x", rsv=4), 1002),
    "an unknown opcode": (encode_frame(3, b"x"), 1002),
    "a fragmented ping": (encode_frame(9, b"x", fin=False), 1002),
    "a continuation of nothing": (encode_frame(CONTINUATION, b"x"), 1002),
    "a close frame of one octet": (encode_frame(8, b"x"), 1002),
    "an illegal close code": (encode_frame(8, struct.pack(">H", 1005)), 1002),
    "a ping of 126 octets": (encode_frame(9, b"x" * 126), 1002),
}


@pytest.mark.parametrize("octets, code", FAULTS.values(), ids=FAULTS.keys())
def test_a_peer_that_breaks_the_protocol_is_told_why_and_harms_nobody_else(server, octets, code):
    (bystander, _), (peer, connection) = server.join(), server.join()
    peer.send(octets)
    assert peer.read_close()[0] == code
    assert server.wait_closed(connection)[0] == code
    bystander.assert_alive()


# Lists and counters


def test_the_list_of_connections_is_what_connect_told(server):
    peers = [server.join(path=f"/{number}?q={number}", headers={"Origin": "null"}) for number in range(3)]
    reply = server.call_later("ListAllConnections").message()
    assert reply.signature == "a(tsqa{sv})"
    listed = reply.body[0]
    assert [entry[0] for entry in listed] == sorted(connection for _peer, connection in peers)
    for entry, event in zip(listed, server.find("Connect"), strict=True):
        assert {name: value.signature for name, value in entry[3].items()} == DETAILS
        told = {name: value for name, value in event.args[3].items() if name != "headers"}
        assert plain(entry) == (*event.args[:3], told)
    peers[1][0].leave()
    server.wait("Closed")
    assert [entry[0] for entry in server.list_connections()] == [peers[0][1], peers[2][1]]


def test_a_list_of_many_connections_is_complete(app):
    server = app.running_server(maxConnectionsForOneClient=400)
    target = "/" + "x" * 1000
    peers = [Peer(server.port, path=target) for _ in range(300)]
    server.wait("Connect", count=300)
    listed = server.list_connections()
    assert sorted((entry[1], entry[2]) for entry in listed) == sorted(peer.address for peer in peers)
    assert all(entry[3]["path"] == target for entry in listed)
    assert server.get("Connections") == 300
    for peer in peers:
        peer.close()


def test_the_counters_count(server):
    (peer, connection), (other, _) = server.join(), server.join()
    peer.send_message("hello")
    peer.send_message(b"\x00" * 7)
    other.send_message("")
    server.wait("MessageReceive", count=3)
    server.send(connection, "four")
    server.broadcast("xy")
    assert [peer.read_message(), peer.read_message(), other.read_message()] == ["four", "xy", "xy"]
    refusal(server.port, remove=["Upgrade"])
    counters = server.get_all()
    expected = {"Connections": 2, "MessagesReceived": 3, "BytesReceived": 12, "MessagesSent": 3, "BytesSent": 8, "Refused": 1,
                "QueuedBytes": 0, "ChannelOpen": False, "Tls": False}
    assert {name: counters[name] for name in expected} == expected
    for name, value in expected.items():
        assert server.get(name) == value


@pytest.mark.parametrize("name", ["State", "ServerPort", "Owner", "Connections", "ChannelOpen"])
def test_no_property_can_be_written(server, name):
    before = server.get(name)
    with pytest.raises(DBusError):
        server.app.call(server.path, "org.freedesktop.DBus.Properties", "Set", "ssv", SERVER, name, Variant("s", "x"))
    assert server.get(name) == before


def test_an_unknown_property_is_an_error(server):
    with pytest.raises(DBusError):
        server.get("NoSuchProperty")


def test_every_id_is_new_across_reconnects_and_restarts(app):
    server = app.running_server()
    seen = set()
    for _ in range(3):
        for _ in range(4):
            peer, connection = server.join()
            assert connection and connection not in seen
            seen.add(connection)
            peer.leave()
        server.stop()
        server.start(serverIP="127.0.0.1")


@pytest.mark.parametrize("member, signature, body", [
    ("Send", "ubay", (1, True, b"x")), ("Send", "tbs", (1, True, "x")), ("Close", "tq", (1, 1000)), ("Stop", "u", (1,)),
    ("Start", "a{ss}", ({},)), ("Acknowledge", "i", (-1,)), ("Nothing", "", ()),
])
def test_a_call_with_a_wrong_signature_gets_an_error_and_changes_nothing(server, member, signature, body):
    with pytest.raises(DBusError) as failure:
        server.call(member, signature, *body)
    assert failure.value.name.startswith(("org.freedesktop.DBus.Error.", "org.wsserver1.Error.InvalidArgument"))
    server.join()[0].assert_alive()


def test_two_servers_of_one_app_do_not_mix(app):
    first, second = app.running_server(), app.running_server()
    (one, one_id), (two, two_id) = first.join(), second.join()
    first.send(one_id, "for one")
    second.send(two_id, "for two")
    assert (one.read_message(), two.read_message()) == ("for one", "for two")
    one.send_message("1")
    two.send_message("2")
    first.wait("MessageReceive")
    second.wait("MessageReceive")
    assert (first.messages(one_id), second.messages(two_id)) == ([b"1"], [b"2"])
    first.stop()
    two.assert_alive()
    assert second.get("State") == "running"
