# SPDX-License-Identifier: Apache-2.0
"""libwsserver as installed, used by an ordinary user on a system bus of either implementation: by each delivery, and while the service is
restarted, killed and stopped."""

import os
import pathlib
import re
import select
import subprocess

import pytest
from television import until

PEERS = 10


@pytest.fixture(params=["channel", "stream", "signal"])
def delivery(request):
    return request.param


class EchoServer:
    """The example that is linked with the installed library."""

    def __init__(self, television, delivery: str):
        program = pathlib.Path(os.environ["WSSERVERD_RELEASE"]) / "client-lib" / "examples" / "echo-server"
        inside = television.machine.path("/opt/inside/echo-server")
        if not inside.exists():
            inside.write_bytes(program.read_bytes())
            inside.chmod(0o755)
        # It is not our child; so it ends with our end of its standard input.
        words = television.machine.command("sh", "-c", '"$@" & cat >/dev/null; kill $!; wait $!', "sh", "/opt/inside/echo-server", "--port",
                                           "0", "--ip", "127.0.0.1", "--max-connections", "100",
                                           user="viewer", environment={"WS_DELIVERY": delivery})
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ready, _, _ = select.select([self.process.stdout, self.process.stderr], [], [], 60)
        line = ready[0].readline() if ready else "nothing"
        found = re.search(r"ws://[^:]+:(\d+)/", line)
        assert found, line
        self.port = int(found[1])

    def end(self) -> None:
        self.process.communicate(timeout=30)


@pytest.fixture
def echo(television, delivery):
    server = EchoServer(television, delivery)
    yield server
    server.end()


def talking(peers, more: int = 20) -> None:
    """Returns when messages went both ways since."""
    before = peers.ask()["received"]
    until(lambda: peers.ask()["received"] >= before + more, "messages to come back")


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_an_app_of_the_library_does_not_notice_that_the_service_comes_and_goes(television, conversations, echo, way, delivery):
    peers = conversations(television, "peers.py", [[echo.port], PEERS, 0.05, False])
    talking(peers)
    for _ in range(3):
        before = television.main_process()
        if way == "restart":
            television.systemctl("restart", "wsserverd")
        else:
            television.crash()
        until(lambda before=before: television.main_process() not in (0, before), "another process of the service")
        talking(peers)
    report = peers.ask("finish")
    assert not report["faults"] and not report["ended"], report
    assert report["received"] == report["sent"]
    if way == "restart" or delivery != "signal":  # a crash may repeat what went over the bus
        assert report["repeats"] == 0
    assert echo.process.poll() is None


def reconnected(television, conversations, port: int):
    try:
        return conversations(television, "peers.py", [[port], PEERS, 0.05, False])
    except AssertionError:  # nobody listens there yet
        return None


def test_the_peers_of_a_stopped_service_are_told_and_when_it_is_started_servers_come_back(television, conversations, echo, delivery):
    peers = conversations(television, "peers.py", [[echo.port], PEERS, 0.05, False])
    talking(peers)
    television.systemctl("stop", "wsserverd")
    ended = until(lambda: len(report := peers.ask()["ended"]) == PEERS and report, "the peers to be told")
    assert {code for _port, code, _reason, _time in ended} == {1001}
    if delivery == "signal":
        return  # only after half a minute a service that is away counts as gone there; tests/client-lib has it
    television.systemctl("start", "wsserverd")
    talking(again := until(lambda: reconnected(television, conversations, echo.port), "the server to come back by itself"))
    assert not again.ask("finish")["faults"]
