# SPDX-License-Identifier: Apache-2.0
"""Connections outlive the daemon: restarts, crashes, and what changed while it was away."""

import os
import random
import signal
import threading
import time

import pytest
from blackbox.app import error_of, expect_error
from blackbox.numbered import NumberedTraffic
from blackbox.peer import BINARY, CLOSE, Peer, can_bind, encode_frame
from blackbox.service import BUS_NAME
from blackbox.wire import TIMEOUT, DBusError, until

CHANCE = random.Random(7)
UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
CYCLES = ["restart", "crash"]
LARGE = 5242864  # the largest message of a server that was not told otherwise
QUEUE = 1 << 20  # octets that may wait for one peer


def cycle(service, kind: str) -> float:
    """Restarts or crashes the daemon; returns the seconds until it is ready again."""
    started = time.monotonic()
    getattr(service.manager, kind)()
    return time.monotonic() - started


def worker_of(service, app, **options):
    before = service.workers()
    server = app.running_server(**options)
    (worker,) = service.workers() - before
    return server, worker


# Traffic


def test_restarts_and_crashes_in_full_traffic_lose_no_connection_and_no_message(managed, new_app, figure):
    traffic = NumberedTraffic(new_app(managed).running_server(maxConnectionsForOneClient=20, pingInterval=0), 20)
    for kind in CYCLES:
        away, latency, gap = [], [], []
        for _ in range(10):
            time.sleep(CHANCE.uniform(0, 0.5))
            traffic.measure()
            away.append(cycle(managed, kind))
            time.sleep(0.2)
            latency.append(traffic.worst_latency)
            gap.append(traffic.worst_gap)
        figure(f"{kind}: ms until ready again, median and worst", f"{sorted(away)[5] * 1000:.0f}, {max(away) * 1000:.0f}")
        figure(f"{kind}: ms a peer's message took at worst, median and worst",
               f"{sorted(latency)[5] * 1000:.0f}, {max(latency) * 1000:.0f}")
        figure(f"{kind}: ms between two successful calls of Send at worst, median and worst",
               f"{sorted(gap)[5] * 1000:.0f}, {max(gap) * 1000:.0f}")
        if kind == "restart":
            assert (traffic.recovered, traffic.repeats) == ([], 0)
            assert not any(line.unknown for line in traffic.lines.values())
    traffic.finish()
    assert len(traffic.recovered) <= 10 and traffic.repeats <= sum(traffic.recovered)
    figure("crash: events announced as possible repeats in 10 crashes, and repeated",
           f"{sum(traffic.recovered)}, {traffic.repeats}")
    traffic.leave()


def test_an_app_that_counts_its_events_can_go_on_counting_over_restarts_and_crashes(managed, new_app):
    server = new_app(managed, answer_pings=False).running_server(maxConnectionsForOneClient=5, pingInterval=0)
    traffic = NumberedTraffic(server, 5, acknowledge=True)
    for count in range(10):
        time.sleep(CHANCE.uniform(0, 0.4))
        cycle(managed, CYCLES[count % 2])
    traffic.finish()
    server.acknowledge(traffic.events)
    expect_error("InvalidArgument", server.acknowledge, traffic.events + sum(traffic.recovered) + 1, names="events")
    traffic.leave()


def test_an_app_that_counts_repeats_too_is_not_refused(managed, new_app):
    app = new_app(managed, answer_pings=False)
    server = app.running_server()
    peer, _connection = server.join()
    for number in range(10):
        peer.send_message(b"%d" % number)
    server.wait("MessageReceive", count=10)
    cycle(managed, "crash")
    assert server.wait("Recovered").args == (11,)
    app.wait_for(lambda: len(server.events) == 11 + 1 + 11, what="the repeats")
    assert [event[:2] for event in server.events[12:]] == [event[:2] for event in server.events[:11]]
    server.acknowledge(22)
    peer.send_message(b"10")
    server.wait("MessageReceive", lambda _i, _t, data: data == b"10")


def test_ten_crashes_in_a_row_before_the_daemon_is_even_ready_cost_nothing(managed, new_app):
    traffic = NumberedTraffic(new_app(managed).running_server(maxConnectionsForOneClient=5, pingInterval=0), 5)
    time.sleep(0.2)
    for _ in range(10):
        managed.manager.crash(wait=False)
        time.sleep(CHANCE.uniform(0, 0.3))
    managed.manager.crash()
    time.sleep(0.2)
    traffic.finish()
    traffic.leave()


