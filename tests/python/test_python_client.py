# SPDX-License-Identifier: Apache-2.0
"""The client in Python, and the loop that is asyncio's and GLib's at once."""

import asyncio
import contextlib
import socket
import subprocess
import threading

import pytest
import websockets
from python_program import STEP


@contextlib.contextmanager
def serving(handler):
    """A server by Python websockets, in a thread; its URL."""
    loop, ready, servers = asyncio.new_event_loop(), threading.Event(), []

    async def begin():
        servers.append(await websockets.serve(handler, "127.0.0.1", 0, max_size=None))
        ready.set()

    async def end():
        servers[0].close()
        await servers[0].wait_closed()

    thread = threading.Thread(target=lambda: (loop.run_until_complete(begin()), loop.run_forever()), daemon=True)
    thread.start()
    assert ready.wait(STEP)
    yield f"ws://127.0.0.1:{servers[0].sockets[0].getsockname()[1]}/"
    asyncio.run_coroutine_threadsafe(end(), loop).result(STEP)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(STEP)


async def echo(peer, _path=None):
    async for message in peer:
        if message == "bye":
            await peer.close(4321, "auf Wiedersehen")
        else:
            await peer.send(message)


def run(start, body: str, url: str = "") -> list:
    program = start(f"URL = {url!r}\nasync def main():\n" + "".join(f"    {line}\n" for line in body.strip().splitlines())
                    + "wsserver.run(main())\n")
    return program.lines()


def test_a_visit(start):
    with serving(echo) as url:
        said = run(start, """
async with wsserver.connect(URL + "room?x=1", headers={"X-A": "b"}, proxy_mode=1) as server:
    for message in ("text", "\\0 und 😀", b"", b"\\x00\\xff" * 1000, "", "x" * 1_000_000):
        await server.send(message)
        assert await server.recv() == message
    say(server.closed, server.headers["upgrade"].lower(), server.close_code)
say(server.closed, server.close_code, server.close_reason)
""", url)
    assert said == [[False, "websocket", None], [True, 1000, ""]]


def test_the_iteration_ends_with_the_connection_and_calls_behind_it_say_how(start):
    with serving(echo) as url:
        said = run(start, """
async with wsserver.connect(URL, proxy_mode=1) as server:
    await server.send("one")
    await server.send("bye")
    say([message async for message in server])
    for call in (server.recv(), server.send("x")):
        try:
            await call
        except wsserver.ConnectionClosed as closed:
            say(closed.close_code, closed.reason, closed.clean, closed.code, closed.name)
""", url)
    assert said == [[["one"]]] + [[4321, "auf Wiedersehen", True, 2302006, "ConnectionNotFound"]] * 2


