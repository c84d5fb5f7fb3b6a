# SPDX-License-Identifier: Apache-2.0
"""The guide's server as a program in JavaScript has it: what its calls come to, and which events fire."""

import json
import socket
import sys

import pytest
from blackbox.peer import Peer, Refused, can_bind, free_port
from program import ROOT, SERVER_EVENTS

sys.path.insert(0, str(ROOT / "tests" / "client-lib"))
from fake import Fake, fail  # noqa: E402

UNKNOWN = '{clientIP: "1.1.1.1", clientPort: 8888}'


def is_refused(port: int, source: str = "127.0.0.1") -> int:
    """The status."""
    with pytest.raises(Refused) as refused:
        Peer(port, source=source)
    return refused.value.response.status


def test_two_servers_are_two(program):
    assert program.run("const [a, b] = [webSocket.createWebSocketServer(), webSocket.createWebSocketServer()]; return a != null && a !== b")
    assert program.run("return namespace === webSocket")


@pytest.mark.parametrize("config", [
    {}, {"protocol": "my-protocol"}, {"serverCert": {"certPath": "", "keyPath": ""}}, {"serverIP": None}, {"serverIP": ""},
    {"maxConcurrentClientsNumber": 10, "maxConnectionsForOneClient": 10},
])
def test_it_starts_and_stops(program, port, config):
    server = program.new_server()
    server.start(port, **config)
    server.assert_serves()
    server.stop()
    assert can_bind(port)


@pytest.mark.parametrize("config, code", [
    ({"serverPort": 123456489764556454}, 2302005),
    ({"serverPort": 65555}, 2302005),
    ({"serverPort": -1}, 2302005),
    ({"serverIP": "0.0.0.0.."}, 2302004),
    ({"serverIP": "266.0.0.0"}, 2302004),
    ({"serverIP": "1:2:3:4:5:6:7:8:9"}, 2302004),
    ({"serverIP": "192.0.2.1"}, 2302004),
    ({"maxConnectionsForOneClient": 65536}, 2302999),
    ({"maxConcurrentClientsNumber": 1e12}, 2302999),
    ({"maxConnectionsForOneClient": 0}, 401),
    ({"serverCert": {"certPath": "/nowhere/cert.pem", "keyPath": "/nowhere/key.pem"}}, 2302002),
    ({"serverPort": None}, 401),
    ({"serverPort": "8080"}, 401),
    ({"serverPort": 80.5}, 401),
    ({"serverIP": 127}, 401),
    ({"serverIP": "127.0.0.1\0"}, 401),
    ({"protocol": "two words"}, 401),
    ({"serverCert": "cert.pem"}, 401),
    ({"allowedOrigins": "https://a.example"}, 401),
])
def test_what_is_wrong_with_a_start_is_told_by_its_number(program, port, config, code):
    server = program.new_server()
    assert server.start_error(**{"serverPort": port, "serverIP": "127.0.0.1", **config}).code == code
    server.start(port)
    server.assert_serves()


def test_of_several_faults_the_first_in_the_documented_order_is_told(program):
    server = program.new_server()
    faults = {"serverIP": ("no address", 2302004), "serverPort": (70000, 2302005), "maxConnectionsForOneClient": (70000, 2302999),
              "serverCert": ({"certPath": "/nowhere", "keyPath": "/nowhere"}, 2302002)}
    right = {"serverIP": "127.0.0.1", "serverPort": free_port()}
    for count in range(len(faults)):
        wrong = {name: value for name, (value, _code) in list(faults.items())[count:]}
        assert server.start_error(**{**right, **wrong}).code == list(faults.values())[count][1]


@pytest.mark.parametrize("config", ["undefined", "null", "8080", "'config'"])
def test_a_start_without_a_configuration_is_refused(program, config):
    assert program.new_server().error("start", config).code == 401


def test_who_is_connected_can_be_listed_sent_to_and_closed(server):
    assert server.call("listAllConnections") == []
    peer = server.join()
    ip, port = peer.address
    [shown] = server.event("connect")
    assert shown == {"clientIP": ip, "clientPort": port}
    assert server.call("listAllConnections") == [shown]
    assert server.program.run("return (await server.listAllConnections())[0] === peer && String(peer)") == f"{ip}:{port}"
    assert server.call("send", "'hello'", "peer") is True
    assert peer.read_message() == "hello"
    assert server.call("close", "peer") is True
    assert peer.finish_close() == (1000, b"CLOSE_NORMAL")
    assert server.event("close") == [shown, {"code": 1000, "reason": "CLOSE_NORMAL"}]
    assert server.call("listAllConnections") == []


def test_a_connection_that_the_program_wrote_down_is_found_by_address_and_port(server):
    peer = server.join()
    copy = json.dumps(dict(zip(("clientIP", "clientPort"), peer.address)))
    assert server.call("send", "'hello'", copy) is True
    assert peer.read_message() == "hello"
    assert server.call("close", copy, '{code: 4321, reason: "bye"}') is True
    assert peer.finish_close() == (4321, b"bye")


