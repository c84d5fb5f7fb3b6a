# SPDX-License-Identifier: Apache-2.0
"""Compression as peers and apps notice it: npm ws and Python websockets with every setting they have, and apps that do not want it."""

import asyncio
import json
import subprocess

import pytest
import websockets
from blackbox.app import Echo
from blackbox.bystander import CLIENTS
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


@pytest.mark.parametrize("options, agreed", [
    ({"threshold": 0}, "permessage-deflate; client_max_window_bits=12"),
    ({"threshold": 0, "clientMaxWindowBits": 9, "serverMaxWindowBits": 9},
     "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9"),
    ({"threshold": 0, "serverNoContextTakeover": True, "clientNoContextTakeover": True},
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12"),
    ({"threshold": 0, "serverMaxWindowBits": 8, "clientMaxWindowBits": 15, "serverNoContextTakeover": True},
     "permessage-deflate; server_no_context_takeover; server_max_window_bits=8; client_max_window_bits=12"),
    (False, ""),
], ids=str)
def test_a_node_program_may_compress_as_it_likes(app, clients_folder, options, agreed):
    server = app.running_server()
    echo = Echo(server)
    ran = subprocess.run(["node", CLIENTS / "npm_ws_compression.js", clients_folder, f"ws://127.0.0.1:{server.port}", json.dumps(options)],
                         capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert (result["code"], result["right"]) == (1000, result["all"])
    assert echo.failures == []
    assert set(result["extensions"].split("; ")) == set(agreed.split("; "))


def messages() -> list:
    return [json.dumps({"turn": turn, "keys": [f"key-{n * turn}" for n in range(turn * turn % 300)]}) for turn in range(40)] + [
        "", "", "x" * (1 << 20), b"", b"y" * 127, b"y" * 128, bytes(range(256)) * 2000, "Grüße 📺" * 5000]


async def exchange(url: str, factory) -> None:
    async with websockets.connect(url, compression=None, extensions=[factory] if factory else None, max_size=None) as client:
        assert len(client.extensions) == (factory is not None)
        for message in messages():
            await client.send(message)
            assert await client.recv() == message


@pytest.mark.parametrize("server_alone", [False, True])
@pytest.mark.parametrize("client_alone", [False, True])
@pytest.mark.parametrize("server_bits, client_bits", [(None, None), (8, 9), (9, None), (15, 12)])
def test_a_python_program_may_compress_as_it_likes(app, server_alone, client_alone, server_bits, client_bits):
    server = app.running_server()
    echo = Echo(server)
    factory = ClientPerMessageDeflateFactory(server_no_context_takeover=server_alone, client_no_context_takeover=client_alone,
                                             server_max_window_bits=server_bits, client_max_window_bits=client_bits)
    asyncio.run(asyncio.wait_for(exchange(f"ws://127.0.0.1:{server.port}", factory), 120))
    assert echo.failures == []


def test_a_broadcast_reaches_peers_that_compress_and_peers_that_do_not(app):
    server = app.running_server(maxConnectionsForOneClient=20)

    async def everybody() -> None:
        url = f"ws://127.0.0.1:{server.port}"
        clients = [await websockets.connect(url, compression=None if n % 3 == 0 else "deflate", max_size=None) for n in range(12)]
        await asyncio.get_running_loop().run_in_executor(None, lambda: server.wait("Connect", count=12))
        for message in messages():
            assert await asyncio.get_running_loop().run_in_executor(None, server.broadcast, message) == 12
            for client in clients:
                assert await client.recv() == message
        for client in clients:
            await client.close()

    asyncio.run(asyncio.wait_for(everybody(), 120))
    assert server.get("BytesSent") == 12 * sum(len(message.encode() if isinstance(message, str) else message) for message in messages())


def test_an_app_that_does_not_want_it_has_no_compression(app):
    server = app.running_server(compression=False)
    Echo(server)

    async def one() -> None:
        async with websockets.connect(f"ws://127.0.0.1:{server.port}") as client:
            assert client.extensions == [] and "Sec-WebSocket-Extensions" not in client.response_headers
            await client.send("hello" * 1000)
            assert await client.recv() == "hello" * 1000

    asyncio.run(asyncio.wait_for(one(), 120))
