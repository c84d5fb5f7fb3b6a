# SPDX-License-Identifier: Apache-2.0
"""The worker as the daemon and its peers see it: connections, messages, closing, limits."""

import base64
import hashlib
import os
import resource
import socket
import struct
import subprocess
import time

import pytest

import channel_client as cc
import harness
from harness import BINARY, PING, PONG, TEXT, eventually, frame


# --- How it is started ---

def run(*arguments, **options):
    return subprocess.run([harness.worker_path(), *arguments], capture_output=True, text=True, timeout=20, **options)


def test_version_and_help_tell_an_administrator_what_this_is():
    assert run("--version").stdout.startswith("wsserver-worker ")
    assert "wsserverd" in run("--help").stdout


def test_started_by_hand_it_says_so_instead_of_misbehaving():
    result = run()
    assert result.returncode == 2
    assert "wsserverd" in result.stderr


def test_a_stream_socket_is_no_control_socket():
    ours, theirs = socket.socketpair()
    process = harness.spawn(theirs)
    assert process.wait(20) == 2
    process.stderr.close()
    ours.close()
    theirs.close()


def configure_answer(start, fd=None, leave_out=None, octets=None, **fields):
    worker = start(configure=False)
    worker.expected_status = 4
    configuration = {**harness.FAST, **fields}
    if leave_out:
        del configuration[leave_out]
    fd = worker.listener.fileno() if fd is None else fd
    worker.control.send_octets(octets or cc.encode_control(cc.CONFIGURE, 7, **configuration), [fd])
    answer = worker.control.receive()
    assert answer.type == cc.FAILED and answer.tag == 7
    assert answer.get(cc.F_ERROR) == 2302999
    assert worker.wait() == 4
    return answer.get(cc.F_TEXT)


@pytest.mark.parametrize("field", ["version", "generation", "max_clients", "max_per_client", "protocol", "max_message",
                                   "ping_interval", "pong_timeout"])
def test_a_configuration_without_one_field_is_refused_with_a_sentence(start, field):
    assert configure_answer(start, leave_out=field)


@pytest.mark.parametrize("field, value", [
    ("version", 2), ("generation", 1 << 32), ("max_clients", 0), ("max_clients", 65536), ("max_per_client", 0),
    ("max_per_client", 65536), ("max_message", 0), ("max_message", (256 << 20) + 1), ("protocol", "x" * 1025),
    ("connection_rate", 1000001), ("ban_seconds", 86401), ("allowed_origins", "x" * 19265), ("allowed_origins", "a\0b"),
    ("ping_interval", 86401), ("pong_timeout", 86401), ("handshake_timeout", 0), ("handshake_timeout", 3601),
    ("compression", 2)])
def test_a_configuration_out_of_bounds_is_refused_with_a_sentence(start, field, value):
    assert configure_answer(start, **{field: value})


def test_a_descriptor_that_does_not_listen_is_refused_with_a_sentence(start):
    with socket.socket() as unbound, open("/dev/null", "rb") as file, socket.socket(socket.AF_UNIX) as unix:
        for other in (unbound, file, unix):
            assert "descriptor" in configure_answer(start, fd=other.fileno())


def test_a_critical_field_of_a_later_version_is_not_ignored(start):
    octets = cc.encode_control(cc.CONFIGURE, 7, **harness.FAST) + cc.encode_field(0x8000 | 500, b"new")
    assert configure_answer(start, octets=octets)


@pytest.mark.parametrize("octets", [
    b"\x01", struct.pack("<HHI", 99, 0, 0), struct.pack("<HHI", cc.STATISTICS, 1, 0),
    cc.encode_control(cc.STOP, 0, code=1005, deadline=1), cc.encode_control(cc.STOP, 0, code=1001),
    cc.encode_control(cc.STOP, 0, code=1001, deadline=60001), cc.encode_control(cc.LIST), cc.encode_control(cc.CONFIGURE),
    cc.encode_control(cc.ATTACH, acknowledged=1), cc.encode_control(cc.CONTROL_CLOSE, connection=1, code=1005),
    cc.encode_control(cc.STATISTICS) + cc.encode_field(0x8000 | 500, b"")],
    ids=lambda octets: octets[:8].hex())
