# SPDX-License-Identifier: Apache-2.0
"""Flow control as an app with libwsserver has it: slow peers, completions, bounds, and pauses."""

import contextlib
import os
import signal
import time

import pytest
from blackbox.peer import BINARY, Peer, encode_frame
from blackbox.wire import until
from driven import CANCELLED, expect_error, numbered, shown

PIECE = 50_000
MANY = 100_000


@pytest.fixture(params=["channel", "stream", "signal"])
def delivery(request) -> str:
    """Also the channel without shared memory: there, flow control is the socket's alone."""
    return request.param


@pytest.fixture
def server(service, new_driven, new_app, delivery):
    """A running server whose worker can be stopped and let go on."""
    before = service.workers()
    server = new_driven(service, delivery).running_server(max_connections_for_one_client=20)
    [server.worker] = service.workers() - before
    server.round_trip = new_app(service).round_trip
    yield server
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.worker, signal.SIGCONT)


@pytest.fixture
def slow(server):
    """A peer whose worker does nothing until peer.go_on(), and its connection, which takes no more."""
    peer, connection = server.join()
    os.kill(server.worker, signal.SIGSTOP)
    peer.go_on = lambda: os.kill(server.worker, signal.SIGCONT)
    peer.sent = fill(server, connection)
    return peer, connection


def flood(server, connection: int, first: int = 0, size: int = PIECE) -> dict:
    """Sends until it is refused."""
    answer = server.app.answer(server.say("flood", connection=connection, size=size, count=MANY, number=first))
    assert answer["error"]["name"].endswith("WouldBlock"), answer
    assert "drained" in answer["error"]["message"]
    return answer


def fill(server, connection: int) -> int:
    """Sends to a peer whose worker does nothing until neither service nor app take more; returns how many they have taken."""
    sent, refused = 0, 0
    while refused < 3:
        more = flood(server, connection, sent)["sent"]
        sent, refused = sent + more, 0 if more else refused + 1
        server.round_trip()  # the service has seen what the app had called
        server.state()
    return sent


def read_numbered(peer, count: int, first: int = 0, size: int = PIECE) -> None:
    for number in range(first, first + count):
        assert peer.read_message() == numbered(number, size), number


def test_a_slow_peer_gets_everything_in_order_and_others_do_not_notice(server):
    peer, connection = server.join(receive_buffer=4096)
    sent = 0
    for turn in range(8):
        sent += flood(server, connection, sent)["sent"]
        server.assert_serves(f"other {turn}")
    assert server.call("describe", connection=connection)["queued"] > 0
    read_numbered(peer, sent)
    server.wait("drained", connection=connection)
    assert server.app.answer(server.send_later(connection, "the end"))["result"] is True
    assert peer.read_message() == "the end"
    until(lambda: server.call("describe", connection=connection)["queued"] == 0, what="all to be written")


def test_whoever_misses_a_broadcast_is_told_when_there_is_room_and_others_get_it(server):
    peer, connection = server.join(receive_buffer=4096)
    fast, _other = server.join()
    last = 300
    for number in range(last):
        assert server.call("broadcast", size=PIECE, number=number)["result"] in (1, 2)
        assert fast.read_message() == numbered(number, PIECE)
    assert not server.events("drained")
    tag = server.send_later(connection, "the end")
    got = []
    while (message := peer.read_message()) != "the end":
        got.append(int.from_bytes(message[:4], "big"))
    assert got == sorted(set(got)) and got[0] == 0 and len(got) < last
    server.wait("drained", connection=connection)
    assert server.app.answer(tag)["result"] is True
    assert server.call("broadcast", text="all")["result"] == 2
    assert peer.read_message() == fast.read_message() == "all"


def test_send_async_waits_for_room_and_nothing_overtakes_it(server):
    other, _other = server.join()
    peer, connection = server.join()
    os.kill(server.worker, signal.SIGSTOP)
    peer.sent = fill(server, connection)
    peer.go_on = lambda: os.kill(server.worker, signal.SIGCONT)
    tags = [server.send_later(connection, f"async {number}") for number in range(20)]
    expect_error("WouldBlock", server.send, connection, "overtaking")
    assert server.call("broadcast", text="broadcast")["result"] == 1
    peer.go_on()
    assert other.read_message() == "broadcast"
    read_numbered(peer, peer.sent)
    assert [peer.read_message() for _ in range(20)] == [f"async {number}" for number in range(20)]
    assert all(server.app.answer(tag)["result"] for tag in tags)
    server.wait("drained", connection=connection)
    assert server.send(connection, "next") and peer.read_message() == "next"
    order = [line["tag"] for line in server.app.lines if line.get("tag") in tags]
    assert order == tags


