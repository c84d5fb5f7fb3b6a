# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, crashing and coming back."""

import os
import signal
import subprocess
import threading
import time

import pytest
from blackbox.app import Echo, error_of
from blackbox.bystander import Bystander
from blackbox.peer import Peer, Stream, can_bind, free_port, upgrade_request
from blackbox.service import processes
from blackbox.wire import TIMEOUT, DBusError, until

RUNS = 100


def test_a_hundred_restarts_on_one_port_all_serve_the_first_client_and_leave_nothing_behind(service, app):
    server, port = app.create_server(), free_port()
    server.start(serverIP="127.0.0.1", serverPort=port)
    server.stop()
    descriptors = service.open_descriptors()
    for _ in range(RUNS):
        server.start(serverIP="127.0.0.1", serverPort=port)
        Stream(port).close()
        server.stop()
        assert can_bind(port)
    until(lambda: service.open_descriptors() <= descriptors, what="descriptors to be closed")
    until(lambda: not service.zombies(), what="dead workers to be buried")


def test_a_hundred_restarts_with_clients_connected_close_every_one_properly(app):
    server, port = app.create_server(), free_port()
    for run in range(1, RUNS + 1):
        server.start(serverIP="127.0.0.1", serverPort=port)
        peers = [server.join()[0] for _ in range(2)]
        stop = server.call_later("Stop")
        assert [peer.finish_close()[0] for peer in peers] == [1001, 1001]
        stop.result()
        assert len(server.find("Closed", lambda _i, code, _r, clean: code == 1001 and clean)) == 2 * run
    identities = [event.args[0] for event in server.find("Connect")]
    assert len(set(identities)) == 2 * RUNS


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_after_stop_any_other_program_can_have_the_port(app, address):
    server = app.create_server()
    server.start(serverIP=address)
    port = server.port
    answering, silent = server.join()[0], server.join()[0]
    with Stream(port) as half_open:
        half_open.send(upgrade_request("x")[:20])
        assert not can_bind(port, address)
        stop = server.call_later("Stop")
        assert answering.finish_close()[0] == 1001
        stop.result()
        assert can_bind(port, address)
    assert silent.read_close()[0] == 1001


def test_a_client_that_connects_while_the_server_stops_never_hangs(app):
    server, port = app.create_server(), free_port()
    outcomes = []

    def keep_connecting():
        while not ending.is_set():
            try:
                Peer(port, timeout=10).close()
                outcomes.append("in")
            except TimeoutError:
                outcomes.append("hung")
            except Exception as failure:  # refused, reset, or told off in HTTP: all of them are answers
                outcomes.append(type(failure).__name__)

    ending = threading.Event()
    thread = threading.Thread(target=keep_connecting)
    thread.start()
    try:
        for _ in range(10):
            server.start(serverIP="127.0.0.1", serverPort=port)
            seen = len(outcomes)
            until(lambda seen=seen: len(outcomes) > seen + 3, what="some attempts")
            server.stop()
    finally:
        ending.set()
        thread.join()
    assert "hung" not in outcomes and "in" in outcomes


def test_peers_are_told_when_their_app_crashes(service, new_app):
    app = new_app(service)
    server = app.running_server()
    peers = [Peer(server.port) for _ in range(5)]
    server.wait("Connect", count=5)
    app.close()
    assert [peer.finish_close()[0] for peer in peers] == [1001] * 5
    until(lambda: can_bind(server.port), what="the port to be free")


def worker_of(service, app, **options):
    """A running server and the process id of its worker."""
    before = service.workers()
    server = app.running_server(**options)
    (worker,) = service.workers() - before
    return server, worker


def test_a_worker_that_is_killed_costs_its_own_connections_only_and_for_less_than_a_second(service, new_app):
    app, other_app = new_app(service), new_app(service)
    server, worker = worker_of(service, app)
    other = other_app.running_server()
    Echo(other)
    bystander = Bystander(other.port)
    peers = [server.join() for _ in range(3)]
    peers[0][0].send_message("before")
    server.wait("MessageReceive")
    os.kill(worker, signal.SIGKILL)
    killed = time.monotonic()
    newcomer = Peer(server.port)
    assert time.monotonic() - killed < 1
    error = server.wait("Error").args
    assert error[0] == 2302999 and error[1]
    for _peer, connection in peers:
        assert server.wait_closed(connection) == (1006, "", False)
    assert server.events.index(server.find("Error")[0]) < server.events.index(server.find("Closed")[0])
    assert len(server.find("Closed")) == 3 and len(server.find("Error")) == 1
    identity = server.connection_of(newcomer)
    assert identity > max(connection for _peer, connection in peers)
    assert server.get("State") == "running" and server.get("ServerPort") == server.port
    server.send(identity, "as before")
    assert newcomer.read_message() == "as before"
    assert error_of(server.send, peers[0][1], "x").name.endswith("ConnectionNotFound")
    bystander.leave()
    assert {signal.member for signal in other.signals} <= {"PropertiesChanged"}


