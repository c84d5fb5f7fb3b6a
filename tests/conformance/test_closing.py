# SPDX-License-Identifier: Apache-2.0
"""Closing beyond the cases of the list: every code, both sides first, and what happens when the other end does not play along."""

import pytest
from blackbox.app import Echo, expect_error
from blackbox.peer import CLOSE, PING, TEXT, Peer, encode_frame
from blackbox.wire import until
from script import at_once, close, fails, fragments, hear_answer, hear_message, octetwise, ping, text
from wires import PATIENCE, ClientUnderTest, F, ServerUnderTest

SENDABLE = [*range(1000, 1004), *range(1007, 1015), 3000, 3001, 3500, 3998, 3999, 4000, 4001, 4321, 4998, 4999]
NOT_SENDABLE = [0, 1, 125, 999, 1004, 1005, 1006, 1015, 1016, 1099, 1999, 2000, 2500, 2999, 5000, 5001, 10000, 32768, 65534, 65535]


def play(wire, *steps) -> None:
    try:
        for step in steps:
            step(wire)
    finally:
        wire.abandon()


# Codes


@pytest.mark.parametrize("code", SENDABLE)
def test_a_code_that_may_be_sent_is_answered_with_itself(open_wire, code):
    play(open_wire(), at_once(close(code, "Grüße".encode())), hear_answer(code))


@pytest.mark.parametrize("code", NOT_SENDABLE)
def test_a_code_that_must_not_be_sent_fails_the_connection(open_wire, code):
    play(open_wire(), *fails(1002, at_once(close(code, b"reason"))))


@pytest.mark.parametrize("reason", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"x" * 122 + b"\xc3"], ids=bytes.hex)
def test_a_reason_that_is_no_text_fails_the_connection(open_wire, reason):
    play(open_wire(), *fails(1007, at_once(close(1000, reason))))


def test_a_close_may_come_an_octet_at_a_time(open_wire):
    play(open_wire(), octetwise(close(4321, b"*" * 123)), hear_answer(4321))


def test_a_close_between_fragments_ends_the_message_unheard(open_wire):
    first, second, third = fragments(2, b"a", b"b", b"c")
    play(open_wire(), at_once(first, second, close(1001), third), hear_answer(1001))


def test_of_many_messages_before_a_close_all_are_answered_in_order(engine):
    """Against the client, which answers at once. The server's app has its time to do so: tests/worker/test-farewell.c."""
    messages = [b"%d" % number for number in range(100)]
    play(ClientUnderTest(engine), at_once(*[text(message) for message in messages], close(1000)),
         *[hear_message(1, message) for message in messages], hear_answer(1000))  # fmt: skip


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_the_app_may_close_with_every_code_that_may_be_sent(new_server, code):
    server = new_server()
    peer, connection = server.join(timeout=PATIENCE)
    server.close_connection(connection, code, "Grüße")
    assert peer.finish_close() == (code, "Grüße".encode())
    assert server.wait_closed(connection) == (code, "Grüße", True)


@pytest.mark.parametrize("code", [1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535])
def test_the_app_may_not_close_with_another_code(new_server, code):
    server = new_server()
    peer, connection = server.join(timeout=PATIENCE)
    expect_error("InvalidArgument", server.close_connection, connection, code)
    peer.assert_alive()


# Us first


def test_a_client_that_closes_first_waits_for_the_server_to_hang_up(engine):
    wire = ClientUnderTest(engine, "close=enough")
    wire.send(text("enough"))
    assert wire.hear_close() == (1000, "enough")
    wire.send(close(1000))
    wire.finish_closed()


def test_a_client_that_closes_first_takes_what_is_under_way_and_answers_no_ping(engine):
    wire = ClientUnderTest(engine, "close=enough")
    wire.send(text("enough"), text("late"), ping(b"late"), close(1000))
    assert wire.hear_close() == (1000, "enough")
    wire.finish_closed()


