# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on a device, each with the outcome that the manual promises."""

import time

from television import until

SERVER = {"maxConnectionsForOneClient": 100, "pingInterval": 0}
SHORT_WATCHDOG = "[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n"


def serving(television, conversations, apps, connections):
    app = conversations(television, "echo_app.py", apps)
    peers = conversations(television, "peers.py", [app.greeting["ports"], connections, 0.1, False])
    return app, peers


def talking(peers, more: int = 40) -> None:
    before = peers.ask()["received"]
    until(lambda: peers.ask()["received"] >= before + more, "messages to come back")


def all_well(peers) -> None:
    report = peers.ask("finish")
    assert report["ended"] == [] and report["faults"] == [] and report["missing"] == 0


def test_a_killed_worker_costs_its_own_server_its_connections_and_no_other(television, conversations):
    """Killed as the kernel does it when memory is short: a process that exceeds its share gets SIGKILL without a warning. (Limits
    of memory have no effect in these machines, so the signal is sent by hand.)"""
    app, peers = serving(television, conversations, [[SERVER, SERVER], [SERVER]], 30)
    talking(peers)
    main, victim = television.main_process(), television.workers()[0]
    port = app.greeting["ports"][0]
    television.run("kill", "-KILL", str(victim))
    ended = until(lambda: len(report := peers.ask()["ended"]) == 10 and report, "its connections to end")
    assert {line[0] for line in ended} == {port}
    reports = until(lambda: len((all_reports := app.ask())[0]["closed"]) == 10 and all_reports, "Closed for each")
    assert {(code, clean) for _id, code, clean in reports[0]["closed"]} == {(1006, False)}
    # A call that was under way to that process is told so.
    faults = [fault for fault in reports[0]["faults"] if not ("Send: " in fault and "process" in fault and "ended" in fault)]
    assert [fault[:5] for fault in faults] == ["Error"]
    assert [report["faults"] + report["closed"] for report in reports[1:]] == [[], []]
    talking(conversations(television, "peers.py", [[port], 5, 0.1, False]))
    end = peers.ask("finish")
    assert len(end["ended"]) == 10 and end["faults"] == []
    assert television.main_process() == main and television.show("ActiveState") == "active"


def test_a_hung_main_loop_is_found_and_connections_live_through_it(television, conversations):
    with television.drop_in("watchdog", SHORT_WATCHDOG):
        app, peers = serving(television, conversations, [[SERVER]], 20)
        talking(peers)
        main, workers = television.main_process(), television.workers()
        television.run("kill", "-STOP", str(main))
        until(lambda: television.main_process() not in (0, main) and television.show("ActiveState") == "active", "another process")
        assert "Watchdog timeout" in television.journal()
        talking(peers)
        assert television.workers() == workers
        all_well(peers)
        assert [report["faults"] for report in app.ask()] == [[]]


def test_a_service_without_free_descriptors_refuses_servers_and_serves_on(television, conversations):
    with television.drop_in("descriptors", SHORT_WATCHDOG + "LimitNOFILE=64\n"):
        app, peers = serving(television, conversations, [[SERVER]], 5)
        talking(peers)
        main = television.main_process()
        greedy = conversations(television, "echo_app.py", [[{}] * 16])
        assert greedy.greeting["refusals"], "sixteen servers fit into 64 descriptors"
        assert all("org.wsserver1.Error." in text for text in greedy.greeting["refusals"])
        time.sleep(2.5)  # the watchdog's time, twice
        assert television.main_process() == main, "the service was ended though it was well"
        talking(peers)
        television.systemctl("restart", "wsserverd")
        talking(peers)
        greedy.end()
        until(lambda: len(television.workers()) == 1, "the greedy app's servers to end")
        assert conversations(television, "echo_app.py", [[{}]]).greeting["refusals"] == []
        all_well(peers)
        assert [report["faults"] for report in app.ask()] == [[]]


def test_a_full_store_refuses_servers_that_would_not_survive(television, conversations):
    with television.drop_in("store", "[Service]\nFileDescriptorStoreMax=12\nEnvironment=FDSTORE=12\n"):
        app, peers = serving(television, conversations, [[SERVER] * 6], 6)
        served = len(app.greeting["ports"])
        assert 1 <= served < 6 and len(app.greeting["refusals"]) == 6 - served
        assert all("org.wsserver1.Error.LimitExceeded" in text for text in app.greeting["refusals"])
        talking(peers)
        assert television.kept() <= 12
        workers = television.workers()
        for what in (lambda: television.systemctl("restart", "wsserverd"), television.crash):
            what()
            talking(peers)
        assert television.workers() == workers
        all_well(peers)


def test_a_new_bus_ends_all_servers_and_the_service_comes_back_on_it(television, conversations):
    app, peers = serving(television, conversations, [[SERVER]], 10)
    talking(peers)
    main = television.main_process()
    unit = {"daemon": "dbus.service", "broker": "dbus-broker.service"}[television.bus]
    television.systemctl("restart", unit)
    ended = until(lambda: len(report := peers.ask()["ended"]) == 10 and report, "the peers to be told")
    assert {line[1] for line in ended} == {1001}
    until(lambda: television.machine.run("busctl", "call", "org.wsserver1", "/org/wsserver1", "org.wsserver1.Manager", "ListServers",
                                         user="viewer", check=False).stdout.strip() == "a(oa{sv}) 0", "the service on the new bus")
    until(lambda: not television.workers(), "the workers to leave")
    assert television.main_process() == main and television.show("ActiveState") == "active"
    _app, peers = serving(television, conversations, [[SERVER]], 3)
    talking(peers)


def test_an_owner_that_leaves_while_the_service_is_away_takes_its_servers_along(television, conversations):
    app, peers = serving(television, conversations, [[SERVER]], 5)
    talking(peers)
    with television.drop_in("slow", "[Service]\nExecStartPre=+/bin/sleep 1\n"):
        television.crash()
        app.end()
        ended = until(lambda: len(report := peers.ask()["ended"]) == 5 and report, "the peers to be told")
        assert {line[1] for line in ended} == {1001}
        until(lambda: not television.workers(), "the worker to leave")
