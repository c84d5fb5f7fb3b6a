# SPDX-License-Identifier: Apache-2.0
"""libwsserver with a service that is wrong, hostile or silent, and strangers on the bus who pretend to be it."""

import os
import types

import pytest
from blackbox.bus import PrivateBus
from blackbox.wire import Variant, until
from driven import CANCELLED, error_of, expect_error
from fake import PATH, Fake, fail
from gi.repository import GLib

STEPS = ["CreateServer", "OpenChannel", "Start", "GetAll"]


@pytest.fixture
def bus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bus")
    running = PrivateBus(folder).start()
    yield running
    running.stop()


@pytest.fixture
def new_fake(bus):
    fakes = []

    def make(**options) -> Fake:
        fakes.append(Fake(bus.address, **options))
        return fakes[-1]

    yield make
    for fake in fakes:
        fake.close()


@pytest.fixture
def app(bus, new_driven, delivery):
    return new_driven(types.SimpleNamespace(bus=bus), delivery)


def test_the_fake_is_believed_as_long_as_it_is_right(app, new_fake):
    fake = new_fake()
    server = app.new_server()
    server.start()
    state = server.state()
    assert (state["state"], state["uri"], state["path"]) == ("running", "ws://127.0.0.1:4321/", PATH)
    assert ("OpenChannel" in fake.calls) == (app.delivery == "channel")
    assert ("Acknowledge" in fake.calls) == (app.delivery == "signal")


@pytest.mark.parametrize("step", STEPS)
def test_an_error_at_any_step_ends_the_start_and_the_next_works(app, new_fake, step):
    fake = new_fake()
    right, fake.answers[step] = fake.answers[step], fail()
    server = app.new_server()
    if step == "OpenChannel" and app.delivery == "signal":
        return server.start()
    expect_error("Failed", server.start, names="it is like that")
    assert server.state()["state"] == "stopped" and server.state()["path"] is None
    assert step == "CreateServer" or until(lambda: "Release" in fake.calls)
    fake.answers[step] = right
    server.start()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_a_service_that_never_answers_can_be_given_up_at_any_step(app, new_fake, step, sync):
    fake = new_fake(answers={step: None})
    server = app.new_server()
    if step == "OpenChannel" and app.delivery == "signal":
        return server.start()
    tag = server.start_later(cancellable="c", sync=sync)
    until(lambda: step in fake.calls, what="the call")
    app.cancel("c")
    assert app.answer(tag)["error"]["domain"] == "g-io-error-quark" and CANCELLED.endswith(str(app.answer(tag)["error"]["code"]))
    assert server.state()["state"] in ("stopping", "stopped")


@pytest.mark.parametrize("wrong", [{"create": "s"}, {"create": "u"}, {"open_channel": "s"}])
def test_an_answer_of_another_type_is_an_error_and_no_crash(app, new_fake, wrong):
    values = {"s": GLib.Variant("(s)", ("x",)), "u": GLib.Variant("(u)", (1,))}
    [(what, kind)] = wrong.items()
    method = {"create": "CreateServer", "open_channel": "OpenChannel"}[what]
    new_fake(answers={method: lambda call: call.return_value(values[kind])}, **wrong)
    server = app.new_server()
    if method == "OpenChannel" and app.delivery == "signal":
        return server.start()
    assert "expected" in error_of(server.start).error["message"]
    assert server.state()["state"] == "stopped"


@pytest.mark.parametrize("delivery", ["channel"])
@pytest.mark.parametrize("what", ["no descriptor", "index beyond", "plain file", "closed other end", "nonsense"])
def test_a_channel_that_is_none_fails_the_server_and_does_not_spin(app, new_fake, what):
    def give(invocation):
        if what == "no descriptor":
            invocation.return_value(GLib.Variant("(h)", (0,)))
        elif what == "index beyond":
            fake.give_fd(invocation, os.open("/dev/null", os.O_RDONLY), index=7)
        elif what == "plain file":
            fake.give_fd(invocation, os.open("/etc/passwd", os.O_RDONLY))
        else:
            fake.give_channel(invocation)
            if what == "closed other end":
                fake.ends.pop().close()
            else:
                fake.ends[-1].send(b"\xff" * 64)

    fake = new_fake(answers={"OpenChannel": give})
    server = app.new_server()
    if what in ("no descriptor", "index beyond"):
        assert error_of(server.start).error["message"]
        return
    server.start_later()
    server.wait_state("failed")
    assert server.wait("error")["error"]["message"]
    assert len(fake.calls) < 60


def test_a_service_that_says_failed_is_believed_and_the_server_starts_again(app, new_fake):
    fake = new_fake()
    server = app.new_server()
    server.start()
    fake.emit("org.wsserver1.Server", "Error", "(us)", 2302999, "it keeps ending")
    while fake.ends:
        fake.ends.pop().close()
    fake.emit_state("failed")
    server.wait_state("failed")
    assert server.wait("error")["error"]["message"] == "it keeps ending"
    assert server.state()["uri"] is None
    server.start()


def test_signals_of_another_type_or_name_are_ignored(app, new_fake):
    fake = new_fake()
    server = app.new_server()
    server.start()
    for name in ("Connect", "MessageReceive", "Closed", "Error", "Drained", "Nonsense"):
        fake.emit("org.wsserver1.Server", name, "(ai)", [1])
        fake.emit("org.wsserver1.Server", name, "(s)", "x")
    fake.emit("org.wsserver1.Server", "MessageReceive", "(tbay)", 5, True, b"nobody")
    fake.emit("org.wsserver1.Server", "Closed", "(tqsb)", 5, 1000, "", True)
    fake.emit("org.wsserver1.Server", "Drained", "(t)", 5)
    fake.emit("org.freedesktop.DBus.Properties", "PropertiesChanged", "(s)", "x")
    fake.emit_state("no such state")
    fake.emit("org.wsserver1.Server", "Error", "(us)", 401, "the last")
    server.wait("error")
    assert not server.events("connect") and not server.events("message") and not server.events("close")
    assert server.state()["state"] == "running"


def test_signals_of_anybody_else_are_ignored(service, new_driven, new_app, delivery):
    app = new_driven(service, delivery)
    server = app.running_server()
    stranger = new_app(service).connection
    mine = server.state()["path"]
    [owner] = [name for name in stranger.bus_call("ListNames").result() if name.startswith(":") and name != stranger.unique_name
               and stranger.bus_call("GetConnectionUnixProcessID", "s", name).result() == app.process.pid]
    for member, signature, body in [("Closed", "tqsb", (1, 1000, "", True)), ("Error", "us", (401, "forged")),
                                    ("MessageReceive", "tbay", (1, True, b"forged")),
                                    ("Connect", "tsqa{sv}", (77, "192.0.2.1", 1, {}))]:
        stranger.send(4, {1: mine, 2: "org.wsserver1.Server", 3: member, 6: owner}, signature, body)
    stranger.send(4, {1: mine, 2: "org.freedesktop.DBus.Properties", 3: "PropertiesChanged", 6: owner},
                  "sa{sv}as", ("org.wsserver1.Server", {"State": Variant("s", "stopped")}, []))
    stranger.round_trip()
    server.assert_serves()
    assert server.state()["state"] == "running" and not server.events("error")
    assert len(server.events("connect")) == 1 and not server.events("close")