def test_a_malformed_control_record_ends_the_process_visibly(start, octets):
    worker = start()
    worker.control.send_octets(octets)
    assert worker.wait() == 3
    worker.expected_status = 3


def test_a_record_before_configure_ends_the_process_visibly(start):
    worker = start(configure=False)
    worker.control.send(cc.STATISTICS)
    assert worker.wait() == 3
    worker.expected_status = 3


@pytest.mark.parametrize("kind", ["dgram", "inet", "window"])
def test_a_channel_that_is_none_ends_the_process_visibly(start, kind):
    worker = start()
    fields = {}
    if kind == "inet":
        sock = socket.socket()
    else:
        sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM if kind == "dgram" else socket.SOCK_STREAM)[0]
        fields = dict(window_events=0) if kind == "window" else {}
    with sock:
        worker.control.send(cc.ATTACH, 0, [sock.fileno()], acknowledged=1, **fields)
        assert worker.wait() == 3
    worker.expected_status = 3


def test_a_descriptor_with_a_record_that_has_none_ends_the_process_visibly(start):
    worker = start()
    worker.control.send(cc.STATISTICS, 1, [0])
    assert worker.wait() == 3
    worker.expected_status = 3


def test_the_process_keeps_no_descriptor_of_its_parent(start):
    read, write = os.pipe()
    os.set_inheritable(write, True)
    worker = start()
    os.close(write)
    os.set_blocking(read, True)
    assert os.read(read, 1) == b""  # nobody holds the other end any more
    os.close(read)
    assert worker.control.counters()["connections"] == 0


def test_ps_tells_which_server_a_worker_serves(start):
    worker = start(name="/org/wsserver1/server/7\n")
    with open(f"/proc/{worker.pid}/cmdline", "rb") as file:
        title = file.read().rstrip(b"\0")
    assert title == b"wsserver-worker: /org/wsserver1/server/7?" or title.startswith(b"wsserver-worker: /")


def test_a_long_name_does_no_harm(start):
    worker = start(name="/org/wsserver1/server/" + "7" * 1000)
    assert worker.control.counters()["connections"] == 0


def test_limits_beyond_what_the_system_has_are_no_reason_to_fail(start):
    worker = start(max_clients=65535, max_per_client=65535)
    worker.open()


# --- Connections and messages ---

def test_the_app_learns_who_connected_and_how(start):
    worker = start(protocol="chat, superchat")
    before = time.time() * 1e6
    peer = worker.connect("127.0.0.7")
    headers = peer.handshake(path="/remote?tv=1", headers=[
        ("Origin", "https://a.example"), ("Sec-WebSocket-Protocol", "superchat, other"), ("X-Two", "a"), ("X-Two", "b")])
    assert headers["sec-websocket-protocol"] == "superchat"
    magic = base64.b64encode(b"0123456789abcdef") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    assert headers["sec-websocket-accept"].encode() == base64.b64encode(hashlib.sha1(magic).digest())
    record = worker.channel.wait_for(cc.CONNECT)
    connect = cc.decode_connect(record.body)
    assert record.connection == worker.id(1)
    assert (connect["address"], connect["port"]) == peer.sock.getsockname()
    assert connect["path"] == b"/remote" and connect["query"] == b"tv=1"
    assert connect["origin"] == b"https://a.example" and connect["protocol"] == b"superchat"
    assert not connect["tls"] and before - 1e6 < connect["connected_at"] < time.time() * 1e6 + 1e6
    assert connect["headers"].count((b"x-two", b"a")) == 1 and (b"x-two", b"b") in connect["headers"]
    assert (b"host", b"tv") in connect["headers"]
    [(listed, entry)] = worker.control.connections()
    assert listed == record.connection and entry == {**connect, "headers": []}