def test_what_cannot_be_connected_to_raises(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = run(start, f"""
from gi.repository import GLib
for url in ("http://a/", "ws://127.0.0.1:{port}/"):
    try:
        async with wsserver.connect(url, proxy_mode=1): pass
    except wsserver.Error as error:
        say(error.code, error.name)
    except GLib.Error as error:
        say(error.domain)
for wrong in (5, None, ["x"]):
    try:
        async with wsserver.connect(URL, proxy_mode=1) as server:
            await server.send(wrong)
    except (TypeError, GLib.Error, wsserver.Error) as error:
        say(type(error).__name__)
""", "ftp://nowhere/")
    assert said[0] == [2302001, "InvalidUrl"] and said[1] == ["g-io-error-quark"]


def test_waiting_can_be_cancelled(start):
    with serving(echo) as url, socket.create_server(("127.0.0.1", 0)) as silent:
        said = run(start, f"""
try:
    await asyncio.wait_for(wsserver.connect("ws://127.0.0.1:{silent.getsockname()[1]}/", proxy_mode=1).connect(), 0.3)
except asyncio.TimeoutError:
    say("late")
async with wsserver.connect(URL, proxy_mode=1) as server:
    try:
        await asyncio.wait_for(server.recv(), 0.2)
    except asyncio.TimeoutError:
        say("nothing came")
    await server.send("still fine")
    say(await server.recv())
""", url)
    assert said == [["late"], ["nothing came"], ["still fine"]]


def test_who_reads_slowly_makes_the_server_wait_and_loses_nothing(start):
    async def flood(peer, _path=None):
        for number in range(60):
            await peer.send(number.to_bytes(4, "big") + bytes(1 << 20))

    with serving(flood) as url:
        said = run(start, """
async with wsserver.connect(URL, proxy_mode=1, max_message_size=2 << 20) as server:
    await asyncio.sleep(1)
    with open("/proc/self/status") as status:
        say([int(line.split()[1]) for line in status if line.startswith("VmHWM")][0] // 1024)
    say([int.from_bytes(message[:4], "big") async for message in server] == list(range(60)))
""", url)
    assert said[0][0] < 80 and said[1] == [True]


# --- The loop ---

def test_glib_and_asyncio_take_turns(start):
    """Neither starves the other: an idle source that never ends, and a task that never waits."""
    said = run(start, """
from gi.repository import GLib
turns = {"glib": 0, "asyncio": 0, "timer": 0}
def idle():
    turns["glib"] += 1
    return True
def tick():
    turns["timer"] += 1
    return True
async def spin():
    while True:
        turns["asyncio"] += 1
        await asyncio.sleep(0)
GLib.idle_add(idle)
GLib.timeout_add(10, tick)
task = asyncio.create_task(spin())
await asyncio.sleep(0.5)
task.cancel()
say(turns["glib"] > 100, turns["asyncio"] > 100, 5 < turns["timer"] < 60)
""")
    assert said == [[True, True, True]]


def test_everything_else_of_asyncio_works_on_it(start):
    said = run(start, """
async def answer(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()
server = await asyncio.start_server(answer, "127.0.0.1", 0)
reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
writer.write(b"line\\n")
say((await reader.read()).decode())
writer.close()
server.close()
loop = asyncio.get_running_loop()
say(await loop.run_in_executor(None, sum, [1, 2]))
began = loop.time()
await asyncio.sleep(0.25)
say(0.2 < loop.time() - began < 5)
process = await asyncio.create_subprocess_exec("echo", "child", stdout=asyncio.subprocess.PIPE)
say((await process.stdout.read()).decode(), await process.wait())
import threading
future = loop.create_future()
threading.Timer(0.1, lambda: loop.call_soon_threadsafe(future.set_result, "from a thread")).start()
say(await future)
""")
    assert said == [["line\n"], [3], [True], ["child\n", 0], ["from a thread"]]


@pytest.mark.parametrize("threads", [4])
def test_each_thread_may_have_one(start, threads):
    with serving(echo) as url:
        program = start(f"""
import threading
from gi.repository import GLib
async def visit(number):
    async with wsserver.connect({url!r}, proxy_mode=1) as server:
        for turn in range(20):
            await server.send(f"{{number}}.{{turn}}")
            assert await server.recv() == f"{{number}}.{{turn}}"
    say(number)
def work(number):
    context = GLib.MainContext.new()
    context.push_thread_default()
    wsserver.run(visit(number))
    context.pop_thread_default()
workers = [threading.Thread(target=work, args=[number]) for number in range({threads})]
for worker in workers: worker.start()
for worker in workers: worker.join()
""")
        assert sorted(program.lines()) == [[number] for number in range(threads)]


def test_the_installed_package_is_found_by_the_systems_python(release_build, tmp_path):
    subprocess.run(["meson", "install", "-C", release_build, "--no-rebuild", "--quiet", "--destdir", str(tmp_path)], check=True, timeout=STEP)
    [package] = tmp_path.rglob("wsserver/loop.py")
    prefix = tmp_path / "usr"
    if not package.is_relative_to(prefix):
        pytest.skip("this build is for another prefix")
    paths = subprocess.run(["/usr/bin/python3", "-c", "import sys; print('\\n'.join(sys.path))"], capture_output=True, text=True, check=True).stdout
    assert "/" + str(package.parents[1].relative_to(tmp_path)) in paths.splitlines()


def test_what_is_written_counts_as_sent_though_the_answer_is_a_goodbye(start):
    with serving(echo) as url:
        said = run(start, """
for _ in range(300):
    async with wsserver.connect(URL, proxy_mode=1) as server:
        await server.send("bye")
say("sent")
""", url)
    assert said == [["sent"]]
