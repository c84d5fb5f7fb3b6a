# SPDX-License-Identifier: Apache-2.0
"""webSocket.js and clients and servers that others wrote: npm's ws, Python's websockets, libsoup."""

import asyncio
import contextlib
import json
import subprocess
import threading

import pytest
import websockets
from blackbox.exchange import ECHOED, KNOWN, Exchange
from program import STEP

ECHO = """
globalThis.server = webSocket.createWebSocketServer();
globalThis.ends = [];
server.on('messageReceive', ({ clientConnection, data }) => server.send(data, clientConnection));
server.on('close', (_, { code, reason }) => ends.push([code, reason]));
"""
NODE_SERVER = """
const { WebSocketServer } = require(process.argv[1] + '/node_modules/ws');
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 1 << 26, perMessageDeflate: true }, () => console.log(server.address().port));
server.on('connection', peer => peer.on('message', (data, isBinary) => peer.send(data, { binary: isBinary })));
"""


@pytest.mark.parametrize("key", ["", "ecdsa"], ids=["ws", "wss"])
@pytest.mark.parametrize("client", ["node", "python-websockets", "libsoup"])
def test_clients_of_others_talk_to_a_server(program, port, authority, clients_folder, client, key):
    program.run(ECHO)
    config = {"serverPort": port, "serverIP": "127.0.0.1"}
    if key:
        identity = authority.issue(kind=key)
        config["serverCert"] = {"certPath": str(identity.certificate), "keyPath": str(identity.key)}
    program.value(f"server.start({json.dumps(config)})")
    offers = KNOWN[client].offers == "on request"
    exchange = Exchange.run(client, f"{'wss' if key else 'ws'}://127.0.0.1:{port}", offers, authority.certificate, clients_folder)
    assert exchange.echoed == ECHOED
    assert exchange.closed["4321"][0] == 4321 and exchange.closed["echo"][0] == 1000
    assert {1000, 4321, 1005} <= {code for code, _reason in program.run("return ends")}


@contextlib.contextmanager
def node_server(clients_folder: str):
    with subprocess.Popen(["node", "-e", NODE_SERVER, clients_folder], stdout=subprocess.PIPE, text=True) as node:
        try:
            yield int(node.stdout.readline())
        finally:
            node.kill()


@contextlib.contextmanager
def python_server(_clients_folder: str):
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), []

    async def echo(peer, _path=None):
        async for message in peer:
            await peer.send(message)

    async def serve():
        server = await websockets.serve(echo, "127.0.0.1", 0, max_size=None)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run():
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(STEP)
    yield ports[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(STEP)


@pytest.mark.parametrize("serve", [node_server, python_server], ids=["node", "python-websockets"])
def test_a_client_talks_to_servers_of_others(program, clients_folder, serve):
    with serve(clients_folder) as port:
        same = program.run(f"""
            const ws = webSocket.createWebSocket(), waiting = [];
            const closed = new Promise(resolve => ws.on('close', (_, result) => resolve(result)));
            ws.on('message', (_, data) => waiting.shift()(data));
            await ws.connect('ws://127.0.0.1:{port}/', {{ proxy: 'no-proxy' }});
            const text = ['hello', '', 'a\\0b', '\\u{{1F600}}', 'hello '.repeat(100000), 'y'.repeat(5242864)];
            const binary = [0, 1, 70000, 5242864].map(length => new Uint8Array(length).map((_, at) => at * 31).buffer);
            const isSame = (one, other) => typeof one === 'string' ? one === other :
              other instanceof ArrayBuffer && GLib.Bytes.new(new Uint8Array(one)).equal(GLib.Bytes.new(new Uint8Array(other)));
            const came = [];
            for (const data of [...text, ...binary]) {{
              const answer = new Promise(resolve => waiting.push(resolve));
              await ws.send(data);
              came.push(isSame(data, await answer));
            }}
            await ws.close({{ code: 4321, reason: 'bye' }});
            return [came, await closed]""")
    assert same == [[True] * 10, {"code": 4321, "reason": "bye"}]
