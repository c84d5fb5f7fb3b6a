# SPDX-License-Identifier: Apache-2.0
"""What scanners of TLS servers, as Debian has them, find: sslscan in full, and the findings of testssl."""

import json
import pathlib
import subprocess
from typing import NamedTuple
from xml.etree import ElementTree

# Of testssl: versions, kinds of ciphers, forward secrecy; then Heartbleed, CCS injection, Ticketbleed, renegotiation, CRIME
# and the fallback. Of the other attacks it knows each follows from a version or a cipher that these would show.
CHECKS = ["-p", "-s", "-f", "-H", "-I", "-T", "-R", "-C", "-Z"]


class SslScan(NamedTuple):
    versions: set  # enabled
    ciphers: set  # (version, name, bits of the key)
    groups: list  # (name, bits of security)
    root: ElementTree.Element

    @classmethod
    def run(cls, port: int) -> "SslScan":
        ran = subprocess.run(["sslscan", "--xml=-", "--no-colour", f"127.0.0.1:{port}"], capture_output=True, timeout=180)
        assert ran.returncode == 0, ran.stderr
        root = ElementTree.fromstring(ran.stdout).find("ssltest")
        versions = {f"{item.get('type')}{item.get('version')}" for item in root.iter("protocol") if item.get("enabled") == "1"}
        ciphers = {(item.get("sslversion"), item.get("cipher"), int(item.get("bits"))) for item in root.iter("cipher")}
        groups = [(item.get("name"), int(item.get("bits"))) for item in root.iter("group")]
        return cls(versions, ciphers, groups, root)


class TestSsl:
    """testssl at work beside the caller: most of its time it waits for answers."""

    __test__ = False  # no test, whatever its name

    def __init__(self, port: int, folder: pathlib.Path):
        self.report = folder / f"testssl-{port}.json"
        command = ["testssl", "--quiet", "--color=0", "--fast", "--warnings=off", "--nodns=none", "--assume-http",
                   f"--jsonfile={self.report}", *CHECKS, f"127.0.0.1:{port}"]
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)

    def findings(self) -> dict:
        """By their id, each as (severity, text)."""
        output, _nothing = self.process.communicate(timeout=600)
        assert self.report.exists(), output.decode(errors="replace")
        return {item["id"]: (item["severity"], item["finding"]) for item in json.loads(self.report.read_text())}

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
