# SPDX-License-Identifier: Apache-2.0
"""What strangers learn about a server's TLS by trying: openssl s_client, sslscan and testssl find nothing weak."""

import pytest
from blackbox.app import App
from blackbox.handshake import Handshake
from blackbox.scan import SslScan, TestSsl

HANDSHAKE_FAILURE, PROTOCOL_VERSION, INAPPROPRIATE_FALLBACK, NO_APPLICATION_PROTOCOL = 40, 70, 86, 120  # alerts, RFC 8446 6
ANY_CIPHER = ["-cipher", "ALL:@SECLEVEL=0"]  # without it the client itself refuses what is old


def started(app, identity, **options):
    server = app.create_server()
    identity.start(server, **options)
    return server


@pytest.fixture(scope="module")
def identities(authority) -> dict:
    return {kind: authority.issue(kind=kind) for kind in ("rsa", "ecdsa")}


@pytest.fixture(params=["rsa", "ecdsa"])
def server(app, identities, request):
    """A server with nothing chosen but its certificate: RSA of 2048 bits or ECDSA on P-256."""
    return started(app, identities[request.param])


def test_a_server_speaks_tls_1_3_and_1_2(server, authority):
    newest = Handshake.make(server.port, authority)
    assert (newest.version, newest.served()) == ("TLSv1.3", True), newest.output
    older = Handshake.make(server.port, authority, "-tls1_2")
    assert (older.version, older.served()) == ("TLSv1.2", True), older.output


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_broken_versions_of_tls_are_refused(server, authority, version):
    refused = Handshake.make(server.port, authority, version, *ANY_CIPHER)
    assert (refused.version, refused.alert) == ("", PROTOCOL_VERSION), refused.output


def test_an_app_can_have_tls_1_3_alone(app, authority, identities):
    server = started(app, identities["ecdsa"], tlsMinVersion="1.3")
    refused = Handshake.make(server.port, authority, "-tls1_2")
    assert (refused.version, refused.alert) == ("", PROTOCOL_VERSION), refused.output
    assert Handshake.make(server.port, authority).version == "TLSv1.3"


def test_an_app_that_asks_for_1_2_gets_1_3_too(app, authority, identities):
    server = started(app, identities["ecdsa"], tlsMinVersion="1.2")
    assert Handshake.make(server.port, authority).version == "TLSv1.3"
    assert Handshake.make(server.port, authority, "-tls1_2").version == "TLSv1.2"


def test_nobody_can_talk_a_client_down_to_an_older_version(server, authority):
    refused = Handshake.make(server.port, authority, "-fallback_scsv", "-tls1_2")  # RFC 7507
    assert (refused.version, refused.alert) == ("", INAPPROPRIATE_FALLBACK), refused.output


@pytest.mark.parametrize("offer", ["http/1.1", "h2,http/1.1", "http/1.1,h2"])
def test_http_1_1_is_chosen_whatever_else_a_client_offers(server, authority, offer):
    chosen = Handshake.make(server.port, authority, "-alpn", offer)
    assert (chosen.alpn, chosen.served()) == ("http/1.1", True), chosen.output


def test_a_client_that_speaks_http_2_alone_is_told(server, authority):
    refused = Handshake.make(server.port, authority, "-alpn", "h2")  # RFC 7301 3.2
    assert (refused.version, refused.alert) == ("", NO_APPLICATION_PROTOCOL), refused.output


def test_a_client_without_alpn_is_served(server, authority):
    served = Handshake.make(server.port, authority)
    assert (served.alpn, served.served()) == ("", True), served.output


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_that_comes_back_needs_no_full_handshake(server, authority, tmp_path, version):
    first = Handshake.make(server.port, authority, version, "-sess_out", tmp_path / "session")
    assert not first.resumed and first.served()
    again = Handshake.make(server.port, authority, version, "-sess_in", tmp_path / "session")
    assert again.resumed and again.served(), again.output


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_ticket_is_worth_nothing_at_another_server(app, authority, identities, tmp_path, version):
    servers = [started(app, identities["ecdsa"]) for _number in range(2)]
    assert Handshake.make(servers[0].port, authority, version, "-sess_out", tmp_path / "session").served()
    other = Handshake.make(servers[1].port, authority, version, "-sess_in", tmp_path / "session")
    assert not other.resumed and other.served(), other.output


