# SPDX-License-Identifier: Apache-2.0
"""A server whose service was stopped comes back by itself when the service does: the app hears of it by events, and has nothing to do."""

import socket
import time

import pytest
from blackbox.wire import until
from driven import expect_error


@pytest.fixture
def service(new_service):
    """One that may be stopped and started."""
    return new_service()


@pytest.fixture
def server(service, new_driven, delivery):
    server = new_driven(service, delivery).running_server()
    assert server.call("restart", restart=True)["result"] is True
    return server


def errors(server, start: int = 0) -> list:
    return [line["error"] for line in server.events("error", start=start)]


def test_it_comes_back_each_time_with_the_port_it_had(service, server):
    port = server.port
    for turn in range(3):
        start = server.app.now()
        peer, connection = server.join()
        service.stop()
        service.start()
        server.wait_state("running", start=start)
        states = [line["value"] for line in server.events("notify", start=start, property="state")]
        assert states == ["returning", "starting", "running"]
        assert server.closed(connection)[0] in (1001, 1006)
        [error] = errors(server, start)
        assert error["name"].endswith("Failed") and "it is started again" in error["message"]
        assert server.state()["port"] == port
        server.leave()
        server.assert_serves(f"turn {turn}")
        server.leave()


@pytest.mark.parametrize("delivery", ["channel"])  # over signals it takes half a minute until a service counts as gone
def test_while_it_is_away_the_app_may_do_with_it_what_it_wants(service, new_driven, delivery, authority):
    app = new_driven(service, delivery)
    servers = {name: app.new_server(name) for name in ("left", "stopped", "dropped", "failed", "told", "secure")}
    identity = authority.issue()
    for name, server in servers.items():
        server.call("restart", restart=True)
        paths = dict(certificate=str(identity.certificate), private_key=str(identity.key)) if name == "secure" else {}
        server.start(**paths)
    servers["told"].plan("returning", {"do": "stop", "tag": "told"})
    service.stop()
    for server in servers.values():
        server.wait_state("returning")
        assert server.state()["port"] == 0 and server.state()["uri"] is None
    time.sleep(0.5)  # nobody starts the service for them
    assert servers["left"].state()["state"] == "returning"
    assert app.answer("told")["result"] is True
    expect_error("AlreadyRunning", servers["stopped"].start)
    servers["stopped"].stop()
    servers["dropped"].call("drop", dispose=True)
    assert servers["failed"].call("restart", restart=False)["result"] is False
    away = identity.certificate.rename(identity.certificate.with_suffix(".away"))
    service.start()
    servers["left"].wait_state("running", count=2)
    until(lambda: any(error["name"].endswith("CertificateNotFound") for error in errors(servers["secure"])), what="the reason")
    away.rename(identity.certificate)  # it is read again
    servers["secure"].wait_state("running", count=2)
    assert servers["secure"].state()["uri"].startswith("wss://")
    assert {name: servers[name].state()["state"] for name in ("stopped", "failed", "told")} == {
        "stopped": "stopped", "failed": "failed", "told": "stopped"}
    for name in ("stopped", "failed", "told"):
        servers[name].start()
        servers[name].assert_serves()
    servers["left"].assert_serves()


def test_what_stands_in_its_way_is_told_once_and_tried_again(service, new_driven, delivery):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    server = new_driven(service, delivery).new_server()
    server.call("restart", restart=True)
    server.start(port=port)
    start = server.app.now()
    service.stop()
    until(lambda: can_take(port), what="the port to be free")
    with socket.create_server(("127.0.0.1", port)):
        service.start()
        until(lambda: any(error["name"].endswith("PortInUse") for error in errors(server, start)), what="why it does not work")
        time.sleep(1.5)  # some more tries
        said = [error for error in errors(server, start) if error["name"].endswith("PortInUse")]
        assert len(said) == 1 and "cannot be started again yet" in said[0]["message"]
    server.wait_state("running", start=start)
    assert server.state()["port"] == port
    server.assert_serves()


def can_take(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_where_any_port_would_do_it_takes_another_if_its_own_is_taken(service, server):
    start = server.app.now()
    port = server.port
    service.stop()
    until(lambda: can_take(port), what="the port to be free")
    with socket.create_server(("127.0.0.1", port)):
        service.start()
        server.wait_state("running", start=start)
        server.port = server.state()["port"]
        assert server.port not in (0, port)
        server.assert_serves()


def test_a_service_that_leaves_again_right_away_is_waited_for(service, server):
    start = server.app.now()
    for _ in range(4):
        service.process.kill()
        service.process.wait()
        service.start()
    server.wait_state("running", start=start)
    until(lambda: not can_take(server.port), what="it to listen")  # the last of the services may have left before it was asked
    server.assert_serves()
