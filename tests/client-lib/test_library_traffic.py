# SPDX-License-Identifier: Apache-2.0
"""Connections and messages as an app with libwsserver has them, over the channel and over signals."""

import time

import pytest
from blackbox.wire import until
from driven import expect_error, payload, shown

MESSAGES = ["text", "", "\0 and 😀", b"", b"\x00\xff", "ä" * 50_000, bytes(range(256)) * 4000]


def test_messages_of_every_kind_arrive_as_they_were_sent_both_ways(server):
    peer, connection = server.join()
    for data in MESSAGES:
        peer.send_message(data)
    for data in MESSAGES:
        server.wait_message(data, connection=connection)
    for data in MESSAGES:
        via = "data" if isinstance(data, bytes) and len(data) < 1000 else "text" if isinstance(data, str) and "\0" not in data else "send"
        assert server.send(connection, data, via=via)
    for data in MESSAGES:
        assert peer.read_message() == data
    assert [event["message"] for event in server.events("message")] == [shown(data) for data in MESSAGES]


def test_of_each_connection_first_comes_connect_then_messages_then_close(server):
    peer, connection = server.join()
    for number in range(100):
        peer.send_message(str(number))
    assert peer.leave(4000, b"bye")[0] == 4000
    assert server.closed(connection) == (4000, "bye", True)
    events = server.events(connection=connection)
    assert [event["event"] for event in events] == ["connect", *["message"] * 100, "close"]
    assert [event["message"] for event in events[1:-1]] == [shown(str(number)) for number in range(100)]
    assert events[-1]["open"] is False


@pytest.mark.parametrize(
    ("leave", "told"),
    [
        (lambda peer: peer.leave(1000), (1000, "", True)),
        (lambda peer: peer.leave(3000, "grüße".encode()), (3000, "grüße", True)),
        (lambda peer: peer.leave(4999, b"x" * 123), (4999, "x" * 123, True)),
        (lambda peer: peer.leave(None), (1005, "", True)),
        (lambda peer: peer.reset(), (1006, "", False)),
        (lambda peer: peer.send_frame(1, b"\xff"), (1007, None, False)),
    ],
    ids=["1000", "3000", "4999", "no code", "reset", "fault"],
)
def test_the_app_hears_how_a_peer_has_left(server, leave, told):
    peer, connection = server.join()
    leave(peer)
    peer.close()
    code, reason, clean = server.closed(connection)
    assert (code, clean) == (told[0], told[2])
    assert told[1] is None or reason == told[1]


@pytest.mark.parametrize("code", [0, 1000, 1001, 1003, 1007, 1014, 3000, 4999])
def test_the_app_closes_with_each_legal_code_behind_what_it_sent(server, code):
    peer, connection = server.join()
    server.call("hold", connection=connection)
    assert server.send(connection, "before")
    server.call("close", connection=connection, code=code, reason="is over")
    assert server.call("describe", connection=connection)["open"] is False
    expect_error("ConnectionNotFound", server.send, connection, "behind")
    expect_error("ConnectionNotFound", server.call, "close", connection=connection)
    peer.send_message("still read")
    assert peer.read_message() == "before"
    assert peer.finish_close() == (code or 1000, b"is over")
    assert server.closed(connection) == (code or 1000, "is over", True)
    assert server.events("message", message=shown("still read"))


@pytest.mark.parametrize(("code", "reason"), [(999, ""), (1004, ""), (1005, ""), (1006, ""), (1015, ""), (2999, ""),
                                              (5000, ""), (65535, ""), (1000, "x" * 124)])
def test_a_close_that_is_not_legal_is_refused_and_changes_nothing(server, code, reason):
    peer, connection = server.join()
    expect_error("InvalidArgument", server.call, "close", connection=connection, code=code, reason=reason, names="1000-1003")
    assert server.send(connection, "still open")
    assert peer.read_message() == "still open"


