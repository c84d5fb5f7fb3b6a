# SPDX-License-Identifier: Apache-2.0
"""Faults known from another implementation of this API, each of which would cost users something here as well."""

import socket

import pytest
from blackbox.app import expect_error
from blackbox.peer import BINARY, CLOSE, TEXT, Peer, Refused, Stream, can_bind, free_port, refusal, request
from blackbox.wire import DBusError


def test_one_browser_that_closes_its_page_does_not_end_the_server_for_all(server):
    """Fault 1: a Close frame without a status stopped the server and cut every peer."""
    others = [server.join() for _ in range(3)]
    leaving, connection = server.join()
    leaving.send_frame(CLOSE, b"")
    assert leaving.read_frame().opcode == CLOSE
    assert server.wait_closed(connection) == (1005, "", True)
    for peer, identity in others:
        server.send(identity, "still here")
        assert peer.read_message() == "still here"
    server.join()[0].assert_alive()
    assert len(server.find("Closed")) == 1


def test_every_one_of_three_sends_in_a_row_goes_out_at_once(server):
    """Fault 2: one went out, two waited for the next send."""
    peer, connection = server.join()
    for round_number in range(20):
        messages = [f"{round_number}.{number}" for number in range(3)]
        calls = [server.send_later(connection, message) for message in messages]
        assert [peer.read_message() for _ in messages] == messages
        for call in calls:
            call.result()


def test_a_server_is_reachable_at_its_address_and_nowhere_else(app):
    """Fault 4: serverIP was ignored, and a foreign address "started" with nothing listening."""
    server = app.create_server()
    server.start(serverIP="127.0.0.2")
    Peer(server.port, "127.0.0.2").assert_alive()
    for elsewhere in ("127.0.0.1", "127.0.0.3"):
        with pytest.raises(ConnectionRefusedError):
            Stream(server.port, elsewhere)
    assert server.get("ServerIP") == "127.0.0.2"
    expect_error("InvalidAddress", app.create_server().start, serverIP="198.51.100.9")


def test_limits_that_are_left_out_are_ten_and_not_zero(server):
    """Fault 5: omitted limits became 0 and every peer was refused."""
    peers = [Peer(server.port) for _ in range(10)]
    assert refusal(server.port).status == 429
    peers += [Peer(server.port, source=f"127.0.1.{number}") for number in range(1, 10)]
    assert refusal(server.port, source="127.0.1.10").status == 503
    for peer in peers:
        peer.assert_alive()


def test_a_server_can_be_restarted_at_once_and_nobody_is_cut_without_a_close_frame(app):
    """Fault 6: the port stayed bound for up to 30 s, and some peers were cut."""
    server, port = app.create_server(), free_port()
    for _ in range(3):
        server.start(serverIP="127.0.0.1", serverPort=port)
        peers = [server.join()[0] for _ in range(8)]
        stop = server.call_later("Stop")
        assert [peer.finish_close()[0] for peer in peers] == [1001] * 8
        stop.result()
        assert can_bind(port)