@pytest.mark.parametrize("delivery", ["channel", "stream"])
def test_a_completion_means_written_to_the_peers_socket(app):
    server = app.running_server(max_message_size=30_000_000)
    peer, connection = server.join(receive_buffer=4096)
    other, other_connection = server.join()
    tag = server.say("send", connection=connection, via="async", size=30_000_000)
    for number in range(5):
        assert app.answer(server.send_later(other_connection, f"meanwhile {number}"))["result"] is True
        assert other.read_message() == f"meanwhile {number}"
    assert not [line for line in app.lines if line.get("tag") == tag]
    peer.read_message()
    assert app.answer(tag)["result"] is True


@pytest.mark.parametrize("delivery", ["channel", "stream"])
def test_a_completion_may_come_before_the_peer_has_read_all(app):
    server = app.running_server()
    peer, connection = server.join()
    assert app.answer(server.send_later(connection, "small"))["result"] is True
    assert peer.read_message() == "small"


def test_so_many_may_wait_and_no_more(server, slow, limit):
    peer, connection = slow
    tags = [server.send_later(connection, "x") for _ in range(limit("WS_SENDS_MAX"))]
    expect_error("LimitExceeded", server.call, "send", connection=connection, via="async", text="one more", names="wait")
    peer.go_on()
    read_numbered(peer, peer.sent)
    assert {peer.read_message() for _ in tags} == {"x"}
    assert all(server.app.answer(tag)["result"] for tag in tags)
    assert server.app.answer(server.send_later(connection, "room again"))["result"] is True
    assert peer.read_message() == "room again"


def test_so_many_octets_may_wait_and_no_more(server, slow, limit):
    peer, connection = slow
    size = 5_000_000
    fit = limit("WS_SENDS_OCTETS") // size
    tags = [server.say("send", connection=connection, via="async", size=size) for _ in range(fit)]
    expect_error("LimitExceeded", server.call, "send", connection=connection, via="async", size=size)
    peer.go_on()
    read_numbered(peer, peer.sent)
    for _ in tags:
        assert len(peer.read_message()) == size
    assert all(server.app.answer(tag)["result"] for tag in tags)


@pytest.mark.parametrize("delivery", ["channel", "stream"])
def test_one_message_larger_than_the_bound_may_wait_alone(service, new_driven, new_app, delivery, limit):
    size = limit("WS_SENDS_OCTETS") + (1 << 20)
    before = service.workers()
    app = new_driven(service, delivery)
    server = app.running_server(max_message_size=size)
    [server.worker] = service.workers() - before
    server.round_trip = new_app(service).round_trip
    peer, connection = server.join()
    os.kill(server.worker, signal.SIGSTOP)
    sent = fill(server, connection)
    tag = server.say("send", connection=connection, via="async", size=size)
    expect_error("LimitExceeded", server.call, "send", connection=connection, via="async", text="x")
    os.kill(server.worker, signal.SIGCONT)
    read_numbered(peer, sent)
    assert len(peer.read_message()) == size
    assert app.answer(tag)["result"] is True


def test_what_waits_can_be_cancelled_and_is_never_sent(server, slow):
    peer, connection = slow
    tags = [server.send_later(connection, f"{number}", cancellable=f"c{number % 2}") for number in range(10)]
    server.app.cancel("c1")
    for number, tag in enumerate(tags):
        if number % 2:
            assert server.app.answer(tag)["error"]["domain"] == "g-io-error-quark"
    peer.go_on()
    read_numbered(peer, peer.sent)
    assert [peer.read_message() for _ in range(5)] == ["0", "2", "4", "6", "8"]
    assert all(server.app.answer(tag)["result"] for tag in tags[::2])
    expect_error(CANCELLED, server.call, "send", connection=connection, via="async", text="x", cancellable="c1")


def test_cancelling_the_first_lets_those_behind_it_go(server, slow):
    peer, connection = slow
    first = server.say("send", connection=connection, via="async", size=5_000_000, cancellable="c")
    second = server.send_later(connection, "second")
    server.app.cancel("c")
    assert server.app.answer(first)["error"]["code"] == 19
    peer.go_on()
    read_numbered(peer, peer.sent)
    assert peer.read_message() == "second" and server.app.answer(second)["result"] is True


def test_what_is_on_its_way_cannot_be_cancelled_any_more(server):
    peer, connection = server.join()
    tag = server.send_later(connection, "on its way", cancellable="c", cancel=True)
    assert server.app.answer(tag)["result"] is True
    assert peer.read_message() == "on its way"


