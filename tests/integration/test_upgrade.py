# SPDX-License-Identifier: Apache-2.0
"""An upgrade of the service while a worker of an older build serves."""

import pathlib
import subprocess

import pytest

from blackbox.peer import Peer
from blackbox.users import ADMINISTRATORS

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# The last commit before services could restart under their connections: its worker knows nothing of adoption.
OLDER = "4e7e66ffbfb280e44c7476f77206c31b6b891d4b"


@pytest.fixture(scope="module")
def older_worker(tmp_path_factory) -> str:
    """wsserver-worker, built from the older sources."""
    folder = tmp_path_factory.mktemp("older")
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", OLDER], capture_output=True, check=False)
    if archive.returncode != 0:
        pytest.skip("this copy of the sources has no history to build an older version from")
    source = folder / "source"
    source.mkdir()
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    build = folder / "build"
    subprocess.run(["meson", "setup", str(build), str(source), "--buildtype=release"], check=True, capture_output=True)
    subprocess.run(["ninja", "-C", str(build), "worker/wsserver-worker"], check=True, capture_output=True)
    return str(build / "worker" / "wsserver-worker")


@pytest.mark.parametrize("way", ["restart", "crash"])
def test_connections_of_an_older_worker_live_through_an_upgrade(new_managed, new_app, older_worker, way):
    service = new_managed({"administrators": ADMINISTRATORS})
    today = service.manager.environment["WSSERVERD_WORKER"]
    service.manager.environment["WSSERVERD_WORKER"] = older_worker
    service.manager.restart()
    app = new_app(service)
    server = app.running_server()
    with Peer(server.port) as peer:
        connection = server.wait("Connect").args[0]
        peer.send_message("before")
        server.wait("MessageReceive", lambda _connection, _text, data: data == b"before")
        service.manager.environment["WSSERVERD_WORKER"] = today
        getattr(service.manager, way)()
        peer.send_message("after")
        server.wait("MessageReceive", lambda _connection, _text, data: data == b"after")
        server.send(connection, "to the peer")
        assert peer.read_message() == "to the peer"
        assert [entry[0] for entry in server.list_connections()] == [connection]
        assert app.manager("ListBans") == []  # which that worker has never heard of
        app.manager("ClearBan", "s", "127.0.0.1")
        peer.assert_alive()
        server.stop()
        assert peer.read_close()[0] == 1001
    server.start()
    with Peer(server.port) as peer:
        peer.assert_alive()