def test_a_worker_that_is_killed_again_and_again_keeps_coming_back(service, new_app):
    app = new_app(service)
    server, worker = worker_of(service, app)
    workers = service.workers()
    identities = set()
    for count in range(1, 5):
        peer, connection = server.join()
        assert connection not in identities
        identities.add(connection)
        os.kill(worker, signal.SIGKILL)
        server.wait("Closed", count=count)
        others = workers - {worker}
        until(lambda others=others, old=worker: service.workers() - others - {old}, what="a new worker")
        (worker,) = service.workers() - others
        workers = service.workers()
        peer.close()
    assert server.get("State") == "running"
    server.stop()
    assert can_bind(server.port)


def test_a_worker_that_is_killed_in_full_traffic_leaves_no_gap_and_no_call_without_an_answer(service, new_app):
    server, worker = worker_of(service, new_app(service))
    peer, connection = server.join()
    flood = threading.Thread(target=send_until_cut, args=(peer,))
    flood.start()
    server.wait("MessageReceive", count=200)
    calls = [server.send_later(connection, bytes(1000)) for _ in range(40)]
    os.kill(worker, signal.SIGKILL)
    calls += [server.send_later(connection, bytes(1000)) for _ in range(20)]
    assert server.wait_closed(connection) == (1006, "", False)
    flood.join()
    for call in calls:
        try:
            call.result()
        except DBusError as error:
            assert error.name.rpartition(".")[2] in ("Failed", "ConnectionNotFound"), error
    numbers = [int(data) for data in server.messages(connection)]
    assert numbers == list(range(len(numbers)))
    assert server.events[-1].member == "Closed"
    server.join()[0].assert_alive()


def send_until_cut(peer: Peer) -> None:
    try:
        for number in range(10**6):
            peer.send_message(b"%d" % number)
    except OSError:
        pass


def test_stop_works_on_a_worker_that_hangs(service, new_app):
    server, worker = worker_of(service, new_app(service))
    server.join()
    os.kill(worker, signal.SIGSTOP)
    try:
        stop = server.call_later("Stop")
        stop.result(timeout=TIMEOUT)
        assert server.get("State") == "stopped"
        assert can_bind(server.port)
        (closed,) = server.find("Closed")
        assert closed.args[1:] == (1001, "", False)
        (change,) = [event for event in server.signals if event.member == "PropertiesChanged"
                     and event.args[1].get("State") == "stopped"]
        assert closed.position < change.position < stop.position
    finally:
        try:
            os.kill(worker, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_a_worker_that_hangs_delays_no_other_app(service, new_app):
    hanging, worker = worker_of(service, new_app(service))
    other = new_app(service).running_server()
    os.kill(worker, signal.SIGSTOP)
    try:
        counting = hanging.call_later("ListAllConnections")
        other.join()[0].assert_alive()
        assert other.get("Connections") == 1
    finally:
        os.kill(worker, signal.SIGCONT)
    assert counting.result() == []


def test_when_the_service_ends_peers_are_told_and_no_worker_stays(new_service, new_app):
    service = new_service()
    server = new_app(service).running_server()
    peers = [Peer(server.port) for _ in range(3)]
    server.wait("Connect", count=3)
    workers = service.workers()
    service.process.send_signal(signal.SIGTERM)
    assert [peer.finish_close()[0] for peer in peers] == [1001] * 3
    assert service.process.wait(TIMEOUT) == 0
    until(lambda: not workers & {pid for pid, _parent, state in processes() if state != "Z"}, what="the workers to leave")
    assert can_bind(server.port)
    service.start()
    new_app(service).running_server().join()[0].assert_alive()


def test_when_the_service_is_killed_nothing_of_it_stays_and_it_can_start_again(new_service, new_app):
    service = new_service()
    server = new_app(service).running_server()
    peers = [Peer(server.port) for _ in range(3)]
    server.wait("Connect", count=3)
    workers = service.workers()
    service.process.kill()
    service.process.wait()
    assert [peer.finish_close()[0] for peer in peers] == [1001] * 3
    until(lambda: not workers & {pid for pid, _parent, state in processes() if state != "Z"}, what="the workers to leave")
    assert can_bind(server.port)
    service.start()
    new_app(service).running_server().join()[0].assert_alive()


def test_after_a_crash_of_the_bus_the_service_is_back_on_the_new_one(new_service, new_app):
    service = new_service()
    server = new_app(service).running_server()
    peers = [Peer(server.port) for _ in range(3)]
    server.wait("Connect", count=3)
    for _ in range(2):
        service.bus.kill()
        for peer in peers:
            assert peer.finish_close()[0] == 1001
        until(lambda: can_bind(server.port), what="the port to be free")
        service.bus.start()
        service.wait_for_name()
        app = new_app(service)
        assert app.manager("ListServers") == []
        assert error_of(app.adopt(server.path).get, "State").name == "org.freedesktop.DBus.Error.UnknownObject"
        server = app.running_server()
        peers = [Peer(server.port) for _ in range(3)]
        server.wait("Connect", count=3)


def test_a_second_service_on_the_same_bus_leaves_the_first_alone(new_service, new_app):
    service = new_service()
    server = new_app(service).running_server()
    peer, _connection = server.join()
    log = service.folder / "second.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(service.process.args, stdout=output, stderr=output, env=service.environment)
    status = process.wait(TIMEOUT)
    assert status not in (0, -signal.SIGSEGV, -signal.SIGABRT), "it should say that the name is taken"
    assert "org.wsserver1" in log.read_text()
    peer.assert_alive()
    assert server.get("State") == "running"
