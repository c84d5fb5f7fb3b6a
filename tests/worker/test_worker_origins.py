# SPDX-License-Identifier: Apache-2.0
"""Which requests a worker agrees to: subprotocols and the origins of pages."""

import pytest

import channel_client as cc
import harness


@pytest.mark.parametrize("offered, chosen", [
    (["superchat, chat"], "chat"), (["superchat", "other, chat"], "chat"), (["superchat"], "superchat"), (["x,superchat"], "superchat")])
def test_the_subprotocol_is_the_server_s_first_among_all_that_were_offered(start, offered, chosen):
    peer = start(protocol="chat, superchat").connect()
    assert peer.handshake(headers=[("Sec-WebSocket-Protocol", value) for value in offered])["sec-websocket-protocol"] == chosen


def test_without_a_subprotocol_of_its_own_a_server_agrees_to_none(start):
    peer = start(protocol="").connect()
    assert "sec-websocket-protocol" not in peer.handshake(headers=[("Sec-WebSocket-Protocol", "chat")])


@pytest.mark.parametrize("offered", ["Chat", "cha", "chat2", "chat-super"])
def test_a_subprotocol_that_resembles_one_is_another_one(start, offered):
    peer = start(protocol="chat, superchat").connect()
    peer.send(peer.request(headers=[("Sec-WebSocket-Protocol", offered)]))
    status, _, body = peer.response()
    assert status == 400 and "chat, superchat" in body


@pytest.mark.parametrize("origin", ["https://a.example", "https://deep.below.b.example"])
def test_a_page_of_an_origin_that_the_app_named_is_let_in(start, origin):
    peer = start(allowed_origins="https://a.example https://*.b.example").connect()
    peer.handshake(headers=[("Origin", origin)])


@pytest.mark.parametrize("origins, origin", [
    ("https://a.example https://*.b.example", "https://b.example"), ("https://a.example", "http://a.example"),
    ("https://a.example", "null"), ("", "https://a.example"), ("https://a.example", "")])
def test_a_page_of_another_origin_gets_403_and_the_app_hears_nothing(start, origins, origin):
    worker = start(allowed_origins=origins, protocol="chat")
    peer = worker.connect()
    peer.send(peer.request(headers=[("Origin", origin), ("Sec-WebSocket-Protocol", "other")]))
    status, _, body = peer.response()
    assert status == 403 and "origin" in body
    peer.receive_end()
    worker.open(1)  # the first connection that the app hears of
    assert [record.type for record in worker.channel.events()] == [cc.CONNECT]
    assert worker.control.counters()["refused"] == 1


def test_a_client_that_is_no_browser_sends_no_origin_and_is_let_in(start):
    start(allowed_origins="").open()


def test_a_worker_is_told_of_origins_so_that_one_which_does_not_know_them_refuses(start):
    worker = start(configure=False)
    fields = {**harness.FAST, "allowed_origins": "https://a.example"}
    octets = cc.encode_control(cc.CONFIGURE, 1, **{k: v for k, v in fields.items() if k != "allowed_origins"})
    octets += cc.encode_field(cc.F_ALLOWED_ORIGINS | 0x8000, fields["allowed_origins"])
    worker.control.send_octets(octets, [worker.listener.fileno()])
    assert worker.control.receive().type == cc.READY
