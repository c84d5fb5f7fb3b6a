# SPDX-License-Identifier: Apache-2.0
"""wss: whose certificates are taken and whose are refused, what peers and apps see of TLS, and what replacing one does."""

import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import resource
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
from blackbox.authority import Authority
from blackbox.app import Echo, error_of, expect_error
from blackbox.peer import PING, PONG, TEXT, Peer, Stream, can_bind, encode_frame, free_port, upgrade_request
from blackbox.service import memory
from blackbox.wire import TIMEOUT, Variant, until

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@pytest.fixture
def identity(authority):
    return authority.issue()


@pytest.fixture
def trusting(authority):
    return authority.context()


def served(app, identity, client_ca=None, **options):
    server = app.create_server()
    identity.start(server, client_ca, **options)
    return server


def dial(server, context, **options) -> Peer:
    return Peer(server.port, "127.0.0.1", tls=context, **options)


def secured(server, context, session=None) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
    return context.wrap_socket(plain, server_hostname="localhost", session=session)


def sealed(octets: bytes, seals: int = SEALS) -> int:
    fd = os.memfd_create("pem", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, octets)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def start_with(server, *fds, **options):
    """Starts with certificate and key from descriptors, which are closed then."""
    try:
        return server.start_later(fds=fds, **{"serverIP": "127.0.0.1", "certificate": 0, "privateKey": 1, **options}).result()
    finally:
        for fd in set(fds):
            os.close(fd)


def readable(path) -> int:
    return os.open(path, os.O_RDONLY)


# What works


def test_a_peer_and_an_app_talk_over_tls_and_both_see_that_they_do(app, identity, trusting):
    server = served(app, identity)
    Echo(server)
    server.keep_events = True
    peer = dial(server, trusting)
    for data in ("héllo", b"", bytes(range(256)) * 4096, "x" * 5242864):
        peer.send_message(data)
        assert peer.read_message() == data
    details = server.wait("Connect").args[3]
    assert details["tls"] is True and "clientSubject" not in details
    assert server.get("Tls") is True
    assert peer.leave(4321, b"done")[0] == 4321
    assert server.wait_closed(server.wait("Connect").args[0]) == (4321, "done", True)


def test_the_list_of_connections_says_which_ones_are_private(app, identity, trusting):
    server = served(app, identity)
    peer = dial(server, trusting)
    assert server.list_connections()[0][3]["tls"] is True
    peer.assert_alive()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_both_kinds_of_keys_and_both_versions_work(app, authority, kind, version):
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    server = served(app, authority.issue(kind=kind))
    with dial(server, context) as peer:
        peer.assert_alive()
        assert peer.socket.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]


def test_a_server_that_wants_tls_1_3_refuses_1_2(app, identity, authority):
    server = served(app, identity, tlsMinVersion="1.3")
    old = authority.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        secured(server, old)
    dial(server, authority.context()).assert_alive()


def test_an_encrypted_key_opens_with_its_password(app, authority, trusting):
    server = served(app, authority.issue(password="geheim ü"), privateKeyPassword="geheim ü")
    dial(server, trusting).assert_alive()


def test_certificate_and_key_may_come_as_sealed_memfds(app, identity, trusting):
    server = app.create_server()
    start_with(server, sealed(identity.certificate.read_bytes()), sealed(identity.key.read_bytes()))
    server.port = server.get("ServerPort")
    dial(server, trusting).assert_alive()


