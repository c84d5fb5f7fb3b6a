# SPDX-License-Identifier: Apache-2.0
"""Sections 12 and 13 of the list of cases: 216 conversations of 1000 compressed messages, each after the echo of the one before,
for both roles. Section 12 is about what is sent, section 13 about what was agreed before.

That is some ten gigabytes each way, so our end has to be cheap (rounds.py), and two conversations go on at a time, each with a server
or client of its own: a fixture holds them all, the tests report.
"""

from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple

import pytest
from deflating import Terms, check_answer
from rounds import Rounds
from script import leave
from wires import ClientUnderTest, ServerUnderTest, Wire

KIB = 1024
MESSAGES = 1000
AT_A_TIME = 2
# The last number of a case: (octets of a message, octets of a fragment of it).
SIZES = [(size, 0) for size in (16, 64, 256, KIB, 4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB, 128 * KIB)]
SIZES += [(size * KIB, 256) for size in (8, 16, 32, 64, 128)]
SIZES += [(128 * KIB, fragment * KIB) for fragment in (1, 4, 32)]
COMPRESSED_FROM = KIB  # octets from which on an end that agreed to compress must do so, where it helps

DEFAULT_OFFER = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
KINDS = ("json", "bitmap", "prose", "html", "noise")
# Section 13: what the end under test is asked for: (no context takeover, window bits).
REQUESTS = [[(False, 0)], [(True, 0)], [(False, 9)], [(False, 15)], [(True, 9)], [(True, 15)], [(True, 9), (True, 0), (False, 0)]]


class Case(NamedTuple):
    kind: str
    requests: list | None  # None: the default offer
    size: int
    fragment: int


def asked_of_a_server(no_takeover: bool, bits: int) -> str:
    offer = DEFAULT_OFFER
    offer += "; server_no_context_takeover" if no_takeover else ""
    return offer + (f"; server_max_window_bits={bits}" if bits else "")


def asked_of_a_client(no_takeover: bool, bits: int) -> str:
    answer = "permessage-deflate"
    answer += "; client_no_context_takeover" if no_takeover else ""
    return answer + (f"; client_max_window_bits={bits}" if bits else "")


def all_cases() -> dict:
    cases = {}
    for part, kind in enumerate(KINDS, 1):
        cases.update({f"12.{part}.{at}": Case(kind, None, *size) for at, size in enumerate(SIZES, 1)})
    for part, requests in enumerate(REQUESTS, 1):
        cases.update({f"13.{part}.{at}": Case("json", requests, *size) for at, size in enumerate(SIZES, 1)})
    return cases


CASES = all_cases()


def converse(wire: Wire, terms: Terms, case: Case) -> None:
    is_client = isinstance(wire, ServerUnderTest)
    rounds = Rounds(wire, terms, is_client, case.kind, case.size, case.fragment)
    must_compress = case.size >= COMPRESSED_FROM and case.kind != "noise"
    for number in range(MESSAGES):
        was_compressed = rounds.play(number)
        assert was_compressed or not must_compress, f"message {number} came back as large as it was"
    leave(wire)


def converse_with_server(port: int, case: Case) -> None:
    offers = [asked_of_a_server(*request) for request in case.requests] if case.requests else [DEFAULT_OFFER]
    wire = ServerUnderTest(port, headers={"Sec-WebSocket-Extensions": ", ".join(offers)})
    try:
        terms = check_answer(offers[0], wire.peer.response.headers["sec-websocket-extensions"])
        assert case.requests is None or terms.server_bits == (case.requests[0][1] or 15)
        converse(wire, terms, case)
    finally:
        wire.abandon()


def converse_with_client(engine, case: Case) -> None:
    no_takeover, bits = case.requests[0] if case.requests else (False, 0)
    answer = asked_of_a_client(no_takeover, bits)
    wire = ClientUnderTest(engine, "compression=1", headers={"Sec-WebSocket-Extensions": answer})
    try:
        check_answer(wire.request.value("sec-websocket-extensions"), answer)
        converse(wire, Terms(True, not no_takeover, 15, bits or 15), case)
    finally:
        wire.abandon()


def hold(request, conversation, partners: list):
    """Begins the conversations of all selected tests that use the fixture; yields their outcomes, by number."""
    wanted = [item.callspec.params["number"] for item in request.session.items if request.fixturename in item.fixturenames]
    free: SimpleQueue = SimpleQueue()
    for partner in partners:
        free.put(partner)

    def one(number: str) -> None:
        partner = free.get()
        try:
            conversation(partner, CASES[number])
        finally:
            free.put(partner)

    with ThreadPoolExecutor(len(partners)) as pool:
        outcomes: dict = {number: pool.submit(one, number) for number in wanted}
        yield outcomes
        for outcome in outcomes.values():
            outcome.cancel()


@pytest.fixture(scope="session")
def with_servers(request, new_echo):
    yield from hold(request, converse_with_server, [new_echo() for _ in range(AT_A_TIME)])


@pytest.fixture(scope="session")
def with_clients(request, new_engine):
    yield from hold(request, converse_with_client, [new_engine() for _ in range(AT_A_TIME)])


@pytest.mark.parametrize("number", CASES, ids="server-{}".format)
def test_a_peer_finds_the_server_compressing_as_agreed(with_servers, number):
    with_servers[number].result()


@pytest.mark.parametrize("number", CASES, ids="client-{}".format)
def test_a_server_finds_the_client_compressing_as_agreed(with_clients, number):
    with_clients[number].result()


def test_no_case_is_missing():
    assert len(CASES) == 216 and sum(number.startswith("12.") for number in CASES) == 90
