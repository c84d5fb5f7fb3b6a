# SPDX-License-Identifier: Apache-2.0
"""The examples, run as they are, visited by clients of others."""

import asyncio
import os
import pathlib
import subprocess

import pytest
import websockets
from python_program import STEP, TESTS

EXAMPLES = TESTS.parent / "client-lib" / "examples"


def program_of(start, name: str, *arguments: str):
    """An example in Python, with these arguments."""
    source = (EXAMPLES / name).read_text()
    return start(f"import sys; sys.argv = {[name, *arguments]!r}\n" + source)


def local(uri: str) -> str:
    return uri.replace("0.0.0.0", "127.0.0.1")


async def hear(peer):
    return await asyncio.wait_for(peer.recv(), STEP)


def test_chat(start):
    uri = local(program_of(start, "chat.py", "0").line())

    async def visit():
        async with websockets.connect(uri + "?Ada") as ada:
            assert await hear(ada) == "Hello Ada, there are 0 others."
            async with websockets.connect(uri + "?Bob") as bob:
                assert await hear(bob) == "Hello Bob, there are 1 others."
                assert await hear(ada) == "Bob has come."
                await bob.send("Hi!")
                await ada.send("Hello Bob")
                assert await hear(ada) == "Bob: Hi!" and await hear(bob) == "Ada: Hello Bob"
                await bob.send(b"\x00")
                with pytest.raises(websockets.ConnectionClosed):
                    await hear(bob)
                assert bob.close_code == 1003
            assert await hear(ada) == "Bob has gone."

    asyncio.run(visit())


def test_secure(start, authority):
    identity = authority.issue()
    program = program_of(start, "secure.py", str(identity.certificate), str(identity.key), str(authority.certificate))
    assert program.line() == "nobody else can read this"
    assert "certificate is not accepted" in program.line()


def test_file_push(release_build, service, tmp_path):
    content = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(content)
    library = str(pathlib.Path(release_build) / "client-lib")
    process = subprocess.Popen([pathlib.Path(library) / "examples" / "file-push", tmp_path / "file", "0"], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": service.bus.address, "LD_LIBRARY_PATH": library})
    try:
        uri = local(process.stdout.readline().strip())

        async def visit():
            async with websockets.connect(uri, max_size=None) as peer:
                pieces = [piece async for piece in peer]
                return b"".join(pieces), peer.close_code, peer.close_reason

        assert asyncio.run(visit()) == (content, 1000, "that was all")
        said = [process.stdout.readline() for _ in range(16)]
        assert said[0] == "1:   6 %\n" and said[-1] == "1: 100 %\n"
    finally:
        process.kill()
        process.communicate()
