# SPDX-License-Identifier: Apache-2.0
"""An app with libwsserver whose worker dies, whose service crashes, restarts, leaves or is stopped, or whose bus goes.
What comes of workers that die again and again is in test_library_fake.py: the real service takes a minute to give up."""

import contextlib
import os
import signal

import pytest
from blackbox.wire import until
from driven import expect_error


def kill_worker(service, keep: set = frozenset()) -> None:
    workers = service.workers() - keep
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    until(lambda: not (workers & service.workers()), what="the workers to be gone")


def test_after_the_death_of_its_worker_a_server_goes_on_by_itself(service, new_driven, delivery):
    before = service.workers()
    server = new_driven(service, delivery).running_server()
    seen = set()
    for turn in range(3):
        start = server.app.now()
        joined = [server.join() for _ in range(3)]
        tag = server.say("send", connection=joined[0][1], size=5_000_000, via="async")
        kill_worker(service, before)
        for _peer, connection in joined:
            assert server.closed(connection) == (1006, "", False)
            assert connection not in seen
            seen.add(connection)
        server.app.answer(tag)
        server.wait("error", start=start)
        server.leave()
        assert server.state()["state"] == "running"
        server.assert_serves(f"turn {turn}")
        server.leave()


def test_stopping_a_server_that_has_failed_makes_it_a_stopped_one(new_service, new_driven):
    service = new_service()
    server = new_driven(service).running_server()
    service.process.kill()
    service.process.wait()
    server.wait_state("failed")
    server.stop()
    assert server.state()["state"] == "stopped"
    service.start()
    server.start()
    server.assert_serves()


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_a_server_does_not_notice_that_its_service_comes_and_goes(managed, new_driven, delivery, way):
    server = new_driven(managed, delivery).running_server()
    peer, connection = server.join()
    for number in range(3):
        getattr(managed.manager, way)()
        peer.send_message(f"{number}")
        server.wait_message(f"{number}", connection=connection)
        assert server.app.answer(server.send_later(connection, f"{number}"))["result"] is True
        assert peer.read_message() == f"{number}"
        server.assert_serves(f"new {number}")
    assert not server.events("error") and server.state()["state"] == "running"
    server.call("close", connection=connection, code=4001)
    assert peer.finish_close() == (4001, b"")
    server.leave()
    server.stop()
    server.start()
    server.assert_serves()


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_messages_and_closes_of_the_moment_in_which_the_service_is_away_leave_when_it_is_back(
        managed, new_driven, delivery, way):
    server = new_driven(managed, delivery).running_server()
    peer, connection = server.join()
    assert server.app.answer(server.send_later(connection, "before"))["result"] is True
    assert peer.read_message() == "before"
    managed.process.send_signal(signal.SIGKILL if way == "crash" else signal.SIGTERM)
    managed.process.wait()
    tags = [server.send_later(connection, str(number)) for number in range(20)]
    server.call("close", connection=connection, code=4002, reason="then this")
    managed.start()
    assert [peer.read_message() for _ in tags] == [str(number) for number in range(20)]
    assert peer.finish_close() == (4002, b"then this")
    assert all(server.app.answer(tag)["result"] for tag in tags)
    assert server.closed(connection) == (4002, "then this", True)


def test_a_service_that_was_stopped_and_started_has_forgotten_the_server_and_the_app_is_told(
        new_service, new_driven, delivery):
    service = new_service()
    server = new_driven(service, delivery).running_server()
    _peer, connection = server.join()
    service.stop()
    service.start()
    server.wait_state("failed")
    error = server.wait("error", count=len(server.events("error")) or 1)["error"]
    assert "start" in error["message"]
    assert server.closed(connection)[0] in (1001, 1006)
    server.start()
    server.assert_serves()


def test_an_app_may_start_again_right_when_it_is_told(new_service, new_driven, delivery):
    service = new_service()
    server = new_driven(service, delivery).running_server()
    server.plan("failed", {"do": "start", "tag": "again"})
    for _ in range(3):
        service.process.kill()
        service.process.wait()
        service.start()
        assert server.app.answer("again")["result"] is True
        server.app.lines.append({"event": "turn"})
        with server.app._changed:
            for line in server.app.lines:
                if line.get("tag") == "again":
                    line["tag"] = "past"
        server.port = server.state()["port"]
        server.assert_serves()
        server.leave()


def test_a_server_that_was_stopped_does_not_mind_that_the_service_was_started_anew(new_service, new_driven, delivery):
    service = new_service()
    server = new_driven(service, delivery).running_server()
    server.stop()
    service.stop()
    expect_error("Failed", server.start, names="is wsserverd installed and running?")
    service.start()
    server.start()
    server.assert_serves()
    server.stop()
    service.stop()
    service.start()
    server.start()
    server.assert_serves()


@pytest.mark.parametrize("delivery", ["channel"])
def test_a_service_that_stays_away_is_told_in_the_end(new_service, new_driven, delivery):
    service = new_service()
    server = new_driven(service, delivery).running_server()
    peer, connection = server.join()
    service.stop()
    assert peer.read_close()[0] == 1001
    peer.send_close(1001)
    server.wait_state("failed")
    assert "wsserverd" in server.wait("error", count=len(server.events("error")) or 1)["error"]["message"]
    assert server.closed(connection)[0] in (1001, 1006)
    service.start()
    server.start()
    server.assert_serves()


@pytest.mark.parametrize("when", ["running", "stopped", "starting", "stopping"])
def test_a_bus_that_dies_is_told_and_leaves_no_call_without_an_answer(new_service, new_driven, delivery, when):
    service = new_service()
    server = new_driven(service, delivery).new_server()
    if when != "starting":
        server.start()
    if when == "stopped":
        server.stop()
    if when == "stopping":
        server.join()
    tag = {"starting": lambda: server.start_later(), "stopping": lambda: server.say("stop")}.get(when, lambda: None)()
    service.bus.kill()
    if tag:
        server.app.answer(tag)
    if when == "running":
        server.wait_state("failed")
        assert "bus" in server.wait("error", count=len(server.events("error")) or 1)["error"]["message"]
    until(lambda: server.state()["state"] in ("failed", "stopped"), what="the server to be over")
    if when != "stopped":
        server.app.answer(server.start_later())["error"]
    service.process.kill()
    service.process.wait()
    service.process.returncode = 0


def test_a_stop_while_the_service_is_away_ends(new_service, new_driven, delivery):
    service = new_service()
    server = new_driven(service, delivery).running_server()
    server.join()
    service.process.kill()
    service.process.wait()
    server.app.answer(server.say("stop"))
    assert server.state()["state"] in ("stopped", "failed")
    service.start()
    until(lambda: server.state()["state"] in ("stopped", "failed"), what="the end")
    server.start()
    server.assert_serves()