def test_certificate_and_key_may_lie_in_one_file(app, identity, trusting, tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes(identity.certificate.read_bytes() + identity.key.read_bytes())
    fd = readable(both)
    server = app.create_server()
    server.start_later(fds=(fd,), serverIP="127.0.0.1", certificate=0, privateKey=0).result()
    os.close(fd)
    server.port = server.get("ServerPort")
    dial(server, trusting).assert_alive()


def test_where_the_app_has_read_to_in_its_file_does_not_matter(app, identity, trusting):
    fds = [readable(identity.certificate), readable(identity.key)]
    for fd in fds:
        os.lseek(fd, 0, os.SEEK_END)
    server = app.create_server()
    start_with(server, *fds)
    server.port = server.get("ServerPort")
    dial(server, trusting).assert_alive()


def test_a_peer_that_comes_back_with_a_ticket_saves_the_long_handshake(app, identity, authority):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        server = served(app, identity)
        context = authority.context()
        context.minimum_version = context.maximum_version = version
        first = secured(server, context)
        first.sendall(upgrade_request("localhost"))
        assert first.recv(12) == b"HTTP/1.1 101"  # by now the ticket of TLS 1.3 has come, too
        session = first.session
        second = secured(server, context, session)
        assert second.session_reused
        second.sendall(upgrade_request("localhost"))
        assert second.recv(12) == b"HTTP/1.1 101"


def test_tickets_of_another_server_are_worth_nothing(app, identity, authority):
    context = authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    first = secured(served(app, identity), context)
    assert not secured(served(app, identity), context, first.session).session_reused


def test_http_1_1_is_agreed_on_where_the_peer_asks(app, identity, authority):
    server = served(app, identity)
    context = authority.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    assert secured(server, context).selected_alpn_protocol() == "http/1.1"
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        secured(server, context)


def test_octets_that_come_one_by_one_make_a_connection_all_the_same(app, identity, trusting):
    server = served(app, identity)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
    plain = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def flush():
        for octet in outgoing.read():
            plain.send(bytes([octet]))

    def pump(action):
        while True:
            try:
                result = action()
                flush()
                return result
            except ssl.SSLWantReadError:
                flush()
                incoming.write(plain.recv(65536))

    pump(tls.do_handshake)
    pump(lambda: tls.write(upgrade_request("localhost") + encode_frame(PING, b"ab") + encode_frame(TEXT, b"hello")))
    received = b""
    while not received.endswith(b"\x8a\x02ab"):
        received += pump(lambda: tls.read(65536))
    assert received.startswith(b"HTTP/1.1 101")
    assert server.wait("MessageReceive").args[1:] == (True, b"hello")
    plain.close()


def test_many_messages_in_one_burst_arrive_without_another_octet_from_the_peer(app, identity, trusting):
    """What TLS has read ahead is not forgotten when the socket is silent."""
    server = served(app, identity)
    peer = dial(server, trusting)
    burst = b"".join(encode_frame(TEXT, b"%d" % number) for number in range(40000))
    peer.send(burst)
    sent = 40000

    def acknowledge():
        return len(server.find("MessageReceive")) == sent

    app.wait_for(acknowledge, 120, "all messages of the burst")
    assert [event.args[2] for event in server.find("MessageReceive")] == [b"%d" % number for number in range(sent)]


def test_a_slow_reader_over_tls_gets_every_octet(app, identity, trusting):
    server = served(app, identity, pongTimeout=0)
    peer = dial(server, trusting, receive_buffer=4096)
    connection = server.wait("Connect").args[0]
    payload = os.urandom(900_000)
    for _ in range(5):
        until(lambda: error_or_none(server, connection, payload), 60, "the queue to take another message")
    for _ in range(5):
        assert peer.read_message() == payload


def error_or_none(server, connection, payload) -> bool:
    reply = server.send_later(connection, payload)
    try:
        reply.result()
        return True
    except Exception as error:  # WouldBlock until the peer has read
        assert "WouldBlock" in str(error), error
        return False


def test_stopping_says_goodbye_in_both_protocols(app, identity, trusting):
    server = served(app, identity)
    peer = dial(server, trusting)
    pending = server.call_later("Stop")
    assert peer.read_close() == (1001, b"")
    peer.send_close(1001)
    assert peer.socket.recv(10) == b""  # close_notify: Python raises at an end without one
    pending.result()
    assert can_bind(server.port)


def test_a_tls_worker_stays_small(release_build, new_service, new_app, identity, authority, figure):
    service = new_service(build_folder=release_build)
    app = new_app(service)
    server = served(app, identity)
    (worker,) = service.workers()
    peers = [dial(server, authority.context()) for _ in range(5)]
    for peer in peers:
        peer.assert_alive()
    private = sum(memory(worker)[name] for name in ("Private_Dirty", "Private_Clean"))
    dirty = memory(worker)["Private_Dirty"]
    figure("private memory of a worker with TLS and five peers, MiB (dirty)", f"{dirty / 2**20:.2f} ({private / 2**20:.2f} with clean)")
    assert dirty <= 2.5 * 2**20


def test_keys_lie_in_memory_that_is_never_swapped(app, service, identity):
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] < 65536:
        pytest.skip("this user may not lock memory")
    served(app, identity)
    until(lambda: len(service.workers()) == 1, what="the process that checked the certificate to be gone")
    (worker,) = service.workers()
    status = pathlib.Path(f"/proc/{worker}/status").read_text()
    assert int(status.split("VmLck:")[1].split()[0]) >= 64, "kB"