def test_a_peer_that_offers_no_subprotocol_is_let_in_without_one(start):
    worker = start(protocol="chat")
    peer = worker.connect()
    assert "sec-websocket-protocol" not in peer.handshake()


def test_small_messages_are_not_held_back_by_the_kernel(start):
    """TCP_NODELAY comes with the listening socket."""
    worker = start()
    peer = worker.open()
    assert worker.listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    peer.text("x")
    worker.channel.wait_for(cc.MESSAGE)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 5242864])
def test_messages_of_every_size_go_both_ways(start, size):
    worker = start()
    peer = worker.open()
    worker.channel.acknowledge(1)
    data = os.urandom(size)
    peer.binary(data)
    record = worker.channel.wait_for(cc.MESSAGE, peer.id, timeout=60)
    assert record.flags == 0 and record.body == data
    worker.channel.acknowledge(2)
    worker.channel.send(peer.id, data)
    assert peer.receive() == (BINARY, data)
    text = "ä\0𝄞"
    peer.text(text)
    record = worker.channel.wait_for(cc.MESSAGE, peer.id, count=2)
    assert record.flags == cc.TEXT and record.body.decode() == text
    worker.channel.send(peer.id, text)
    assert peer.receive() == (TEXT, text.encode())
    counters = worker.control.counters()
    assert counters["messages_received"] == counters["messages_sent"] == 2
    assert counters["bytes_received"] == counters["bytes_sent"] == size + len(text.encode())


def test_frames_right_behind_the_request_are_not_lost(start):
    worker = start()
    peer = worker.connect()
    peer.handshake(more=frame(TEXT, b"early") + frame(TEXT, b"bird"))
    worker.channel.wait_for(cc.MESSAGE, count=2)
    assert [e.type for e in worker.channel.events()] == [cc.CONNECT, cc.MESSAGE, cc.MESSAGE]
    assert [e.body for e in worker.channel.events()[1:]] == [b"early", b"bird"]


def test_a_request_that_comes_octet_by_octet_is_understood(start):
    worker = start()
    peer = worker.connect()
    for octet in peer.request():
        peer.send(bytes([octet]))
    assert peer.response(body=False)[0] == 101


def test_pings_are_answered_in_order_and_the_app_is_not_bothered(start):
    worker = start()
    peer = worker.open()
    peer.send(b"".join(frame(PING, b"%d" % i) for i in range(10)))
    assert [peer.receive() for _ in range(10)] == [(PONG, b"%d" % i) for i in range(10)]
    peer.text("last")
    worker.channel.wait_for(cc.MESSAGE)
    assert [e.type for e in worker.channel.events()] == [cc.CONNECT, cc.MESSAGE]


def test_broadcast_reaches_exactly_those_it_names(start):
    worker = start()
    peers = [worker.open(n) for n in range(1, 5)]
    worker.channel.broadcast([p.id for p in peers[:3]] + [peers[0].id], "to some")
    worker.channel.send(peers[3].id, "only you")
    for peer in peers[:3]:
        assert peer.receive() == (TEXT, b"to some")
    assert peers[0].receive() == (TEXT, b"to some")  # named twice, gets it twice
    assert peers[3].receive() == (TEXT, b"only you")
    large = os.urandom(3 << 20)
    worker.channel.broadcast([p.id for p in peers], large)
    for peer in peers:
        assert peer.receive() == (BINARY, large)


def test_messages_leave_in_the_order_of_sending_whoever_they_are_for(start):
    worker = start()
    peers = [worker.open(n) for n in range(1, 4)]
    octets = b"".join(cc.encode(cc.SEND, peers[i % 3].id, b"%d" % i) for i in range(3000))
    worker.channel.write(octets)
    for start_at, peer in enumerate(peers):
        assert [peer.receive()[1] for _ in range(1000)] == [b"%d" % i for i in range(start_at, 3000, 3)]


