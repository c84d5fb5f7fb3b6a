# SPDX-License-Identifier: Apache-2.0
"""OpenSharedChannel: the same as OpenChannel, and memory that each side can only write on its own half."""

import fcntl
import mmap
import os
import pathlib
import socket
import struct
import subprocess
import sys

import pytest
from blackbox.app import Server, expect_error
from blackbox.peer import Peer
from blackbox.wire import until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import channel_client as cc  # noqa: E402

LARGE = 200_000
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@pytest.fixture
def open_shared():
    channels = []

    def open_one(server: Server) -> cc.SharedChannel:
        message = server.call_later("OpenSharedChannel").message()
        fd, events, commands = message.fds
        channels.append(cc.SharedChannel(socket.socket(fileno=fd), events, commands))
        return channels[-1]

    yield open_one
    for channel in channels:
        channel.close()


@pytest.fixture
def served(open_shared):
    def serve(app, **options) -> tuple:
        server = app.create_server()
        channel = open_shared(server)
        server.start(**{"serverIP": "127.0.0.1", **options})
        return server, channel

    return serve


def octets(length: int, seed: int = 0) -> bytes:
    return (bytes((seed + i * 3) & 0xFF for i in range(256)) * (length // 256 + 1))[:length]


def echo_once(channel, peer: Peer, data) -> None:
    peer.send_message(data)
    expected = data.encode() if isinstance(data, str) else data
    kinds = (cc.MESSAGE, cc.SHARED_MESSAGE)
    record = channel.wait(lambda records: next((r for r in records if r.type in kinds and channel.payload(r) == expected), None),
                          what="the message")
    assert (record.type == cc.SHARED_MESSAGE) == (len(expected) >= cc.SHARED_MIN)
    if record.type == cc.MESSAGE:
        channel.send(record.connection, data)
    else:
        channel.send_shared(record.connection, data)
        channel.release(struct.unpack("<QQ", record.body)[0])
    assert peer.read_message() == data
    channel.records.clear()


def test_messages_of_all_sizes_come_and_go(app, served):
    server, channel = served(app)
    peer = Peer(server.port)
    for data in ("héllo", b"\x00\xff", octets(cc.SHARED_MIN - 1), octets(cc.SHARED_MIN), octets(LARGE), "ö" * LARGE, octets(4 << 20)):
        echo_once(channel, peer, data)
    assert server.get("ChannelOpen") is True
    expect_error("ChannelInUse", server.call, "OpenSharedChannel")
    expect_error("ChannelInUse", server.call, "OpenChannel")
    server.stop()
    channel.wait_for_end()


def test_a_server_that_runs_changes_over(app, open_shared):
    server = app.running_server()
    peer, connection = server.join()
    peer.send_message("by signal")
    server.wait("MessageReceive")
    channel = open_shared(server)
    assert channel.wait_for(cc.STANDING).connection == connection
    echo_once(channel, peer, octets(LARGE))


def test_each_side_can_write_on_its_own_half_alone(app, served):
    _server, channel = served(app)
    assert fcntl.fcntl(channel.events_fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    with pytest.raises(PermissionError):
        mmap.mmap(channel.events_fd, channel.size)
    for descriptor in (channel.events_fd, channel.commands_fd):
        assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & SEALS == SEALS
    for length in (0, channel.size - 1, channel.size + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(channel.commands_fd, length)
    assert os.fstat(channel.events_fd).st_mode & 0o777 == 0o400


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_nobody_opens_it_for_writing_once_more(app, served):
    _server, channel = served(app)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c",
               f"exec 5<>/proc/self/fd/{channel.events_fd}"]
    ended = subprocess.run(command, pass_fds=[channel.events_fd], capture_output=True, text=True, check=False)
    assert ended.returncode != 0 and "Permission denied" in ended.stderr, ended.stderr


def test_an_app_that_breaks_the_rules_stops_its_server_alone(app, served):
    other = app.running_server()
    server, channel = served(app)
    peer = Peer(server.port)
    connection = channel.wait_for(cc.CONNECT).connection
    channel.write(cc.encode(cc.SHARED_SEND, connection, struct.pack("<QQ", cc.ARENA_SIZE, 1)))
    channel.wait_for_end()
    assert peer.finish_close()[0] == 1001
    until(lambda: server.get("State") == "stopped", what="the server to stop")
    assert "beyond the shared memory" in server.wait("Error").args[1]
    peer, connection = other.join()
    peer.send_message("still there")
    other.wait("MessageReceive")


def test_a_worker_that_dies_ends_it_and_the_next_has_memory_of_its_own(app, service, served, open_shared):
    before = service.workers()
    server, channel = served(app)
    [worker] = service.workers() - before
    peer = Peer(server.port)
    echo_once(channel, peer, octets(LARGE))
    os.kill(worker, 9)
    channel.wait_for_end()
    server.wait("Error")
    again = open_shared(server)
    echo_once(again, Peer(server.port), octets(LARGE, 1))
    assert os.fstat(again.events_fd).st_ino != os.fstat(channel.events_fd).st_ino


@pytest.mark.parametrize("way", ["restart", "crash"])
@pytest.mark.parametrize("runs", [True, False], ids=["running", "waiting"])
def test_it_outlives_the_daemon(managed, new_app, open_shared, way, runs):
    server = new_app(managed).create_server()
    channel = open_shared(server)
    if runs:
        server.start(serverIP="127.0.0.1")
        peer = Peer(server.port)
        echo_once(channel, peer, octets(LARGE))
    getattr(managed.manager, way)()
    if not runs:
        server.start(serverIP="127.0.0.1")
        peer = Peer(server.port)
    echo_once(channel, peer, octets(LARGE, 2))


def blocks(descriptor: int) -> int:
    return os.fstat(descriptor).st_blocks


@pytest.fixture
def left(app, open_shared):
    """A server that has stopped, and a channel of its whose arenas are full of what the worker wrote and read."""
    server = app.create_server()
    channel = open_shared(server)
    server.start(serverIP="127.0.0.1")
    peer = Peer(server.port)
    peer.send_message(octets(1 << 20))
    record = channel.wait_for(cc.SHARED_MESSAGE)
    channel.send_shared(record.connection, octets(1 << 20))
    assert len(peer.read_message()) == 1 << 20
    server.stop()
    channel.wait_for_end()
    assert channel.payload(record) == octets(1 << 20), "what came before the end is there to be read"
    assert blocks(channel.events_fd) > 0 and blocks(channel.commands_fd) > 0
    return server, channel


@pytest.mark.parametrize("method", ["OpenChannel", "OpenSharedChannel"])
def test_an_app_that_keeps_its_old_arenas_keeps_no_memory(left, method):
    server, channel = left
    for descriptor in server.call_later(method).message().fds:
        os.close(descriptor)
    assert blocks(channel.events_fd) == blocks(channel.commands_fd) == 0


def test_a_server_that_is_released_leaves_no_memory_to_its_app(left):
    server, channel = left
    server.release()
    until(lambda: blocks(channel.events_fd) == blocks(channel.commands_fd) == 0, what="the arenas to be emptied")


@pytest.mark.parametrize("method", ["OpenChannel", "OpenSharedChannel"])
def test_a_channel_that_the_app_has_closed_before_the_start_is_in_nobodys_way(app, method):
    """An app that cannot map the arenas goes on without."""
    server = app.create_server()
    for former in server.call_later("OpenSharedChannel").message().fds:
        os.close(former)
    fds = server.call_later(method).message().fds
    server.start(serverIP="127.0.0.1")
    channel = cc.Channel(socket.socket(fileno=fds[0]))
    assert channel.wait_for(cc.WELCOME) and channel.welcome["version"] == len(fds) // 2 + 1
    server.stop()
    channel.wait_for_end()
    for descriptor in fds[1:]:
        os.close(descriptor)
    channel.sock.close()


@pytest.mark.parametrize("method", ["OpenChannel", "OpenSharedChannel"])
def test_a_worker_that_died_while_the_daemon_was_away_ended_its_channel(managed, new_app, method):
    server = new_app(managed).create_server()
    fds = server.call_later(method).message().fds
    server.start(serverIP="127.0.0.1")
    [worker] = managed.workers()
    managed.manager.kill()
    os.kill(worker, 9)
    managed.manager.wait_for(lambda: len(managed.manager.hung_up) > 0, what="the store to notice")
    managed.manager.start()
    server.wait("Error")
    assert server.get("State") == "running" and server.get("ChannelOpen") is False
    fds += server.call_later(method).message().fds
    channel = cc.Channel(socket.socket(fileno=os.dup(fds[len(fds) // 2])))
    channel.wait_for(cc.WELCOME)
    channel.sock.close()
    for descriptor in fds:
        os.close(descriptor)