def test_a_start_with_tls_is_quick(release_build, new_service, new_app, identity, figure):
    app = new_app(new_service(build_folder=release_build))
    times = []
    for _ in range(20):
        server = app.create_server()
        started = time.monotonic()
        identity.start(server)
        times.append((time.monotonic() - started) * 1000)
        server.release()
    figure("ms that Start takes with TLS, median and worst", f"{sorted(times)[10]:.1f}, {max(times):.1f}")


# Clients' certificates


def test_the_app_learns_whose_certificate_a_peer_has(app, authority, identity):
    server = served(app, identity, client_ca=authority.certificate)
    peer = dial(server, authority.context(authority.issue("Télécommande, Wohnzimmer", client=True)))
    subject = server.wait("Connect").args[3]["clientSubject"]
    assert subject == "CN=Télécommande\\, Wohnzimmer"
    assert server.list_connections()[0][3]["clientSubject"] == subject
    peer.assert_alive()


def test_peers_without_a_right_certificate_do_not_get_in_where_one_is_wanted(app, authority, identity, tmp_path_factory):
    other = Authority(tmp_path_factory.mktemp("other"))
    server = served(app, identity, client_ca=authority.certificate)
    stranger = other.issue("stranger", client=True)
    of_a_server = authority.issue("a server's")
    expired = authority.issue("expired", client=True, days=(-20, -10))
    for client in (None, stranger, of_a_server, expired):
        context = authority.context(client)
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):  # in TLS 1.3 the refusal comes with the first read
            dial(server, context)
    assert server.find("Connect") == []
    until(lambda: server.get("Refused") == 4, what="the refusals to be counted")


def test_a_resumed_connection_still_has_its_subject(app, authority, identity):
    server = served(app, identity, client_ca=authority.certificate)
    context = authority.context(authority.issue("remote", client=True))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    first = secured(server, context)
    first.sendall(upgrade_request("localhost"))
    assert first.recv(12) == b"HTTP/1.1 101"
    second = secured(server, context, first.session)
    assert second.session_reused
    second.sendall(upgrade_request("localhost"))
    assert second.recv(12) == b"HTTP/1.1 101"
    assert server.wait("Connect", count=2).args[3]["clientSubject"] == "CN=remote"


# Certificates that are refused


def expect_unusable(app, identity, names, client_ca=None, error="CertificateNotFound", **options):
    server = app.create_server()
    expect_error(error, identity.start, server, client_ca, names=names, **options)
    server.release()


