# SPDX-License-Identifier: Apache-2.0
"""Servers in Python: handlers as tasks, messages, flow control, goodbyes, errors; against Python's websockets and raw peers."""

import asyncio
import os
import re
import signal

import pytest
import websockets
from blackbox.peer import Peer, can_bind
from blackbox.wire import until
from python_program import STEP, TESTS

ECHO = TESTS.parent / "client-lib" / "examples" / "echo.py"

SERVE = """
async def main():
    async with wsserver.serve(handler, server_ip="127.0.0.1", max_connections_for_one_client=100) as server:
        say(server.port, server.state, server.uri)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    say("ended", server.state)
wsserver.run(main())
"""


def end(program) -> list:
    """What it says at its end."""
    return program.lines()


def serve(start, handler: str, **options):
    program = start(handler + SERVE, **options)
    port, state, uri = program.line()
    assert state == "running" and uri == f"ws://127.0.0.1:{port}/"
    return program, port


ECHO_HANDLER = """
async def handler(connection):
    async for message in connection:
        await connection.send(message)
"""


def test_the_example_has_20_lines_and_echoes(start):
    source = ECHO.read_text()
    assert len(source.splitlines()) <= 20
    program = start(source[source.index("import"):].replace("port=8080", "port=0").replace("print(server.uri)", "print(server.uri, flush=True)"))
    uri = program.line()

    async def visit():
        async with websockets.connect(uri.replace("0.0.0.0", "127.0.0.1"), max_size=None) as peer:
            for message in ("text", b"\x00\xff", "", "x" * 300_000):
                await peer.send(message)
                assert await asyncio.wait_for(peer.recv(), STEP) == message

    asyncio.run(visit())


def test_the_readme_shows_the_example():
    readme = (TESTS.parent / "README.md").read_text()
    shown = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert shown and shown[1] == ECHO.read_text()


def test_messages_of_all_kinds_come_and_go(start):
    program, port = serve(start, ECHO_HANDLER)

    async def visit():
        async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None) as peer:
            for message in ("text", "\0 and 😀", b"", b"\x00\xff" * 1000, "", "x" * 1_000_000):
                await peer.send(message)
                assert await asyncio.wait_for(peer.recv(), STEP) == message

    asyncio.run(visit())
    assert end(program) == [["ended", "stopped"]]
    assert can_bind(port)


def test_a_handler_knows_who_it_talks_to(start):
    program, port = serve(start, """
async def handler(connection):
    say(connection.id, connection.client_ip, connection.client_port, connection.path, connection.query, connection.headers["x-a"],
        connection.protocol, connection.origin)
""")
    peer = Peer(port, path="/room?x=1", headers={"X-A": "b", "Origin": "https://a.example"})
    assert program.line() == [(1 << 32) + 1, "127.0.0.1", peer.address[1], "/room", "x=1", "b", "", "https://a.example"]
    assert peer.finish_close()[0] == 1000  # the handler has returned


@pytest.mark.parametrize("failure, code", [("raise RuntimeError('oops')", 1011), ("connection.close(4001, 'enough'); await connection.recv()", 4001),
                                           ("return", 1000), ("connection.close(5)", 1011)])
def test_how_a_handler_ends_is_how_its_connection_ends_and_harms_nobody(start, failure, code):
    program, port = serve(start, f"""
async def handler(connection):
    async for message in connection:
        if message == "end":
            {failure}
            return
        await connection.send(message)
""")
    other, peer = Peer(port), Peer(port)
    peer.send_message("end")
    assert peer.finish_close()[0] == code
    other.send_message("still there?")
    assert other.read_message() == "still there?"
    other.close()
    assert end(program) == [["ended", "stopped"]]
    assert ("oops" in "".join(program.complaints)) == ("oops" in failure)


def test_who_is_slow_makes_peers_wait_and_loses_nothing(start):
    """100 MiB for a handler that sleeps at first: its memory does not grow by them."""
    program, port = serve(start, """
async def handler(connection):
    await asyncio.sleep(1.5)
    with open("/proc/self/status") as status:
        say([int(line.split()[1]) for line in status if line.startswith("VmHWM")][0] // 1024)
    count = 0
    async for message in connection:
        if message == "done":
            break
        assert message[:4] == count.to_bytes(4, "big") and len(message) == 1 << 20
        count += 1
    say(count)
""")

    async def flood():
        async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None, compression=None) as peer:
            for number in range(100):
                await peer.send(number.to_bytes(4, "big") + bytes((1 << 20) - 4))
            await peer.send("done")
            await peer.wait_closed()

    asyncio.run(flood())
    [most] = program.line()
    assert most < 90  # MiB, the interpreter's own 30 included
    assert program.line() == [100]


def test_sending_waits_for_a_peer_that_does_not_read(start):
    program, port = serve(start, """
async def handler(connection):
    sent = 0
    async def report():
        while True:
            await asyncio.sleep(0.3)
            say(sent)
    task = asyncio.create_task(report())
    try:
        while True:
            await connection.send(bytes(1 << 20))
            sent += 1
    finally:
        task.cancel()
""")
    peer = Peer(port, receive_buffer=4096)
    first, second = program.line(), program.line()
    third = program.line()
    assert first[0] < 60 and second == third, (first, second, third)  # what sockets hold, and no more
    peer.close()