@pytest.mark.parametrize("way", ["drop", "dispose", "close", "cancel others", "stop"])
def test_a_callback_of_a_cancelled_message_may_do_anything(server, slow, way):
    peer, connection = slow
    then = {"drop": [{"do": "drop", "server": "a"}], "dispose": [{"do": "drop", "server": "a", "dispose": True}],
            "close": [{"do": "close", "server": "a", "connection": connection}], "stop": [{"do": "stop", "server": "a"}],
            "cancel others": [{"do": "send", "server": "a", "connection": connection, "via": "async", "text": "x",
                               "cancellable": "c"}]}[way]
    tags = [server.send_later(connection, "x", cancellable="c", then=then) for _ in range(5)]
    server.app.cancel("c")
    for tag in tags:
        assert server.app.answer(tag)["error"]
    peer.go_on()


@pytest.mark.parametrize("way", ["drop", "dispose", "close", "stop", "sync stop"])
def test_a_callback_of_a_message_that_was_sent_may_do_anything(server, way):
    peer, connection = server.join()
    then = {"drop": {"do": "drop"}, "dispose": {"do": "drop", "dispose": True}, "close": {"do": "close", "connection": connection},
            "stop": {"do": "stop"}, "sync stop": {"do": "stop", "sync": True}}[way]
    tags = [server.send_later(connection, "x", then=[{"server": "a", **then}]) for _ in range(5)]
    assert peer.read_message() == "x"
    assert server.app.answer(tags[0])["result"] is True
    peer.close()
    for tag in tags[1:]:
        server.app.answer(tag)


def test_messages_that_were_not_written_fail_before_the_connection_is_reported_closed(server, slow):
    peer, connection = slow
    tags = [server.send_later(connection, "x") for _ in range(5)]
    server.state()
    peer.reset()
    peer.go_on()
    for tag in tags:
        assert server.app.answer(tag)["error"]["name"].endswith("ConnectionNotFound")
    server.closed(connection)
    lines = list(server.app.lines)
    closed = next(at for at, line in enumerate(lines) if line.get("event") == "close")
    assert all(at < closed for at, line in enumerate(lines) if line.get("tag") in tags)


def test_closing_gives_up_what_still_waits_for_room(server, slow):
    peer, connection = slow
    tags = [server.send_later(connection, "x") for _ in range(3)]
    server.call("close", connection=connection, code=1013, reason="too slow")
    peer.go_on()
    read_numbered(peer, peer.sent)
    assert peer.finish_close() == (1013, b"too slow")
    for tag in tags:
        assert server.app.answer(tag)["error"]["name"].endswith("ConnectionNotFound")


def test_a_worker_that_does_not_read_makes_the_app_wait_and_everybody_hears_when_it_does(server):
    peers = [server.join() for _ in range(12)]
    os.kill(server.worker, signal.SIGSTOP)
    sent = [flood(server, connection)["sent"] for _peer, connection in peers]
    os.kill(server.worker, signal.SIGCONT)
    for (peer, connection), count in zip(peers, sent, strict=True):
        read_numbered(peer, count)
        server.wait("drained", connection=connection)
        assert server.send(connection, "again") and peer.read_message() == "again"


