# SPDX-License-Identifier: Apache-2.0
"""A daemon that dies in the middle of a call, and one that finds something in its store that does not belong there."""

import os
import random
import signal
import socket
import threading
import time

import pytest
from blackbox import forgery
from blackbox.app import error_of
from blackbox.peer import Peer, can_bind, free_port
from blackbox.wire import DBusError, until
from gi.repository import GLib

CHANCE = random.Random(11)
UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
ROUNDS = 12
GONE = ("org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.ServiceUnknown")


def number_of(server) -> str:
    return server.path.rpartition("/")[2]


def assert_nothing_left(service) -> None:
    until(lambda: not service.workers(), what="the workers to leave")
    until(lambda: not service.kept(), what="the store to be empty")
    assert len(service.states()) == 1


def outcome_of(call) -> str:
    """done, refused (the call had no effect), or cut (nobody knows)."""
    try:
        call.result()
        return "done"
    except DBusError as error:
        if error.name in GONE:
            return "cut"
        assert error.name.rpartition(".")[2] in ("ShuttingDown", "Failed"), error
        return "refused"


# Killed in the middle


@pytest.mark.parametrize("kind", ["crash", "restart"])
def test_start_that_is_cut_off_leaves_a_server_that_can_be_stopped_and_started(managed, new_app, kind, figure):
    app = new_app(managed)
    server, port = app.create_server(), free_port()
    started = time.monotonic()
    server.start(serverIP="127.0.0.1", serverPort=port)
    usual = time.monotonic() - started
    server.stop()
    outcomes = []
    for count in range(ROUNDS):
        call = server.start_later(serverIP="127.0.0.1", serverPort=port)
        time.sleep(usual * 1.3 * count / ROUNDS)
        getattr(managed.manager, kind)()
        outcome = outcome_of(call)
        outcomes.append(outcome)
        state = server.get("State")
        assert state in ("running",) if outcome == "done" else ("running", "stopped", "failed", "created"), (outcome, state)
        if state == "running":
            Peer(port).leave()
            server.stop()
        until(lambda: can_bind(port), what="the port to be free")
        server.start(serverIP="127.0.0.1", serverPort=port)
        Peer(port).leave()
        server.stop()
        assert can_bind(port)
    assert_nothing_left(managed)
    figure(f"Start cut off by a {kind}", " ".join(outcomes))


@pytest.mark.parametrize("silent", [False, True], ids=["peers that answer", "a silent peer"])
@pytest.mark.parametrize("kind", ["crash", "restart"])
def test_stop_that_is_cut_off_can_be_called_again_and_ends_as_usual(managed, new_app, kind, silent, figure):
    app = new_app(managed)
    server, port = app.create_server(), free_port()
    outcomes = []
    for _ in range(4 if silent else ROUNDS):
        server.start(serverIP="127.0.0.1", serverPort=port, pingInterval=0)
        peer, connection = server.join()
        codes = []
        end = peer.read_close if silent else peer.finish_close
        thread = threading.Thread(target=lambda codes=codes, end=end: codes.append(end()[0]))
        thread.start()
        call = server.call_later("Stop")
        time.sleep(CHANCE.uniform(0, 2.2) if silent else CHANCE.uniform(0, CHANCE.choice([0.003, 0.03])))
        getattr(managed.manager, kind)()
        outcome = outcome_of(call)
        outcomes.append(outcome)
        if outcome != "done":
            try:
                server.stop()
            except DBusError as error:
                assert error.name.endswith("NotRunning"), error
        assert server.get("State") == "stopped"
        assert can_bind(port)
        thread.join()
        assert codes == [1001]
        peer.close()
        assert server.wait_closed(connection)[0] == 1001
    assert_nothing_left(managed)
    figure(f"Stop cut off by a {kind}, {'silent' if silent else 'answering'} peer", " ".join(outcomes))


@pytest.mark.parametrize("kind", ["crash", "restart"])
def test_a_server_that_was_only_created_is_there_again(managed, new_app, kind):
    app = new_app(managed)
    for _ in range(4):
        server = app.create_server()
        getattr(managed.manager, kind)()
        assert server.get("State") == "created"
        server.start(serverIP="127.0.0.1")
        Peer(server.port).leave()
        server.release()
    assert_nothing_left(managed)


def test_create_server_never_promises_an_object_that_a_crash_takes_away(managed, new_app):
    app = new_app(managed)
    known = []
    for count in range(10):
        call = app.call_later("/org/wsserver1", "org.wsserver1.Manager", "CreateServer")
        time.sleep(0.02 * count / 10)
        managed.manager.crash()
        try:
            known.append(call.result())
        except DBusError as error:
            assert error.name in GONE, error
    listed = [path for path, _properties in app.manager("ListServers")]
    assert set(known) <= set(listed)
    assert len(set(known)) == len(known)