def test_the_list_of_connections_is_whole_however_many_there_are(start):
    worker = start(max_per_client=300)
    long_path = "/" + "p" * 6000
    for n in range(1, 31):
        worker.connect().handshake(path=long_path)
    worker.channel.wait_for(cc.CONNECT, count=30)
    found = worker.control.connections()
    assert [id for id, _ in found] == [worker.id(n) for n in range(1, 31)]
    assert all(entry["path"] == long_path.encode() for _, entry in found)
    worker.peers[14].sock.close()
    worker.channel.wait_for(cc.CLOSED)
    record = worker.control.ask(cc.LIST, cc.CONNECTIONS, after=worker.id(15))
    assert struct.unpack_from("<Q", record.all(cc.F_CONNECTION_ENTRY)[0])[0] == worker.id(16)


def test_ids_of_a_later_worker_never_repeat_those_of_an_earlier_one(start):
    worker = start(generation=3)
    peer = worker.open()
    assert peer.id == 3 * 2 ** 32 + 1
    peer.close(1000)
    worker.channel.wait_for(cc.CLOSED)
    assert worker.open(2).id == 3 * 2 ** 32 + 2


def test_peers_of_a_dual_stack_listener_are_told_apart(start):
    try:
        listener = harness.listen("::", socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    worker = start(listener=listener, max_per_client=1)
    six = worker.connect("::1", family=socket.AF_INET6)
    six.handshake()
    four = worker.connect()
    four.handshake()
    worker.channel.wait_for(cc.CONNECT, count=2)
    connects = [cc.decode_connect(r.body) for r in worker.channel.events()]
    assert [(c["family"], c["address"]) for c in connects] == [(6, "::1"), (4, "127.0.0.1")]


# --- Closing ---

def closed(worker, peer):
    record = worker.channel.wait_for(cc.CLOSED, peer.id)
    return record.code, record.body.decode(), bool(record.flags & cc.CLEAN)


@pytest.mark.parametrize("code, reason, expected", [(1000, "", 1000), (4321, "tschüß", 4321), (None, "", 1005)])
def test_the_app_learns_how_the_peer_closed(start, code, reason, expected):
    worker = start()
    other = worker.open(1)
    peer = worker.open(2)
    peer.text("last words")
    peer.close(code, reason)
    assert peer.receive_close()[0] == code
    peer.receive_end()
    assert closed(worker, peer) == (expected, reason, True)
    assert [e.type for e in worker.channel.events() if e.connection == peer.id] == [cc.CONNECT, cc.MESSAGE, cc.CLOSED]
    other.text("undisturbed")
    assert worker.channel.wait_for(cc.MESSAGE, other.id).body == b"undisturbed"


@pytest.mark.parametrize("code", [1000, 1014, 3000, 4999])
def test_the_app_closes_behind_what_it_sent_before(start, code):
    worker = start()
    peer = worker.open()
    for n in range(100):
        worker.channel.send(peer.id, b"%d" % n)
    worker.channel.close_connection(peer.id, code, "genug")
    assert [peer.receive()[1] for _ in range(100)] == [b"%d" % n for n in range(100)]
    assert peer.receive_close() == (code, "genug")
    peer.text("on its way already")
    peer.close(4000, "another code")
    peer.receive_end()
    assert worker.channel.wait_for(cc.MESSAGE).body == b"on its way already"
    assert closed(worker, peer) == (code, "genug", True)


def test_what_is_sent_after_close_is_a_race_and_no_fault(start):
    worker = start()
    peer = worker.open()
    worker.channel.close_connection(peer.id)
    worker.channel.send(peer.id, "too late")
    worker.channel.close_connection(peer.id, 4000)
    worker.channel.want_drained(peer.id)
    assert peer.receive_close() == (1000, "")
    peer.close(1000)
    assert closed(worker, peer) == (1000, "", True)
    worker.channel.send(peer.id, "much too late")
    worker.channel.broadcast([peer.id, 5], "gone, and of an earlier generation")
    worker.channel.close_connection(peer.id)
    worker.channel.want_drained(peer.id)
    assert worker.control.counters()["connections"] == 0
    worker.open(2)


def test_a_peer_that_does_not_answer_a_close_is_dropped_in_time(start):
    worker = start()
    peer = worker.open()
    began = time.monotonic()
    worker.channel.close_connection(peer.id, 4001, "bye")
    assert closed(worker, peer) == (4001, "bye", False)
    assert 1.5 < time.monotonic() - began < 6


def test_a_peer_that_vanishes_is_reported_as_1006(start):
    worker = start()
    peer = worker.open()
    peer.text("last words")
    peer.sock.close()
    assert closed(worker, peer) == (1006, "", False)
    reset = worker.open(2)
    reset.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reset.sock.close()
    assert closed(worker, reset) == (1006, "", False)


def test_messages_before_a_reset_are_not_lost(start):
    """A client that says goodbye and goes without reading resets the connection when we write."""
    worker = start()
    peer = worker.open()
    worker.channel.send(peer.id, "unread")
    eventually(lambda: worker.control.counters()["queued_bytes"] == 0)
    time.sleep(0.1)  # the message lies unread in the client's socket: closing now sends a reset
    peer.send(frame(PING) + frame(TEXT, b"one") + frame(TEXT, b"two") + frame(8, struct.pack(">H", 1000)))
    peer.sock.close()
    code, _, _ = closed(worker, peer)
    assert code in (1000, 1006)  # a reset may overtake what the kernel had not delivered yet, but never reorders


@pytest.mark.parametrize("octets, code", [
    (frame(TEXT, b"unmasked", mask=False), 1002), (frame(3), 1002), (frame(TEXT, b"\xff"), 1007),
    (b"\x82\xff" + struct.pack(">Q", 5242865) + b"mask", 1009), (b"\xf1\x80\0\0\0\0", 1002)],
    ids=["unmasked", "opcode", "utf8", "large", "rsv"])
def test_a_peer_that_breaks_the_protocol_gets_the_right_code_and_nobody_else_suffers(start, octets, code):
    worker = start()
    other = worker.open(1)
    peer = worker.open(2)
    peer.text("good")
    peer.send(octets)
    assert peer.receive_close()[0] == code
    peer.receive_end()
    assert closed(worker, peer)[0] == code and not closed(worker, peer)[2]
    assert worker.channel.wait_for(cc.MESSAGE, peer.id).body == b"good"
    other.text("undisturbed")
    worker.channel.wait_for(cc.MESSAGE, other.id)


def test_a_failed_peer_reads_its_close_frame_although_it_goes_on_sending(start):
    worker = start()
    peer = worker.open()
    peer.send(frame(3) + frame(BINARY, bytes(100000)))
    assert peer.receive_close()[0] == 1002
    peer.receive_end()


def test_a_failed_peer_that_floods_is_cut_off(start):
    worker = start()
    peer = worker.open()
    peer.send(frame(3))
    with pytest.raises(OSError):
        for _ in range(1000):
            peer.send(bytes(65536))
    assert closed(worker, peer)[0] == 1002


def test_an_administrator_closes_a_connection_and_is_told_whether_there_was_one(start):
    worker = start()
    peer = worker.open()

    def close(id):
        return worker.control.ask(cc.CONTROL_CLOSE, cc.RESULT, connection=id, code=4444, reason="kicked").get(cc.F_FOUND)

    assert close(peer.id) == 1
    assert close(peer.id) == 0  # closing already
    assert close(worker.id(77)) == 0
    assert peer.receive_close() == (4444, "kicked")
    peer.close(4444)
    assert closed(worker, peer) == (4444, "kicked", True)
    assert close(peer.id) == 0


def test_an_administrator_closes_a_connection_without_giving_a_reason(start):
    worker = start()
    peer = worker.open()
    assert worker.control.ask(cc.CONTROL_CLOSE, cc.RESULT, connection=peer.id, code=4444).get(cc.F_FOUND) == 1
    assert peer.receive_close() == (4444, "")


def test_counters_tell_what_happened(start):
    worker = start()
    peer = worker.open()
    refused = worker.connect()
    refused.send(b"GET / HTTP/1.1\r\nHost: tv\r\n\r\n")
    assert refused.response()[0] == 426
    peer.text("abc")
    worker.channel.wait_for(cc.MESSAGE)
    assert worker.control.counters() == dict(connections=1, messages_received=1, messages_sent=0, bytes_received=3,
                                             bytes_sent=0, refused=1, queued_bytes=0)


# --- Heartbeat, with the real clock and generous bounds ---

def test_a_peer_that_answers_pings_stays_and_one_that_does_not_is_dropped(start):
    worker = start(ping_interval=1, pong_timeout=1)
    lively, silent = worker.open(1), worker.open(2)
    end = time.monotonic() + 4
    pings = 0
    while time.monotonic() < end:
        if lively.has_data(0.1):
            assert lively.receive() == (PING, b"")
            lively.send(frame(PONG))
            pings += 1
    assert 2 <= pings <= 5
    assert closed(worker, silent) == (1006, "", False)
    assert [e for e in worker.channel.events() if e.type == cc.CLOSED and e.connection == lively.id] == []


# --- Admission ---

def test_the_connection_above_the_limit_of_one_client_gets_429_and_others_are_let_in(start):
    worker = start(max_per_client=2)
    kept = [worker.open(1), worker.open(2)]
    refused = worker.connect()
    refused.send(refused.request())
    status, headers, body = refused.response()
    assert status == 429 and int(headers["retry-after"]) > 0 and body.strip()
    refused.receive_end()
    other = worker.connect("127.0.0.2")
    other.handshake()
    kept[0].close(1000)
    worker.channel.wait_for(cc.CLOSED, kept[0].id)
    worker.connect().handshake()
    assert worker.control.counters()["refused"] == 1


def test_the_client_above_the_limit_of_clients_gets_503(start):
    worker = start(max_clients=3, max_per_client=2)
    for n in range(1, 4):
        worker.connect(f"127.0.0.{n}").handshake()
    refused = worker.connect("127.0.0.9")
    refused.send(refused.request())
    status, headers, body = refused.response()
    assert status == 503 and int(headers["retry-after"]) > 0 and body.strip()
    worker.connect("127.0.0.1").handshake()  # known already


def test_a_peer_that_has_not_asked_yet_keeps_nobody_out(start):
    worker = start(max_clients=1, max_per_client=1)
    silent = [worker.connect("127.0.0.2"), worker.connect()]
    silent[1].send(silent[1].request()[:20])
    peer = worker.open()
    silent[1].send(silent[1].request()[20:])
    assert silent[1].response()[0] == 429
    silent[0].send(silent[0].request())
    assert silent[0].response()[0] == 503
    peer.text("undisturbed")
    worker.channel.wait_for(cc.MESSAGE, peer.id)


def test_a_refused_peer_that_never_sends_its_request_is_answered_in_time(start):
    worker = start(connection_rate=1, handshake_timeout=1)
    worker.open()
    refused = worker.connect()
    assert refused.response()[0] == 429
    refused.receive_end()


def test_refused_peers_are_bounded(start):
    worker = start(connection_rate=1, handshake_timeout=60)
    worker.open()
    before = cc.open_descriptors(worker.pid)
    crowd = [worker.connect() for _ in range(128 + 20)]
    eventually(lambda: worker.control.counters()["refused"] >= 20)
    assert cc.open_descriptors(worker.pid) <= before + 128
    refused = 0
    for peer in crowd[128:]:
        peer.receive_end()  # closed at once
        refused += 1
    assert refused == 20
    worker.connect("127.0.0.2").handshake()


def test_a_slow_request_gets_408(start):
    worker = start(handshake_timeout=1)
    peer = worker.connect()
    peer.send(peer.request()[:30])
    began = time.monotonic()
    status, _, body = peer.response()
    assert status == 408 and body.strip()
    assert 0.5 < time.monotonic() - began < 5
    peer.receive_end()


def test_no_common_subprotocol_gets_400_that_names_those_there_are(start):
    worker = start(protocol="chat, superchat")
    peer = worker.connect()
    peer.send(peer.request(headers=[("Sec-WebSocket-Protocol", "other")]))
    status, _, body = peer.response()
    assert status == 400 and "chat, superchat" in body


@pytest.mark.parametrize("request_octets, status", [
    (b"GET / HTTP/1.1\r\nHost: tv\r\n\r\n", 426), (b"POST / HTTP/1.1\r\nHost: tv\r\n\r\n", 405),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400), (b"GET /" + b"x" * 20000, 431), (b"GET / HTTP/2.0\r\n\r\n", 505)], ids=["get", "post", "tls", "long", "http2"])
