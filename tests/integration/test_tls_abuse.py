# SPDX-License-Identifier: Apache-2.0
"""Peers that know TLS well and use it against the server."""

import hashlib
import hmac
import os
import pathlib
import socket
import struct
import time

import pytest
from blackbox.peer import Peer
from cryptography import x509
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

HANDSHAKE = 22
KEY_UPDATE = bytes([24, 0, 0, 1, 0])  # RFC 8446 section 4.6.3: no answer wanted


class Forger:
    """Makes TLS 1.3 records of a peer by hand, with the secret that Python's OpenSSL writes down (RFC 8446 sections 5 and 7)."""

    def __init__(self, server, context, folder: pathlib.Path):
        log = folder / "secrets"
        context.keylog_filename = str(log)
        self.peer = Peer(server.port, tls=context)
        assert self.peer.socket.cipher()[0] == "TLS_AES_256_GCM_SHA384"
        (line,) = [line for line in log.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0")]
        self.secret = bytes.fromhex(line.split()[2])
        self.socket = socket.socket(fileno=os.dup(self.peer.socket.fileno()))
        self.sequence = 1  # of the next record: the first one was the request

    def _expand(self, secret: bytes, label: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = struct.pack(">HB", length, len(label)) + label + b"\0"
        return hmac.digest(secret, info + b"\1", hashlib.sha384)[:length]

    def send(self, kind: int, octets: bytes) -> None:
        plain = octets + bytes([kind])
        head = struct.pack(">BHH", 23, 0x303, len(plain) + 16)
        nonce = int.from_bytes(self._expand(self.secret, b"iv", 12), "big") ^ self.sequence
        key = AESGCM(self._expand(self.secret, b"key", 32))
        self.socket.sendall(head + key.encrypt(nonce.to_bytes(12, "big"), plain, head))
        self.sequence += 1

    def close(self) -> None:
        self.socket.close()
        self.peer.close()


@pytest.fixture
def forger(app, authority, tmp_path):
    server = app.create_server()
    authority.issue().start(server)
    forger = Forger(server, authority.context(), tmp_path)
    yield server, forger
    forger.close()


def processor_time(pid: int) -> float:
    """Seconds that the process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_half_a_key_update_costs_no_processor_time_and_the_other_half_lets_messages_go(forger, service):
    """Until a message of the handshake is whole, OpenSSL sends nothing, though the socket could take it."""
    server, forger = forger
    connection = server.wait("Connect").args[0]
    forger.send(HANDSHAKE, KEY_UPDATE[:4])
    forger.peer.socket.settimeout(30)
    server.list_connections()  # by now the worker has read it
    server.send(connection, "late")
    (worker,) = service.workers()
    before = processor_time(worker)
    time.sleep(1)
    assert processor_time(worker) - before < 0.2
    forger.send(HANDSHAKE, KEY_UPDATE[4:])
    assert forger.peer.read_message() == "late"


NAMES = {
    "NUL": ([(NameOID.COMMON_NAME, "root\0.example", _ASN1Type.UTF8String)], "CN=root\\00.example"),
    "lines": ([(NameOID.COMMON_NAME, "a\r\nb", _ASN1Type.UTF8String)], "CN=a\\0D\\0Ab"),
    "commas": ([(NameOID.COMMON_NAME, "a,CN=b", _ASN1Type.UTF8String)], "CN=a\\,CN=b"),
    "wide characters": ([(NameOID.COMMON_NAME, "Ünï", _ASN1Type.BMPString)], "CN=Ünï"),
    "several values": ([(NameOID.ORGANIZATION_NAME, "o", None), (NameOID.COMMON_NAME, "a", None), (NameOID.COMMON_NAME, "b", None)],
                       "CN=b,CN=a,O=o"),
    "none": ([], None),
}


def subject_seen(app, authority, monkeypatch, attributes) -> str | None:
    """What the app is told of a peer whose certificate has that subject."""
    name = x509.Name([x509.NameAttribute(oid, value, kind) for oid, value, kind in attributes])
    with monkeypatch.context() as patch:
        patch.setattr("blackbox.authority._name", lambda _common_name: name)
        client = authority.issue("odd", client=True)
    server = app.create_server()
    authority.issue().start(server, authority.certificate)
    with Peer(server.port, tls=authority.context(client)) as peer:
        peer.assert_alive()
        assert server.list_connections()[0][3].get("clientSubject") == server.wait("Connect").args[3].get("clientSubject")
    return server.wait("Connect").args[3].get("clientSubject")


@pytest.mark.parametrize("what", NAMES)
def test_no_subject_can_pretend_to_be_another(app, authority, monkeypatch, what):
    attributes, shown = NAMES[what]
    assert subject_seen(app, authority, monkeypatch, attributes) == shown


def test_a_subject_that_is_too_long_is_cut(app, authority, monkeypatch):
    units = [(NameOID.ORGANIZATIONAL_UNIT_NAME, "ü" * 60, _ASN1Type.UTF8String) for _ in range(40)]
    seen = subject_seen(app, authority, monkeypatch, units)
    assert 1022 <= len(seen.rstrip("\ufffd").encode()) <= 1024 and seen.startswith("OU=üü")
