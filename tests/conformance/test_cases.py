# SPDX-License-Identifier: Apache-2.0
"""Sections 1 to 10 of the list of cases, against the product as a server, and against the engine and libwsserver as clients."""

import pytest
from cases import all_cases, is_valid, utf8_sequences
from wires import ClientUnderTest, ServerUnderTest

CASES = {case.number: case for case in all_cases()}


def play(wire, case) -> None:
    try:
        for step in case.steps:
            step(wire)
    finally:
        wire.abandon()


@pytest.mark.parametrize("number", CASES, ids="server-{}".format)
def test_a_peer_finds_the_server_conforming(echo_port, number):
    play(ServerUnderTest(echo_port), CASES[number])


@pytest.mark.parametrize("number", CASES, ids="client-{}".format)
def test_a_server_finds_the_client_conforming(engine, number):
    play(ClientUnderTest(engine), CASES[number])


@pytest.mark.parametrize("number", CASES, ids="library-{}".format)
def test_a_server_finds_the_librarys_client_conforming(library, number):
    play(ClientUnderTest(library), CASES[number])


def test_no_case_is_missing():
    sections = [int(number.split(".")[0]) for number in CASES]
    counts = {section: sections.count(section) for section in sections}
    assert counts == {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1}
    verdicts = [is_valid(payload) for payloads in utf8_sequences().values() for payload in payloads]
    assert (verdicts.count(True), verdicts.count(False)) == (63, 69)