def test_a_daemon_that_is_told_to_leave_before_it_is_ready_leaves_what_it_found(managed, new_app):
    server = new_app(managed).running_server()
    peer, connection = server.join()
    for count in range(8):
        managed.manager.terminate()
        managed.manager.start(wait=False)
        time.sleep(CHANCE.uniform(0, 0.12) if count else 0.05)
        started = time.monotonic()
        status = managed.manager.terminate()
        assert status in (0, -signal.SIGTERM), status  # before main() is reached nobody can do better
        assert time.monotonic() - started < 5
        managed.manager.start()
        assert server.get("State") == "running"
    server.send(connection, "here")
    assert peer.read_message() == "here"


# What does not belong into the store


class Scene:
    """Two servers, one to tamper with and one that must not notice; the daemon is away."""

    def __init__(self, service, new_app):
        self.service = service
        self.manager = service.manager
        self.app, self.neighbour = new_app(service), new_app(service)
        self.other = self.neighbour.running_server()
        self.other_peer, self.other_id = self.other.join()
        self.early_state, self.early_number = forgery.read_state(self.manager), forgery.newest(self.manager)
        self.server = self.app.running_server()
        self.peer, self.id = self.server.join()
        self.app.round_trip()
        self.manager.terminate()
        self.number = number_of(self.server)
        self.state, self.sequence = forgery.read_state(self.manager), forgery.newest(self.manager)

    def replace(self, kind: str, fd: int) -> None:
        self.manager.remove(f"{kind}-{self.number}")
        self.manager.add(f"{kind}-{self.number}", fd)

    def newer(self, change) -> None:
        """A state one newer than the real one."""
        self.manager.add(f"state-{self.sequence + 1}", forgery.memfd(forgery.changed_state(self.state, self.sequence + 1, change)))

    def mine(self, servers: list) -> dict:
        (found,) = [entry for entry in servers if entry["number"].get_uint64() == int(self.number)]
        return found

    def assert_served(self, server, peer, connection) -> None:
        assert server.get("State") == "running"
        server.send(connection, "still")
        assert peer.read_message() == "still"
        peer.send_message("here")
        server.wait("MessageReceive", lambda i, _t, data: (i, data) == (connection, b"here"))

    def assert_others_are_served(self) -> None:
        self.assert_served(self.other, self.other_peer, self.other_id)
        newcomer, _connection = self.neighbour.running_server().join()
        newcomer.assert_alive()


@pytest.fixture
def scene(managed, new_app) -> Scene:
    return Scene(managed, new_app)


def set_owner_uid(_version, _globals, servers):
    for server in servers:
        server["ownerUid"] = GLib.Variant("u", 12345)


STRANGE = {
    "garbage as the newest state": ("state-1000000", lambda s: forgery.memfd(os.urandom(4096))),
    "zeros as the newest state": ("state-1000000", lambda s: forgery.memfd(bytes(4096))),
    "an empty state": ("state-1000000", lambda s: forgery.memfd(b"")),
    "an oversized state": ("state-1000000", lambda s: forgery.memfd(bytes(8 << 20))),
    "a newer state that anybody could have written to":
        ("state-1000000", lambda s: forgery.memfd(forgery.changed_state(s.state, 1000000, set_owner_uid), seals=0)),
    "a newer state of another version":
        ("state-1000000", lambda s: forgery.memfd(forgery.changed_state(s.state, 1000000, lambda version, *_rest: version + 1))),
    "a newer state under an older name": ("state-1", lambda s: forgery.memfd(forgery.changed_state(s.state, 1000000))),
    "a pipe as the state": ("state-1000000", lambda s: forgery.pipe_end()),
    "a file as the state": ("state-1000000", lambda s: forgery.plain_file()),
    "a number that is none": ("state-18446744073709551616", lambda s: forgery.memfd(forgery.changed_state(s.state, 1))),
    "a pipe as the control socket of no server": ("control-77", lambda s: forgery.pipe_end()),
    "a control socket of no server": ("control-77", lambda s: forgery.packet_end()),
    "a file as the listener of no server": ("listener-77", lambda s: forgery.plain_file()),
    "a listener of no server": ("listener-77", lambda s: forgery.bound(listening=True)),
    "a name that means nothing": ("stored", lambda s: forgery.pipe_end()),
    "an empty number": ("control-", lambda s: forgery.packet_end()),
    "a leading zero": ("control-01", lambda s: forgery.packet_end()),
}


