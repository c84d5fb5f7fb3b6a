# SPDX-License-Identifier: Apache-2.0
"""Start: every row of its table, what is refused and in which order, and what each option then does to peers."""

import ipaddress
import socket
import time

import pytest
from blackbox.app import START_TYPES, expect_error
from blackbox.peer import BINARY, PING, Peer, Refused, Stream, can_bind, encode_frame, free_port, refusal
from blackbox.wire import Variant

FOREIGN_ADDRESS = "203.0.113.7"  # reserved for documentation: no machine has it


def test_a_server_starts_with_nothing_but_a_port_and_listens_on_every_address(app):
    server = app.create_server()
    port = free_port()
    server.start(serverPort=port)
    assert (server.get("ServerPort"), server.get("ServerIP"), server.get("State")) == (port, "0.0.0.0", "running")
    for host in ("127.0.0.1", "127.0.0.2"):
        Peer(port, host).assert_alive()


@pytest.mark.parametrize("port_type", "qiuxt")
def test_a_port_is_understood_in_every_integer_type_of_language_bindings(app, port_type):
    server, port = app.create_server(), free_port()
    server.start(serverIP="127.0.0.1", serverPort=Variant(port_type, port))
    assert server.get("ServerPort") == port
    Peer(port).assert_alive()


@pytest.mark.parametrize("port_type", "qiuxt")
def test_port_0_finds_a_free_port_and_tells_it(app, port_type):
    server = app.create_server()
    server.start(serverIP="127.0.0.1", serverPort=Variant(port_type, 0))
    assert server.port != 0
    Peer(server.port).assert_alive()


@pytest.mark.parametrize("port", [
    Variant("i", 65536), Variant("u", 65536), Variant("x", 65555), Variant("t", 65536), Variant("x", 123456489764556454),
    Variant("t", 2**64 - 1), Variant("u", 2**32 - 1), Variant("i", -1), Variant("x", -(2**63)), Variant("i", -65535),
])
def test_a_port_out_of_range_is_called_so_and_not_cut_to_16_bits(app, port):
    expect_error("InvalidPort", app.create_server().start, serverPort=port, names="serverPort")


@pytest.mark.parametrize("address", [
    "0.0.0.0..", "266.0.0.0", "1:2:3:4:5:6:7:8:9", "localhost", "127.0.0.1 ", "127.1", "1.2.3.4.5", "[::1]", "::1%lo0zz",
    "fe80::1%nosuchinterface", "fe80::1", "127.0.0.1:80", "0x7f000001", "\u0661\u0662\u0667.0.0.1", "1" * 5000,
])
def test_what_is_no_address_is_refused_as_such(app, address):
    expect_error("InvalidAddress", app.create_server().start, serverIP=address, names="serverIP")


@pytest.mark.parametrize("address", [FOREIGN_ADDRESS, "2001:db8::77"])
def test_an_address_that_this_machine_does_not_have_is_refused(app, address):
    server = app.create_server()
    expect_error("InvalidAddress", server.start, serverIP=address)
    server.start(serverIP="127.0.0.1")


@pytest.mark.parametrize("key", ["maxConcurrentClientsNumber", "maxConnectionsForOneClient"])
@pytest.mark.parametrize("value, error", [(0, "InvalidArgument"), (65536, "LimitExceeded"), (2**32 - 1, "LimitExceeded")])
def test_a_limit_out_of_range_is_refused_by_name(app, key, value, error):
    expect_error(error, app.create_server().start, names=key, **{key: value})


@pytest.mark.parametrize("key", ["maxConcurrentClientsNumber", "maxConnectionsForOneClient"])
@pytest.mark.parametrize("value", [1, 65535])
def test_a_limit_at_the_end_of_its_range_is_taken(app, key, value):
    app.running_server(**{key: value}).join()[0].assert_alive()


WRONG_VALUES = {"s": ("s", "1"), "u": ("u", 1), "i": ("i", 1), "b": ("b", True), "ay": ("ay", b"1"), "d": ("d", 1.0),
                "v": ("v", Variant("q", 1)), "as": ("as", ["1"]), "y": ("y", 1), "n": ("n", 1), "g": ("g", "u"),
                "a{sv}": ("a{sv}", {}), "o": ("o", "/x")}


@pytest.mark.parametrize("key", START_TYPES)
def test_an_option_of_a_wrong_type_is_refused_by_name(app, key):
    server = app.create_server()
    for wrong, (signature, value) in WRONG_VALUES.items():
        if wrong == START_TYPES[key] or (key == "serverPort" and wrong in "iu"):
            continue
        expect_error("InvalidArgument", server.start, names=key, **{"serverPort": 0, key: Variant(signature, value)})
    assert server.get("State") == "created"


@pytest.mark.parametrize("key", ["serverport", "port", "serverCert", "maxClients", "", "serverPort ", "\u670d\u52a1\u5668"])
def test_a_misspelt_option_is_refused_by_name_instead_of_ignored(app, key):
    expect_error("InvalidArgument", app.create_server().start, names=key, **{"serverPort": 0, key: Variant("u", 1)})


