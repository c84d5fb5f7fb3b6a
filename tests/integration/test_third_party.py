# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote talk to an app, over ws and wss, compressed and not, while another goes on undisturbed."""

import asyncio
import contextlib
from typing import NamedTuple

import pytest
import websockets
from blackbox.app import Echo
from blackbox.bystander import AppProcess, Bystander
from blackbox.exchange import ECHOED, KNOWN, LARGE, LARGEST, Exchange
from blackbox.relay import Relay
from blackbox.wire import until


class Cell(NamedTuple):
    """One field of the matrix."""

    client: str
    key: str  # of the server's certificate; empty: ws
    compressed: bool

    def __str__(self) -> str:
        return f"{self.client}-{'wss-' + self.key if self.key else 'ws'}-{'compressed' if self.compressed else 'plain'}"


# Compression does not care for the kind of key.
SCHEMES = [("", False), ("", True), ("rsa", False), ("ecdsa", False), ("ecdsa", True)]
MATRIX = [Cell(name, *scheme) for name, client in KNOWN.items() for scheme in SCHEMES if client.offers or not scheme[1]]


class Host:
    """A server that echoes, a bystander on it, and what the app hears of everybody else, by the path they asked for."""

    def __init__(self, app, identity=None, tls=None, **options):
        self.app = app
        self.server = app.create_server()
        self.connected: dict = {}  # path: details
        self.closed: dict = {}  # path: (code, reason, clean)
        self._paths: dict = {}
        if identity:
            identity.start(self.server, **options)
        else:
            self.server.start(serverIP="127.0.0.1", **options)
        self._echo = Echo(self.server)
        self._take = self.server.on_event
        self.server.on_event = self._observe
        self._bystander = Bystander(self.server.port, tls=tls)

    def _observe(self, event) -> None:
        if event.member == "Connect":
            self._paths[event.args[0]] = event.args[3]["path"]
            self.connected[event.args[3]["path"]] = event.args[3]
        elif event.member == "Closed":
            self.closed[self._paths[event.args[0]]] = event.args[1:]
        self._take(event)

    def wait_closed(self, paths) -> dict:
        self.app.wait_for(lambda: set(paths) <= set(self.closed), what=f"{paths} to be closed; {self.closed}")
        return {path: self.closed[path] for path in paths}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_exception):
        if kind is None:
            assert self._bystander.leave() > 0
            assert self._echo.failures == []


@pytest.fixture(scope="session")
def identities(authority) -> dict:
    return {kind: authority.issue(kind=kind) for kind in ("rsa", "ecdsa")}


def check_closed(host: Host, cell: Cell, exchange: Exchange) -> None:
    """The app hears of every end as the client meant it; the client hears its code again, and no reason."""
    client = KNOWN[cell.client]
    heard = {"/echo": (1000, "", True), "/4321": (4321, "own code", True)}
    answers = {"echo": [1000, ""], "4321": [4321, "" if client.waits_for_close else "own code"]}
    if client.closes_without_code:
        heard["/none"] = (1005, "", True)
        answers["none"] = [1005, ""]
    assert host.wait_closed(heard) == heard
    assert exchange.closed == answers


def check_compression(host: Host, cell: Cell, exchange: Exchange) -> None:
    client = KNOWN[cell.client]
    offer = host.connected["/echo"]["headers"].get("sec-websocket-extensions", "")
    assert ("permessage-deflate" in offer) == (cell.compressed or client.offers == "always")
    if client.tells_extensions:
        assert exchange.extensions.split(";")[0] == ("permessage-deflate" if cell.compressed else "")


def check_traffic(relay: Relay) -> None:
    """Two messages of the largest size and a large one went both ways. The clients compress all of them, to a hundredth."""
    assert 0 < relay.sent < LARGEST / 10
    assert 0 < relay.received < 2 * LARGEST + LARGE / 2


@pytest.mark.parametrize("cell", MATRIX, ids=str)
def test_a_client_can_talk_to_an_app(app, authority, identities, request, cell):
    options = {} if cell.compressed or KNOWN[cell.client].offers != "always" else {"compression": False}
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(Host(app, identities.get(cell.key), authority.context() if cell.key else None, **options))
        relay = stack.enter_context(Relay(host.server.port)) if cell.compressed else None
        port = relay.port if relay else host.server.port
        folder = request.getfixturevalue("clients_folder") if cell.client == "node" else ""
        exchange = Exchange.run(cell.client, f"{'wss' if cell.key else 'ws'}://127.0.0.1:{port}", cell.compressed,
                                authority.certificate, folder)
        assert exchange.echoed == ECHOED
        assert exchange.ponged is (True if KNOWN[cell.client].pings else None)
        assert {details["tls"] for details in host.connected.values()} == {bool(cell.key)}
        check_closed(host, cell, exchange)
        check_compression(host, cell, exchange)
        if relay:
            check_traffic(relay)


@pytest.mark.parametrize("key", ["", "ecdsa"], ids=["ws", "wss"])
def test_python_clients_by_the_dozen_talk_at_the_same_time(app, authority, identities, key):
    context = authority.context() if key else None
    with Host(app, identities.get(key), context, maxConnectionsForOneClient=30) as host:
        url = f"{'wss' if key else 'ws'}://127.0.0.1:{host.server.port}"

        async def one(number: int) -> None:
            async with websockets.connect(url, ssl=context) as client:
                for turn in range(20):
                    await client.send(f"{number}.{turn}")
                    assert await client.recv() == f"{number}.{turn}"

        async def everybody() -> None:
            await asyncio.gather(*(one(number) for number in range(24)))

        asyncio.run(asyncio.wait_for(everybody(), 120))


def test_an_app_on_gdbus_serves_third_party_clients(service, authority):
    with AppProcess(service.bus.address, "echo") as app:
        exchange = Exchange.run("python-websockets", f"ws://127.0.0.1:{app.port}", False, authority.certificate)
        assert exchange.echoed == ECHOED
        until(lambda: len(app.report()["closed"]) == 3, what="the app to hear of three closed connections")
        report = app.report()
        assert report["errors"] == []
        assert sorted(closed[1] for closed in report["closed"]) == [1000, 1005, 4321]
        assert app.end() == 0