def test_nobody_is_sent_to_or_closed_who_is_not_there(server):
    assert server.error("send", "'hello'", UNKNOWN).code == 2302006
    assert server.error("close", UNKNOWN).code == 2302006


@pytest.mark.parametrize("arguments", [["'hello'"], ["'hello'", "null"], ["'hello'", "{}"], ["'hello'", '{clientIP: "1.1.1.1", clientPort: "8"}'],
                                       ["42", "peer"], ["undefined", "peer"], ["{}", "peer"]])
def test_a_send_with_wrong_arguments_is_refused(server, arguments):
    server.join()
    assert server.error("send", *arguments).code == 401


@pytest.mark.parametrize("options", ["{code: 1005}", "{code: 1006}", "{code: 1015}", "{code: 999}", "{code: 2999}", "{code: 5000}", "{code: 70000}",
                                     "{code: -1}", "{code: '1000'}", "{code: 1000.5}", "{reason: 7}", "{reason: 'x'.repeat(124)}",
                                     "{reason: 'a\\0b'}", "1000"])
def test_a_close_that_cannot_be_sent_is_refused_and_nobody_is_closed(server, options):
    peer = server.join()
    assert server.error("close", "peer", options).code == 401
    peer.assert_alive()
    assert server.call("send", "'still there'", "peer") is True


def test_a_closed_connection_is_gone(server):
    peer = server.join()
    assert server.call("close", "peer", '{code: 1000, reason: "normal"}') is True
    assert server.error("close", "peer").code == 2302006
    assert server.error("send", "'late'", "peer").code == 2302006
    assert peer.finish_close() == (1000, b"normal")
    assert server.event("close")[1] == {"code": 1000, "reason": "normal"}
    assert server.error("send", "'late'", "peer").code == 2302006


def test_a_connection_of_another_server_is_nobody_here(server):
    other = server.program.running_server(free_port(), "other")
    server.join("guest")
    assert other.error("send", "'hello'", "guest").code == 2302006


def test_without_a_running_server_every_call_fails(program, port):
    server = program.new_server()
    for call in (["stop"], ["send", "'x'", UNKNOWN], ["close", UNKNOWN], ["listAllConnections"]):
        assert server.error(*call).code == 2302999
    server.start(port)
    server.stop()
    for call in (["stop"], ["send", "'x'", UNKNOWN], ["close", UNKNOWN], ["listAllConnections"]):
        assert server.error(*call).code == 2302999


@pytest.mark.parametrize("error, code", [("PermissionDenied", 201), ("NotSupported", 801)])
def test_an_app_that_may_have_no_server_hears_that_from_every_call(bare_bus, new_program, port, error, code):
    service = Fake(bare_bus.address, {"Start": fail(f"org.wsserver1.Error.{error}", "the policy says no")})
    try:
        server = new_program(bare_bus.address).new_server()
        calls = [["start", f"{{serverPort: {port}}}"], ["send", "'x'", UNKNOWN], ["close", UNKNOWN], ["listAllConnections"], ["stop"]]
        assert [server.error(*call).code for call in calls] == [code] * len(calls)
    finally:
        service.close()


def test_where_there_is_no_service_a_start_says_so(bare_bus, new_program, port):
    failed = new_program(bare_bus.address).new_server().start_error(serverPort=port)
    assert failed.code == 2302999 and "wsserverd" in failed.message


# --- Events ---

def test_each_event_fires_with_what_the_guide_says(server):
    peer = server.join()
    connection = dict(zip(("clientIP", "clientPort"), peer.address))
    assert server.event("connect") == [connection]
    peer.send_message("text")
    peer.send_message(b"\x00\xff")
    assert server.event("messageReceive") == [{"clientConnection": connection, "data": "text"}]
    assert server.event("messageReceive", 2) == [{"clientConnection": connection, "data": {"binary": "00ff"}}]
    peer.leave(4321, b"bye")
    assert server.event("close") == [connection, {"code": 4321, "reason": "bye"}]


def test_each_event_has_the_same_object_for_a_connection(server):
    server.program.run("""
        globalThis.seen = new Set();
        server.on('connect', connection => seen.add(connection));
        server.on('messageReceive', ({ clientConnection }) => seen.add(clientConnection));
        server.on('close', connection => seen.add(connection))""")
    peer = server.join()
    peer.send_message("x")
    peer.leave()
    server.event("close")
    assert server.program.run("return seen.size") == 1


def test_what_goes_wrong_with_a_running_server_is_an_event(bare_bus, new_program, port):
    """Here, the channel to it brings nonsense."""
    fake = Fake(bare_bus.address)
    server = new_program(bare_bus.address).new_server()
    server.start(port)
    fake.ends[0].sendall(b"\xff" * 64)
    [error] = server.event("error")
    assert error["code"] == 2302999 and error["message"]
    fake.close()


