# SPDX-License-Identifier: Apache-2.0
"""How long a program on webSocket.js lives, the example in JavaScript, and that what comes and goes leaves nothing behind."""

import os
import re

import pytest
from blackbox.peer import Peer, can_bind
from program import FOLDER, MODULE, ROOT, Program

EXAMPLE = ROOT / "client-lib" / "examples" / "echo.js"
INSTALLED = "file:///usr/share/wsserver-0/gjs/webSocket.js"
CYCLES = int(os.environ.get("WSSERVERD_CYCLES", "300"))  # 10000: as long as it takes, see docs/javascript.md
WARM_UP = 200  # cycles until everything that is made once has been made
GROWTH_MAX = 4 << 20  # octets: the collector's heap and compiled code grow in steps until some thousand cycles are over
# What is freed goes back to the system, so that what is left can be seen.
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": "32768", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}


@pytest.fixture
def run_text(run_script, tmp_path):
    """Starts a program with that text."""

    def run(text: str):
        path = tmp_path / "program.js"
        path.write_text(f"import {{ webSocket }} from 'file://{MODULE}';\n{text}")
        return run_script(path)

    return run


def serving(port: int) -> str:
    return f"""
        const config = {{ serverPort: {port}, serverIP: '127.0.0.1' }};
        const server = webSocket.createWebSocketServer();
        const note = () => console.log('it serves');
        server.on('messageReceive', ({{ clientConnection, data }}) => data === 'stop' ? server.stop() : server.send(data, clientConnection));
    """


def assert_serves_until_it_is_stopped(script, port: int) -> None:
    script.wait("it serves")
    with Peer(port) as peer:
        peer.send_message("still there?")
        assert peer.read_message() == "still there?"
        peer.send_message("stop")
        assert peer.read_close()[0] == 1001
        peer.send_close(1001)
        assert script.end(None) == 0
    assert can_bind(port)


# --- How long it lives ---

@pytest.mark.parametrize("text", [
    "server.start(config).then(note);",
    "await server.start(config); note();",
    "Promise.resolve().then(() => Promise.resolve()).then(() => server.start(config)).then(note);",
    "(async () => { await null; await server.start(config); await server.stop(); await server.start(config); note(); })();",
    "await new Promise(resolve => setTimeout(resolve, 50)); await server.start(config); note();",
])
def test_a_program_without_a_main_loop_lives_as_long_as_its_server(run_text, port, text):
    assert_serves_until_it_is_stopped(run_text(serving(port) + text), port)


@pytest.mark.parametrize("text", ["", "webSocket.createWebSocketServer(); webSocket.createWebSocket();",
                                  "webSocket.createWebSocketServer().stop().catch(error => console.log(error.code));"])
def test_a_program_with_nothing_to_do_ends(run_text, text):
    assert run_text(text).end(None) == 0


LOOPS = [
    "const loop = new GLib.MainLoop(null, false); const leave = () => loop.quit(); const run = () => loop.run();",
    "const app = new Gio.Application({ flags: Gio.ApplicationFlags.NON_UNIQUE }); app.connect('activate', () => app.hold());"
    "const leave = () => app.quit(); const run = () => app.run([]);",
]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_with_a_main_loop_ends_with_it(run_text, port, loop):
    script = run_text("import GLib from 'gi://GLib'; import Gio from 'gi://Gio';" + serving(port) + loop +
                      "server.start(config).then(note); server.on('close', leave); run(); console.log('left');")
    script.wait("it serves")
    Peer(port).leave()
    assert script.end(None) == 0
    assert "left" in script.said


# --- The example ---

def test_the_example_sends_every_message_back(run_script, tmp_path, port):
    text = EXAMPLE.read_text()
    assert text.count("\n") <= 20 and text.count(INSTALLED) == 1 and text.count("8080") == 2
    path = tmp_path / "echo.js"
    path.write_text(text.replace(INSTALLED, f"file://{MODULE}").replace("8080", str(port)))
    echo = run_script(path)
    echo.wait(f"ws://0.0.0.0:{port}/")
    with Peer(port) as peer:
        for message in ("hello", b"\x00\xff", ""):
            peer.send_message(message)
            assert peer.read_message() == message
        peer.leave(4321, b"bye")
    assert re.fullmatch(r"127\.0\.0\.1:\d+ is here", echo.wait("is here"))
    assert echo.wait("has left").endswith("has left: 4321 bye")
    assert echo.is_running()


