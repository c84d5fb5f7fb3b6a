# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping with libwsserver, in every way and order that an app may think of."""

import os
import socket
import time

import pytest
from blackbox.authority import Authority
from blackbox.peer import Peer, can_bind, free_port
from blackbox.wire import until
from driven import CANCELLED, Failed, error_of, expect_error


def states(server, start: int = 0) -> list:
    return [event["value"] for event in server.events("notify", start=start, property="state")]


def test_a_server_goes_through_its_states_and_tells_where_it_is(app):
    server = app.new_server()
    before = server.state()
    assert (before["state"], before["port"], before["uri"], before["path"]) == ("stopped", 0, None, None)
    server.start()
    running = server.state()
    assert running["state"] == "running" and running["uri"] == f"ws://127.0.0.1:{running['port']}/"
    assert running["path"].startswith("/org/wsserver1/server/")
    server.stop()
    after = server.state()
    assert (after["state"], after["port"], after["uri"], after["count"]) == ("stopped", 0, None, 0)
    assert states(server) == ["starting", "running", "stopping", "stopped"]
    ports = [event["value"] for event in server.events("notify", property="port")]
    assert ports == [str(running["port"]), "0"]
    assert can_bind(running["port"])


def test_stopping_says_goodbye_to_each_peer_and_the_app_hears_of_each_before_the_stop_ends(server):
    peers = [server.join() for _ in range(5)]
    for peer, _connection in peers:
        peer.send_message("last words")
    stopping = server.say("stop")
    for peer, _connection in peers:
        assert peer.finish_close() == (1001, b"")
    assert server.app.answer(stopping)["result"] is True
    lines = list(server.app.lines)
    end = next(at for at, line in enumerate(lines) if line.get("tag") == stopping)
    closes = [(at, line) for at, line in enumerate(lines) if line.get("event") == "close"]
    assert sorted(line["connection"] for _at, line in closes) == sorted(connection for _peer, connection in peers)
    assert all(at < end and (line["code"], line["clean"]) == (1001, True) for at, line in closes)
    assert len(server.events("message")) == 5


@pytest.mark.parametrize("thread", [False, True], ids=["main thread", "own thread"])
def test_waiting_for_start_and_stop_works_and_emits_what_belongs_to_it(app, thread):
    server = app.new_server(thread=thread)
    server.start(sync=True)
    peer, connection = server.join()
    stopping = server.say("stop", sync=True)
    assert peer.finish_close() == (1001, b"")
    assert app.answer(stopping)["result"] is True
    assert server.events("close", connection=connection, code=1001)
    server.start(sync=True)
    server.assert_serves()
    assert not [line for line in app.lines if "elsewhere" in line]


def test_a_start_that_waits_emits_nothing_meanwhile(app):
    server = app.new_server()
    server.start(sync=True)
    assert states(server) == ["running"]


def test_a_server_starts_again_after_a_start_that_waited_was_refused(app):
    """What the service said about the first one must not be taken for news about the second."""
    server = app.new_server()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        expect_error("PortInUse", server.start, sync=True, port=taken.getsockname()[1])
    server.start(sync=True)
    server.assert_serves()
    assert server.state()["state"] == "running"
    server.stop(sync=True)
    server.start(sync=True)
    server.assert_serves()


def test_servers_in_threads_of_their_own_do_not_disturb_each_other(app):
    servers = [app.running_server(f"s{number}", thread=number > 0) for number in range(4)]
    for server in servers:
        server.plan("message", {"do": "send"})
    peers = [(server, *server.join()) for server in servers for _ in range(3)]
    for number in range(50):
        for _server, peer, _connection in peers:
            peer.send_message(f"{number}")
    for _server, peer, _connection in peers:
        assert [peer.read_message() for _ in range(50)] == [str(number) for number in range(50)]
    assert not [line for line in app.lines if "elsewhere" in line]


def test_the_system_bus_is_found_without_being_given(app):
    server = app.new_server(system=True)
    server.start()
    server.assert_serves()