def test_a_missing_port_is_named(app):
    expect_error("InvalidArgument", app.create_server().start, serverPort=None, serverIP="127.0.0.1", names="serverPort")


def test_compression_may_be_declined(app):
    app.running_server(compression=False).join()[0].assert_alive()


@pytest.mark.parametrize("size, error", [(0, "InvalidArgument"), (2**24 + 1, "InvalidArgument"), (2**64 - 1, "InvalidArgument")])
def test_a_message_size_out_of_range_is_refused_by_name(app, size, error):
    expect_error(error, app.create_server().start, maxMessageSize=size, names="maxMessageSize")


def test_messages_of_16_mib_can_be_allowed(app):
    server = app.running_server(maxMessageSize=2**24)
    peer, connection = server.join()
    data = bytes(range(256)) * 2**16
    peer.send_frame(BINARY, data, key=bytes(4))
    assert server.wait("MessageReceive").args == (connection, False, data)
    sent = server.send_later(connection, data)
    assert peer.read_message() == data
    sent.result()


@pytest.mark.parametrize("protocol", [
    "with space", "chat\r\nX-Injected: yes", "a;b", "chat,", ",", "\u00fc", "a\tb", "(x)", "a,a", "x" * 5000,
])
def test_a_protocol_that_could_break_the_response_is_refused(app, protocol):
    expect_error("InvalidArgument", app.create_server().start, protocol=protocol, names="protocol")


@pytest.mark.parametrize("key", ["pingInterval", "pongTimeout"])
@pytest.mark.parametrize("value", [0, 1, 30000])
def test_a_heartbeat_can_be_set_or_switched_off(app, key, value):
    app.running_server(**{key: value}).join()[0].assert_alive()


@pytest.mark.parametrize("key", ["pingInterval", "pongTimeout"])
def test_a_heartbeat_out_of_range_is_refused_by_name(app, key):
    expect_error("InvalidArgument", app.create_server().start, names=key, **{key: 2**32 - 1})


def test_a_peer_is_pinged_and_dropped_when_it_does_not_answer(app):
    server = app.running_server(pingInterval=1, pongTimeout=1)
    (silent, silent_id), (lively, lively_id) = server.join(), server.join()
    assert silent.read_frame().opcode == PING
    for _ in range(3):
        ping = lively.read_frame()
        assert ping.opcode == PING
        lively.send_frame(10, ping.payload)
    assert server.wait_closed(silent_id) == (1006, "", False)
    assert not server.find("Closed", lambda connection, *_rest: connection == lively_id)
    lively.assert_alive()


# Each row breaks two rules; the contract says which one is reported.
ORDER = [
    ("InvalidAddress", "serverIP", {"serverIP": "266.0.0.0", "serverPort": Variant("u", 70000)}),
    ("InvalidAddress", "serverIP", {"serverIP": "266.0.0.0", "maxConcurrentClientsNumber": 0}),
    ("InvalidAddress", "serverIP", {"serverIP": "266.0.0.0", "certificate": Variant("h", 0)}),
    ("InvalidPort", "serverPort", {"serverPort": Variant("u", 70000), "maxConcurrentClientsNumber": 0}),
    ("InvalidPort", "serverPort", {"serverPort": Variant("u", 70000), "certificate": Variant("h", 0)}),
    ("InvalidPort", "serverPort", {"serverPort": Variant("u", 70000), "serverIP": FOREIGN_ADDRESS}),
    ("InvalidArgument", "maxConcurrentClientsNumber", {"maxConcurrentClientsNumber": 0, "certificate": Variant("h", 0)}),
    ("LimitExceeded", "maxConnectionsForOneClient", {"maxConnectionsForOneClient": 65536, "serverIP": FOREIGN_ADDRESS}),
    ("CertificateNotFound", "privateKey", {"certificate": Variant("h", 0), "serverIP": FOREIGN_ADDRESS}),
]


@pytest.mark.parametrize("error, key, options", ORDER)
def test_of_two_faults_the_first_in_the_documented_order_is_reported(app, tmp_path, error, key, options):
    with open(tmp_path / "file.pem", "w+") as file:
        expect_error(error, app.create_server().start, [file.fileno()], names=key, **options)


@pytest.mark.parametrize("error, options", [
    ("LimitExceeded", {"maxConcurrentClientsNumber": 65536}), ("InvalidArgument", {"allowedOrigins": ["x"]}), ("PortInUse", {}),
])
def test_a_taken_port_is_reported_last(app, error, options):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        expect_error(error, app.create_server().start, serverIP="127.0.0.1", serverPort=holder.getsockname()[1], **options)