def test_what_is_no_websocket_request_gets_a_real_http_answer(start, request_octets, status):
    worker = start()
    peer = worker.connect()
    peer.send(request_octets)
    answer, headers, body = peer.response()
    assert answer == status and body.strip() and headers["connection"].lower().startswith("close")
    peer.receive_end()
    assert worker.control.counters()["refused"] == 1
    worker.open()


def test_descriptors_of_departed_peers_are_given_back(start):
    worker = start()
    worker.control.counters()  # so the channel has been taken over
    before = cc.open_descriptors(worker.pid)
    for n in range(1, 31):
        peer = worker.open(n)
        peer.close(1000)
        peer.receive_close()
        peer.sock.close()
        worker.channel.acknowledge(2 * n - 1)
    eventually(lambda: cc.open_descriptors(worker.pid) == before)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_worker_without_descriptors_waits_instead_of_spinning_and_recovers(start):
    worker = start()
    peer = worker.open()
    try:
        before = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    except PermissionError:
        pytest.skip("may not change the limits of another process")
    waiting = worker.connect()
    waiting.send(waiting.request())
    used = cpu_seconds(worker.pid)
    assert not waiting.has_data(1)
    assert cpu_seconds(worker.pid) - used < 0.3
    peer.text("others live on")
    worker.channel.wait_for(cc.MESSAGE, peer.id)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, before)
    assert waiting.response(body=False)[0] == 101