def test_what_changes_in_a_configuration_after_the_start_does_not_matter(server):
    """The driver changes port and address right behind the call."""
    assert server.state()["uri"].startswith("ws://127.0.0.1:")


@pytest.mark.parametrize(
    ("options", "name", "names"),
    [
        ({"port": 65536}, "InvalidPort", "65535"),
        ({"port": 1 << 31}, "InvalidPort", "65535"),
        ({"server_ip": "no address"}, "InvalidAddress", "serverIP"),
        ({"server_ip": "192.0.2.7"}, "InvalidAddress", "192.0.2.7"),
        ({"max_concurrent_clients_number": 0}, "InvalidArgument", "maxConcurrentClientsNumber"),
        ({"max_connections_for_one_client": 0}, "InvalidArgument", "maxConnectionsForOneClient"),
        ({"max_connections_for_one_client": 65536}, "LimitExceeded", "maxConnectionsForOneClient"),
        ({"protocol": "a b"}, "InvalidArgument", "protocol"),
        ({"allowed_origins": ["nonsense"]}, "InvalidArgument", "allowedOrigins"),
        ({"max_message_size": 0}, "InvalidArgument", "maxMessageSize"),
        ({"ping_interval": 30001}, "InvalidArgument", "pingInterval"),
        ({"pong_timeout": 30001}, "InvalidArgument", "pongTimeout"),
        ({"certificate": "/nonexistent/cert.pem", "private_key": "/nonexistent/key.pem"}, "CertificateNotFound",
         "/nonexistent/cert.pem"),
        ({"certificate": "/nonexistent/cert.pem", "server_ip": "no address"}, "InvalidAddress", "serverIP"),
        ({"certificate": "/nonexistent/cert.pem", "port": 65536}, "InvalidPort", "65535"),
        ({"tls_min_version": "1.1"}, "InvalidArgument", "tlsMinVersion"),
    ],
)  # fmt: skip
def test_a_start_that_is_refused_names_what_is_wrong_and_the_next_works(app, options, name, names):
    server = app.new_server()
    expect_error(name, server.start, **options, names=names)
    assert server.state()["state"] == "stopped" and states(server)[-1:] != ["running"]
    server.start()
    server.assert_serves()


@pytest.mark.parametrize("option", ["protocol", "server_ip", "allowed_origins"])
def test_text_that_is_no_utf8_is_refused_by_name(app, option):
    server = app.new_server()
    octets = list(b"\xff")
    expect_error("InvalidArgument", server.start, **{option: [octets] if option == "allowed_origins" else octets}, names="UTF-8")


def test_a_taken_port_is_told_and_the_guides_number_with_it(app):
    server = app.new_server()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = expect_error("PortInUse", server.start, port=taken.getsockname()[1])
    assert error["number"] == 2302007


def test_a_device_that_may_not_serve_is_told_so(new_service, new_driven, delivery):
    server = new_driven(new_service({"deviceProfile": "toaster"}), delivery).new_server()
    error = expect_error("NotSupported", server.start)
    assert error["number"] == 801


def test_every_property_of_a_configuration_counts(app, authority: Authority):
    identity = authority.issue(password="geheim")
    server = app.new_server()
    server.start(certificate=str(identity.certificate), private_key=str(identity.key), private_key_password="geheim",
                 client_ca=str(authority.certificate), tls_min_version="1.3", allowed_origins=["https://a.example"],
                 protocol="one", max_connections_for_one_client=2, max_concurrent_clients_number=1, ping_interval=1,
                 pong_timeout=5, max_message_size=2000, compression=False)
    assert server.state()["uri"].startswith("wss://")
    context = authority.context(authority.issue("visitor", client=True))
    headers = {"Origin": "https://a.example", "Sec-WebSocket-Protocol": "one"}
    peer, connection = server.join(tls=context, headers=headers)
    told = server.call("describe", connection=connection)
    assert told["tls"] is True and told["client-subject"] == "CN=visitor" and told["protocol"] == "one"
    assert peer.read_frame().opcode == 9  # a Ping, after one second
    with pytest.raises(Exception, match="403"):
        server.join(tls=context, headers={"Origin": "https://b.example"})
    server.join(tls=context, headers=headers)
    with pytest.raises(Exception, match="429"):
        server.join(tls=context, headers=headers)