def test_everything_known_about_a_peer_can_be_asked_and_headers_only_during_connect(server):
    before = time.time_ns() // 1000
    server.plan("connect", {"do": "describe"}, {"do": "hold"})
    peer, connection = server.join(path="/remote?tv=1", headers={"Origin": "https://a.example", "X-Thing": "one"})
    connect = server.events("connect")[0]
    assert connect["headers"]["x-thing"] == "one" and connect["headers"]["host"] == f"127.0.0.1:{server.port}"
    during = server.app.wait(lambda line: line.get("do") == "describe")
    assert during["headers"] == len(connect["headers"]) > 4
    later = server.call("describe", connection=connection)
    assert later["headers"] == 0
    expected = {"client-ip": "127.0.0.1", "client-port": peer.address[1], "path": "/remote", "query": "tv=1",
                "origin": "https://a.example", "protocol": "", "client-subject": "", "tls": False, "queued": 0, "id": connection}
    assert {key: later[key] for key in expected} == expected and later["open"] is True
    assert before - 1_000_000 <= later["connected-at"] <= time.time_ns() // 1000 + 1_000_000
    assert {key: str(later[key]).lower() for key in later["properties"]} == {
        key: value.lower() for key, value in later["properties"].items()}
    peer.leave()
    server.closed(connection)
    assert server.call("describe", connection=connection)["path"] == "/remote"
    assert server.call("find", connection=connection)["result"] is False


def test_what_a_peer_tells_about_itself_is_made_text(server):
    _peer, connection = server.join(path="/%ff%00", headers={"X-Odd": "a\xfeb", "Origin": "https://\xe4.example"})
    connect = server.events("connect", connection=connection)[0]
    assert connect["path"] == "/%ff%00" and connect["headers"]["x-odd"] == "a\ufffdb"
    assert server.call("describe", connection=connection)["origin"] == "https://\ufffd.example"


def test_the_subprotocol_and_an_ipv6_address_are_told(app):
    server = app.running_server(server_ip="::1", protocol="one, two")
    _peer, connection = server.join(headers={"Sec-WebSocket-Protocol": "two"})
    told = server.call("describe", connection=connection)
    assert (told["protocol"], told["client-ip"]) == ("two", "::1")
    assert server.state()["uri"] == f"ws://[::1]:{server.port}/"


def test_connections_are_listed_in_the_order_of_their_numbers_and_found(server):
    joined = [server.join()[1] for _ in range(8)]
    assert server.call("list")["result"] == sorted(joined) and len(set(joined)) == 8
    assert server.state()["count"] == 8
    assert all(server.call("find", connection=connection)["result"] for connection in joined)
    assert server.call("find", connection=max(joined) + 1)["result"] is False
    server.peers[3].leave()
    server.closed(joined[3])
    assert server.call("list")["result"] == sorted(set(joined) - {joined[3]})


def test_a_broadcast_reaches_all_or_those_that_are_named(server):
    peers = [server.join() for _ in range(4)]
    assert server.call("broadcast", text="all")["result"] == 4
    some = [peers[1][1], peers[3][1]]
    assert server.call("broadcast", text="some", connections=some)["result"] == 2
    assert server.call("broadcast", text="nobody", connections=[])["result"] == 0
    assert server.call("broadcast", hex="00ff")["result"] == 4
    for at, (peer, _connection) in enumerate(peers):
        expected = ["all", "some", b"\x00\xff"] if at in (1, 3) else ["all", b"\x00\xff"]
        assert [peer.read_message() for _ in expected] == expected


def test_a_broadcast_leaves_out_connections_that_are_closed_and_those_of_others(app):
    one, other = app.running_server("one"), app.running_server("other")
    peer, connection = one.join()
    gone, gone_connection = one.join()
    one.call("hold", connection=gone_connection)
    gone.leave()
    one.closed(gone_connection)
    other_peer, other_connection = other.join()
    assert one.call("broadcast", text="x", connections=[connection, gone_connection])["result"] == 1
    assert peer.read_message() == "x"
    assert other.send(other_connection, "alone") and other_peer.read_message() == "alone"


def test_sending_and_broadcasting_keep_their_order(server):
    peer, connection = server.join()
    expected = []
    for number in range(60):
        text = str(number)
        if number % 3 == 0:
            server.say("broadcast", text=text)
        elif number % 3 == 1:
            server.say("send", connection=connection, text=text)
        else:
            server.send_later(connection, text)
        expected.append(text)
    assert [peer.read_message() for _ in expected] == expected


@pytest.mark.parametrize("via", ["send", "async"])
def test_a_message_above_the_limit_is_refused_and_one_of_exactly_that_size_arrives(app, via):
    server = app.running_server(max_message_size=1000)
    peer, connection = server.join()
    expect_error("MessageTooBig", server.call, "send", connection=connection, size=1001, via=via, names="max-message-size")
    expect_error("MessageTooBig", server.call, "broadcast", size=1001)
    assert server.call("send", connection=connection, size=1000, via=via)["result"] is True
    assert len(peer.read_message()) == 1000
    peer.send_message("x" * 1001)
    assert peer.read_close()[0] == 1009
    peer.close()
    assert server.closed(connection)[0] == 1009


