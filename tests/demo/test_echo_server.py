# SPDX-License-Identifier: Apache-2.0
"""echo-server, and with it libwsserver, against a third-party client (Python websockets): over the channel and over signals."""

import asyncio
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest
import websockets
from session import daemon

LIMITS = (pathlib.Path(__file__).resolve().parents[2] / "client-lib" / "limits.h").read_text()
STEP = 60  # seconds that any one step may take on a busy machine


def limit(name):
    factor, shift = re.search(rf"#define {name} \(?(\d+)u?(?: << (\d+)\))?", LIMITS).groups()
    return int(factor) << int(shift or 0)


@pytest.fixture(params=["channel", "signal"])
def delivery(request, monkeypatch):
    monkeypatch.setenv("WS_DELIVERY", request.param)
    return request.param


def connect(url, **options):
    return websockets.connect(url, max_size=None, compression=None, open_timeout=STEP, close_timeout=STEP, **options)


async def within(awaitable):
    return await asyncio.wait_for(awaitable, STEP)


def run_echo_server(build, bus_address, *options):
    return subprocess.run(
        [build / "client-lib" / "examples" / "echo-server", *options],
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus_address},
        capture_output=True,
        text=True,
        timeout=STEP,
    )


def test_each_message_comes_back_to_its_sender_in_order_and_unchanged(start_app, delivery):
    url = start_app("echo-server", "--port", "0", "--ip", "127.0.0.1").url
    messages = ["text", "", "\0 and 😀", b"", b"\x00\xff", "x" * 70000, bytes(range(256)) * 20479]
    messages += [f"message {number}" for number in range(500)]

    async def visit():
        async with connect(url) as first, connect(url) as second:

            async def exchange(peer, own):
                sending = asyncio.create_task(send_all(peer, own))
                for message in own:
                    assert await within(peer.recv()) == message
                await sending

            await asyncio.gather(exchange(first, messages), exchange(second, messages[::-1]))

    async def send_all(peer, own):
        for message in own:
            await peer.send(message)

    asyncio.run(visit())


def test_more_peers_than_calls_may_be_outstanding_all_get_their_answers(start_app, delivery):
    peers = limit("WS_SIGNALS_CALLS_MAX") + 36
    url = start_app("echo-server", "--port", "0", "--ip", "127.0.0.1", "--max-connections", str(peers)).url

    async def visit(number):
        async with connect(url) as peer:
            for turn in range(20):
                await peer.send(f"{number}.{turn}")
            for turn in range(20):
                assert await within(peer.recv()) == f"{number}.{turn}"

    async def visit_all():
        await asyncio.gather(*(visit(number) for number in range(peers)))

    asyncio.run(visit_all())


def test_a_peer_that_reads_too_slowly_is_closed_at_the_bound_and_harms_nobody(start_app, delivery):
    url = start_app("echo-server", "--port", "0", "--ip", "127.0.0.1").url
    piece = bytes(1 << 20)
    pieces = 2 * limit("WS_SENDS_OCTETS") // len(piece) + 16  # what sockets and worker hold comes on top

    async def visit():
        async with connect(url) as polite:
            # max_queue=1 and nobody calls recv(): the client library stops reading its socket.
            greedy = await connect(url, max_queue=1, ping_interval=None)
            flood = asyncio.create_task(send_all(greedy))
            echoed = 0
            while not flood.done() or echoed < 10:
                await polite.send(f"still there? {echoed}")
                assert await within(polite.recv()) == f"still there? {echoed}"
                echoed += 1
            await flood
            answers = 0
            with pytest.raises(websockets.ConnectionClosed):
                while answers < pieces:
                    assert await within(greedy.recv()) == piece
                    answers += 1
            assert greedy.close_code == 1013 and answers > 0
            await polite.send("afterwards")
            assert await within(polite.recv()) == "afterwards"

    async def send_all(peer):
        for _ in range(pieces):
            await within(peer.send(piece))

    asyncio.run(visit())


def test_the_subprotocol_asked_for_is_agreed_on(start_app, delivery):
    url = start_app("echo-server", "--port", "0", "--ip", "127.0.0.1", "--protocol", "echo.v1").url

    async def visit():
        async with connect(url, subprotocols=["other", "echo.v1"]) as peer:
            return peer.subprotocol

    assert asyncio.run(visit()) == "echo.v1"


def test_an_ipv6_address_is_printed_so_that_a_client_can_use_it(start_app):
    url = start_app("echo-server", "--port", "0", "--ip", "::1").url
    assert url.startswith("ws://[::1]:")

    async def visit():
        async with connect(url) as peer:
            await peer.send("six")
            assert await within(peer.recv()) == "six"

    asyncio.run(visit())


