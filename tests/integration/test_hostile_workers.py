# SPDX-License-Identifier: Apache-2.0
"""A worker that somebody has taken over says whatever it likes. Its own server may suffer; the daemon and every other app may not.

All tests share one daemon, in which a calm app with the real worker has messages echoed from the first to the last.
"""

import pathlib
import shutil
import struct
import sys
import tempfile
import time

import pytest

from blackbox.app import App, Echo, expect_error
from blackbox.bus import PrivateBus
from blackbox.bystander import Bystander
from blackbox.hostile_worker import FIRST, GENERATION, Puppets
from blackbox.service import Service, end_services, memory, worker_path
from blackbox.wire import until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import channel_client as cc  # noqa: E402
from channel_client import encode, encode_control, encode_field  # noqa: E402

CRITICAL = 0x8000
UNKNOWN = 999  # a key, or a type, of no release
MEMORY_MAX = 96 << 20  # that one of them may cost the daemon, sanitizers included
HIGH_WATER = 250 << 20  # what is kept of the memory for a list of 65535 connections, sanitizers included


def welcome(version=1, flags=1, zero=0, repeats=0, generation=GENERATION, first_event=1, max_message=5242864, high=1 << 20,
            low=256 << 10, standing=0, more=b""):
    body = struct.pack("<HBBIQQQIII", version, flags, zero, repeats, generation, first_event, max_message, high, low, standing)
    return encode(cc.WELCOME, 0, body + more)


def connect(connection=FIRST, family=4, flags=0, address=b"\x7f\0\0\1", lengths=(1, 0, 0, 0), count=0, subject=0, rest=b"/"):
    body = struct.pack("<BBHI", family, flags, 5000, 0) + address.ljust(16, b"\0") + struct.pack("<QIIIIHH", 0, *lengths, count, subject)
    return encode(cc.CONNECT, connection, body + rest)


def entry(connection, **changes):
    return encode_field(cc.F_CONNECTION_ENTRY, struct.pack("<Q", connection) + connect(**changes)[16:])


def field(key, value=b"", zero=0, length=None, padding=None):
    """As it should not be written."""
    padding = bytes(-len(value) % 4) if padding is None else padding
    return struct.pack("<HHI", key, zero, len(value) if length is None else length) + value + padding


READY = encode_control(cc.READY, version=1, last_request=11)
COUNTERS = encode_field(cc.F_COUNTERS, bytes(56))
BEGINNING = ["configured"], ["say", READY], ["alone"], ["write", welcome()], ["write", connect()]