@pytest.mark.parametrize("what", STRANGE)
def test_something_strange_in_the_store_is_put_away_and_costs_nobody_anything(scene, what):
    name, make = STRANGE[what]
    scene.manager.add(name, make(scene))
    scene.manager.start()
    assert name in scene.service.output()
    scene.manager.sync()
    until(lambda: name not in scene.manager.names(), what="the entry to be dropped")
    scene.assert_served(scene.server, scene.peer, scene.id)
    scene.assert_others_are_served()
    scene.manager.crash()
    scene.assert_served(scene.server, scene.peer, scene.id)


LOST = {
    "control socket, a pipe instead": ("control", lambda: forgery.pipe_end()),
    "control socket, a stream socket instead": ("control", lambda: forgery.stream_end()),
    "control socket, a datagram socket instead":
        ("control", lambda: forgery.half(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))),
    "control socket, a file instead": ("control", lambda: forgery.plain_file()),
    "control socket, a TCP listener instead": ("control", lambda: forgery.bound(listening=True)),
    "control socket": ("control", None),
    "listener, a pipe instead": ("listener", lambda: forgery.pipe_end()),
    "listener, a file instead": ("listener", lambda: forgery.plain_file()),
    "listener, a UDP socket instead": ("listener", lambda: forgery.bound(socket.SOCK_DGRAM)),
    "listener, a socket that does not listen instead": ("listener", lambda: forgery.bound()),
    "listener, one on another port instead": ("listener", lambda: forgery.bound(listening=True)),
    "listener, a Unix socket instead": ("listener", lambda: forgery.stream_end()),
    "listener": ("listener", None),
}


@pytest.mark.parametrize("what", LOST)
def test_a_server_that_lost_its(scene, what):
    """A worker whose control socket nobody holds closes its listener, so losing either is the end of both."""
    kind, make = LOST[what]
    name = f"{kind}-{scene.number}"
    if make:
        scene.replace(kind, make())
    else:
        scene.manager.remove(name)
    scene.manager.start()
    assert not make or name in scene.service.output()
    assert scene.peer.finish_close()[0] == 1001
    assert scene.server.wait("Error").args[0] == 2302999
    assert scene.server.get("State") == "failed"
    until(lambda: can_bind(scene.server.port), what="the port to be free")
    scene.server.start(serverIP="127.0.0.1", serverPort=scene.server.port)
    newcomer, later = scene.server.join()
    assert later >> 32 > scene.id >> 32
    scene.assert_served(scene.server, newcomer, later)
    scene.assert_others_are_served()


def test_a_worker_of_a_version_that_the_daemon_does_not_speak_is_replaced(scene):
    scene.newer(lambda *parts: change_mine("workerVersion", GLib.Variant("u", 99))(*parts, scene))
    before = scene.service.workers()
    scene.manager.start()
    assert scene.peer.finish_close()[0] == 1001
    assert scene.server.wait("Error").args[0] == 2302999
    until(lambda: len(before & scene.service.workers()) == 1, what="the old worker to leave")
    newcomer, later = scene.server.join()
    assert later >> 32 > scene.id >> 32
    scene.assert_served(scene.server, newcomer, later)
    scene.assert_others_are_served()
    scene.manager.crash()
    scene.assert_served(scene.server, newcomer, later)


@pytest.mark.parametrize("make", [forgery.pipe_end, forgery.plain_file, forgery.packet_end], ids=["a pipe", "a file", "a socket"])
def test_a_wrong_pidfd_harms_nobody(scene, make):
    scene.replace("pidfd", make())
    scene.manager.start()
    assert f"pidfd-{scene.number}" in scene.service.output()
    scene.assert_served(scene.server, scene.peer, scene.id)
    stop = scene.server.call_later("Stop")
    assert scene.peer.finish_close()[0] == 1001
    stop.result()
    scene.assert_others_are_served()


def test_without_its_state_the_service_starts_anew(scene):
    scene.manager.remove(*scene.service.states())
    scene.manager.start()
    assert scene.peer.finish_close()[0] == scene.other_peer.finish_close()[0] == 1001
    for app, server in ((scene.app, scene.server), (scene.neighbour, scene.other)):
        assert app.manager("ListServers") == []
        assert error_of(server.get, "State").name == UNKNOWN_OBJECT
    assert_nothing_left(scene.service)
    scene.app.running_server().join()[0].assert_alive()


def test_of_two_states_the_newer_one_counts(scene):
    scene.manager.add(f"state-{scene.early_number}", forgery.memfd(scene.early_state))
    scene.manager.start()
    scene.assert_served(scene.server, scene.peer, scene.id)
    scene.assert_others_are_served()
    scene.manager.sync()
    assert len(scene.service.states()) == 1


