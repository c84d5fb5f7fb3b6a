# SPDX-License-Identifier: Apache-2.0
"""The programs of the README, built as it says and used."""

import asyncio
import os
import pathlib
import re
import socket
import subprocess

import websockets
from session import child

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEP = 60  # seconds that any one step may take on a busy machine


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def install(build, into) -> dict:
    """The environment in which pkg-config finds what was installed there."""
    subprocess.run(["meson", "install", "-C", build, "--destdir", into, "--no-rebuild", "--quiet"], check=True, timeout=STEP)
    [description] = into.rglob("wsserver-0.pc")
    text = description.read_text()
    description.write_text(text.replace("prefix=/", f"prefix={into}/", 1))
    return {**os.environ, "PKG_CONFIG_PATH": str(description.parent)}


def compile_program(build, source, program, into):
    """As an app's developer would."""
    environment = install(build, into)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "wsserver-0"], env=environment, capture_output=True,
                           text=True, check=True, timeout=STEP).stdout.split()
    [library] = into.rglob("libwsserver.so.0")
    sanitize = ["-fsanitize=address,undefined"] if b"__asan" in library.read_bytes() else []
    subprocess.run(["gcc", "-Wall", "-Werror", *sanitize, source, "-o", program, *flags, f"-Wl,-rpath,{library.parent}"],
                   check=True, timeout=STEP)


def test_the_app_in_c_answers_every_message(build, private_bus, service, tmp_path):
    code = re.search(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    port = free_port()
    assert "8080" in code
    (tmp_path / "hello.c").write_text(code.replace("8080", str(port)))
    compile_program(build, tmp_path / "hello.c", tmp_path / "hello", tmp_path / "installed")
    app = child.start_background([tmp_path / "hello"], env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": private_bus.address})

    async def visit():
        for _ in range(STEP * 10):
            try:
                async with websockets.connect(f"ws://127.0.0.1:{port}/", open_timeout=STEP) as peer:
                    await peer.send("Hello, server!")
                    return await asyncio.wait_for(peer.recv(), STEP)
            except OSError:
                await asyncio.sleep(0.1)  # it has not started yet
        raise AssertionError("nobody listens")

    try:
        assert asyncio.run(visit()) == "Hello, server!"
    finally:
        child.stop(app)