def test_unusable_pairs_are_refused_with_the_reason(app, authority, tmp_path):
    expect_unusable(app, authority.mismatched(), "privateKey: does not belong")
    expect_unusable(app, authority.issue(days=(-20, -10)), "certificate: expired at 20")
    expect_unusable(app, authority.issue(password="secret"), "privateKey: is encrypted")
    expect_unusable(app, authority.issue(password="secret"), "privateKeyPassword: does not open", privateKeyPassword="wrong")
    expect_unusable(app, authority.issue(client=True), "not for a TLS server")
    right = authority.issue()
    junk = tmp_path / "junk"
    for octets in (b"no PEM at all", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", bytes(1000),
                   right.certificate.read_bytes()[:-40]):
        junk.write_bytes(octets)
        expect_unusable(app, right._replace(certificate=junk), "certificate: ")
        expect_unusable(app, right._replace(key=junk), "privateKey: holds no private key")
        expect_unusable(app, right, "clientCa: ", client_ca=junk)
    junk.write_bytes(right.certificate.read_bytes() + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    expect_unusable(app, right._replace(certificate=junk), "certificate: one of its chain")
    junk.write_bytes(right.certificate.read_bytes() * 20)
    expect_unusable(app, right._replace(certificate=junk), "certificate: its chain is too long")


def test_a_key_that_is_too_short_for_today_is_refused(app, authority, tmp_path):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 1024)
    builder = authority._builder(authority._name, key.public_key(), authority_day(-1), authority_day(30))
    weak = authority.issue()._replace(certificate=tmp_path / "weak.pem", key=tmp_path / "weak.key")
    weak.certificate.write_bytes(builder.sign(authority._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    weak.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    assert isinstance(x509.load_pem_x509_certificate(weak.certificate.read_bytes()), x509.Certificate)
    expect_unusable(app, weak, "certificate: cannot be used (ee key too small)")


def authority_day(days):
    import datetime

    return datetime.timedelta(days=days)


def test_descriptors_that_are_no_files_are_refused(app, identity, tmp_path):
    right = identity.certificate.read_bytes()

    def refuse(make, names, error="CertificateNotFound"):
        for place in (0, 1):
            fds = [readable(identity.certificate), readable(identity.key)]
            os.close(fds[place])
            fds[place] = make()
            option = ("certificate", "privateKey")[place]
            server = app.create_server()
            expect_error(error, start_with, server, *fds, names=f"{option}: {names}")
            server.release()

    def written() -> int:
        path = tmp_path / "write-only"
        path.write_bytes(right)
        return os.open(path, os.O_WRONLY)

    def with_size(octets: bytes) -> int:
        path = tmp_path / "sized"
        path.write_bytes(octets)
        return readable(path)

    def pipe() -> int:
        reading, writing = os.pipe()
        os.close(writing)
        return reading

    refuse(written, "the file descriptor is not open for reading")
    refuse(lambda: os.open(identity.certificate, os.O_PATH), "the file descriptor is not open for reading")
    refuse(lambda: os.open(tmp_path, os.O_RDONLY), "the descriptor is neither a regular file")
    refuse(pipe, "the descriptor is neither a regular file")
    refuse(lambda: os.open("/dev/zero", os.O_RDONLY), "the descriptor is neither a regular file")
    refuse(lambda: socket.socket().detach(), "the descriptor is neither a regular file")
    refuse(lambda: sealed(right, 0), "the memfd is not sealed")
    refuse(lambda: sealed(right, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW), "the memfd is not sealed")
    refuse(lambda: with_size(b""), "the file is empty")
    refuse(lambda: with_size(right.ljust(65537, b"\n")), "the file is larger than 65536")
    fds = [readable(identity.certificate), readable(identity.key)]
    server = app.create_server()
    start_with(server, *fds)  # none of that has hurt anybody


def test_the_largest_file_that_is_allowed_works(app, identity, trusting, tmp_path):
    large = tmp_path / "large.pem"
    large.write_bytes(identity.certificate.read_bytes().ljust(65536, b"\n"))
    server = served(app, identity._replace(certificate=large))
    dial(server, trusting).assert_alive()


def test_options_that_do_not_fit_together_are_refused(app, identity):
    def refuse(error, names, fds=(), **options):
        open_fds = [readable(path) for path in fds]
        try:
            server = app.create_server()
            expect_error(error, server.start, tuple(open_fds), names=names, serverIP="127.0.0.1", **options)
        finally:
            for fd in open_fds:
                os.close(fd)

    certificate, key = identity
    refuse("CertificateNotFound", "privateKey: is missing", [certificate], certificate=0)
    refuse("CertificateNotFound", "certificate: is missing", [key], privateKey=0)
    refuse("InvalidArgument", "clientCa", [certificate], clientCa=0)
    refuse("InvalidArgument", "tlsMinVersion", tlsMinVersion="1.3")
    refuse("InvalidArgument", "privateKeyPassword", privateKeyPassword="x")
    refuse("InvalidArgument", "tlsMinVersion", [certificate, key], certificate=0, privateKey=1, tlsMinVersion="1.1")
    refuse("InvalidArgument", "privateKeyPassword", [certificate, key], certificate=0, privateKey=1, privateKeyPassword="x" * 1025)
    refuse("InvalidArgument", "certificate: the call carries no such file", [key], certificate=7, privateKey=0)
    refuse("InvalidArgument", "certificate: the call carries no such file", certificate=0, privateKey=0)
    refuse("InvalidArgument", "more file descriptors", [certificate] * 4, certificate=0, privateKey=1)
    refuse("InvalidArgument", "certificate: has type s", certificate=Variant("s", str(certificate)))


def test_the_certificate_is_judged_before_the_port(app, authority):
    port = app.running_server().port
    expect_unusable(app, authority.mismatched(), "privateKey", serverPort=port)
    server = app.create_server()
    expect_error("PortInUse", authority.issue().start, server, serverPort=port)
    assert server.get("State") == "created" and server.get("Tls") is False


def test_a_refused_start_leaves_the_server_as_it_was(app, authority, identity, trusting):
    server = served(app, identity)
    server.stop()
    expect_error("CertificateNotFound", authority.mismatched().start, server)
    assert server.get("State") == "stopped"
    identity.start(server)
    dial(server, trusting).assert_alive()


class Hanging:
    """A regular file whose reading hangs until this is closed: fanotify(7) asks us for permission, and we do not answer."""

    FAN_CLASS_CONTENT, FAN_MARK_ADD, FAN_ACCESS_PERM = 0x4, 0x1, 0x20000

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.fanotify_init(self.FAN_CLASS_CONTENT | 1, os.O_RDONLY)
        if self.fd < 0 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS):
            pytest.skip("only root may make a file hang")
        mark = (self.fd, self.FAN_MARK_ADD, ctypes.c_uint64(self.FAN_ACCESS_PERM), -100, os.fsencode(path))
        assert self.fd >= 0 and libc.fanotify_mark(*mark) == 0, os.strerror(ctypes.get_errno())

    def close(self):
        os.close(self.fd)


@pytest.fixture
def hanging(tmp_path, identity):
    path = tmp_path / "hanging.key"
    path.write_bytes(identity.key.read_bytes())
    trap = Hanging(path)
    yield identity._replace(key=path)
    trap.close()


def test_a_file_that_hangs_fails_its_start_in_time_and_holds_up_nobody(app, hanging, identity, trusting):
    other = served(app, identity)
    server = app.create_server()
    pending = hanging.start_later(server)
    peer = dial(other, trusting)
    started = time.monotonic()
    for _ in range(10):
        peer.assert_alive()
        expect_error("AlreadyRunning", server.start, serverIP="127.0.0.1")
    error = error_of(lambda: pending.result(30))
    assert error.name.endswith("CertificateNotFound") and "took longer than 10 s" in error.message, error
    assert 5 < time.monotonic() - started < 25
    assert server.get("State") == "created"
    identity.start(server)
    dial(server, trusting).assert_alive()


def test_stop_cancels_a_start_that_hangs(app, hanging):
    server = app.create_server()
    pending = hanging.start_later(server)
    until(lambda: server.get("State") == "starting", what="the start to be under way")
    server.stop()
    assert error_of(pending.result).name.endswith("ShuttingDown")
    assert server.get("State") == "stopped"


def test_replacing_with_a_file_that_hangs_disturbs_no_connection(app, hanging, identity, trusting):
    server = served(app, identity)
    peer = dial(server, trusting)
    fds = [readable(hanging.certificate), readable(hanging.key)]
    pending = server.call_later("ReplaceCertificate", "hhs", 0, 1, "", fds=fds)
    for fd in fds:
        os.close(fd)
    for _ in range(20):
        peer.assert_alive()
    expect_error("LimitExceeded", replace, server, identity, names="under way")
    error = error_of(lambda: pending.result(30))
    assert error.name.endswith("CertificateNotFound") and "took longer" in error.message, error
    peer.assert_alive()


# Plain text


def test_a_server_with_a_certificate_never_speaks_plain_text(app, identity, trusting):
    server = served(app, identity)
    for octets in (upgrade_request("localhost"), b"GET / HTTP/1.0\r\n\r\n", b"\x00" * 100, b"SSH-2.0-x\r\n"):
        with Stream(server.port) as stream:
            stream.send(octets)
            answer = stream.read_to_end()
        assert b"HTTP" not in answer and len(answer) <= 7, answer  # an alert at most
    until(lambda: server.get("Refused") == 4, what="the refusals to be counted")
    dial(server, trusting).assert_alive()


def test_a_plain_server_does_not_take_tls(app, trusting):
    server = app.running_server()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secured(server, trusting)
    Peer(server.port).assert_alive()


def test_a_refused_peer_gets_its_status_over_tls_too(app, identity, trusting):
    server = served(app, identity, maxConnectionsForOneClient=1)
    peer = dial(server, trusting)
    second = secured(server, trusting)
    second.sendall(upgrade_request("localhost"))
    assert second.recv(100).startswith(b"HTTP/1.1 429 ")
    peer.assert_alive()


def knock(server, context) -> bytes:
    """What is answered; nothing where the connection is closed before TLS was there."""
    try:
        with secured(server, context) as peer:
            peer.sendall(upgrade_request("localhost"))
            return peer.recv(100)
    except OSError:
        return b""


def test_an_address_that_comes_too_often_is_not_answered_each_time_since_tls_costs_more_than_the_answer(
        new_service, new_app, identity, trusting):
    server = served(new_app(new_service({"connectionRate": 2, "banSeconds": 600})), identity)
    began = time.monotonic()
    answers = [knock(server, trusting) for _ in range(40)]
    assert answers[0].startswith(b"HTTP/1.1 101 ") and answers[2].startswith(b"HTTP/1.1 429 ")
    told = [answer for answer in answers[2:] if answer]
    assert all(answer.startswith(b"HTTP/1.1 429 ") for answer in told)
    assert len(told) <= time.monotonic() - began + 1


def test_a_handshake_that_does_not_go_on_is_ended(new_service, new_app, identity, trusting):
    server = served(new_app(new_service({"handshakeTimeout": 1})), identity)
    with Stream(server.port) as silent, Stream(server.port) as half:
        half.send(b"\x16\x03\x01\x02\x00\x01")  # a ClientHello begins
        slow = secured(server, trusting)  # and one that is done with TLS, not with HTTP
        assert silent.read_to_end() == b"" and half.read_to_end() == b""
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
    dial(server, trusting).assert_alive()


# Replacing


def replace(server, identity, password: str = "") -> None:
    fds = [readable(identity.certificate), readable(identity.key)]
    try:
        server.call("ReplaceCertificate", "hhs", 0, 1, password, fds=fds)
    finally:
        for fd in fds:
            os.close(fd)


def shown(server, context) -> bytes:
    """The certificate that a new connection is shown, DER."""
    with secured(server, context) as peer:
        return peer.getpeercert(binary_form=True)


def test_a_replaced_certificate_serves_new_connections_and_running_ones_stay(app, authority, trusting):
    first, second = authority.issue(), authority.issue(kind="ecdsa", password="pw")
    server = served(app, first)
    Echo(server)
    peer = dial(server, trusting)
    before = shown(server, trusting)
    for identity, password in ((second, "pw"), (first, ""), (second, "pw")):
        replace(server, identity, password)
        assert ssl.PEM_cert_to_DER_cert(identity.certificate.read_text()) == shown(server, trusting)
        peer.send_message("still here")
        assert peer.read_message() == "still here"
    assert before == ssl.PEM_cert_to_DER_cert(first.certificate.read_text())


def test_a_replacement_that_cannot_be_used_changes_nothing(app, authority, identity, trusting):
    server = served(app, identity)
    before = shown(server, trusting)
    for bad, names in ((authority.mismatched(), "privateKey"), (authority.issue(days=(-9, -1)), "expired"),
                       (authority.issue(password="x"), "encrypted")):
        expect_error("CertificateNotFound", replace, server, bad, names=names)
    expect_error("InvalidArgument", replace, server, identity, "x" * 1025, names="password")
    expect_error("InvalidArgument", server.call, "ReplaceCertificate", "hhs", 0, 1, "", names="no such file")
    assert shown(server, trusting) == before


def test_the_clients_ca_stays_when_the_certificate_is_replaced(app, authority, identity):
    server = served(app, identity, client_ca=authority.certificate)
    replace(server, authority.issue())
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        dial(server, authority.context())
    dial(server, authority.context(authority.issue("remote", client=True))).assert_alive()


def test_only_a_running_server_with_a_certificate_can_get_another(app, identity):
    server = app.create_server()
    expect_error("NotRunning", replace, server, identity)
    server.start(serverIP="127.0.0.1")
    expect_error("Failed", replace, server, identity, names="no certificate to replace")


# Survival


def test_private_connections_outlive_restarts_and_crashes_of_the_service(new_managed, new_app, authority, trusting):
    managed = new_managed()
    app = new_app(managed)
    server = served(app, authority.issue(), tlsMinVersion="1.3")
    Echo(server)
    peer = dial(server, trusting)
    for kind in ("restart", "crash"):
        getattr(managed.manager, kind)()
        peer.send_message(kind)
        while (echo := peer.read_message()) != kind:  # a crash may repeat what was not acknowledged
            assert (kind, echo) == ("crash", "restart")
        assert server.get("Tls") is True


@pytest.mark.parametrize("replaced", [False, True])
def test_a_worker_that_dies_after_a_restart_comes_back_with_its_certificate(new_managed, new_app, authority, trusting, replaced):
    managed = new_managed()
    app = new_app(managed)
    identity = authority.issue()
    server = served(app, identity, client_ca=authority.certificate, tlsMinVersion="1.3")
    context = authority.context(authority.issue("remote", client=True))
    if replaced:
        identity = authority.issue(kind="ecdsa")
        replace(server, identity)
    until(lambda: len(managed.workers()) == 1, what="the process that checked the certificate to be gone")
    before = managed.workers()
    identity.certificate.unlink()
    identity.key.write_text("changed meanwhile")
    managed.manager.crash()
    (worker,) = before
    os.kill(worker, 9)
    server.wait("Error")
    until(lambda: can_talk(server, context), 30, "the new worker to serve")
    old = authority.context(authority.issue("remote", client=True))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secured(server, old)
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        dial(server, trusting)


def test_a_worker_that_starts_while_the_certificate_is_replaced_gets_the_new_one(new_managed, new_app, authority, trusting):
    managed = new_managed()
    app = new_app(managed)
    server = served(app, authority.issue())
    until(lambda: len(managed.workers()) == 1, what="the process that checked the certificate to be gone")
    (first,) = managed.workers()
    os.kill(first, 9)
    until(lambda: managed.workers() - {first}, what="another worker")
    (second,) = managed.workers() - {first}
    os.kill(second, signal.SIGSTOP)  # before it can say that it is ready
    identity = authority.issue(kind="ecdsa")
    fds = [readable(identity.certificate), readable(identity.key)]
    pending = server.call_later("ReplaceCertificate", "hhs", 0, 1, "", fds=fds)
    for fd in fds:
        os.close(fd)
    until(lambda: vaults(managed) == ["vaultB"], what="the new vault to be kept, and the old one no longer")
    os.kill(second, signal.SIGCONT)
    pending.result()
    until(lambda: can_talk(server, trusting), 30, "the new worker to serve")
    assert ssl.PEM_cert_to_DER_cert(identity.certificate.read_text()) == shown(server, trusting)


def vaults(managed) -> list:
    return sorted(name.split("-")[0] for name in managed.manager.names() if name.startswith("vault"))


def can_talk(server, context) -> bool:
    try:
        with dial(server, context) as peer:
            peer.assert_alive()
            return True
    except (OSError, EOFError):
        return False


def test_nothing_of_a_certificate_is_kept_when_its_server_has_stopped(new_managed, new_app, authority):
    managed = new_managed()
    server = served(new_app(managed), authority.issue())
    assert any(name.startswith("vault") for name in managed.manager.names())
    replace(server, authority.issue())
    assert len([name for name in managed.manager.names() if name.startswith("vault")]) == 1
    server.stop()
    until(lambda: not any(name.startswith("vault") for name in managed.manager.names()), what="the vault to be dropped")


# Abuse


def test_keys_renewed_without_end_cost_the_peer_its_connection(app, identity, trusting, authority):
    """TLS 1.3's KeyUpdate makes the other side work; with no data in between it is an attack."""
    server = served(app, identity)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", str(authority.certificate)]
    ours, theirs = socket.socketpair()
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
        theirs.close()
        ours.send(upgrade_request("localhost"))
        connection = server.wait("Connect").args[0]

        def closed() -> bool:
            with contextlib.suppress(OSError):
                ours.send(b"K\n")
            return bool(server.find("Closed", lambda i, _c, _r, _k: i == connection))

        until(closed, what="the connection to be closed")
        client.kill()
    ours.close()
    assert server.wait_closed(connection)[0] == 1006
    dial(server, trusting).assert_alive()


def test_peers_that_vanish_in_the_middle_of_everything_leave_nothing_behind(app, identity, trusting):
    server = served(app, identity, maxConnectionsForOneClient=100)
    hello = client_hello(trusting)
    for length in (1, 5, 6, 50, len(hello) - 1, len(hello)):
        with Stream(server.port) as stream:
            stream.send(hello[:length])
    for _ in range(10):
        peer = dial(server, trusting)
        peer.send(encode_frame(TEXT, b"x" * 1000)[:500])
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    until(lambda: server.get("Connections") == 0, what="everybody to be gone")
    dial(server, trusting).assert_alive()


def client_hello(context) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def test_random_octets_instead_of_records_end_that_connection_alone(app, identity, trusting):
    server = served(app, identity)
    bystander = dial(server, trusting)
    for _ in range(5):
        peer = dial(server, trusting)
        plain = socket.socket(fileno=os.dup(peer.socket.fileno()))
        plain.sendall(b"\x17\x03\x03\x00\x40" + os.urandom(64))
        connection = server.connection_of(peer)
        assert server.wait_closed(connection)[0] == 1006
        plain.close()
    bystander.assert_alive()


def test_calls_that_carry_descriptors_nobody_wants_cost_none(app, service, identity):
    before = service.open_descriptors()
    server = app.create_server()
    fds = [readable(identity.certificate) for _ in range(10)]
    for _ in range(50):
        app.manager("ListServers", fds=fds)
    threads = [threading.Thread(target=expect_error, args=("InvalidArgument", server.start, tuple(fds[:4]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fd in fds:
        os.close(fd)
    until(lambda: service.open_descriptors() <= before + 2, what="descriptors to be closed")


def test_a_port_that_is_taken_is_told_after_the_certificate_was_found_right(app, identity):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        expect_error("PortInUse", identity.start, app.create_server(), serverPort=other.getsockname()[1])
    assert can_bind(free_port())