@pytest.mark.parametrize("configuration", [{"deviceProfile": "phone"}, {"allowedProfiles": ["tv"]}, {"allowedProfiles": []}])
def test_a_device_that_may_not_run_servers_says_so_before_anything_else(new_service, new_app, configuration):
    app = new_app(new_service(configuration))
    server = app.create_server()
    for options in ({}, {"serverIP": "266.0.0.0", "serverPort": Variant("u", 70000), "noSuchOption": Variant("u", 1)}):
        expect_error("NotSupported", server.start, **options)
    assert server.get("State") in ("created", "failed")


def test_a_device_profile_can_be_allowed_by_configuration(new_service, new_app):
    app = new_app(new_service({"deviceProfile": "car", "allowedProfiles": ["smart-screen", "car"]}))
    app.running_server().join()[0].assert_alive()


def test_the_protocol_that_the_server_prefers_is_chosen(app):
    server = app.running_server(protocol="superchat, chat")
    assert server.get("Protocol").replace(" ", "") == "superchat,chat"
    for offered, chosen in (("chat", "chat"), ("chat, superchat", "superchat"), ("x, chat", "chat")):
        peer, connection = server.join(headers={"Sec-WebSocket-Protocol": offered})
        assert peer.response.headers["sec-websocket-protocol"] == chosen
        assert server.find("Connect", lambda i, *_r: i == connection)[0].args[3]["protocol"] == chosen
    peer, connection = server.join()
    assert "sec-websocket-protocol" not in peer.response.headers
    response = refusal(server.port, headers={"Sec-WebSocket-Protocol": "Chat"})
    assert response.status == 400 and b"superchat" in response.body and b"chat" in response.body


def test_without_a_protocol_a_peer_may_offer_any_and_gets_none(server):
    peer, _connection = server.join(headers={"Sec-WebSocket-Protocol": "anything"})
    assert "sec-websocket-protocol" not in peer.response.headers


def test_the_dual_stack_address_serves_ipv4_peers_as_ipv4(app):
    if not socket.has_ipv6 or not can_bind(free_port(), "::1"):
        pytest.skip("no IPv6 here")
    server = app.create_server()
    server.start(serverIP="::", maxConnectionsForOneClient=1)
    peer, connection = server.join()
    assert server.find("Connect")[0].args[1] == "127.0.0.1"
    with pytest.raises(Refused):
        Peer(server.port)
    six = Peer(server.port, "::1")
    six.assert_alive()
    assert server.wait("Connect", lambda _i, ip, _p, _d: ip == "::1")
    assert {entry[1] for entry in server.list_connections()} == {"127.0.0.1", "::1"}


def test_an_ipv6_server_listens_on_that_address_alone(app):
    if not can_bind(free_port(), "::1"):
        pytest.skip("no IPv6 here")
    server = app.create_server()
    server.start(serverIP="::1")
    Peer(server.port, "::1").assert_alive()
    with pytest.raises(ConnectionRefusedError):
        Stream(server.port, "127.0.0.1")


def link_local_address() -> str:
    """One of this machine's, with its %zone."""
    with open("/proc/net/if_inet6") as lines:
        for address, _index, _length, scope, _flags, interface in map(str.split, lines):
            if scope == "20":
                return str(ipaddress.IPv6Address(bytes.fromhex(address))) + "%" + interface
    pytest.skip("no link-local address here")


def test_a_link_local_address_is_listened_on_through_its_zone(app):
    address = link_local_address()
    server = app.create_server()
    server.start(serverIP=address)
    peer = Peer(server.port, address)
    client_ip = server.wait("Connect").args[1]
    assert client_ip == address
    peer.assert_alive()
    for elsewhere in ("127.0.0.1", "::1"):
        with pytest.raises(OSError):
            Stream(server.port, elsewhere)


def test_a_limit_is_kept_per_address_and_a_place_is_free_again_when_its_peer_left(app):
    server = app.running_server(maxConcurrentClientsNumber=3, maxConnectionsForOneClient=3)
    peers = [Peer(server.port) for _ in range(3)]
    assert refusal(server.port).status == 429
    others = [Peer(server.port, source=f"127.0.0.{last}") for last in (2, 3)]
    assert refusal(server.port, source="127.0.0.4").status == 503
    assert server.get("Refused") == 2
    peers[0].leave()
    server.wait("Closed")
    Peer(server.port).assert_alive()
    others[0].leave()
    server.wait("Closed", count=2)
    Peer(server.port, source="127.0.0.4").assert_alive()


def test_a_client_connects_at_the_first_try_after_start(app):
    for _ in range(10):
        server = app.running_server()
        Peer(server.port).assert_alive()
        server.release()


def test_many_frames_in_the_segment_of_the_request_are_messages_like_any_other(server):
    frames = b"".join(encode_frame(BINARY, bytes([number])) for number in range(20))
    peer, connection = server.join(first=frames)
    server.wait("MessageReceive", count=20)
    assert server.messages(connection) == [bytes([number]) for number in range(20)]
    assert server.events[0].member == "Connect"


def test_connected_at_is_the_time_of_day(server):
    before = time.time()
    server.join()
    connected_at = server.events[0].args[3]["connectedAt"] / 1e6
    assert before - 5 <= connected_at <= time.time() + 5
