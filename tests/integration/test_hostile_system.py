# SPDX-License-Identifier: Apache-2.0
"""A system that lets the service down: no descriptors, no ports, no IPv6, an address that goes away, a disk that is full."""

import os
import pathlib
import resource
import socket
import time

import pytest
from blackbox.app import App, error_of, expect_error
from blackbox.network import in_new_network, ip, setting
from blackbox.peer import Peer
from blackbox.users import needs_root
from blackbox.wire import until

ADDRESS = "10.213.9.9"


def cpu_seconds(pid: int) -> float:
    after_name = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def limit_descriptors(pid: int, room: int) -> tuple:
    """So many more than it has; returns what held before."""
    have = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 1
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (have + room, before[1]))
    return before


@needs_root
def test_a_worker_without_descriptors_waits_and_does_not_spin_and_serves_those_who_waited(service, new_app):
    before = service.workers()
    server, other = new_app(service).running_server(maxConnectionsForOneClient=100), new_app(service)
    [worker] = service.workers() - before
    resident, _connection = server.join()
    limits = limit_descriptors(worker, 1)
    waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    used = cpu_seconds(worker)
    time.sleep(1)  # the span over which its processor time is taken
    assert cpu_seconds(worker) - used < 0.2, "it spins"
    resident.assert_alive()
    other.running_server().join()[0].assert_alive()
    resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
    until(lambda: served(waiting[-1]), what="the last one that waits to be let in")
    for sock in waiting:
        sock.close()
    server.join()[0].assert_alive()


def served(sock: socket.socket) -> bool:
    sock.settimeout(0.5)
    try:
        sock.sendall(b"nonsense\r\n\r\n")
        return bool(sock.recv(100))
    except OSError:
        return False


def test_a_full_disk_stops_the_log_and_nothing_else(new_service, new_app):
    service = new_service(start=False)
    service.log = pathlib.Path("/dev/full")
    service.output = lambda: ""
    service.start()
    app = new_app(service)
    for _ in range(3):
        server = app.running_server()
        server.join()[0].assert_alive()
        expect_error("AlreadyRunning", server.start)
        server.stop()


@pytest.fixture
def elsewhere(new_service):
    """Runs a test's body, which gets an app, in a network of its own."""

    def run(body) -> None:
        service = new_service(start=False)

        def inside():
            service.start()
            app = App(service.bus.address)
            try:
                body(app)
                service.check_health()
            finally:
                app.close()

        in_new_network(inside)

    return run


@needs_root
def test_without_a_free_port_the_app_is_told_so_and_gets_one_when_there_is(elsewhere):
    def body(app):
        setting("ipv4/ip_local_port_range", "40000 40001")
        servers = [app.running_server(), app.running_server()]
        assert {server.port for server in servers} == {40000, 40001}
        expect_error("PortInUse", app.create_server().start, serverIP="127.0.0.1", names="free port")
        servers[0].stop()
        assert app.running_server().port == servers[0].port

    elsewhere(body)


@needs_root
def test_an_address_that_goes_away_takes_its_own_server_along_and_no_other(elsewhere):
    def body(app):
        ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
        bound, other = app.running_server(serverIP=ADDRESS), app.running_server()
        bound.join()[0].assert_alive()
        ip("address", "delete", f"{ADDRESS}/32", "dev", "lo")
        assert bound.get("State") == "running"  # as every server whose network is away: it may come back
        other.join()[0].assert_alive()
        bound.stop()
        expect_error("InvalidAddress", bound.start, serverIP=ADDRESS, names=ADDRESS)
        ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
        bound.start(serverIP=ADDRESS)
        bound.join()[0].assert_alive()

    elsewhere(body)


@needs_root
def test_without_ipv6_its_addresses_are_refused_and_ipv4_is_served(elsewhere):
    def body(app):
        setting("ipv6/conf/all/disable_ipv6", "1")
        setting("ipv6/conf/lo/disable_ipv6", "1")
        expect_error("InvalidAddress", app.create_server().start, serverIP="::1", names="::1")
        app.running_server().join()[0].assert_alive()
        both = app.create_server()
        try:
            both.start(serverIP="::")
        except Exception as error:  # noqa: BLE001
            assert error.name.endswith("InvalidAddress") and "0.0.0.0" in error.message
        else:
            Peer(both.port, "127.0.0.1").assert_alive()

    elsewhere(body)


@needs_root
def test_the_service_itself_without_descriptors_says_so_and_its_servers_go_on(new_service, new_app):
    service = new_service()
    app = new_app(service)
    server = app.running_server()
    resident, _connection = server.join()
    limits = limit_descriptors(service.pid, 0)
    error = error_of(app.create_server().start, serverIP="127.0.0.1")
    assert error.name.startswith("org.wsserver1.Error.") and error.message
    used = cpu_seconds(service.pid)
    time.sleep(0.5)  # the span over which its processor time is taken
    assert cpu_seconds(service.pid) - used < 0.2, "it spins"
    resident.assert_alive()
    server.join()[0].assert_alive()
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, limits)
    app.running_server().join()[0].assert_alive()