def test_a_busy_port_is_an_error_and_not_a_server_that_nobody_reaches(app):
    """Fault 7: start said true on a busy port; a second start corrupted a running server."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        server, port = app.create_server(), holder.getsockname()[1]
        expect_error("PortInUse", server.start, serverIP="127.0.0.1", serverPort=port, names=str(port))
    server.start(serverIP="127.0.0.1", serverPort=port)
    peer, _connection = server.join()
    expect_error("PortInUse", app.create_server().start, serverIP="127.0.0.1", serverPort=port)
    expect_error("AlreadyRunning", server.start, serverIP="127.0.0.1", serverPort=port)
    peer.assert_alive()
    server.join()[0].assert_alive()


def test_a_protocol_that_was_asked_for_is_spoken_or_refused_in_http(app):
    """Fault 8: protocol was ignored, and a peer that offered another one was cut without an answer."""
    server = app.running_server(protocol="my-protocol")
    peer, _connection = server.join(headers={"Sec-WebSocket-Protocol": "my-protocol"})
    assert peer.response.headers["sec-websocket-protocol"] == "my-protocol"
    with pytest.raises(Refused) as refused:
        Peer(server.port, headers={"Sec-WebSocket-Protocol": "other"})
    assert refused.value.response.status == 400 and b"my-protocol" in refused.value.response.body


def test_a_refused_client_can_show_its_user_a_reason(app):
    """Fault 9: refused peers got zero octets."""
    server = app.running_server(maxConcurrentClientsNumber=1, maxConnectionsForOneClient=1)
    server.join()
    for source, status in (("127.0.0.1", 429), ("127.0.0.2", 503)):
        response = refusal(server.port, source=source)
        assert response.status == status and len(response.body.strip()) > 10


def test_an_apps_own_close_code_and_reason_arrive_and_nothing_is_thrown_away_before(server):
    """Fault 11: 3000-4999 could not be sent, 1005, 1006 and 1015 could, the reason was lost, and so was queued data."""
    peer, connection = server.join(receive_buffer=4096)
    for code in (1005, 1006, 1015):
        expect_error("InvalidArgument", server.close_connection, connection, code)
    calls = [server.send_later(connection, bytes([number]) * 60000) for number in range(15)]
    calls.append(server.call_later("Close", "tqs", connection, 4321, "because"))
    assert [peer.read_message() for _ in range(15)] == [bytes([number]) * 60000 for number in range(15)]
    assert peer.finish_close() == (4321, b"because")
    assert server.wait_closed(connection) == (4321, "because", True)
    for call in calls:
        call.result()


def test_an_app_sees_how_much_waits_and_is_stopped_before_memory_is(server):
    """Fault 12: the send queue had no bound and could not be seen."""
    _peer, connection = server.join(receive_buffer=4096)
    assert server.get("QueuedBytes") == 0
    assert any(is_refused(server, connection) for _ in range(1000))
    assert 0 < server.get("QueuedBytes") < 4 << 20


def is_refused(server, connection: int) -> bool:
    try:
        server.send(connection, bytes(1 << 16))
    except DBusError as error:
        assert error.name == "org.wsserver1.Error.WouldBlock"
        return True
    return False


def test_a_late_message_never_reaches_a_stranger_on_the_same_address_and_port(server):
    """Fault 13: connections were known by address and port, which get reused."""
    address = ("127.0.0.1", free_port())
    first, old = server.join(source=address)
    first.reset()
    server.wait_closed(old)
    stranger = Peer(server.port, source=address)
    assert stranger.address == address
    server.wait("Connect", count=2)
    new = server.find("Connect")[1].args[0]
    assert new != old
    expect_error("ConnectionNotFound", server.send, old, "secret")
    expect_error("ConnectionNotFound", server.close_connection, old)
    assert server.broadcast("secret", [old]) == 0
    server.send(new, "for you")
    assert stranger.read_message() == "for you"
    stranger.assert_alive()


@pytest.mark.parametrize("path", ["/", "/index.html", "/meson.build", "/../../../../etc/passwd", "//etc/passwd",
                                  "/%2e%2e/%2e%2e/etc/passwd", "file:///etc/passwd", "/proc/self/environ"])
def test_no_request_reads_a_file_of_this_device(server, path):
    """Fault 15: a plain GET served files from the working directory."""
    for method in ("GET", "HEAD", "POST"):
        response = request(server.port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), then_finish=False)
        assert response.status >= 400
        assert b"root:" not in response.body and b"project(" not in response.body and len(response.body) < 1000


def test_binary_stays_binary_and_text_stays_text(server):
    """Fault 16: binary messages arrived as strings."""
    peer, connection = server.join()
    for opcode, data in ((BINARY, b"looks like text"), (TEXT, b"is text"), (BINARY, b"\x00\xff"), (BINARY, b""), (TEXT, b"")):
        count = len(server.find("MessageReceive")) + 1
        peer.send_frame(opcode, data)
        server.wait("MessageReceive", count=count)
        assert server.find("MessageReceive")[-1].args == (connection, opcode == TEXT, data)
        server.call("Send", "tbay", connection, opcode == TEXT, data)
        assert peer.read_frame() == (True, 0, opcode, False, data)
