# SPDX-License-Identifier: Apache-2.0
"""A throw-away certification authority: certificates and keys in PEM files, right ones and such that must be refused."""

import contextlib
import datetime
import ipaddress
import pathlib
import ssl
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOSTS = ("localhost", "127.0.0.1", "::1")
DAY = datetime.timedelta(days=1)


class Identity(NamedTuple):
    """A certificate and its private key, each in a file."""

    certificate: pathlib.Path
    key: pathlib.Path

    def start(self, server, client_ca: pathlib.Path | None = None, **options) -> None:
        """Starts `server` (an app's) as one that speaks TLS with this certificate."""
        self.start_later(server, client_ca, **options).result()
        server.host = options.get("serverIP", "127.0.0.1")
        server.port = server.get("ServerPort")

    def start_later(self, server, client_ca: pathlib.Path | None = None, **options):
        paths = [self.certificate, self.key] + ([client_ca] if client_ca else [])
        numbers = {"certificate": 0, "privateKey": 1, "clientCa": 2 if client_ca else None}
        with contextlib.ExitStack() as files:  # the bus has descriptors of its own once the call is written
            fds = [files.enter_context(open(path, "rb")).fileno() for path in paths]
            return server.start_later(fds=fds, **{"serverIP": "127.0.0.1", **numbers, **options})

    def spki(self) -> bytes:
        """The public key as in the certificate (SubjectPublicKeyInfo, DER)."""
        certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class Authority:
    """Owns a folder. `certificate` is what clients trust; every call of issue() writes a pair of new files."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._issued = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Authority of the tests")
        usage = x509.KeyUsage(key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
                              key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                              decipher_only=False)
        builder = self._builder(self._name, self._key.public_key(), -DAY, 365 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        self.certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def issue(self, name: str = "localhost", kind: str = "rsa", hosts=HOSTS, days: tuple = (-1, 90), client: bool = False,
              password: str | None = None) -> Identity:
        """A certificate valid from days[0] to days[1] from now, for a server at `hosts` or for a client.
        `kind` of the key: rsa (2048 bits) or ecdsa (P-256); with `password` its file is encrypted."""
        key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(name), key.public_key(), days[0] * DAY, days[1] * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if not client:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        return self._write(builder.sign(self._key, hashes.SHA256()), key, password)

    def mismatched(self) -> Identity:
        """A certificate with the key of another."""
        return Identity(self.issue().certificate, self.issue().key)

    def context(self, client: Identity | None = None) -> ssl.SSLContext:
        """For Python's clients: trusts this authority alone, and shows `client`."""
        context = ssl.create_default_context(cafile=self.certificate)
        if client:
            context.load_cert_chain(client.certificate, client.key)
        return context

    def _builder(self, subject: x509.Name, public_key, start: datetime.timedelta, end: datetime.timedelta):
        now = datetime.datetime.utcnow()
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = x509.CertificateBuilder(self._name, subject, public_key, x509.random_serial_number(), now + start, now + end)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        return builder.add_extension(issuer_id, critical=False)

    def _write(self, certificate: x509.Certificate, key, password: str | None) -> Identity:
        self._issued += 1
        files = Identity(self.folder / f"{self._issued}.pem", self.folder / f"{self._issued}.key")
        encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        files.certificate.write_bytes(_pem(certificate))
        files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
        return files


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