@pytest.mark.parametrize("which", ["certificate", "private_key", "client_ca"])
def test_whichever_file_cannot_be_opened_is_named(app, authority, tmp_path, which):
    identity = authority.issue()
    files = {"certificate": str(identity.certificate), "private_key": str(identity.key), which: str(tmp_path / "missing.pem")}
    expect_error("CertificateNotFound", app.new_server().start, **files, names="missing.pem: No such file")


@pytest.mark.parametrize("which", ["certificate", "private_key", "client_ca"])
def test_a_fifo_for_a_certificate_hangs_nobody(app, authority, tmp_path, which):
    identity = authority.issue()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    files = {"certificate": str(identity.certificate), "private_key": str(identity.key), which: str(fifo)}
    server = app.new_server()
    assert error_of(server.start, **files).name in ("CertificateNotFound", "InvalidArgument")
    server.start()
    server.assert_serves()


def test_starting_twice_is_refused_and_harms_nothing(app):
    server = app.new_server()
    first, second = server.start_later(), server.start_later()
    assert app.answer(second)["error"]["name"].endswith("AlreadyRunning")
    assert app.answer(first)["result"] is True
    expect_error("AlreadyRunning", server.start)
    expect_error("AlreadyRunning", server.start, sync=True)
    server.port = server.state()["port"]
    server.assert_serves()


def test_stopping_what_does_not_run_is_refused(app):
    server = app.new_server()
    expect_error("NotRunning", server.stop)
    expect_error("NotRunning", server.stop, sync=True)
    expect_error("NotRunning", server.call, "broadcast", text="x")
    server.start()
    server.stop()
    expect_error("NotRunning", server.stop)


def test_many_stops_at_once_all_end_together(server):
    tags = [server.say("stop") for _ in range(5)]
    expect_error("AlreadyRunning", server.start)
    assert all(server.app.answer(tag)["result"] for tag in tags)
    server.start()
    server.assert_serves()


def test_a_stop_whose_waiting_is_cancelled_still_stops(server):
    port = server.port
    peer, connection = server.join()
    expect_error(CANCELLED, server.stop, cancellable="c", cancel=True)
    assert peer.finish_close() == (1001, b"")
    server.wait_state("stopped")
    assert server.closed(connection)[0] == 1001 and can_bind(port)


def test_a_stop_that_waits_in_the_thread_can_be_cancelled(server):
    peer, _connection = server.join()
    tag = server.say("stop", sync=True, cancellable="c")
    assert peer.read_close()[0] == 1001
    server.app.cancel("c")
    assert server.app.answer(tag)["error"]["domain"] == "g-io-error-quark"
    peer.send_close(1001)
    server.wait_state("stopped")


def test_a_stop_during_the_start_wins(app):
    server = app.new_server()
    for _ in range(20):
        start = app.now()
        starting, stopping = server.start_later(), server.say("stop")
        assert app.answer(starting)["error"]["name"].endswith("ShuttingDown")
        assert app.answer(stopping)["result"] is True
        assert server.state()["state"] == "stopped" and "running" not in states(server, start)
    server.start()
    server.assert_serves()


def test_a_stop_whose_waiting_is_cancelled_still_ends_the_start(app):
    server = app.new_server()
    starting, stopping = server.start_later(), server.say("stop", cancellable="c", cancel=True)
    assert app.answer(stopping)["error"]["domain"] == "g-io-error-quark"
    assert app.answer(starting)["error"]["name"].endswith("ShuttingDown")
    until(lambda: server.state()["state"] == "stopped", what="the server to be stopped")
    server.start()
    server.assert_serves()