def test_when_the_newest_state_is_broken_the_one_before_it_counts(scene):
    scene.manager.remove(f"state-{scene.sequence}")
    scene.manager.add(f"state-{scene.sequence}", forgery.memfd(scene.state[:-7]))
    scene.manager.add(f"state-{scene.early_number}", forgery.memfd(scene.early_state))
    scene.manager.start()
    assert scene.peer.finish_close()[0] == 1001, "the older state does not know this server"
    assert f"control-{scene.number}" not in scene.manager.names()
    scene.assert_others_are_served()


def change_owner(name):
    def change(_version, _globals, servers, scene):
        scene.mine(servers)["owner"] = GLib.Variant("s", name or scene.neighbour.name)
    return change


def change_mine(key, value):
    def change(_version, _globals, servers, scene):
        scene.mine(servers)[key] = value
    return change


NOT_THE_OWNER = {
    "another user": change_mine("ownerUid", GLib.Variant("u", 12345)),
    "another label": change_mine("ownerLabel", GLib.Variant("s", "somebody_t")),
    "a name that nobody has": change_owner(":1.4711"),
}


@pytest.mark.parametrize("what", NOT_THE_OWNER)
def test_a_server_of_an_owner_that_is_not_the_same_is_ended(scene, what):
    scene.newer(lambda *parts: NOT_THE_OWNER[what](*parts, scene))
    scene.manager.start()
    assert scene.peer.finish_close()[0] == 1001
    assert error_of(scene.server.get, "State").name == UNKNOWN_OBJECT
    until(lambda: can_bind(scene.server.port), what="the port to be free")
    scene.assert_others_are_served()