def test_one_is_told_of_room_also_when_only_others_had_taken_it(service, new_driven, limit):
    size = 16 << 20
    before = service.workers()
    server = new_driven(service, "signal").running_server(max_message_size=size, max_connections_for_one_client=20)
    [worker] = service.workers() - before
    idle, idle_connection = server.join()
    peers = []
    for _ in range(limit("WS_SIGNALS_TOTAL_HIGH") // size + 4):  # some of them go to the service
        peers.append(server.join(receive_buffer=4096))
    os.kill(worker, signal.SIGSTOP)
    try:
        taken = []
        for peer, connection in peers:
            if not server.app.answer(server.say("send", connection=connection, size=size))["error"]:
                taken.append(peer)
        assert len(taken) < len(peers)
        expect_error("WouldBlock", server.send, idle_connection, "x")
        tag = server.send_later(idle_connection, "waits for room")
    finally:
        os.kill(worker, signal.SIGCONT)
    for peer in taken:
        assert len(peer.read_message()) == size
    server.wait("drained", connection=idle_connection)
    assert server.app.answer(tag)["result"] is True
    assert idle.read_message() == "waits for room"


def send_until_stuck(peer, most: int = 400) -> int:
    """Numbered messages until the server takes no more; at most `most`. The last one may be sent in part: finish_stuck()."""
    peer.socket.settimeout(1.5)
    sent = 0
    while sent < most:
        frame = encode_frame(BINARY, numbered(sent, 1 << 18), key=bytes(4))
        view = memoryview(frame)
        try:
            while view:
                view = view[peer.socket.send(view):]
        except TimeoutError:
            peer.rest = bytes(view)
            return sent + 1
        sent += 1
    raise AssertionError("the server takes everything while its app has paused")


def finish_stuck(peer) -> None:
    peer.socket.settimeout(60)
    peer.send(peer.rest)


@pytest.mark.parametrize("early", [False, True], ids=["later", "from the start"])
def test_while_an_app_has_paused_nothing_comes_nothing_grows_and_nothing_is_lost(app, early):
    server = app.new_server()
    server.plan("message", {"do": "keep"})
    if early:
        server.call("pause", paused=True)
    server.start()
    if early:
        peer = Peer(server.port)
        server.peers.append(peer)
    else:
        peer, _connection = server.join()
        server.call("pause", paused=True)
    before, start = app.figures(), app.now()
    memory = resident(app)
    sent = send_until_stuck(peer)
    assert server.state()["paused"] is True
    assert not server.events("message") and not (early and server.events("connect"))
    assert resident(app) - memory < 16 << 20
    assert app.figures()["descriptors"] == before["descriptors"]
    server.call("pause", paused=False)
    finish_stuck(peer)
    server.wait("message", count=sent, start=start)
    kept = server.call("kept", drop=True)["result"]
    assert [one["message"] for one in kept] == [shown(numbered(number, 1 << 18)) for number in range(sent)]


def resident(app) -> int:
    with open(f"/proc/{app.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_while_an_app_has_paused_what_it_sends_still_leaves(server):
    peer, connection = server.join()
    server.call("pause", paused=True)
    assert server.send(connection, "one") and peer.read_message() == "one"
    assert server.call("broadcast", text="two")["result"] == 1 and peer.read_message() == "two"
    server.call("pause", paused=True)
    server.call("pause", paused=False)
    peer.send_message("back")
    server.wait_message("back")
    assert [event["value"] for event in server.events("notify", property="paused")] == ["TRUE", "FALSE"]


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_stopping_ends_a_pause_and_what_came_before_is_still_told(server, sync):
    peer, connection = server.join()
    server.call("pause", paused=True)
    for number in range(5):
        peer.send_message(str(number))
    stopping = server.say("stop", sync=sync)
    assert peer.finish_close() == (1001, b"")
    assert server.app.answer(stopping)["result"] is True
    assert len(server.events("message")) == 5 and server.closed(connection) == (1001, "", True)
    assert server.state()["paused"] is False


def test_a_server_that_is_stopped_by_others_while_paused_tells_everything_when_the_pause_ends(
        administrated, new_driven, new_app, delivery):
    server = new_driven(administrated, delivery).running_server()
    peer, connection = server.join()
    server.call("pause", paused=True)
    for number in range(5):
        peer.send_message(str(number))
    stopping = new_app(administrated).adopt(server.state()["path"]).call_later("Stop")
    assert peer.finish_close() == (1001, b"")
    stopping.result()
    server.wait_state("stopping")
    assert not server.events("message") and not server.events("close")
    server.call("pause", paused=False)
    server.wait_state("stopped")
    assert len(server.events("message")) == 5 and server.closed(connection) == (1001, "", True)


def test_pausing_and_going_on_inside_a_handler_keeps_the_order(server):
    peer, _connection = server.join()
    server.plan("message", {"do": "pause", "paused": True}, {"do": "nest"}, {"do": "pause", "paused": False})
    peer.send_message("0")
    server.app.wait(lambda line: line.get("event") == "nested")
    server.plan("message")
    for number in range(1, 20):
        peer.send_message(str(number))
    server.call("unnest")
    server.wait("message", count=20)
    assert [bytes.fromhex(event["message"]["hex"]) for event in server.events("message")] == [
        str(number).encode() for number in range(20)]
    nest = next(at for at, line in enumerate(server.app.lines) if line.get("do") == "nest")
    assert len([line for line in server.app.lines[:nest] if line.get("event") == "message"]) == 1


def test_an_app_that_has_paused_sleeps_also_when_its_worker_has_died(service, server):
    app = server.app
    server.join()
    server.call("pause", paused=True)
    before = service.workers()
    os.kill(server.worker, signal.SIGKILL)
    until(lambda: service.workers() - before, what="the next worker")
    polls = app.figures()["polls"]
    time.sleep(0.5)  # in which a loop that spins would poll a hundred times and more
    assert app.figures()["polls"] - polls < 50
    server.call("pause", paused=False)
    server.wait("close", code=1006)
    server.assert_serves()
