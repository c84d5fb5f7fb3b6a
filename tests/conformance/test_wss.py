# SPDX-License-Identifier: Apache-2.0
"""The same server over TLS: every case of sections 1 to 7 and 10 once more, and what TLS itself has to hold: versions, ciphers,
records in any cutting, no renegotiation, close_notify, clients that show a certificate."""

import socket
import ssl
import subprocess

import pytest
from blackbox.app import App, Echo
from blackbox.authority import Authority
from blackbox.peer import CLOSE, TEXT, Peer, encode_frame
from blackbox.wire import until
from cases import all_cases
from heads import upgrade
from wires import PATIENCE, ServerUnderTest

CASES = {case.number: case for case in all_cases() if not case.number.startswith("9.")}


@pytest.fixture(scope="module")
def identity(authority):
    return authority.issue()


@pytest.fixture
def secure(new_server, identity):
    """A wss server that echoes."""
    server = new_server(identity=identity, pingInterval=0)
    Echo(server, acknowledge=True)
    return server


@pytest.fixture(scope="module")
def module_port(identity, _usual_service):
    """A wss server for all cases."""
    app = App(_usual_service.bus.address)
    server = app.create_server()
    identity.start(server, pingInterval=0)
    Echo(server)
    yield server.port
    app.close()


@pytest.mark.parametrize("number", CASES, ids="wss-{}".format)
def test_a_peer_finds_the_server_conforming_over_tls(module_port, authority, number):
    wire = ServerUnderTest(module_port, tls=authority.context())
    try:
        for step in CASES[number].steps:
            step(wire)
    finally:
        wire.abandon()


# A client in memory, whose records can be sent as we like


class Memory:
    """TLS without a socket: what it wants to send is ours to send."""

    def __init__(self, port: int, context: ssl.SSLContext, chop: int = 0):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.chop = chop
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def flush(self) -> None:
        octets = self.outgoing.read()
        for start in range(0, len(octets), self.chop or len(octets) or 1):
            self.socket.sendall(octets[start : start + self.chop] if self.chop else octets)

    def run(self, action):
        """Does `action`, feeding it what the server sends."""
        while True:
            try:
                result = action()
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                octets = self.socket.recv(1 << 16)
                if octets:
                    self.incoming.write(octets)
                else:
                    self.incoming.write_eof()

    def open(self) -> None:
        self.run(self.tls.do_handshake)
        self.run(lambda: self.tls.write(upgrade("localhost").octets()))
        assert self.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")

    def read_until(self, end: bytes) -> bytes:
        received = b""
        while not received.endswith(end):
            octets = self.run(lambda: self.tls.read(1))
            assert octets, received
            received += octets
        return received

    def echo(self, payload: bytes) -> None:
        self.run(lambda: self.tls.write(encode_frame(TEXT, payload)))
        self.read_until(bytes([0x81, len(payload)]) + payload)


@pytest.mark.parametrize("chop", [1, 2, 5, 1000])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_records_may_come_in_any_cutting(secure, authority, version, chop):
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    peer = Memory(secure.port, context, chop)
    peer.open()
    for number in range(5):
        peer.echo(b"message %d" % number * 5)
    peer.socket.close()


def test_a_message_may_be_cut_into_records_of_one_octet(secure, authority):
    peer = Memory(secure.port, authority.context())
    peer.open()
    frame = encode_frame(TEXT, b"an octet a record")
    for octet in frame:
        peer.run(lambda octet=octet: peer.tls.write(bytes([octet])))
    peer.read_until(b"\x81\x11an octet a record")
    peer.socket.close()


def test_many_messages_may_share_a_record(secure, authority):
    peer = Memory(secure.port, authority.context())
    peer.open()
    peer.run(lambda: peer.tls.write(b"".join(encode_frame(TEXT, b"%03d" % number) for number in range(500))))
    for number in range(500):
        peer.read_until(b"\x81\x03%03d" % number)
    peer.socket.close()


# close_notify


def test_the_server_says_close_notify_behind_its_last_frame(secure, authority):
    """An end without it could be anybody's, and would hide that octets are missing."""
    peer = Memory(secure.port, authority.context())
    peer.open()
    peer.run(lambda: peer.tls.write(encode_frame(CLOSE, b"\x03\xe8")))
    peer.read_until(b"\x88\x02\x03\xe8")
    assert peer.run(lambda: peer.tls.read(1)) == b""  # a bare end raises SSLEOFError
    assert peer.socket.recv(1) == b""
    peer.socket.close()