def test_text_that_is_no_utf8_is_refused(server):
    peer, connection = server.join()
    expect_error("InvalidArgument", server.call, "send", connection=connection, hex="c328", is_text=True, names="UTF-8")
    peer.assert_alive()


def test_kept_messages_do_not_change(server):
    peer, _connection = server.join()
    server.plan("message", {"do": "keep"})
    kept = ["small", b"", "with \0 inside", b"x" * 40_000, "ä" * 100_000, bytes(range(256)) * 8000, "last"]
    for data in kept:
        peer.send_message(data)
    for data in kept:
        server.wait_message(data)
    server.plan("message")
    server.call("quiet", quiet=True)
    for number in range(300):
        peer.send_message(f"{number}" * 500)
    server.call("quiet", quiet=False)
    peer.send_message("the end")
    server.wait_message("the end")
    told = server.call("kept")["result"]
    assert [one["message"] for one in told] == [shown(data) for data in kept]
    assert all(one["same"] for one in told)
    assert [one["string"] for one in told] == [data.split("\0")[0] if isinstance(data, str) else None for data in kept]
    server.stop()
    server.call("drop")
    assert [one["message"] for one in server.call("kept", drop=True)["result"]] == [shown(data) for data in kept]


def test_a_message_can_be_sent_back_as_it_came(server):
    server.plan("message", {"do": "send"})
    peer, _connection = server.join()
    for data in MESSAGES:
        peer.send_message(data)
        assert peer.read_message() == data


def test_a_message_outlives_a_main_loop_that_runs_inside_its_handler(server):
    first, first_connection = server.join()
    second, _second_connection = server.join()
    server.plan("message", {"do": "keep"}, {"do": "nest"})
    first.send_message("outer")
    server.app.wait(lambda line: line.get("event") == "nested")
    server.plan("message", {"do": "keep"})
    second.send_message("inner")
    if server.app.delivery == "signal":
        server.wait_message("inner")
    server.call("unnest")
    server.wait_message("inner")
    nested = server.app.wait(lambda line: line.get("do") == "nest")
    assert nested["message"] == shown("outer")
    assert [one["message"] for one in server.call("kept", drop=True)["result"]] == [shown("outer"), shown("inner")]
    assert server.send(first_connection, "fine") and first.read_message() == "fine"


def test_an_app_may_act_on_its_peers_in_every_handler(server):
    server.plan("connect", {"do": "send", "text": "hello"})
    server.plan("message", {"do": "send", "text": "answer"}, {"do": "broadcast", "text": "to all"},
                {"do": "close", "code": 4001, "reason": "enough"})
    server.plan("close", {"do": "list"}, {"do": "describe"}, {"do": "send", "text": "too late"})
    peer, connection = server.join()
    assert peer.read_message() == "hello"
    peer.send_message("x")
    assert [peer.read_message(), peer.read_message()] == ["answer", "to all"]
    assert peer.finish_close() == (4001, b"enough")
    assert server.closed(connection) == (4001, "enough", True)
    late = server.app.wait(lambda line: line.get("do") == "send" and line.get("error"))
    assert late["error"]["name"].endswith("ConnectionNotFound")
    assert server.app.wait(lambda line: line.get("do") == "list")["result"] == []


def test_messages_sent_while_nobody_listens_are_dropped_and_harm_nothing(server):
    peer, connection = server.join()
    assert server.send(connection, **{"data": "x"})
    peer.reset()
    server.closed(connection)
    until(lambda: server.state()["count"] == 0, what="the connection to be forgotten")
    assert server.call("broadcast", **payload("x"))["result"] == 0


def test_a_message_handler_takes_the_place_of_the_signal_as_long_as_there_is_one(server):
    peer, connection = server.join()
    server.call("handler", use=True)
    server.plan("message", {"do": "keep"}, {"do": "send"})
    for data in MESSAGES:
        peer.send_message(data)
        assert peer.read_message() == data
    server.call("handler", use=False)
    peer.send_message("by the signal")
    assert peer.read_message() == "by the signal"
    assert [event["message"] for event in server.events("message", connection=connection)] == [
        shown(data) for data in [*MESSAGES, "by the signal"]]
    assert len(server.call("kept", drop=True)["result"]) == len(MESSAGES) + 1