def test_the_readme_shows_the_example():
    assert f"```js\n{EXAMPLE.read_text()}```" in (ROOT / "README.md").read_text()


# --- What it leaves behind ---

CYCLE = """
globalThis.cycle = async (port, octets) => {
  const server = webSocket.createWebSocketServer(), client = webSocket.createWebSocket();
  server.on('messageReceive', ({ clientConnection, data }) => server.send(data, clientConnection));
  await server.start({ serverPort: port, serverIP: '127.0.0.1' });
  const answered = new Promise(resolve => client.on('message', (_, data) => resolve(data)));
  const closed = new Promise(resolve => client.on('close', (_, result) => resolve(result)));
  await client.connect(`ws://127.0.0.1:${port}/`, { proxy: 'no-proxy' });
  client.send(octets);
  if ((await answered).byteLength !== octets.byteLength)
    throw new Error('another answer');
  await client.close();
  await closed;
  await server.stop();
};
globalThis.figures = async dump => {
  for (let i = 0; i < 3; i++) {
    System.gc();
    await later(20);
  }
  System.dumpHeap(dump);
  const [, rollup] = GLib.file_get_contents('/proc/self/smaps_rollup');
  const files = Gio.File.new_for_path('/proc/self/fd').enumerate_children('standard::name', 0, null);
  let descriptors = 0;
  while (files.next_file(null) !== null)
    descriptors++;
  files.close(null);
  return { memory: 1024 * Number(/^Private_Dirty: +([0-9]+)/m.exec(new TextDecoder().decode(rollup))[1]), descriptors };
};
"""


def count_functions(dump) -> int:
    """Those in the heap. A server or client that is still there has a dozen of its own."""
    nodes = dump.read_text(errors="replace").partition("\n==========\n")[2]
    dump.unlink()
    return len(re.findall(r"^0x[0-9a-f]+ \w Function", nodes, re.MULTILINE))


def test_cycles_of_servers_and_clients_leave_nothing_behind(new_service, release_build, new_program, port, tmp_path, figure):
    program: Program = new_program(new_service(build_folder=release_build).bus.address, FRUGAL)
    program.run(CYCLE)

    def run(count: int) -> dict:
        for _ in range(count // 100):  # each is waited for no longer than for any other step
            program.run(f"for (let i = 0; i < 100; i++) await cycle({port}, new ArrayBuffer(1000))")
        figures = program.run(f"return await figures('{tmp_path / 'heap'}')")
        return {**figures, "functions": count_functions(tmp_path / "heap")}

    before, after = run(WARM_UP), run(CYCLES)
    grown = {name: after[name] - before[name] for name in after}
    figure(f"memory of a program in JavaScript after {WARM_UP} cycles, octets", before["memory"])
    figure(f"growth of it in {CYCLES} more: octets", grown["memory"])
    figure(f"growth of it in {CYCLES} more: functions in the heap", grown["functions"])
    assert before["functions"] > 1000  # the heap was read
    assert grown["descriptors"] == 0
    assert grown["functions"] < CYCLES
    assert grown["memory"] < GROWTH_MAX


def test_listeners_that_come_and_go_leave_nothing_behind(program, tmp_path):
    dump = tmp_path / "heap"
    counts = []
    for _ in range(2):
        program.run(f"""
            globalThis.server ??= webSocket.createWebSocketServer();
            for (let i = 0; i < 1000; i++) {{
              const callback = () => i;
              server.on('connect', callback);
              server.off('connect', callback);
            }}
            await later(1);
            System.gc();
            System.dumpHeap('{dump}')""")
        counts.append(count_functions(dump))
    assert counts[1] < counts[0] + 100
