# SPDX-License-Identifier: Apache-2.0
"""What libwsserver costs, and that it gives back what it took."""

import socket

from blackbox.peer import Peer
from driven import VALGRIND, App

IDLE = 2000


def test_an_idle_connection_costs_the_app_at_most_300_octets_of_heap(new_service, release_build, new_driven, figure):
    service = new_service(build_folder=release_build)
    app = new_driven(service, "channel", build=release_build)
    server = app.running_server(max_connections_for_one_client=IDLE + 100)
    for _ in range(100):  # what is made once
        server.join()
    before = app.figures()["heap"]
    peers = [Peer(server.port) for _ in range(IDLE)]
    server.wait("connect", count=IDLE + 100)
    assert server.state()["count"] == IDLE + 100
    each = (app.figures()["heap"] - before) / IDLE
    figure("heap of an app with libwsserver for an idle connection, octets", round(each, 1))
    for peer in peers:
        peer.close()
    assert each <= 300


def test_starting_and_stopping_again_and_again_leaves_nothing_behind(new_service, release_build, new_driven, delivery):
    service = new_service(build_folder=release_build)
    app = new_driven(service, delivery, build=release_build)
    server = app.new_server()

    def cycles(count):
        for _ in range(count):
            server.start()
            server.stop()

    cycles(20)
    before = app.figures()
    cycles(180)
    after = app.figures()
    assert after["descriptors"] == before["descriptors"]
    assert after["heap"] - before["heap"] < 64 << 10


def test_starts_that_are_refused_leave_nothing_behind(new_driven, service, delivery):
    app = new_driven(service, delivery)
    server = app.new_server()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app.answer(server.start_later(port=port))
        before = app.figures()
        for _ in range(40):
            assert app.answer(server.start_later(port=port))["error"]["name"].endswith("PortInUse")
        assert app.figures()["descriptors"] == before["descriptors"]


def test_valgrind_finds_nothing_in_a_life_of_a_server(new_service, release_build, delivery):
    service = new_service(build_folder=release_build)
    app = App(release_build, service.bus.address, delivery, prefix=VALGRIND)
    try:
        server = app.running_server()
        server.plan("message", {"do": "keep"}, {"do": "send"})
        peer, connection = server.join(headers={"X-Thing": "one"})
        for data in ("text", b"\x00\xff", "x" * 50_000):
            peer.send_message(data)
            assert peer.read_message() == data
        assert app.answer(server.send_later(connection, "last"))["result"] is True
        assert peer.read_message() == "last"
        server.call("broadcast", text="all")
        server.call("kept", drop=True)
        stopping = server.say("stop")
        assert peer.read_message() == "all"
        assert peer.finish_close()[0] == 1001
        assert app.answer(stopping)["result"] is True
        app.end()
    finally:
        app.kill()