# --- Small ---

@pytest.mark.skipif("harness.worker_path() and harness.is_sanitized()")
@pytest.mark.parametrize("acknowledged, size", [(1, 5242864), (0, 5242864), (0, 1 << 20), (0, 300_000)])
def test_an_idle_worker_stays_below_its_budget_also_after_large_messages(start, acknowledged, size):
    worker = start(acknowledged=acknowledged)
    assert cc.private_memory(worker.pid) < 2 << 20
    peer = worker.open()
    if acknowledged:
        worker.channel.acknowledge(1)
    data = os.urandom(size)
    for n in range(3):
        peer.binary(data)
        worker.channel.wait_for(cc.MESSAGE, count=n + 1, timeout=60)
        if acknowledged:
            worker.channel.acknowledge(n + 2)
        worker.channel.send(peer.id, data)
        assert peer.receive() == (BINARY, data)
    eventually(lambda: cc.private_memory(worker.pid) < 2 << 20, what="small memory")


@pytest.mark.skipif("harness.worker_path() and harness.is_sanitized()")
def test_an_idle_connection_costs_little(start):
    """All included: what the allocator adds, and the tables of those who are there and of their next Pings."""
    first, count = 100, 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    worker = start(max_per_client=first + count, ping_interval=30, pong_timeout=30)

    def join(number):
        for _ in range(number):
            peer = worker.connect()
            peer.handshake()
            worker.channel.quiet(0)
            worker.channel.acknowledge(len(worker.channel.events()))

    join(first)
    before = cc.private_memory(worker.pid)
    join(count)
    assert worker.control.counters()["connections"] == first + count
    each = (cc.private_memory(worker.pid) - before) / count
    print(f"{each:.0f} octets a connection, {before} before")
    assert each < 250
