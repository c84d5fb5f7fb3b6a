# SPDX-License-Identifier: Apache-2.0
"""Whose web pages may connect: the option allowedOrigins, over D-Bus and over restarts of the service."""

import os
import signal

import pytest
from blackbox.app import expect_error
from blackbox.peer import Peer, Refused, refusal


def knock(server, origin: str | None) -> int:
    """The status that a page of that origin gets."""
    try:
        peer = Peer(server.port, headers={} if origin is None else {"Origin": origin})
    except Refused as refused:
        assert b"origin" in refused.response.body
        return refused.response.status
    peer.close()
    return 101


def test_without_the_option_pages_of_any_origin_are_let_in(server):
    assert [knock(server, origin) for origin in (None, "https://a.example", "null", "nonsense")] == [101] * 4


def test_only_pages_that_were_named_and_programs_are_let_in(app):
    server = app.running_server(allowedOrigins=["HTTPS://A.example:443", "http://*.b.example:8080", "null"])
    for origin in (None, "https://a.example", "http://c.b.example:8080", "http://d.c.b.example:8080", "null"):
        assert knock(server, origin) == 101
    for origin in ("http://a.example", "https://a.example:8443", "http://b.example:8080", "http://c.b.example", "https://evil.example",
                   "https://a.example.evil.example", ""):
        assert knock(server, origin) == 403


def test_an_empty_list_is_not_the_same_as_none(app):
    server = app.running_server(allowedOrigins=[])
    assert knock(server, "https://a.example") == 403 and knock(server, "null") == 403
    assert knock(server, None) == 101


def test_the_app_does_not_hear_of_a_page_that_was_refused(app):
    server = app.running_server(allowedOrigins=["https://a.example"])
    assert refusal(server.port, headers={"Origin": "https://evil.example"}).status == 403
    assert server.get("Refused") == 1
    _peer, connection = server.join()
    assert [event.args[0] for event in server.events] == [connection]


@pytest.mark.parametrize("entry", ["a.example", "https://a.example/", "https://*", "https://b\u00fccher.example", "*", "", "https://a.example:0"])
def test_an_entry_that_would_never_match_is_refused_by_name(app, entry):
    error = expect_error("InvalidArgument", app.create_server().start, allowedOrigins=["https://ok.example", entry], names="allowedOrigins")
    assert f'"{entry}"' in error.message


def test_the_number_of_entries_is_bounded(app):
    names = [f"https://{number}.{'long' * 15}.{'long' * 15}.{'long' * 15}.example" for number in range(65)]
    expect_error("InvalidArgument", app.create_server().start, allowedOrigins=names, names="allowedOrigins")
    server = app.running_server(allowedOrigins=names[:64])
    assert knock(server, names[63]) == 101 and knock(server, names[64]) == 403


def test_a_worker_that_is_started_again_after_a_restart_still_knows_the_origins(managed, new_app):
    app = new_app(managed)
    server = app.running_server(allowedOrigins=["https://a.example"])
    [worker] = managed.workers()
    managed.manager.restart()
    assert knock(server, "https://evil.example") == 403  # the adopted worker
    os.kill(worker, signal.SIGKILL)
    server.wait("Error")
    server.join()  # with one that is started from what the service kept
    assert knock(server, "https://evil.example") == 403 and knock(server, "https://a.example") == 101
