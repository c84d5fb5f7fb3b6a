# SPDX-License-Identifier: Apache-2.0
"""The guide's two complete examples, through the real service. What is done to them is in transform.py; beside that, the client gets an address, and both a port that
is free on this machine."""

import pathlib

import pytest
from blackbox.peer import TEXT, CLOSE, Peer, can_bind
from listener import Listener
from program import FOLDER
from transform import TRANSFORMS

LAST_STATEMENT = "localServer.stop()"


@pytest.fixture(params=list(TRANSFORMS))
def make(request, tmp_path, clients_folder):
    """make("server", port) or make("client", port): the path of the program."""
    transform = TRANSFORMS[request.param]

    def make(name: str, port: int, text=lambda example: example) -> pathlib.Path:
        example = (FOLDER / "guide" / f"{name}.ets").read_text()
        assert 'let defaultIpAddress = "ws://";' in example or "serverPort: 8080" in example
        source = tmp_path / f"{name}.ets"
        source.write_text(text(example).replace('"ws://"', f'"ws://127.0.0.1:{port}/"').replace("8080", str(port)))
        transform(pathlib.Path(clients_folder), source, tmp_path / f"{name}.js")
        return tmp_path / f"{name}.js"

    return make


def without_last_statement(example: str) -> str:
    assert example.count(LAST_STATEMENT) == 1
    return example[:example.index(LAST_STATEMENT)]


@pytest.fixture
def serving(make, run_script, port):
    """The server's example as it keeps serving, and its port."""
    server = run_script(make("server", port, without_last_statement))
    server.wait("webSocket server start success")
    return server, port


def test_the_servers_example_starts_and_stops_in_that_order_and_ends(make, run_script, port):
    server = run_script(make("server", port))
    assert server.end(None) == 0
    assert server.said == ["webSocket server start success", "server stop service successfully", "(end)"]
    assert can_bind(port)


def test_the_two_examples_talk(make, run_script, serving):
    server, port = serving
    client = run_script(make("client", port))
    assert client.wait("on message") == "on message, message:Hello, I'm server!"
    client.wait("Message send successfully")
    assert server.wait("on message received").endswith("data: Hello, server!")
    assert client.said[0] == 'on open, status:{"status":101,"message":"Switching Protocols"}'
    assert "Connected successfully" in client.said
    connected = server.wait("New client connected! Client ip: 127.0.0.1, Client port: ")
    assert server.wait("client list cnt: 1, client connections list is: ").endswith(f"127.0.0.1:{connected.rpartition(' ')[2]}")
    server.wait("message send successfully")
    assert server.is_running() and client.is_running()
    server.end()  # with its app the server goes
    assert client.end(None) == 0
    assert client.said[-2].startswith("on close, code is 1001, reason is")


def test_who_says_bye_to_the_servers_example_is_closed_and_it_serves_on(serving):
    server, port = serving
    peer = Peer(port)
    assert peer.read_message() == "Hello, I'm server!"
    peer.send_message("bye")
    assert peer.finish_close() == (1000, b"CLOSE_NORMAL")
    server.wait("close client successfully")
    assert server.wait("client close, client: 127.0.0.1:").endswith("closeReason: Code: 1000, reason: CLOSE_NORMAL")
    with Peer(port) as other:
        assert other.read_message() == "Hello, I'm server!"
        other.leave(4321, b"and off")
    assert server.wait("Code: 4321").endswith("reason: and off")
    assert server.is_running()


def test_the_clients_example_closes_when_it_hears_bye_and_ends(make, run_script):
    with Listener() as listener:
        client = run_script(make("client", listener.port))
        visit = listener.accept()
        visit.accept()
        assert visit.read_frame()[0] == TEXT
        visit.send_frame(TEXT, b"bye")
        opcode, payload = visit.read_frame()
        assert (opcode, payload) == (CLOSE, b"\x03\xe8CLOSE_NORMAL")
        visit.send_frame(CLOSE, payload)
        client.wait("Connection closed successfully")
        assert client.wait("on close,") == "on close, code is 1000, reason is CLOSE_NORMAL"
        assert client.end(None) == 0


def test_the_clients_example_tells_that_nobody_is_there(make, run_script, port):
    client = run_script(make("client", port))
    assert client.end(None) == 0
    assert '"code":2302999' in client.wait("on error, error:")
    assert '"code":2302999' in client.wait("Connection failed. Err:")


def test_the_clients_example_as_it_is_has_no_address(make, run_script, clients_folder, tmp_path):
    client = run_script(make("client", 0, lambda example: example.replace('"ws://"', "'ws://'")))
    assert client.end(None) == 0
    assert client.said[0].startswith('Connection failed. Err:{"code":2302001,')