def test_a_bus_that_goes_away_is_an_error_and_not_the_end(new_service, new_program, port):
    service = new_service()
    server = new_program(service.bus.address).running_server(port)
    server.join()
    service.bus.kill()
    assert server.event("error")[0]["code"] == 2302999
    assert server.event("close")[1]["code"] == 1006
    assert server.error("listAllConnections").code == 2302999
    service.bus.start()
    service.wait_for_name()
    server.start(port)
    server.assert_serves()


@pytest.mark.parametrize("event", ["connect", "messageReceive", "close"])
def test_off_silences(server, event):
    server.program.run(f"""
        globalThis.count = {{ kept: 0, removed: 0 }};
        const removed = () => count.removed++;
        server.on('{event}', removed);
        server.on('{event}', () => count.kept++);
        server.off('{event}', removed)""")

    def visit():
        start = server.program.now()
        peer = Peer(server.port)
        peer.send_message("x")
        peer.leave()
        return start

    server.event("close", start=visit()) if event != "close" else server.program.wait(lambda line: line.get("event") == "close", start=visit())
    assert server.program.run("return count") == {"kept": 1, "removed": 0}
    server.program.run(f"server.off('{event}'); server.on('connect', () => say('came')); server.on('close', () => say('left'))")
    start = visit()
    server.program.event("left", start=start)
    assert server.program.run("return count") == {"kept": 1, "removed": 0}
    names = server.program.events("server", start)
    assert event not in names and len(names) == 2


def test_a_listener_that_is_added_twice_is_called_once_and_removed_at_once(server):
    server.program.run("""
        globalThis.count = 0;
        globalThis.listener = () => count++;
        server.on('connect', listener);
        server.on('connect', listener)""")
    server.join()
    assert server.program.run("return count") == 1
    server.program.run("server.off('connect', listener)")
    server.join()
    assert server.program.run("return count") == 1


def test_a_listener_that_throws_or_removes_others_harms_nobody(server):
    server.program.expects_complaints = True  # what was thrown
    server.program.run("""
        globalThis.heard = [];
        const second = () => heard.push('second');
        server.on('connect', () => { server.off('connect', second); throw new Error('on purpose'); });
        server.on('connect', second);
        server.on('connect', () => heard.push('third'))""")
    server.join()
    assert server.program.run("return heard") == ["third"]
    server.assert_serves()


@pytest.mark.parametrize("call", ["on('nonsense', () => {})", "off('nonsense')", "on('connect')", "on('connect', 7)", "off('connect', 7)", "on()"])
def test_wrong_arguments_of_on_and_off_are_refused_at_once(server, call):
    assert server.program.error(f"server.{call}").code == 401


@pytest.mark.parametrize("event", SERVER_EVENTS)
def test_off_without_a_callback_is_fine_where_nobody_listens(program, event):
    assert program.run(f"return webSocket.createWebSocketServer().off('{event}')") == "undefined"


# --- Limits ---

def test_the_fourth_address_and_the_fourth_connection_of_one_are_refused(program, port):
    server = program.running_server(port, maxConcurrentClientsNumber=3, maxConnectionsForOneClient=3)
    for name, source in (("a", "127.0.0.1"), ("b", "127.0.0.2"), ("c", "127.0.0.3")):
        server.join(name, source=source)
    assert is_refused(port, "127.0.0.4") == 503
    server.join("a2", source="127.0.0.1")
    server.join("a3", source="127.0.0.1")
    assert is_refused(port, "127.0.0.1") == 429
    server.join("b2", source="127.0.0.2")
    assert len(server.call("listAllConnections")) == 6


# --- Start and stop in turns ---

def test_a_start_and_a_stop_back_to_back_both_resolve_in_that_order(program, port):
    program.new_server()
    order = program.run(f"""
        const order = [];
        await Promise.all([server.start({{ serverPort: {port} }}).then(value => order.push(['started', value])),
                           server.stop().then(value => order.push(['stopped', value]))]);
        return order""")
    assert order == [["started", True], ["stopped", True]]
    assert can_bind(port)


def test_turns_are_taken_whatever_each_comes_to(program, port):
    server = program.new_server()
    order = program.run(f"""
        const config = {{ serverPort: {port}, serverIP: '127.0.0.1' }};
        const calls = [server.start(config), server.start(config), server.stop(), server.stop(), server.start(config)];
        return (await Promise.allSettled(calls)).map(result => result.value ?? result.reason.code)""")
    assert order == [True, 2302999, True, 2302999, True]
    server.port = port
    server.assert_serves()


def test_a_failed_start_does_not_keep_the_next_one(program, port):
    server = program.new_server()
    with socket.create_server(("127.0.0.1", port)):
        assert server.start_error(serverPort=port, serverIP="127.0.0.1").code == 2302007
    server.start(port)
    server.assert_serves()


def test_more_servers_than_an_app_may_have_come_and_go_one_after_the_other(program, port):
    """None is left in the service when it has stopped, whatever the garbage collector thinks of it."""
    assert program.run(f"""
        for (let i = 0; i < 40; i++) {{
          const server = webSocket.createWebSocketServer();
          await server.start({{ serverPort: {port}, serverIP: '127.0.0.1' }});
          await server.stop();
        }}
        return true""")