def test_requests_cannot_be_replayed_as_early_data(server, authority):
    output = Handshake.make(server.port, authority, "-tls1_3").output
    assert "Max Early Data: 0" in output and "New Session Ticket arrived" in output, output


def test_a_client_cannot_renegotiate(server, authority):
    refused = Handshake.make(server.port, authority, "-tls1_2", send=b"R\n", hang_up=True)
    assert refused.version == "TLSv1.2" and "RENEGOTIATING" in refused.output, refused.output
    assert "no renegotiation" in refused.output, refused.output
    assert "Secure Renegotiation IS supported" in refused.output  # RFC 5746: clients insist that a server knows the danger


def test_tls_compresses_nothing(server, authority):
    for version in ("-tls1_2", "-tls1_3"):
        output = Handshake.make(server.port, authority, version, "-comp").output
        assert "Compression: NONE" in output and "Expansion: NONE" in output, output


# What Debian's OpenSSL has no more (RC4, DES, export) the scanners offer octet by octet.
@pytest.mark.parametrize("ciphers", ["aNULL:eNULL", "kRSA", "ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA256"],
                         ids=["none", "no-forward-secrecy", "cbc"])
def test_weak_ciphers_are_refused(server, authority, ciphers):
    refused = Handshake.make(server.port, authority, "-tls1_2", "-cipher", f"{ciphers}:@SECLEVEL=0")
    assert (refused.version, refused.alert) == ("", HANDSHAKE_FAILURE), refused.output


def test_sslscan_finds_nothing_weak(server):
    scan = SslScan.run(server.port)
    assert scan.versions == {"tls1.2", "tls1.3"}
    for version, name, bits in scan.ciphers:
        forward_secret = version == "TLSv1.3" or name.startswith("ECDHE-")
        authenticated = "GCM" in name or "POLY1305" in name or "CCM" in name
        assert forward_secret and authenticated and bits >= 128, (version, name, bits)
    assert {version for version, _name, _bits in scan.ciphers} == {"TLSv1.2", "TLSv1.3"}
    assert scan.groups and all(bits >= 112 for _name, bits in scan.groups), scan.groups
    assert {item.get("vulnerable") for item in scan.root.iter("heartbleed")} == {"0"}
    assert {item.get("supported") for item in scan.root.iter("compression")} <= {"0"}
    assert scan.root.find("renegotiation").get("supported") == "0"


@pytest.fixture(scope="module", autouse=True)
def testssl(_shared, identities, tmp_path_factory):
    """testssl on a server with each kind of key. It waits most of the time, so it does that beside all tests of this file."""
    app = App(_shared.get().bus.address)
    scans = {}
    try:
        for kind, identity in identities.items():
            server = started(app, identity)
            scans[kind] = TestSsl(server.port, tmp_path_factory.mktemp(f"testssl-{kind}"))
        yield scans
    finally:
        for scan in scans.values():
            scan.end()
        app.close()


EXPECTED = {"SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered", "TLS1_1": "not offered", "TLS1_2": "offered",
            "TLS1_3": "offered with final", "cipherlist_NULL": "not offered", "cipherlist_aNULL": "not offered",
            "cipherlist_EXPORT": "not offered", "cipherlist_LOW": "not offered", "cipherlist_3DES_IDEA": "not offered",
            "cipherlist_AVERAGE": "not offered", "cipherlist_STRONG": "offered", "PFS": "offered", "CCS": "not vulnerable",
            "ticketbleed": "not vulnerable", "secure_renego": "supported", "secure_client_renego": "not vulnerable",
            "CRIME_TLS": "not vulnerable", "fallback_SCSV": "no protocol below TLS 1.2 offered"}


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_testssl_finds_nothing_weak(testssl, kind):
    findings = testssl[kind].findings()
    weak = {name: finding for name, finding in findings.items() if finding[0] not in ("OK", "INFO")}
    assert weak.keys() <= {"engine_problem"}, weak  # that is about testssl's own OpenSSL, which has no GOST
    assert {name: findings.get(name, ("", ""))[1] for name in EXPECTED} == EXPECTED
    assert findings["heartbleed"][0] == "OK", findings["heartbleed"]
