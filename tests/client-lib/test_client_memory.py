# SPDX-License-Identifier: Apache-2.0
"""Clients that come and go leave nothing behind, in one thread and in several at once."""

import os
import pathlib
import ssl
import subprocess

import pytest
from client_world import STEP, echo, serving
from driven import VALGRIND


@pytest.fixture
def secure(authority):
    identity = authority.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    with serving(echo, ssl=context) as port:
        yield f"wss://localhost:{port}/", str(authority.certificate)


def cycle(build: str, url: str, cycles: int, threads: int, *more: str, prefix=()) -> list:
    """The heap after a fifth of the cycles, and after all."""
    program = pathlib.Path(build) / "tests" / "client-lib" / "client-cycles"
    done = subprocess.run([*prefix, program, url, str(cycles), str(threads), *more], capture_output=True, text=True, timeout=4 * STEP,
                          check=False, env={**os.environ, "G_DEBUG": "fatal-criticals fatal-warnings"})
    assert done.returncode == 0, done.stderr[-6000:]
    return [int(number) for number in done.stdout.split()]


def test_sanitizers_find_nothing_in_several_threads(build):
    with serving(echo) as port:
        cycle(build, f"ws://127.0.0.1:{port}/", 25, 4)


def test_sanitizers_find_nothing_over_tls(build, secure):
    url, ca = secure
    cycle(build, url, 25, 2, ca)


def test_valgrind_finds_nothing(release_build):
    with serving(echo) as port:
        cycle(release_build, f"ws://127.0.0.1:{port}/", 10, 1, prefix=VALGRIND)


def test_valgrind_finds_nothing_over_tls(release_build, secure):
    url, ca = secure
    cycle(release_build, url, 5, 1, ca, prefix=VALGRIND)


def test_memory_stays_flat(release_build, figure):
    """WSSERVER_CYCLES: more than the thousand that this test has time for."""
    cycles = int(os.environ.get("WSSERVER_CYCLES", "1000"))
    with serving(echo) as port:
        before, after = cycle(release_build, f"ws://127.0.0.1:{port}/", cycles, 1)
    figure(f"heap of an app after {cycles // 5} and {cycles} clients that came and went, octets", (before, after))
    assert after - before < 32 << 10
