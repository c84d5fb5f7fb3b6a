# SPDX-License-Identifier: Apache-2.0
"""A TLS handshake with a server, made and told by `openssl s_client`."""

import re
import subprocess
from typing import NamedTuple

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"  # no upgrade: answered with 426, and the server hangs up


class Handshake(NamedTuple):
    version: str  # "TLSv1.2", "TLSv1.3"; empty when there is no connection
    cipher: str
    resumed: bool
    alpn: str  # empty: none was chosen
    alert: int  # that the server sent; 0: none
    output: str

    @classmethod
    def make(cls, port: int, authority, *options, send: bytes = REQUEST, hang_up: bool = False) -> "Handshake":
        """Connects, checks the certificate, sends `send`, and reads until the server hangs up, or with `hang_up` leaves."""
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", authority.certificate,
                   "-verify_ip", "127.0.0.1", "-verify_return_error", *([] if hang_up else ["-ign_eof"]), *options]
        ran = subprocess.run(command, input=send, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        output = ran.stdout.decode(errors="replace")
        begun = re.search(r"^(New|Reused), (\S+), Cipher is (\S+)$", output, re.MULTILINE)
        version = begun[2] if begun and begun[2] != "(NONE)" else ""
        assert not version or "Verification: OK" in output, output
        alpn = re.search(r"^ALPN protocol: (\S+)$", output, re.MULTILINE)
        alert = re.search(r"SSL alert number (\d+)", output)
        return cls(version, begun[3] if version else "", bool(version) and begun[1] == "Reused", alpn[1] if alpn else "",
                   int(alert[1]) if alert else 0, output)

    def served(self) -> bool:
        """Whether the request was answered over it."""
        return "HTTP/1.1 426 " in self.output
