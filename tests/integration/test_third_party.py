# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote: npm ws, Python websockets and Chromium, while other clients go on undisturbed."""

import asyncio
import json
import shutil
import subprocess

import pytest
import websockets
from blackbox.app import Echo
from blackbox.bystander import CLIENTS, AppProcess, Bystander
from blackbox.wire import until

ECHOED = ["text", "text with U+0000", "4-octet UTF-8", "empty text", "1-octet text", "largest text", "binary", "empty binary",
          "1-octet binary", "largest binary"]
LARGEST = 5242864
CHROMIUM_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]


@pytest.fixture
def echo_server(app):
    """A server that echoes, one bystander who must not notice anything, and the events about everybody else."""
    server = app.running_server()
    echo = Echo(server)
    closed = {}
    paths = {}
    take = server.on_event

    def observe(event):
        if event.member == "Connect":
            paths[event.args[0]] = event.args[3]["path"]
        elif event.member == "Closed":
            closed[paths[event.args[0]]] = event.args[1:]
        take(event)

    server.on_event = observe
    server.closed_by_path = closed
    bystander = Bystander(server.port)
    yield server
    rounds = bystander.leave()
    assert rounds > 0 and echo.failures == []


def expect_closed(server, expected: dict) -> None:
    server.app.wait_for(lambda: set(expected) <= set(server.closed_by_path), what=f"{expected}; {server.closed_by_path}")
    assert {path: server.closed_by_path[path] for path in expected} == expected


JAVASCRIPT_CLOSES = {"/echo": (1000, "", True), "/4321": (4321, "own code", True), "/none": (1005, "", True)}


def check_javascript(server, result: dict) -> None:
    assert result["echoed"] == ECHOED
    assert {name: how["code"] for name, how in result["closed"].items()} in (
        {"1000": 1000, "4321": 4321, "none": answer} for answer in (1000, 1005))
    expect_closed(server, JAVASCRIPT_CLOSES)


def test_a_node_program_can_talk_to_an_app(echo_server, clients_folder):
    ran = subprocess.run(["node", CLIENTS / "npm_ws.js", clients_folder, f"ws://127.0.0.1:{echo_server.port}"], capture_output=True,
                         text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    check_javascript(echo_server, json.loads(ran.stdout))


def test_a_browser_can_talk_to_an_app(echo_server, tmp_path):
    selenium = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    assert shutil.which("chromedriver"), "chromium-driver is not installed"
    options = selenium.ChromeOptions()
    for flag in [*CHROMIUM_FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    with selenium.Chrome(options=options, service=Service("/usr/bin/chromedriver")) as browser:
        browser.set_script_timeout(120)
        page = tmp_path / "page.html"
        page.write_text("<!DOCTYPE html><title>page</title>")
        browser.get(page.as_uri())
        script = (CLIENTS / "exchange.js").read_text() + """
            const done = arguments[arguments.length - 1];
            exchange(WebSocket, arguments[0]).then((result) => done(result), (fault) => done({fault: String(fault)}));
        """
        result = browser.execute_async_script(script, f"ws://127.0.0.1:{echo_server.port}")
    assert "fault" not in result, result
    assert all(how["clean"] for how in result["closed"].values())
    check_javascript(echo_server, result)


def test_a_python_program_can_talk_to_an_app(echo_server):
    asyncio.run(asyncio.wait_for(talk_with_websockets(f"ws://127.0.0.1:{echo_server.port}"), 120))
    expect_closed(echo_server, {"/echo": (1000, "", True), "/4321": (4321, "own code", True), "/none": (1005, "", True)})


async def talk_with_websockets(url: str) -> None:
    largest = bytes(range(256)) * (LARGEST // 256 + 1)
    async with websockets.connect(url + "/echo", max_size=None) as client:
        for data in ("hello", "a\u0000b\u0000", "\U0001f600 \U0010ffff", "", "x", "y" * LARGEST, bytes(range(256)), b"", b"\x00",
                     largest[:LARGEST]):
            await client.send(data)
            assert await client.recv() == data
        await client.ping()
    async with websockets.connect(url + "/4321") as client:
        await client.close(4321, "own code")
        assert client.close_code == 4321
    async with websockets.connect(url + "/none") as client:
        await client.write_close_frame(websockets.frames.Close(1005, ""), b"")
        await client.wait_closed()
        assert client.close_code in (1000, 1005)


def test_python_clients_by_the_dozen_talk_at_the_same_time(app):
    server = app.running_server(maxConnectionsForOneClient=30)
    Echo(server)

    async def one(number: int) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{server.port}", compression=None) as client:
            for turn in range(20):
                await client.send(f"{number}.{turn}")
                assert await client.recv() == f"{number}.{turn}"

    async def everybody() -> None:
        await asyncio.gather(*(one(number) for number in range(24)))

    asyncio.run(asyncio.wait_for(everybody(), 120))


def test_an_app_on_gdbus_serves_third_party_clients(service):
    with AppProcess(service.bus.address, "echo") as app:
        asyncio.run(asyncio.wait_for(talk_with_websockets(f"ws://127.0.0.1:{app.port}"), 120))
        until(lambda: len(app.report()["closed"]) == 3, what="the app to hear of three closed connections")
        report = app.report()
        assert report["errors"] == []
        assert sorted(closed[1] for closed in report["closed"]) == [1000, 1005, 4321]
        assert app.end() == 0
