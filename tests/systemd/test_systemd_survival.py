# SPDX-License-Identifier: Apache-2.0
"""No restart and no crash of the service costs a connection or a message, under a real systemd and a real system bus."""

import random
import time

from television import until

TIMES = 20
CONNECTIONS = 200
PERIOD = 0.5  # seconds between two messages of a connection: 400 a second, each way
# Two apps with two servers each, fifty connections to each server, and room for the one that connects anew.
APPS = [[{"maxConnectionsForOneClient": 100, "pingInterval": 0}] * 2] * 2
CHANCE = random.Random(11)


def total(reports: list, key: str) -> int:
    return sum(report[key] for report in reports)


def nothing_lost(peers: dict, app) -> None:
    assert peers["ended"] == [], "connections were dropped"
    assert peers["faults"] == [], f"messages were lost or out of order; the apps: {app.ask()}"
    assert peers["anew_failed"] == [], "a new connection was refused"


def interrupted(television, peers, app, what) -> float:
    """Does `what` again and again at random moments; returns the worst pause in milliseconds that a peer saw."""
    peers.ask()
    for _ in range(TIMES):
        time.sleep(CHANCE.uniform(0.05, 0.6))
        what()
    until(lambda: television.show("ActiveState") == "active", "the service to run")
    report = peers.ask()
    nothing_lost(report, app)
    return max(report["worst_ms"], report["anew_worst_ms"])


def test_no_connection_and_no_message_is_lost_over_restarts_and_crashes(television, conversations, figure):
    app = conversations(television, "echo_app.py", APPS)
    peers = conversations(television, "peers.py", [app.greeting["ports"], CONNECTIONS, PERIOD, True])
    undisturbed = peers.ask()["worst_ms"]
    workers = television.workers()
    restarts = int(television.show("NRestarts"))

    pause = interrupted(television, peers, app, lambda: television.systemctl("restart", "wsserverd"))
    after_restarts = app.ask()
    assert total(after_restarts, "recovered") == total(after_restarts, "repeats") == 0, "a plain restart repeated events"
    assert [report["errors"] for report in after_restarts] == [{}] * 4, "a plain restart failed calls"
    figure(f"{television.bus}: worst pause in {TIMES} restarts, undisturbed", f"{pause:.0f} ms, {undisturbed:.0f} ms")

    pause = interrupted(television, peers, app, television.crash)
    figure(f"{television.bus}: worst pause in {TIMES} crashes", f"{pause:.0f} ms")
    assert int(television.show("NRestarts")) - restarts >= TIMES / 2, "the service was hardly ever killed"

    end = peers.ask("finish")
    nothing_lost(end, app)
    assert end["missing"] == 0 and end["received"] == end["sent"] > 0
    reports = app.ask()
    assert [report["faults"] for report in reports] == [[]] * 4
    assert total(reports, "repeats") <= total(reports, "announced")
    retried = sum(count for report in reports for count in report["errors"].values())
    assert end["repeats"] <= retried, "a message that was sent once arrived twice"
    assert television.workers() == workers, "a worker was replaced"
    figure(f"{television.bus}: messages each way, repeated events of those announced, calls to be retried, new connections",
           f"{end['sent']}, {total(reports, 'repeats')} of {total(reports, 'announced')}, {retried}, {end['anew']}")