def test_a_client_that_closed_first_and_is_told_nonsense_hangs_up_without_another_close(engine):
    wire = ClientUnderTest(engine, "close=enough")
    wire.send(text("enough"))
    assert wire.hear_close() == (1000, "enough")
    wire.send(F(3))
    wire.finish_failed(1002)


def test_what_a_peer_sent_before_it_heard_of_the_close_still_reaches_the_app(new_server):
    server = new_server()
    peer, connection = server.join(timeout=PATIENCE)
    server.close_connection(connection, 1000, "bye")
    assert peer.read_close() == (1000, b"bye")
    peer.send_message("under way")
    peer.send_frame(PING, b"not answered any more")
    peer.send_close(1000)
    assert peer.read_to_end() == b""
    assert server.wait_closed(connection) == (1000, "bye", True)
    assert server.messages(connection) == [b"under way"]


# Time


def test_a_peer_that_does_not_answer_a_close_is_let_go_in_time(new_server):
    server = new_server()
    peer, connection = server.join(timeout=PATIENCE)
    server.close_connection(connection, 1000, "bye")
    assert peer.read_close() == (1000, b"bye")
    assert peer.read_to_end() == b""
    assert server.wait_closed(connection) == (1000, "bye", False)


def test_a_peer_that_talks_on_instead_of_answering_a_close_is_let_go_all_the_same(new_server):
    server = new_server()
    peer, connection = server.join(timeout=PATIENCE)
    server.close_connection(connection, 1000, "bye")

    def talk() -> bool:
        try:
            peer.send_message("on and on")
        except OSError:
            return True
        return False

    until(talk, PATIENCE, "the server to hang up", pause=0.05)
    assert server.wait_closed(connection) == (1000, "bye", False)


@pytest.mark.parametrize("last", [close(1000), F(3)], ids=["closed", "failed"])
def test_a_peer_that_does_not_hang_up_after_the_end_is_cut_off(sanitized_echo_port, last):
    wire = ServerUnderTest(sanitized_echo_port)
    wire.send(last)
    wire.hear_close()
    wire.hear_end()

    def is_cut_off() -> bool:
        try:
            wire.peer.send(b"more")
        except OSError:
            return True
        return False

    until(is_cut_off, PATIENCE, "the server to close the socket", pause=0.05)
    wire.peer.close()


def test_a_peer_that_hangs_up_without_a_close_was_not_clean(new_server):
    server = new_server()
    peer, connection = server.join(timeout=PATIENCE)
    peer.finish_sending()
    assert server.wait_closed(connection) == (1006, "", False)
    peer.close()


def test_a_peer_that_resets_was_not_clean(new_server):
    server = new_server()
    peer, connection = server.join(timeout=PATIENCE)
    peer.reset()
    assert server.wait_closed(connection) == (1006, "", False)


def test_a_failure_is_told_to_the_app_as_what_it_was(new_server):
    server = new_server()
    peer, connection = server.join(timeout=PATIENCE)
    peer.send_frame(3)
    assert peer.read_close()[0] == 1002
    code, reason, clean = server.wait_closed(connection)
    assert (code, clean) == (1002, False) and reason
    peer.close()


def test_a_server_that_hangs_up_without_a_close_is_lost(engine):
    wire = ClientUnderTest(engine)
    wire.peer.close()
    assert engine.report() == "lost"


@pytest.mark.parametrize("acknowledges", [True, False], ids=["acknowledges", "never acknowledges"])
def test_a_message_and_a_close_at_once_get_both_answers_from_any_app(new_server, acknowledges):
    server = new_server()
    echo = Echo(server, acknowledge=False)
    if acknowledges:
        taken, server.on_event = server.on_event, lambda event: (taken(event), server.call_later("Acknowledge", "t", echo.events))
    for number in range(20):
        peer = Peer(server.port, timeout=PATIENCE)
        message = b"%d" % number
        peer.send(encode_frame(TEXT, message) + encode_frame(CLOSE, b"\x03\xe8"))
        assert peer.read_message() == message.decode()
        assert peer.read_close() == (1000, b"")
        peer.close()

