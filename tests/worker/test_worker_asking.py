# SPDX-License-Identifier: Apache-2.0
"""On an app's own channel, where nothing is acknowledged: the worker asks before it says goodbye to a peer that the app may still have to answer."""

import struct

import pytest

import channel_client as cc
import harness
from harness import TEXT, frame


def test_a_peer_that_says_something_and_leaves_gets_its_answer_over_an_apps_own_channel(start):
    worker = start(acknowledged=0)
    worker.channel.answers = False
    peer = worker.open()
    peer.send(frame(TEXT, b"one question") + frame(harness.CLOSE, b""))
    asked = worker.channel.wait_for(cc.ASK)
    assert struct.unpack("<Q", asked.body) == (2,)  # CONNECT and MESSAGE
    worker.channel.send(peer.id, "one answer")
    worker.channel.write(cc.encode(cc.ACKNOWLEDGE, 0, asked.body))
    assert peer.receive() == (TEXT, b"one answer")
    assert peer.receive_close()[0] is None
    worker.channel.wait_for(cc.CLOSED)


def test_an_app_that_never_says_what_it_has_handled_keeps_no_peer_for_long(start):
    worker = start(acknowledged=0)
    worker.channel.answers = False
    peer = worker.open()
    peer.send(frame(TEXT, b"one question") + frame(harness.CLOSE, b""))
    worker.channel.wait_for(cc.ASK)
    assert peer.receive_close()[0] is None  # after two seconds
    worker.channel.wait_for(cc.CLOSED)


def test_a_peer_that_has_said_nothing_waits_for_nobody(start):
    worker = start(acknowledged=0)
    worker.channel.answers = False
    peer = worker.open()
    peer.send(frame(harness.CLOSE, b""))
    assert peer.receive_close()[0] is None
    worker.channel.wait_for(cc.CLOSED)
    assert not [record for record in worker.channel.records if record.type == cc.ASK]


@pytest.mark.parametrize("number", [0, 3, 1 << 63])
def test_an_answer_to_what_was_not_asked_ends_the_channel(start, number):
    worker = start(acknowledged=0)
    worker.channel.answers = False
    peer = worker.open()
    peer.send(frame(TEXT, b"one question") + frame(harness.CLOSE, b""))
    worker.channel.wait_for(cc.ASK)
    worker.channel.acknowledge(number)
    assert "not asked for" in worker.control.wait(cc.CHANNEL_ENDED).get(cc.F_TEXT)