@pytest.mark.parametrize("after", [0, 0.001, 0.002, 0.004, 0.008, 0.02, 0.05])
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_start_that_is_cancelled_at_any_time_leaves_nothing_behind(app, after, sync):
    server = app.new_server()
    port = free_port()
    tag = server.start_later(port=port, cancellable="c", sync=sync, cancel=after == 0 and not sync)
    if after:
        time.sleep(after)  # so that it comes at another step each time
    app.cancel("c")
    answer = app.answer(tag)
    if answer["result"]:  # it was too late
        server.stop()
    else:
        assert answer["error"]["domain"] == "g-io-error-quark" and answer["error"]["code"] == 19
    stopped = server.say("stop")
    app.answer(stopped)
    assert server.state()["state"] == "stopped" and can_bind(port)
    server.start(port=port)
    server.assert_serves()


def test_starts_that_are_cancelled_do_not_use_up_the_servers_an_app_may_have(app):
    server = app.new_server()
    for number in range(40):
        expect_error(CANCELLED, server.start, cancellable=f"c{number}", cancel=True)
        until(lambda: server.state()["state"] == "stopped", what="the server to be stopped")
    server.start()
    server.assert_serves()


def test_a_start_with_a_cancellable_that_is_cancelled_does_nothing(app):
    app.cancel("c")
    server = app.new_server()
    expect_error(CANCELLED, server.start, cancellable="c")
    assert states(server) == []


def test_an_app_may_stop_and_start_in_the_callbacks_of_each_other(app):
    server = app.new_server()
    again = [{"do": "stop", "server": "a", "tag": "first stop", "then": [
        {"do": "start", "server": "a", "tag": "second start", "then": [{"do": "stop", "server": "a", "sync": True, "tag": "last"}]}]}]
    server.app.answer(server.start_later(then=again))
    for tag in ("first stop", "second start", "last"):
        assert app.answer(tag)["result"] is True
    assert states(server) == ["starting", "running", "stopping", "stopped"] * 2


def test_a_start_and_stop_in_the_callback_of_a_stop_are_about_the_next_run(app):
    server = app.running_server()
    then = [{"do": "start", "server": "a", "tag": "start"}, {"do": "stop", "server": "a", "tag": "second"}]
    first = server.say("stop", then=then)
    assert app.answer(first)["result"] is True
    assert app.answer("start")["error"]["name"].endswith("ShuttingDown")
    assert app.answer("second")["result"] is True
    assert server.state()["state"] == "stopped"


@pytest.mark.parametrize("event", ["connect", "message", "close", "stopping"])
def test_waiting_for_the_stop_inside_a_handler_is_refused_instead_of_waiting_for_ever(server, event):
    server.plan(event, {"do": "stop", "sync": True, "tag": "inside"})
    peer, _connection = server.join()
    if event != "connect":
        peer.send_message("x")
        server.wait_message("x")
    if event == "close":
        peer.leave()
    elif event == "stopping":
        server.stop()
    error = server.app.answer("inside")["error"]
    assert error["name"].endswith("Failed") and "ws_server_stop_async" in error["message"]


@pytest.mark.parametrize("event", ["connect", "message", "close"])
def test_stopping_inside_a_handler_works(server, event):
    server.plan(event, {"do": "stop", "tag": "inside"})
    peer, _connection = server.join()
    peer.send_message("x")
    if event == "close":
        peer.leave()
    assert server.app.answer("inside")["result"] is True
    server.plan(event)
    server.start()
    server.assert_serves()


@pytest.mark.parametrize("event", ["connect", "message", "close", "starting", "running", "stopping", "stopped"])
@pytest.mark.parametrize("dispose", [False, True], ids=["unref", "dispose"])
def test_a_server_may_be_dropped_inside_every_handler(app, event, dispose):
    server = app.new_server()
    server.plan(event, {"do": "drop", "dispose": dispose, "tag": "dropped"})
    try:
        server.start()
        peer, _connection = server.join()
        peer.send_message("x")
        if event in ("close", "stopping", "stopped"):
            peer.leave()
            server.say("stop")
    except (Failed, AssertionError, OSError, EOFError, KeyError):
        assert event in ("connect", "starting", "running")
    app.answer("dropped")
    if server.port:
        until(lambda: can_bind(server.port), what="the port to be free")