def test_crashes_right_behind_a_restart_announce_what_they_repeat(managed, new_app):
    traffic = NumberedTraffic(new_app(managed).running_server(maxConnectionsForOneClient=5, pingInterval=0), 5, pause=0.005)
    for _ in range(6):
        managed.manager.restart()
        time.sleep(CHANCE.uniform(0, 0.03))
        managed.manager.crash()
    traffic.finish()
    traffic.leave()


@pytest.mark.parametrize("kind", CYCLES)
def test_apps_whose_library_trusts_only_the_owner_of_the_name_miss_nothing(managed, new_app, kind):
    """GLib drops a signal from a sender that does not own the name yet by which the app knows it."""
    app = new_app(managed)
    server = app.running_server()
    peer, _connection = server.join()
    owner = app.connection.bus_call("GetNameOwner", "s", BUS_NAME).result()
    app.connection.bus_call("AddMatch", "s", f"type='signal',member='NameOwnerChanged',arg0='{BUS_NAME}'").result()
    trusted, early = [owner], []
    take = app.connection.on_signal

    def watch(position, message):
        if message.member == "NameOwnerChanged" and message.body[0] == BUS_NAME:
            trusted[0] = message.body[2]
        elif message.path == server.path and message.sender != trusted[0]:
            early.append(message)
        return take(position, message)

    app.connection.on_signal = watch
    for number in range(10):
        managed.manager.terminate() if kind == "restart" else managed.manager.kill()
        peer.send_message(b"%d" % number)
        managed.manager.start()
        server.wait("MessageReceive", lambda _i, _t, data, number=number: data == b"%d" % number)
    assert early == []


@pytest.mark.parametrize("kind", CYCLES)
def test_connecting_anew_is_never_refused_while_the_daemon_is_away(managed, new_app, kind):
    server = new_app(managed).running_server(maxConnectionsForOneClient=100)
    failures, peers, ending = [], [], threading.Event()

    def keep_connecting():
        while not ending.wait(0.05):
            try:
                peers.append(Peer(server.port))
            except Exception as failure:
                failures.append(failure)

    thread = threading.Thread(target=keep_connecting)
    thread.start()
    for _ in range(3):
        time.sleep(0.1)
        cycle(managed, kind)
    ending.set()
    thread.join()
    assert failures == [] and peers
    server.app.wait_for(lambda: {event.args[2] for event in server.find("Connect")} == {peer.address[1] for peer in peers},
                        what="a Connect for each")
    for peer in peers:
        peer.assert_alive()
        peer.close()


# What is there afterwards


def details(server) -> list:
    return sorted((entry[0], entry[1], entry[2], sorted(entry[3].items())) for entry in server.list_connections())


@pytest.mark.parametrize("kind", CYCLES)
def test_everything_about_a_server_is_as_it_was_right_after_the_daemon_is_back(managed, new_app, kind):
    app = new_app(managed)
    server = app.running_server(protocol="chat, talk", maxConcurrentClientsNumber=7)
    peer, _connection = server.join(path="/tv?room=1", headers={"Sec-WebSocket-Protocol": "talk", "Origin": "https://a.example"})
    peer.send_message("x" * 100)
    server.wait("MessageReceive")
    server.send(server.connection_of(peer), "yy")
    assert peer.read_message() == "yy"
    created, stopped = app.create_server(), app.running_server()
    stopped.stop()
    app.round_trip()
    servers = [server, created, stopped]
    before = [each.get_all() for each in servers], details(server), app.manager("ListServers")
    signals = [len(each.signals) for each in servers]
    for _ in range(2):
        cycle(managed, kind)
        assert ([each.get_all() for each in servers], details(server), app.manager("ListServers")) == before
    assert server.get("State") == "running" and created.get("State") == "created" and stopped.get("State") == "stopped"
    app.round_trip()
    news = [event for each, seen in zip(servers, signals, strict=True) for event in each.signals[seen:]]
    assert all(event.member == "Recovered" for event in news if kind == "restart") or not news, news
    if kind == "restart":
        assert not news
    created.start(serverIP="127.0.0.1")
    stopped.start(serverIP="127.0.0.1")
    for each in (created, stopped):
        each.join()[0].assert_alive()
    peer.assert_alive()