def test_the_server_says_close_notify_behind_a_refusal(secure, authority):
    peer = Memory(secure.port, authority.context())
    peer.run(peer.tls.do_handshake)
    peer.run(lambda: peer.tls.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    assert peer.read_until(b".\n").startswith(b"HTTP/1.1 426 ")
    assert peer.run(lambda: peer.tls.read(1)) == b""
    peer.socket.close()


@pytest.mark.parametrize("notifies", [True, False], ids=["with close_notify", "without"])
def test_a_peer_that_leaves_without_a_close_frame_was_not_clean(new_server, identity, authority, notifies):
    server = new_server(identity=identity)
    peer = Memory(server.port, authority.context())
    peer.open()
    connection = server.wait("Connect").args[0]
    if notifies:
        with pytest.raises(ssl.SSLError):
            peer.tls.unwrap()
        peer.flush()
    peer.socket.shutdown(socket.SHUT_WR)
    assert server.wait_closed(connection) == (1006, "", False)
    peer.socket.close()


# Versions, ciphers, renegotiation: asked with openssl's client, which can still do what is out of date


def s_client(port: int, *options: str, send: bytes = b"") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options]
    done = subprocess.run(command, input=send, capture_output=True, timeout=PATIENCE, check=False)
    return (done.stdout + done.stderr).decode("latin-1")


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_versions_that_are_out_of_date_are_refused(secure, version):
    said = s_client(secure.port, version, "-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" in said and "alert protocol version" in said, said


@pytest.mark.parametrize("version, name", [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_versions_of_today_are_spoken(secure, version, name):
    said = s_client(secure.port, version)
    assert f"New, {name}, Cipher is " in said and "(NONE)" not in said, said


@pytest.mark.parametrize("ciphers", ["aNULL", "eNULL", "RC4", "3DES", "MD5", "PSK", "kRSA", "AES128-SHA", "ECDHE-RSA-AES128-SHA",
                                     "DHE-RSA-AES128-GCM-SHA256", "CAMELLIA", "ARIA", "SRP"])
def test_weak_ciphers_are_refused(secure, ciphers):
    said = s_client(secure.port, "-tls1_2", "-cipher", f"{ciphers}:@SECLEVEL=0")
    assert "Cipher is (NONE)" in said or "no cipher match" in said, said


def test_renegotiation_is_refused_and_does_not_come_from_the_server(new_server, identity):
    server = new_server(identity=identity)
    said = s_client(server.port, "-tls1_2", send=b"R\n")
    assert "Secure Renegotiation IS supported" in said  # the extension, without which clients refuse to talk at all
    assert "RENEGOTIATING" in said and "no renegotiation" in said, said


def test_compression_of_tls_is_never_agreed_on(secure):
    assert "Compression: NONE" in s_client(secure.port, "-tls1_2", "-comp")


def test_early_data_is_not_taken(secure):
    said = s_client(secure.port, "-tls1_3", send=b"Q\n")
    assert "Max Early Data: 0" in said or "Early data was not sent" in said, said


# Certificates of clients


@pytest.fixture
def guarded(new_server, identity, authority):
    """A wss server that asks its peers for a certificate."""
    return new_server(identity=identity, client_ca=authority.certificate)


def test_a_client_with_a_certificate_comes_in_and_the_app_knows_its_name(guarded, authority):
    peer = Peer(guarded.port, timeout=PATIENCE, tls=authority.context(authority.issue("remote control", client=True)))
    peer.assert_alive()
    assert "remote control" in guarded.wait("Connect").args[3]["clientSubject"]
    peer.close()


def test_a_client_without_a_certificate_stays_out(guarded, authority):
    with pytest.raises((OSError, EOFError)):
        Peer(guarded.port, timeout=PATIENCE, tls=authority.context())
    assert guarded.events == []
    until(lambda: guarded.get("Refused") == 1, what="the refusal to be counted")


def test_a_client_with_a_certificate_of_somebody_else_stays_out(guarded, authority, tmp_path):
    stranger = Authority(tmp_path).issue("stranger", client=True)
    with pytest.raises((OSError, EOFError)):
        Peer(guarded.port, timeout=PATIENCE, tls=authority.context(stranger))
    assert guarded.events == []


def test_a_client_with_an_expired_certificate_or_a_servers_stays_out(guarded, authority):
    for identity in (authority.issue("late", client=True, days=(-9, -1)), authority.issue("a server")):
        with pytest.raises((OSError, EOFError)):
            Peer(guarded.port, timeout=PATIENCE, tls=authority.context(identity))
    assert guarded.events == []