class Stage:
    """The daemon, the calm app, and another one whose workers are puppets."""

    def __init__(self, build: str):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="wsserverd-test-"))
        folder.chmod(0o755)
        self.puppets = Puppets(folder, worker_path(build))
        self.service = Service(PrivateBus(folder).start(), build, worker=str(self.puppets.program))
        options = self.service.environment.get("ASAN_OPTIONS", "")
        self.service.environment["ASAN_OPTIONS"] = f"{options}:quarantine_size_mb=4"  # so that memory shows what is in use
        self.service.start()
        self.calm = App(self.service.bus.address)
        server = self.calm.running_server()
        self.calm_workers = self.service.workers()
        self.echo = Echo(server)
        self.bystander = Bystander(server.port)
        until(lambda: self.bystander.rounds > 20, what="the calm app to echo")
        self.app = App(self.service.bus.address)
        self.app.create_server().release()
        self.descriptors = self.service.open_descriptors()
        self.memory = memory(self.service.pid)["Rss"]

    def start(self, *steps):
        """A server of the app whose first worker does this, and whose later ones are real."""
        server = self.start_later(*steps)
        server.starting.result()
        server.port = server.get("ServerPort")
        server.puppets = self.service.workers() - self.calm_workers
        server.keep_events = True
        self.puppets.leave()
        return server

    def start_later(self, *steps):
        self.puppets.play(*steps)
        server = self.app.create_server()
        server.starting = server.start_later(serverIP="127.0.0.1")
        return server

    def settle(self) -> None:
        """Nothing is left of the servers there were, and the calm app has not noticed them."""
        self.puppets.leave()
        for peer in [peer for server in self.app.servers.values() for peer in server.joined]:
            peer.close()
        for path, _properties in self.app.manager("ListServers"):
            self.app.servers[path].release()
        self.app.servers.clear()
        until(lambda: self.service.workers() == self.calm_workers, what="the workers to be gone")
        until(lambda: self.service.open_descriptors() <= self.descriptors, what="the descriptors to be closed")
        assert not self.service.zombies()
        self.check_calm()
        self.service.check_health()
        assert "Traceback" not in self.service.output(), "a step did not do what it should"
        assert memory(self.service.pid)["Rss"] - self.memory < HIGH_WATER

    def check_calm(self) -> None:
        rounds = self.bystander.rounds
        until(lambda: self.bystander.rounds > rounds + 3, what="the calm app to echo")
        assert not self.echo.failures and not self.bystander.failure

    def end(self) -> None:
        try:
            self.bystander.leave()
            assert self.echo.echoed >= self.bystander.rounds
            assert self.service.workers() == self.calm_workers, "the calm app's worker was started anew"
        finally:
            self.app.close()
            self.calm.close()
            end_services([self.service])
            shutil.rmtree(self.service.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def whole_stage(build):
    stage = Stage(build)
    yield stage
    stage.end()


@pytest.fixture
def stage(whole_stage):
    yield whole_stage
    whole_stage.settle()


def expect_dropped(stage, server, connected=True) -> None:
    """As documented: Error, Closed 1006 for whoever was connected, and the next worker serves."""
    server.wait("Error")
    if connected:
        server.wait_closed(FIRST)
    peer, connection = server.join()
    server.send(connection, "served again")
    assert peer.read_message() == "served again"
    assert connection >> 32 == GENERATION + 1
    (error,) = server.find("Error")
    assert "ended unexpectedly" in error.args[1]
    assert [event.args[0] for event in server.find("Connect")] == [FIRST] * connected + [connection]
    assert [event.args for event in server.find("Closed")] == [(FIRST, 1006, "", False)] * connected
    assert server.get("State") == "running"


def expect_kept(server) -> None:
    """The worker still answers, and leaves when it is told to."""
    assert server.get("Connections") == 0
    assert not server.find("Error")
    server.stop()
    assert server.get("State") == "stopped"


# ---- The control socket ----

UNASKED = {
    "a packet shorter than a header": ["say", b"\x22\0\0\0"],
    "a flag that does not exist": ["say", struct.pack("<HHI", cc.CHANNEL_ENDED, 1, 0)],
    "a request": ["say", encode_control(cc.STATISTICS)],
    "type 0": ["say", encode_control(0)],
    "a field that is cut in its header": ["say", encode_control(cc.READY) + b"\1\0\0\0"],
    "a field that is longer than its packet": ["say", encode_control(cc.READY) + field(1, b"abcd", length=5)],
    "a field of 4 GiB": ["say", encode_control(cc.READY) + field(1, b"abcd", length=2**32 - 1)],
    "padding that is missing": ["say", encode_control(cc.READY) + field(1, b"abc", padding=b"")],
    "padding that is not zero": ["say", encode_control(cc.READY) + field(1, b"abc", padding=b"x")],
    "a reserved octet that is not zero": ["say", encode_control(cc.READY) + field(1, b"abcd", zero=1)],
    "a packet beyond the limit": ["say", encode_control(cc.CHANNEL_ENDED) + field(UNKNOWN, bytes(70000))],
    "five descriptors": ["say", encode_control(cc.CHANNEL_ENDED), 5],
    "two hundred descriptors": ["say", encode_control(cc.CHANNEL_ENDED), 200],
    "a descriptor with nonsense": ["say", b"x", 1],
    "READY once more": ["say", READY],
    "STOPPED": ["say", encode_control(cc.STOPPED) + COUNTERS],
    "CONNECTIONS": ["say", encode_control(cc.CONNECTIONS)],
    "RESULT": ["say", encode_control(cc.RESULT, found=1)],
    "REPLACED": ["say", encode_control(39)],
    "BANS": ["say", encode_control(cc.BANS)],
    "the end of a channel that has not ended": ["say", encode_control(cc.CHANNEL_ENDED, text=b"\xff\xfe")],
}


@pytest.mark.parametrize("what", UNASKED)
def test_a_worker_that_says_what_nobody_asked_for_is_replaced(stage, what):
    server = stage.start(*BEGINNING, UNASKED[what], ["hang"])
    server.wait("Error")
    until(lambda: not server.puppets & stage.service.workers(), timeout=2, what="that worker to be ended")
    expect_dropped(stage, server)


ANSWERS = {  # what the app asks: what the worker is asked, and its answers
    "Connections": (cc.STATISTICS, {
        "no counters": [encode_control(cc.COUNTERS)],
        "too few counters": [encode_control(cc.COUNTERS) + encode_field(cc.F_COUNTERS, bytes(48))],
        "counters that end within one": [encode_control(cc.COUNTERS) + encode_field(cc.F_COUNTERS, bytes(60))],
        "a critical field that nobody knows": [encode_control(cc.COUNTERS) + COUNTERS + field(CRITICAL | UNKNOWN)],
        "an answer to another question": [encode_control(cc.CONNECTIONS)],
        "the answer twice": [encode_control(cc.COUNTERS) + COUNTERS] * 2,
        "a descriptor": [encode_control(cc.COUNTERS) + COUNTERS, 1],
    }),
    "List": (cc.LIST, {
        "an entry without a connection": [encode_control(cc.CONNECTIONS) + encode_field(cc.F_CONNECTION_ENTRY, bytes(8))],
        "an empty entry": [encode_control(cc.CONNECTIONS) + encode_field(cc.F_CONNECTION_ENTRY, b"")],
        "connection 0": [encode_control(cc.CONNECTIONS) + entry(0)],
        "a connection twice": [encode_control(cc.CONNECTIONS) + entry(FIRST) * 2],
        "connections that do not ascend": [encode_control(cc.CONNECTIONS) + entry(FIRST + 1) + entry(FIRST)],
        "a connection of another generation": [encode_control(cc.CONNECTIONS) + entry(FIRST + (1 << 32))],
        "a connection with headers that are not there": [encode_control(cc.CONNECTIONS) + entry(FIRST, count=1)],
        "an address of family 5": [encode_control(cc.CONNECTIONS) + entry(FIRST, family=5)],
        "more, and none so far": [encode_control(cc.CONNECTIONS) + field(cc.F_MORE)],
        "a critical field that nobody knows": [encode_control(cc.CONNECTIONS) + field(CRITICAL | UNKNOWN)],
    }),
}
WRONG_ANSWERS = [(question, what) for question, (_type, answers) in ANSWERS.items() for what in answers]


def steps_of(answer):
    if len(answer) == 2 and answer[1] == 1:
        return [["answer", answer[0], 1]]
    return [["answer", octets] for octets in answer]


@pytest.mark.parametrize(("question", "what"), WRONG_ANSWERS)
def test_a_worker_that_answers_wrongly_is_replaced_and_whoever_asked_is_told(stage, question, what):
    type, answers = ANSWERS[question]
    server = stage.start(*BEGINNING, ["asked", type], *steps_of(answers[what]), ["hang"])
    server.wait("Connect")
    if question == "Connections":
        assert server.get("Connections") == 0
    else:
        expect_error("Failed", server.list_connections, names="ended unexpectedly")
    expect_dropped(stage, server)


@pytest.mark.parametrize("wrong", [0, 1, 2**31])
def test_an_answer_to_another_question_of_the_same_kind_is_not_taken(stage, wrong):
    server = stage.start(*BEGINNING, ["asked", cc.STATISTICS], ["say", encode_control(cc.COUNTERS, wrong) + COUNTERS], ["hang"])
    server.wait("Connect")
    assert server.get("Connections") == 0
    expect_dropped(stage, server)


KEPT_ANSWERS = {
    "a field that nobody knows": encode_control(cc.COUNTERS) + field(UNKNOWN, b"x") + COUNTERS,
    "counters of a later release": encode_control(cc.COUNTERS) + encode_field(cc.F_COUNTERS, bytes(72)),
    "counters twice": encode_control(cc.COUNTERS) + COUNTERS + encode_field(cc.F_COUNTERS, b"\7" + bytes(55)),
}


@pytest.mark.parametrize("what", KEPT_ANSWERS)
def test_a_worker_of_a_later_release_is_not_taken_for_a_hostile_one(stage, what):
    server = stage.start(["configured"], ["say", READY], ["write", welcome()], ["asked", cc.STATISTICS],
                         ["answer", KEPT_ANSWERS[what]], ["serve"])
    assert server.get("Connections") == 0
    expect_kept(server)


def test_a_worker_cannot_name_more_connections_than_there_may_be(stage):
    """It answers page after page, as long as it is asked."""
    server = stage.start(*BEGINNING, ["pages", 800, connect()[16:]])
    for _ in range(10):  # a puppet on a busy machine may need longer for its pages than a question waits
        error = expect_error("Failed", server.list_connections)
        if "does not answer" not in error.message:
            break
    assert "ended unexpectedly" in error.message
    expect_dropped(stage, server)


def test_a_list_that_is_larger_than_any_answer_costs_the_daemon_no_memory(stage):
    """Each page holds one connection with a path that fills it."""
    body = connect(lengths=(60000, 0, 0, 0), rest=b"/" + b"x" * 59999)[16:]
    server = stage.start(*BEGINNING, ["pages", 1, body])
    before = memory(stage.service.pid)["Rss"]
    asked = server.call_later("ListAllConnections")
    stage.check_calm()
    expect_error("LimitExceeded", asked.result)
    assert memory(stage.service.pid)["Rss"] - before < MEMORY_MAX
    expect_kept(server)


# ---- Beginnings ----

NOT_READY = {
    "of another version": ["say", encode_control(cc.READY, version=2)],
    "of no version": ["say", encode_control(cc.READY)],
    "with half a version": ["say", encode_control(cc.READY) + field(cc.F_VERSION, b"\1\0")],
    "with a critical field that nobody knows": ["say", READY + field(CRITICAL | UNKNOWN)],
    "with a descriptor": ["say", READY, 1],
    "in answer to something else": ["say", encode_control(cc.READY, 7, version=1)],
    "and has failed, in no language": ["say", encode_control(cc.FAILED, error=2**32 - 1, text=b"\0\xff" * 4000)],
    "and has failed, without a word": ["say", encode_control(cc.FAILED)],
    "and exits": ["exit", 0],
    "and closes its control socket": ["close", "control"],
}


@pytest.mark.parametrize("what", NOT_READY)
def test_a_worker_that_is_not_ready_fails_its_start_and_the_next_start_works(stage, what):
    after = ["exit", 3] if "failed" in what else ["hang"]
    server = stage.start_later(["configured"], NOT_READY[what], after)
    expect_error("Failed", server.starting.result, names="could not start")
    assert server.get("State") == "failed"
    stage.puppets.leave()
    server.start(serverIP="127.0.0.1")
    server.join()[0].assert_alive()


@pytest.mark.parametrize("step", ["before CONFIGURE", "before ATTACH"])
def test_a_worker_that_exits_before_it_knows_what_to_do_fails_its_start(stage, step):
    server = stage.start_later(*([["configured", False]] if step == "before ATTACH" else []), ["exit", 0])
    expect_error("Failed", server.starting.result, names="could not start")
    assert server.get("State") == "failed"


def test_a_worker_that_never_becomes_ready_holds_up_its_own_start_alone(stage):
    """Even if killing it is no use, since it has gone on in another process."""
    servers = []
    for steps in ([["hang"]], [["configured"], ["hang"]], [["configured"], ["split"], ["linger"]]):
        taken = stage.puppets.taken()
        servers.append(stage.start_later(*steps))
        until(lambda: stage.puppets.taken() > taken, what="the worker to begin")
    stage.check_calm()
    for server in servers:
        expect_error("Failed", server.starting.result, names="could not start")
        assert server.get("State") == "failed"


# ---- The channel ----

FIRST_RECORDS = {  # in place of a right WELCOME
    "of the version of a channel with shared memory": [welcome(version=2)],
    "of a version to come": [welcome(version=3)],
    "that keeps no events": [welcome(flags=0)],
    "with a flag that does not exist": [welcome(flags=3)],
    "with a reserved octet that is not zero": [welcome(zero=1)],
    "with events before the first": [welcome(first_event=2)],
    "with events numbered from 0": [welcome(first_event=0)],
    "with repeats": [welcome(repeats=1)],
    "of generation 0": [welcome(generation=0)],
    "with messages beyond everything": [welcome(max_message=(256 << 20) + 1)],
    "with a queue that is never low": [welcome(low=0)],
    "with a queue that is low above its limit": [welcome(high=1, low=2)],
    "that is too short": [encode(cc.WELCOME, 0, welcome()[16:55])],
    "that is too long": [welcome(more=bytes(4096))],
    "about a connection": [welcome()[:8] + struct.pack("<Q", FIRST) + welcome()[16:]],
    "with connections that stood before there was a server": [welcome(standing=1), encode(cc.STANDING, FIRST, bytes(16))],
    "and connections that stood, which it does not mention": [welcome(), encode(cc.STANDING, FIRST, bytes(16))],
}


@pytest.mark.parametrize("what", FIRST_RECORDS)
def test_a_worker_that_begins_with_a_wrong_welcome_is_replaced(stage, what):
    server = stage.start(["configured"], ["say", READY], ["alone"], *(["write", octets] for octets in FIRST_RECORDS[what]), ["hang"])
    expect_dropped(stage, server, connected=False)


RECORDS = {  # behind a right WELCOME and the CONNECT of one connection
    "another WELCOME": welcome(),
    "an ASK, where events are kept": encode(cc.ASK, 0, bytes(8)),
    "a range of shared memory that is given back": encode(cc.RELEASED, 0, bytes(8)),
    "a message in shared memory": encode(cc.SHARED_MESSAGE, FIRST, struct.pack("<QQ", 0, 1)),
    "a message of connection 0": encode(cc.MESSAGE, 0, b"x"),
    "a message with a code": encode(cc.MESSAGE, FIRST, b"x", code=1000),
    "a message beyond the server's limit": struct.pack("<IBBHQ", 5242865, cc.MESSAGE, 0, 0, FIRST),
    "a message of 4 GiB": struct.pack("<IBBHQ", 2**32 - 1, cc.MESSAGE, 0, 0, FIRST),
    "text that is no text": encode(cc.MESSAGE, FIRST, b"\xff", cc.TEXT),
    "text with half a character at its end": encode(cc.MESSAGE, FIRST, b"caf\xc3", cc.TEXT),
    "text with half a surrogate pair": encode(cc.MESSAGE, FIRST, b"\xed\xa0\x80", cc.TEXT),
    "CLOSED with a code of no close": encode(cc.CLOSED, FIRST, code=1004),
    "CLOSED without a code": encode(cc.CLOSED, FIRST),
    "CLOSED that was clean without a frame": encode(cc.CLOSED, FIRST, flags=cc.CLEAN, code=1006),
    "CLOSED with too long a reason": encode(cc.CLOSED, FIRST, b"x" * 124, code=1000),
    "an error with too long a text": encode(cc.ERROR, 0, bytes(4) + b"x" * 513),
    "an error about a connection that is not there": encode(cc.ERROR, FIRST + 1, bytes(4) + b"x"),
    "an error about a connection of another generation": encode(cc.ERROR, 1, bytes(4) + b"x"),
    "CONNECT with octets behind its end": encode(cc.CONNECT, FIRST + 1, connect()[16:] + b"x"),
    "CONNECT with headers that are not there": connect(FIRST + 1, count=65535),
    "CONNECT with a path of 4 GiB": connect(FIRST + 1, lengths=(2**32 - 1, 0, 0, 0)),
    "CONNECT with lengths whose sum is small again": connect(FIRST + 1, lengths=(2**31, 2**31, 1, 0)),
    "CONNECT with a flag that does not exist": connect(FIRST + 1, flags=2),
    "CONNECT from an address with something behind it": connect(FIRST + 1, address=b"\x7f\0\0\1\1"),
    "CONNECT with a header that has no name": connect(FIRST + 1, count=1, rest=b"/" + struct.pack("<II", 0, 1) + b"x"),
    "CONNECT beyond the limit": encode(cc.CONNECT, FIRST + 1, bytes(65537)),
    "standing in the middle": encode(cc.STANDING, FIRST + 1, bytes(16)),
    "a broadcast": encode(cc.BROADCAST, 0, struct.pack("<IIQ", 1, 0, FIRST) + b"x"),
    "credit of 2^64 - 1": encode(cc.CREDIT, FIRST, b"\xff" * 8),
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_worker_that_breaks_a_rule_of_the_channel_is_replaced_and_its_app_gets_nothing_of_it(stage, what):
    server = stage.start(*BEGINNING, ["write", RECORDS[what]], ["hang"])
    expect_dropped(stage, server)
    assert {event.member for event in server.events} == {"Connect", "Error", "Closed"}


@pytest.mark.parametrize("what", ["CLOSED", "a message", "DRAINED", "an error"])
def test_a_worker_that_speaks_about_a_connection_that_has_closed_is_replaced(stage, what):
    late = {"CLOSED": encode(cc.CLOSED, FIRST, code=1000), "a message": encode(cc.MESSAGE, FIRST, b"late"),
            "DRAINED": encode(cc.DRAINED, FIRST), "an error": encode(cc.ERROR, FIRST, bytes(4) + b"x")}[what]
    server = stage.start(*BEGINNING, ["write", encode(cc.CLOSED, FIRST, code=1001) + late], ["hang"])
    server.wait("Error")
    server.join()[0].assert_alive()
    assert [event.args for event in server.find("Closed")] == [(FIRST, 1001, "", False)]
    assert not server.find("MessageReceive") and not server.find("Drained")


def test_what_is_only_odd_is_passed_on_or_over_and_the_worker_stays(stage):
    odd = [encode(cc.CREDIT, FIRST + 5, b"\xff" * 8), encode(cc.DRAINED, FIRST), encode(cc.MESSAGE, FIRST, b"a\0\xc3\xa9", cc.TEXT),
           encode(cc.ERROR, FIRST, bytes(4) + b"\xff\0"), encode(cc.CLOSED, FIRST, b"\xff\0", code=1000)]
    server = stage.start(*BEGINNING, *(["write", octets] for octets in odd), ["asked", cc.LIST],
                         ["answer", encode_control(cc.CONNECTIONS)], ["serve"])
    assert server.wait_closed(FIRST) == (1000, "\ufffd\ufffd", False)
    assert server.messages(FIRST) == ["a\0é".encode()]
    assert server.wait("Error").args[1] == "\ufffd\ufffd"
    assert server.list_connections() == []
    server.stop()


def test_descriptors_on_the_channel_are_not_taken(stage):
    server = stage.start(*BEGINNING, *[["write", encode(cc.MESSAGE, FIRST, b"x"), 200]] * 20, ["serve"])
    server.wait("MessageReceive", count=20)
    assert stage.service.open_descriptors() < stage.descriptors + 20
    expect_kept(server)


@pytest.mark.parametrize("end", ["hang", "close", "exit"])
def test_a_record_that_is_never_finished_holds_up_nobody_and_is_dropped_at_the_end(stage, end):
    beginning = struct.pack("<IBBHQ", 5242864, cc.MESSAGE, 0, 0, FIRST) + bytes(100000)
    after = {"hang": ["serve"], "close": ["close", "channel"], "exit": ["exit", 0]}[end]
    server = stage.start(*BEGINNING, ["write", beginning], after, ["hang"])
    server.wait("Connect")
    if end == "hang":
        stage.check_calm()
        server.stop()
        assert server.wait_closed(FIRST) == (1001, "", False)
        assert not server.find("MessageReceive") and not server.find("Error")
    else:
        expect_dropped(stage, server)


# ---- Too much ----

def test_standing_connections_without_end_cost_the_daemon_no_memory(stage):
    server = stage.start(["configured"], ["say", READY], ["alone"], ["write", welcome(standing=2**32 - 1)],
                         ["many", cc.STANDING, FIRST, 1000000, bytes(16)], ["hang"])
    before = memory(stage.service.pid)["Rss"]
    expect_dropped(stage, server, connected=False)
    assert memory(stage.service.pid)["Rss"] - before < MEMORY_MAX


FLOODS = {
    "messages": ("channel", encode(cc.MESSAGE, FIRST, b"x" * 100) * 100),
    "large messages": ("channel", encode(cc.MESSAGE, FIRST, b"x" * 1000000)),
    "empty messages": ("channel", encode(cc.MESSAGE, FIRST) * 1000),
    "errors": ("channel", encode(cc.ERROR, 0, bytes(4) + b"x" * 512) * 100),
    "credits": ("channel", encode(cc.CREDIT, FIRST, bytes(8)) * 1000),
    "credits of nobody": ("channel", encode(cc.CREDIT, 1, b"\xff" * 8) * 1000),
}


@pytest.mark.parametrize("what", FLOODS)
def test_an_endless_flood_of_what_is_allowed_costs_its_own_app_alone(stage, what):
    server = stage.start(*BEGINNING, ["flood", *FLOODS[what]])
    server.keep_events = False
    before = memory(stage.service.pid)["Rss"]
    rounds = stage.bystander.rounds
    until(lambda: stage.bystander.rounds > rounds + 25, 60, "the calm app to go on echoing")
    assert memory(stage.service.pid)["Rss"] - before < MEMORY_MAX
    server.release()


def test_a_flood_of_control_records_ends_its_worker(stage):
    server = stage.start(*BEGINNING, ["asked", cc.STATISTICS], ["flood", "control", encode_control(cc.COUNTERS) + COUNTERS])
    server.wait("Connect")
    server.get("Connections")
    expect_dropped(stage, server)


# ---- Who does not listen ----

def test_a_worker_that_reads_nothing_blocks_its_own_app_alone(stage):
    server = stage.start(*BEGINNING, ["hang"])
    server.wait("Connect")
    pending = [server.send_later(FIRST, bytes(60000)) for _ in range(100)]
    expect_error("WouldBlock", pending[-1].result)
    stage.check_calm()
    server.stop()
    assert server.get("State") == "stopped"


def test_questions_to_a_worker_that_answers_none_are_answered(stage):
    server = stage.start(*BEGINNING, ["hang"])
    server.wait("Connect")
    asked = [server.app.call_later(server.path, "org.freedesktop.DBus.Properties", "Get", "ss", "org.wsserver1.Server", "Connections"),
             server.call_later("ListAllConnections")]
    stage.check_calm()
    asked[0].result()
    expect_error("Failed", asked[1].result, names="does not answer")
    stage.check_calm()


AT_STOP = {
    "hangs": [],
    "exits": [["exit", 0]],
    "closes its control socket": [["close", "control"]],
    "closes its channel": [["close", "channel"]],
    "answers with a wrong tag": [["say", encode_control(cc.STOPPED, 1) + COUNTERS]],
    "answers without counters": [["answer", encode_control(cc.STOPPED)]],
    "answers with half of the counters": [["answer", encode_control(cc.STOPPED) + encode_field(cc.F_COUNTERS, bytes(28))]],
    "answers twice": [["answer", encode_control(cc.STOPPED) + COUNTERS]] * 2,
    "answers and stays": [["answer", encode_control(cc.STOPPED) + COUNTERS]],
    "answers that it is ready": [["say", READY]],
    "says that its channel has ended": [["say", encode_control(cc.CHANNEL_ENDED, text="so it has")]],
    "floods its control socket": [["answer", encode_control(cc.STOPPED) + COUNTERS],
                                  ["flood", "control", encode_control(cc.STOPPED) + COUNTERS]],
    "floods its channel": [["flood", "channel", encode(cc.MESSAGE, FIRST, b"x" * 1000) * 10]],
    "goes on in another process": [["split"], ["linger"]],
}
IN_TIME = ("hangs", "answers and stays", "closes its channel", "goes on in another process", "floods its channel")


def expect_stopped(server) -> None:
    assert server.get("State") == "stopped"
    server.start(serverIP="127.0.0.1")
    server.join()[0].assert_alive()


@pytest.mark.parametrize("what", [what for what in AT_STOP if what not in IN_TIME])
def test_stop_ends_whatever_the_worker_does(stage, what):
    server = stage.start(*BEGINNING, ["asked", cc.STOP], *AT_STOP[what], ["hang"])
    server.wait("Connect")
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 3
    assert server.wait_closed(FIRST) == (1001, "", False)
    expect_stopped(server)


def test_stop_ends_in_time_what_does_not_end_by_itself(stage):
    """All at once, and the calm app does not notice."""
    servers = {what: stage.start(*BEGINNING, ["asked", cc.STOP], *AT_STOP[what], ["hang"]) for what in IN_TIME}
    for what, server in servers.items():
        server.wait("Connect")
        server.keep_events = what != "floods its channel"
    started = time.monotonic()
    stops = [server.call_later("Stop") for server in servers.values()]
    stage.check_calm()
    for stop in stops:
        stop.result()
    assert time.monotonic() - started < 10
    for what, server in servers.items():
        if server.keep_events:
            assert server.wait_closed(FIRST) == (1001, "", False)
        server.keep_events = True
        expect_stopped(server)


# ---- Who leaves ----

@pytest.mark.parametrize("step", [["exit", 0], ["exit", 1], ["close", "control"], ["close", "channel"]], ids=str)
def test_a_worker_that_leaves_is_replaced_at_once(stage, step):
    server = stage.start(*BEGINNING, step, ["hang"])
    expect_dropped(stage, server)


def test_a_worker_that_lives_on_without_its_control_socket_takes_no_peer_of_the_next_one(stage):
    server = stage.start(*BEGINNING, ["close", "control"], ["accept"])
    server.wait("Error")
    for _ in range(5):
        server.join()[0].assert_alive()


def test_a_worker_that_fails_again_and_again_fails_its_server_alone(stage):
    stage.puppets.play(["configured"], ["say", READY], ["exit", 1])
    server = stage.app.create_server()
    server.start(serverIP="127.0.0.1")
    stage.check_calm()
    server.wait("Error", count=3)
    stage.check_calm()