@pytest.mark.parametrize("when", ["never started", "starting", "running", "stopping", "stopped", "sending"])
@pytest.mark.parametrize("dispose", [False, True], ids=["unref", "dispose"])
def test_a_server_may_be_dropped_in_every_state(app, when, dispose):
    server = app.new_server()
    if when == "starting":
        server.start_later()
    elif when != "never started":
        server.start()
        _peer, connection = server.join()
    if when in ("stopping", "stopped"):
        tag = server.say("stop")
    if when == "stopped":
        server.leave()
        app.answer(tag)
    if when == "sending":
        tags = [server.say("send", connection=connection, size=5_000_000, via="async") for _ in range(6)]
    server.call("drop", dispose=dispose)
    if when == "sending":  # more than sockets hold, so the last is still under way
        errors = [app.answer(tag)["error"] for tag in tags]
        assert errors[-1]["name"].endswith("ConnectionNotFound")
    if server.port:
        server.leave()
        until(lambda: can_bind(server.port), what="the port to be free")
    other = app.running_server("other")
    other.assert_serves()


def test_another_server_may_be_started_and_waited_for_inside_a_handler(app):
    one, two = app.running_server("one"), app.new_server("two")
    one.plan("message", {"do": "start", "server": "two", "sync": True, "tag": "two"},
             {"do": "stop", "server": "two", "sync": True, "tag": "over"}, {"do": "send"})
    peer, _connection = one.join()
    for number in range(3):
        peer.send_message(str(number))
        assert peer.read_message() == str(number)
    assert len(two.events("notify", property="state", value="running")) == 3


@pytest.mark.parametrize("how", ["return", "quit"])
@pytest.mark.parametrize("when", ["starting", "serving", "stopping"])
def test_an_app_that_ends_in_the_middle_leaks_nothing_and_its_peers_are_told(app, how, when):
    server = app.new_server()
    if when == "starting":
        server.start_later()
    else:
        server.start()
        peer, connection = server.join()
        server.say("send", connection=connection, size=2_000_000, via="async")
    if when == "stopping":
        server.say("stop")
    app.end(how)


def test_an_administrator_stops_the_server_and_the_app_starts_it_again(administrated, new_driven, new_app, delivery):
    app = new_driven(administrated, delivery)
    server = app.running_server()
    peer, connection = server.join()
    other = new_app(administrated).adopt(server.state()["path"])
    stopping = other.call_later("Stop")
    assert peer.finish_close() == (1001, b"")
    stopping.result()
    server.wait_state("stopped")
    assert server.closed(connection) == (1001, "", True)
    assert states(server) == ["starting", "running", "stopping", "stopped"]
    server.start()
    server.assert_serves()


def test_a_stop_of_the_app_and_one_of_the_administrator_meet(administrated, new_driven, new_app, delivery):
    app = new_driven(administrated, delivery)
    server = app.running_server()
    other = new_app(administrated).adopt(server.state()["path"])
    for _ in range(10):
        stopping = other.call_later("Stop")
        tag = server.say("stop")
        assert app.answer(tag)["result"] is True or "NotRunning" in str(app.answer(tag))
        try:
            stopping.result()
        except Exception as error:  # noqa: BLE001
            assert "NotRunning" in str(error), error
        until(lambda: server.state()["state"] == "stopped", what="the server to be stopped")
        server.start()
    server.assert_serves()


def test_as_many_servers_as_the_service_allows_run_in_one_process(app):
    servers = [app.running_server(f"s{number}") for number in range(16)]
    for server in servers:
        server.assert_serves()
    error = expect_error("LimitExceeded", app.new_server("one more").start)
    assert error["number"] == 2302999
    Peer(servers[0].port).close()