def test_broadcasts_reach_all_or_those_who_are_named(start):
    program, port = serve(start, """
async def handler(connection):
    async for message in connection:
        everybody = server_of[0].connections
        say(server_of[0].broadcast(message, everybody[:1] if message == "one" else None), len(everybody))
server_of = []
real = wsserver.serve
def serve(*arguments, **options):
    server_of.append(real(*arguments, **options))
    return server_of[0]
wsserver.serve = serve
""")
    peers = [Peer(port) for _ in range(5)]
    peers[0].send_message("all")
    assert [peer.read_message() for peer in peers] == ["all"] * 5
    assert program.line() == [5, 5]
    peers[1].send_message("one")
    assert program.line() == [1, 5]


def test_peers_are_told_when_the_server_stops_and_handlers_end(start):
    program, port = serve(start, """
async def handler(connection):
    async for message in connection:
        await connection.send(message)
    say("handler", connection.close_code, connection.close_reason)
""")
    peers = [Peer(port) for _ in range(3)]
    program.process.stdin.close()
    for peer in peers:
        assert peer.finish_close()[0] == 1001
    said = [program.line() for _ in range(4)]
    assert sorted(said[:3]) == [["handler", 1001, ""]] * 3 and said[3] == ["ended", "stopped"]


@pytest.mark.parametrize("options, number, name", [
    ("port=70000", 2302005, "InvalidPort"), ("server_ip='nowhere'", 2302004, "InvalidAddress"),
    ("certificate='/nowhere.pem', private_key='/nowhere.key'", 2302002, "CertificateNotFound"),
    ("max_concurrent_clients_number=0", 401, "InvalidArgument"),
])
def test_a_start_that_is_refused_raises_what_the_guide_has_for_it(start, options, number, name):
    program = start(f"""
async def handler(connection): pass
async def main():
    try:
        async with wsserver.serve(handler, {options}): pass
    except wsserver.Error as error:
        say(error.code, error.name, str(error))
wsserver.run(main())
""")
    [[code, called, message]] = program.lines()
    assert (code, called) == (number, name) and len(message) > 10


def test_a_service_that_was_stopped_and_started_brings_it_back(start, new_service):
    service = new_service()
    program = start(ECHO_HANDLER + """
async def main():
    told = asyncio.Event()
    def on_error(error):
        say("error", error.name)
        told.set()
    async with wsserver.serve(handler, server_ip="127.0.0.1", on_error=on_error) as server:
        say(server.port)
        await told.wait()
        while server.state != "running":
            await asyncio.sleep(0.05)
        say(server.port)
        await asyncio.Future()
wsserver.run(main())
""", on=service)
    [port] = program.line()
    service.stop()
    service.start()
    assert program.line() == ["error", "Failed"] and program.line() == [port]
    peer = Peer(port)
    peer.send_message("again")
    assert peer.read_message() == "again"


@pytest.mark.parametrize("number, status", [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM)])
def test_signals_end_it_as_they_end_other_programs(start, number, status):
    program = start(ECHO_HANDLER + """
async def main():
    async with wsserver.serve(handler, server_ip="127.0.0.1") as server:
        say(server.port)
        await asyncio.Future()
wsserver.run(main())
""")
    [port] = program.line()
    peer = Peer(port)
    program.process.send_signal(number)
    assert program.process.wait(STEP) in (status, 130)
    until(lambda: can_bind(port), what="the port to be free")
    peer.close()


def test_cycles_leave_nothing_behind(start, figure):
    """WSSERVER_CYCLES: more than the 250 that this test has time for."""
    cycles = int(os.environ.get("WSSERVER_CYCLES", "250"))
    program = start(ECHO_HANDLER + f"""
import gc
def resident():
    gc.collect()
    with open("/proc/self/statm") as statm: return int(statm.read().split()[1]) * 4096
async def cycle():
    async with wsserver.serve(handler, server_ip="127.0.0.1") as server:
        async with wsserver.connect(server.uri, proxy_mode=1) as client:
            await client.send("x" * 1000)
            assert len(await client.recv()) == 1000
async def main():
    for _ in range({cycles // 5}): await cycle()
    before = resident(), len(gc.get_objects()), len(os.listdir("/proc/self/fd"))
    for _ in range({cycles - cycles // 5}): await cycle()
    say(before, (resident(), len(gc.get_objects()), len(os.listdir("/proc/self/fd"))))
wsserver.run(main())
""")
    program.process.stdin.close()
    [memory, objects, descriptors], [later_memory, later_objects, later_descriptors] = program.line(STEP + cycles / 10)
    figure(f"memory of a program in Python after {cycles // 5} and {cycles} cycles, octets", (memory, later_memory))
    assert later_descriptors <= descriptors + 1 and later_objects - objects < 200
    # PyGObject 3.42 itself keeps some 260 octets of each asynchronous call, of whatever library
    assert later_memory - memory < (4 << 20) + 1200 * cycles

