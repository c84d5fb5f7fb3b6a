# SPDX-License-Identifier: Apache-2.0
"""A network namespace for one test: what the test starts in it, and its own sockets, see nothing else."""

import ctypes
import os
import subprocess
import threading

import pytest

CLONE_NEWNET = 0x40000000


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def setting(name: str, value: str) -> None:
    """sysctl, of this namespace."""
    with open(f"/proc/sys/net/{name}", "w") as file:
        file.write(value)


def in_new_network(function, *arguments):
    """Runs the function in a thread with a network of its own, which has loopback; processes that it starts are in there too. What it raises is
    raised here."""
    outcome: list = []

    def run() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                pytest.skip(f"no network namespaces here: {os.strerror(ctypes.get_errno())}")
            ip("link", "set", "lo", "up")
            outcome.append((function(*arguments), None))
        except BaseException as problem:  # noqa: BLE001
            outcome.append((None, problem))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, problem = outcome[0]
    if problem:
        raise problem
    return result