@pytest.mark.parametrize("kind", CYCLES)
def test_numbers_of_servers_and_connections_are_not_used_again(managed, new_app, kind):
    app = new_app(managed)
    server = app.running_server()
    server.stop()
    server.start(serverIP="127.0.0.1")
    released = app.create_server()
    peer, first = server.join()
    gone, second = server.join()
    gone.leave()
    server.wait_closed(second)
    released.release()
    cycle(managed, kind)
    assert server.join()[1] > second > first
    assert int(app.create_server().path.rpartition("/")[2]) > int(released.path.rpartition("/")[2])
    assert error_of(released.get, "State").name == UNKNOWN_OBJECT
    server.stop()
    assert peer.read_close()[0] == 1001
    cycle(managed, kind)
    server.start(serverIP="127.0.0.1")
    assert server.join()[1] >> 32 > second >> 32


@pytest.mark.parametrize("kind", CYCLES)
def test_every_call_works_on_a_server_that_lived_through(managed, new_app, kind):
    app = new_app(managed)
    servers = [app.running_server() for _ in range(3)]
    joined = [server.join() for server in servers]
    cycle(managed, kind)
    (server, stopping, releasing), ((peer, connection), (told, _id), (left, _other)) = servers, joined
    server.send(connection, "one")
    assert server.broadcast("all") == 1
    assert (peer.read_message(), peer.read_message()) == ("one", "all")
    peer.send_message("back")
    assert server.wait("MessageReceive").args == (connection, True, b"back")
    expect_error("ConnectionNotFound", server.send, connection + 100, "x")
    server.close_connection(connection, 4321, "so long")
    assert peer.finish_close() == (4321, b"so long")
    assert server.wait_closed(connection) == (4321, "so long", True)
    stop = stopping.call_later("Stop")
    assert told.finish_close()[0] == 1001
    stop.result()
    assert can_bind(stopping.port)
    release = releasing.call_later("Release")
    assert left.finish_close()[0] == 1001
    release.result()
    assert can_bind(releasing.port)
    until(lambda: len(managed.workers()) == 1, what="the workers of stopped servers to leave")
    app.round_trip()
    number = server.path.rpartition("/")[2]
    assert managed.kept() == [f"control-{number}", f"listener-{number}", f"pidfd-{number}"]


@pytest.mark.parametrize("kind", CYCLES)
def test_a_slow_peer_keeps_its_queue_and_the_app_hears_when_it_is_drained(managed, new_app, kind):
    server = new_app(managed).running_server(pingInterval=0)
    peer, connection = server.join(receive_buffer=4096)
    count = fill(server, connection)
    cycle(managed, kind)
    refilled = fill(server, connection, count)
    assert refilled - count < QUEUE // 65536 // 2, "the queue was forgotten"
    count = refilled
    drained = len(server.find("Drained"))
    for number in range(count):
        assert peer.read_message()[:4] == number.to_bytes(4, "big")
    server.wait("Drained", count=drained + 1)
    server.send(connection, "free again")
    assert peer.read_message() == "free again"
    server.app.round_trip()
    assert len(server.find("Drained")) == drained + 1


def fill(server, connection: int, count: int = 0) -> int:
    """Sends messages numbered from `count` until the kernel's buffers are full too and the peer's queue stays so; returns the
    next number."""
    full_since = None
    while full_since is None or time.monotonic() < full_since + 0.5:
        if sent(server, connection, count.to_bytes(4, "big") + bytes(65532)):
            count, full_since = count + 1, None
        else:
            full_since = full_since or time.monotonic()
            time.sleep(0.05)
    return count