MALFORMED = {
    "a server number of zero": change_mine("number", GLib.Variant("t", 0)),
    "a server number beyond the last": change_mine("number", GLib.Variant("t", 2**63)),
    "a well-known name as the owner": change_owner("org.freedesktop.DBus"),
    "a state that is none": change_mine("state", GLib.Variant("s", "dreaming")),
    "a generation beyond its range": change_mine("generation", GLib.Variant("t", 2**40)),
    "a port beyond its range": change_mine("serverPort", GLib.Variant("u", 70000)),
    "an owner of another type": change_mine("owner", GLib.Variant("u", 1)),
    "a user of another type": change_mine("ownerUid", GLib.Variant("s", "root")),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_newer_state_that_says_what_cannot_be_is_not_believed(scene, what):
    def change(version, globals_, servers):
        scene_mine = dict(scene.mine(servers))
        MALFORMED[what](version, globals_, servers, scene)
        assert dict(servers[-1]) != scene_mine or dict(servers[0]) != scene_mine

    scene.newer(change)
    scene.manager.start()
    assert f"state-{scene.sequence + 1}" in scene.service.output()
    scene.assert_served(scene.server, scene.peer, scene.id)
    scene.assert_others_are_served()


def test_a_server_that_is_in_the_state_twice_is_adopted_once(scene):
    scene.newer(lambda _version, _globals, servers: servers.append(dict(scene.mine(servers))))
    scene.manager.start()
    scene.assert_served(scene.server, scene.peer, scene.id)
    assert len(scene.app.manager("ListServers")) == 1
    scene.assert_others_are_served()


def test_hundreds_of_mutilated_states_at_once_are_all_put_away(scene):
    whole = forgery.changed_state(scene.state, 1)
    for _ in range(300):
        octets = bytearray(whole)
        for _change in range(CHANCE.randint(1, 4)):
            octets[CHANCE.randrange(len(octets))] = CHANCE.randrange(256)
        scene.manager.add("state-1", forgery.memfd(bytes(octets[: CHANCE.choice([len(octets), CHANCE.randrange(len(octets))])])))
    scene.manager.start()
    scene.assert_served(scene.server, scene.peer, scene.id)
    scene.assert_others_are_served()
    scene.manager.sync()
    assert "state-1" not in scene.manager.names()


# A store that is full


@pytest.mark.parametrize("room", [10, 17, 18, 25, 26])
def test_no_server_is_created_for_which_the_store_has_no_room(new_managed, new_app, room):
    service = new_managed(maximum=room, announce_maximum=True)
    app = new_app(service)
    servers = []
    try:
        while len(servers) < 5:
            server = app.create_server()
            server.start(serverIP="127.0.0.1")
            servers.append((server, *server.join()))
    except DBusError as error:
        assert error.name.endswith(".LimitExceeded") and error.message, error
    assert len(servers) == (room - 2) // 8
    service.manager.crash()
    service.manager.sync()
    assert service.manager.dropped == []
    for server, peer, connection in servers:
        server.send(connection, "kept")
        assert peer.read_message() == "kept"
    servers[0][1].leave()
    servers[0][0].release()
    app.running_server().join()[0].assert_alive()


@pytest.mark.parametrize("room", range(5, 9))
@pytest.mark.parametrize("kind", ["crash", "restart"])
def test_a_store_that_is_full_without_having_said_so_costs_only_what_did_not_fit(new_managed, new_app, kind, room):
    service = new_managed(maximum=room)
    app = new_app(service)
    first = app.running_server()
    peer, connection = first.join()
    second = app.running_server()
    getattr(service.manager, kind)()
    assert first.get("State") == "running"
    first.send(connection, "kept")
    assert peer.read_message() == "kept"
    assert second.get("State") in (("running",) if room >= 8 else ("running", "failed"))
    if second.get("State") == "failed":
        second.wait("Error")
        until(lambda: can_bind(second.port), what="the port to be free")
    getattr(service.manager, kind)()
    first.send(connection, "still kept")
    assert peer.read_message() == "still kept"


# The service manager's point of view


def test_the_store_does_not_grow_and_no_descriptor_leaks(managed, new_app):
    app = new_app(managed)
    server = app.running_server()
    server.join()
    managed.manager.restart()
    app.round_trip()
    descriptors, kept = managed.open_descriptors(), managed.kept()
    for kind in ["restart", "crash"] * 5:
        getattr(managed.manager, kind)()
        app.round_trip()
        managed.manager.sync()
        assert managed.kept() == kept and len(managed.manager.names()) <= 3 + 2
    until(lambda: managed.open_descriptors() <= descriptors, what="descriptors to be closed")
    assert managed.manager.dropped == [] and managed.manager.ignored == []


def test_ready_is_said_only_when_calls_can_be_made(managed, new_app):
    new_app(managed).running_server()
    app = new_app(managed)
    for kind in ["restart", "crash"] * 3:
        getattr(managed.manager, kind)()
        assert app.connection.bus_call("NameHasOwner", "s", "org.wsserver1").result()
        assert app.manager("ListServers") == []
        assert len(managed.manager.find("READY")) == 1
    managed.manager.wait_for(lambda: managed.manager.find("STATUS"), what="its status, which follows")


def test_a_reload_is_announced_and_ended(managed):
    managed.process.send_signal(signal.SIGHUP)
    managed.manager.wait_for(lambda: len(managed.manager.find("READY")) == 2, what="the end of the reload")
    said = [found.assignments for found in managed.manager.notifications if {"READY", "RELOADING"} & set(found.assignments)]
    assert [sorted(set(entry) & {"READY", "RELOADING"}) for entry in said] == [["READY"], ["RELOADING"], ["READY"]]
    assert int(said[1]["MONOTONIC_USEC"]) > 0


def test_leaving_is_announced(managed):
    assert managed.manager.terminate() == 0
    assert managed.manager.find("STOPPING", "1")
    managed.manager.start()


def test_a_main_loop_that_hangs_is_found_by_the_watchdog_and_connections_live_through_it(new_managed, new_app):
    service = new_managed(watchdog=1.5)
    server = new_app(service).running_server()
    peer, connection = server.join()
    time.sleep(2)
    assert service.manager.watchdog_fired == 0 and len(service.manager.find("WATCHDOG")) >= 2
    service.process.send_signal(signal.SIGSTOP)
    assert service.manager.wait_end(10) == -signal.SIGKILL
    assert service.manager.watchdog_fired == 1
    service.manager.start()
    server.send(connection, "alive")
    assert peer.read_message() == "alive"


def test_a_service_without_servers_leaves_when_it_was_told_to(new_managed, new_app):
    service = new_managed({"idleExitSeconds": 1})
    app = new_app(service)
    server = app.create_server()
    time.sleep(2.5)
    assert service.process.poll() is None, "it left although there was a server"
    server.release()
    service.expected_status = 77
    assert service.manager.wait_end(10) == 77
    expect_error_name = error_of(app.manager, "ListServers").name
    assert expect_error_name == "org.freedesktop.DBus.Error.ServiceUnknown"


def test_a_crash_of_the_bus_ends_what_was_kept_too(managed, new_app):
    server = new_app(managed).running_server()
    peer, _connection = server.join()
    managed.bus.kill()
    assert peer.finish_close()[0] == 1001
    until(lambda: not managed.kept(), what="the store to be empty")
    managed.bus.start()
    managed.wait_for_name()
    managed.manager.crash()
    new_app(managed).running_server().join()[0].assert_alive()