def test_verbose_tells_who_came_what_came_and_how_it_ended(start_app, delivery):
    echo = start_app("echo-server", "--port", "0", "--ip", "127.0.0.1", "--verbose")

    async def visit():
        async with connect(echo.url + "room?x=1") as peer:
            await peer.send("hello")
            await within(peer.recv())
            await peer.close(4321, "bye")

    asyncio.run(visit())
    assert echo.stop() == 0
    told = "\n".join(echo.said)
    assert "connected from 127.0.0.1 port" in told and "path /room" in told
    assert "sent 5 octets of text" in told and 'closed with 4321 "bye"' in told


def test_any_option_of_the_service_can_be_given(start_app, delivery):
    url = start_app("echo-server", "--port", "0", "--ip", "127.0.0.1", "--option", "maxMessageSize=100").url

    async def visit():
        async with connect(url) as peer:
            await peer.send("x" * 101)
            with pytest.raises(websockets.ConnectionClosed):
                await within(peer.recv())
            return peer.close_code

    assert asyncio.run(visit()) == 1009


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ending_it_says_goodbye_to_its_peers(start_app, delivery, number):
    echo = start_app("echo-server", "--port", "0", "--ip", "127.0.0.1")

    async def visit():
        async with connect(echo.url) as peer:
            echo.process.send_signal(number)
            with pytest.raises(websockets.ConnectionClosed):
                await within(peer.recv())
            return peer.close_code

    assert asyncio.run(visit()) == 1001
    assert echo.process.wait(STEP) == 0


def test_it_waits_when_the_daemon_dies_and_goes_on_when_there_is_another(start_app, delivery, build, private_bus, service, tmp_path):
    echo = start_app("echo-server", "--port", "0", "--ip", "127.0.0.1")
    service.process.kill()
    service.process.wait()
    (tmp_path / "another").mkdir()
    another = daemon.Daemon(build, private_bus.address, tmp_path / "another")

    async def visit():
        for _ in range(10 * STEP):
            try:
                async with connect(echo.url) as peer:
                    await peer.send("still there?")
                    return await within(peer.recv())
            except OSError:
                await asyncio.sleep(0.1)

    assert asyncio.run(visit()) == "still there?"
    assert echo.process.poll() is None
    assert echo.stop() == 0
    assert "it is started again when wsserverd is there" in "\n".join(echo.said)
    another.stop()


def test_it_ends_with_an_error_when_the_bus_dies(start_app, delivery, private_bus):
    echo = start_app("echo-server", "--port", "0", "--ip", "127.0.0.1")
    private_bus.process.kill()
    assert echo.process.wait(STEP) == 1
    echo.stop()
    assert "the bus went away" in "\n".join(echo.said)


@pytest.mark.parametrize(
    ("options", "name", "hint"),
    [
        (["--port", "70000"], "InvalidPort", "1 to 65535"),
        (["--port", "0", "--ip", "0.0.0.0.."], "InvalidAddress", "address of this machine"),
        (["--port", "0", "--ip", "192.0.2.1"], "InvalidAddress", "address of this machine"),
    ],
)
def test_a_refused_start_is_explained(build, private_bus, service, options, name, hint):
    ended = run_echo_server(build, private_bus.address, *options)
    assert ended.returncode == 1 and ended.stdout == ""
    assert f"org.wsserver1.Error.{name}: " in ended.stderr and hint in ended.stderr


def test_a_taken_port_is_explained(build, private_bus, service):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_echo_server(build, private_bus.address, "--port", str(port), "--ip", "127.0.0.1")
    assert ended.returncode == 1
    assert "org.wsserver1.Error.PortInUse: " in ended.stderr and "another port" in ended.stderr


def test_a_missing_daemon_is_explained(build, private_bus):
    ended = run_echo_server(build, private_bus.address, "--port", "0")
    assert ended.returncode == 1
    assert "nobody offers org.wsserver1" in ended.stderr and "tools/with-daemon" in ended.stderr


def test_a_missing_bus_is_explained(build):
    ended = run_echo_server(build, "unix:path=/nowhere/bus", "--port", "0")
    assert ended.returncode == 1 and "DBUS_SYSTEM_BUS_ADDRESS" in ended.stderr


@pytest.mark.parametrize("options", [[], ["--port", "x"], ["--port", "1", "more"], ["--nonsense"],
                                     ["--port", "1", "-o", "x"], ["--port", "1", "-o", "x=("]])
def test_wrong_options_are_explained(build, options):
    ended = run_echo_server(build, "unix:path=/nowhere/bus", *options)
    assert ended.returncode == 1 and "--help" in ended.stderr