@pytest.mark.parametrize("kind", CYCLES)
def test_large_messages_under_way_both_ways_arrive_whole_and_once(managed, new_app, kind):
    server = new_app(managed).running_server(pingInterval=0)
    peer, connection = server.join(receive_buffer=4096)
    up, down = os.urandom(LARGE), os.urandom(LARGE)
    octets = encode_frame(BINARY, up, key=bytes(4))
    server.send(connection, down)
    peer.send(octets[: LARGE // 2])
    cycle(managed, kind)
    peer.send(octets[LARGE // 2 :])
    assert peer.read_message() == down
    assert server.wait("MessageReceive").args[2] == up
    server.send(connection, "behind")
    assert peer.read_message() == "behind"
    server.app.round_trip()
    assert len(server.find("MessageReceive")) == 1


def test_a_large_message_whose_call_is_cut_by_a_crash_arrives_whole_or_not_at_all(managed, new_app):
    server = new_app(managed).running_server(pingInterval=0)
    peer, connection = server.join()
    received, expected = [], []
    reader = threading.Thread(target=read_to_close, args=(peer, received))
    reader.start()
    for number in range(8):
        data = bytes([number]) * LARGE
        call = server.send_later(connection, data)
        time.sleep(CHANCE.uniform(0, 0.1))
        managed.manager.crash()
        marker = b"marker %d" % number
        until(lambda marker=marker: sent(server, connection, marker), what="room for the marker")
        until(lambda marker=marker: marker in received, what="the marker")
        arrived = data in received[-2:]
        try:
            call.result()
            assert arrived
        except DBusError as error:
            assert error.name.endswith((".NoReply", ".ServiceUnknown")), error
        expected += [data, marker] if arrived else [marker]
    server.close_connection(connection)
    reader.join(TIMEOUT)
    assert received == expected


def read_to_close(peer, received: list) -> None:
    while (frame := peer.next_frame()).opcode != CLOSE:
        received.append(frame.payload)


def sent(server, connection: int, data) -> bool:
    try:
        server.send(connection, data)
    except DBusError as error:
        assert error.name.endswith("WouldBlock"), error
        return False
    return True


def test_large_messages_to_the_app_are_repeated_whole(managed, new_app):
    server = new_app(managed).running_server(pingInterval=0)
    peer, _connection = server.join()
    for number in range(4):
        up = bytes([number]) * LARGE
        sender = threading.Thread(target=peer.send_message, args=(up,))
        sender.start()
        time.sleep(CHANCE.uniform(0, 0.1))
        managed.manager.crash()
        sender.join()
        server.wait("MessageReceive", lambda _i, _t, data, up=up: data == up)
    sizes = {len(data) for _id, _text, data in (event.args for event in server.find("MessageReceive"))}
    assert sizes == {LARGE}


# What changed while the daemon was away


def test_peers_of_an_app_that_left_while_the_daemon_was_away_are_told(managed, new_app):
    leaving, staying = new_app(managed), new_app(managed)
    server, other = leaving.running_server(), staying.running_server()
    peers = [server.join()[0] for _ in range(3)]
    neighbour, _connection = other.join()
    managed.manager.kill()
    leaving.close()
    managed.manager.start()
    assert [peer.finish_close()[0] for peer in peers] == [1001] * 3
    until(lambda: can_bind(server.port), what="the port to be free")
    neighbour.assert_alive()
    until(lambda: len(managed.workers()) == 1, what="the worker to leave")
    assert len(managed.kept()) == 3


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_apps_of_another_bus_do_not_inherit_servers(managed, new_app, end):
    app = new_app(managed)
    server = app.running_server()
    peer, _connection = server.join()
    getattr(managed.manager, end)()
    managed.bus.kill()
    managed.bus.start()
    strangers = [new_app(managed) for _ in range(3)]
    while all(stranger.name != app.name for stranger in strangers) and len(strangers) < 30:
        strangers.append(new_app(managed))
    assert any(stranger.name == app.name for stranger in strangers), "unique names were to start anew"
    managed.manager.start()
    assert peer.finish_close()[0] == 1001
    for stranger in strangers:
        assert stranger.manager("ListServers") == []
        assert error_of(stranger.adopt(server.path).get, "State").name == UNKNOWN_OBJECT
    until(lambda: not managed.workers(), what="the worker to leave")
    assert managed.kept() == []


def test_a_worker_that_died_while_the_daemon_was_away_is_replaced(managed, new_app):
    app = new_app(managed)
    server, worker = worker_of(managed, app)
    other = app.running_server()
    neighbour, _id = other.join()
    lost, connection = server.join()
    managed.manager.kill()
    os.kill(worker, signal.SIGKILL)
    lost.close()
    managed.manager.wait_for(lambda: len(managed.manager.hung_up) > 0, what="the store to notice")
    managed.manager.start()
    newcomer, later = server.join()
    (error,) = server.find("Error")
    assert error.args[0] == 2302999 and error.args[1]
    assert later >> 32 > connection >> 32
    assert server.get("State") == "running" and server.get("Connections") == 1
    expect_error("ConnectionNotFound", server.send, connection, "x")
    newcomer.send_message("new")
    assert server.wait("MessageReceive").args == (later, True, b"new")
    neighbour.assert_alive()
    assert other.find("Error") == []


def test_a_worker_that_was_adopted_and_dies_costs_what_it_always_costs(managed, new_app):
    app = new_app(managed)
    server, worker = worker_of(managed, app)
    connections = [server.join()[1] for _ in range(3)]
    managed.manager.restart()
    server.join()
    os.kill(worker, signal.SIGKILL)
    for connection in connections:
        assert server.wait_closed(connection) == (1006, "", False)
    assert server.wait("Error").args[0] == 2302999
    newcomer, later = server.join()
    assert later >> 32 > connections[0] >> 32
    managed.manager.crash()
    newcomer.assert_alive()
    server.send(later, "still")
    assert newcomer.read_message() == "still"


def test_what_peers_do_while_the_daemon_is_away_is_told_when_it_is_back(managed, new_app):
    server = new_app(managed).running_server()
    stays, first = server.join()
    leaves, second = server.join()
    managed.manager.terminate()
    leaves.send_close(4000, b"bye")
    stays.send_message("while you were away")
    late = []
    newcomer = threading.Thread(target=lambda: late.append(Peer(server.port, first=encode_frame(BINARY, b"and me"))))
    newcomer.start()
    managed.manager.start()
    newcomer.join()
    third = server.connection_of(late[0])
    assert server.wait_closed(second) == (4000, "bye", True)
    assert leaves.read_close()[0] == 4000
    server.app.wait_for(lambda: len(server.find("MessageReceive")) == 2, what="both messages")
    assert server.messages(first) == [b"while you were away"] and server.messages(third) == [b"and me"]
    assert server.find("Recovered") == []
    late[0].close()


# Ends


def test_when_the_service_is_stopped_all_peers_are_told_and_no_process_stays(managed, new_app):
    servers = [new_app(managed).running_server() for _ in range(3)]
    peers = [server.join()[0] for server in servers for _ in range(3)]
    managed.manager.restart()
    started = time.monotonic()
    assert managed.manager.stop() == 0
    assert [peer.finish_close()[0] for peer in peers] == [1001] * 9
    until(lambda: not managed.workers(), 3, "the workers to leave")
    assert time.monotonic() - started < 3
    assert all(can_bind(server.port) for server in servers)


def test_a_silent_peer_does_not_hold_up_the_end_of_the_service(managed, new_app):
    server = new_app(managed).running_server()
    peer, _connection = server.join()
    started = time.monotonic()
    managed.manager.stop()
    until(lambda: not managed.workers(), what="the worker to leave")
    assert time.monotonic() - started < 4
    assert peer.read_close()[0] == 1001


def test_stop_works_on_an_adopted_worker_that_hangs(managed, new_app):
    server, worker = worker_of(managed, new_app(managed))
    server.join()
    os.kill(worker, signal.SIGSTOP)
    try:
        managed.manager.crash()
        assert server.get("State") == "running"
        server.call_later("Stop").result(TIMEOUT)
        assert server.get("State") == "stopped"
        assert can_bind(server.port)
        until(lambda: worker not in managed.workers(), what="the worker to be killed")
    finally:
        try:
            os.kill(worker, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_a_worker_that_hangs_keeps_nobody_else_waiting_for_the_daemon(managed, new_app):
    hanging, worker = worker_of(managed, new_app(managed))
    lively = new_app(managed).running_server()
    peer, connection = lively.join()
    silent, _id = hanging.join()
    os.kill(worker, signal.SIGSTOP)
    try:
        for kind in CYCLES:
            assert cycle(managed, kind) < 8
            lively.send(connection, kind)
            assert peer.read_message() == kind
    finally:
        os.kill(worker, signal.SIGCONT)
    silent.assert_alive()
    silent.send_message("awake")
    hanging.wait("MessageReceive")
