# SPDX-License-Identifier: Apache-2.0
"""The service's life under a real systemd: started on demand, stopped, reloaded, gone when idle, locked in."""

import json
import re
import time

from television import until

ONE_SERVER = [[{"maxConnectionsForOneClient": 100, "pingInterval": 0}]]
STOP_SECONDS = 3.0


def serving(television, conversations, apps=ONE_SERVER, connections=5):
    app = conversations(television, "echo_app.py", apps)
    peers = conversations(television, "peers.py", [app.greeting["ports"], connections, 0.1, False])
    return app, peers


def talking(peers, more: int = 20) -> None:
    """Returns when messages went both ways since."""
    before = peers.ask()["received"]
    until(lambda: peers.ask()["received"] >= before + more, "messages to come back")


# On demand


def test_the_first_call_of_an_ordinary_user_starts_the_service(television):
    assert television.main_process() == 0
    assert television.call("ListServers", user="neighbour").strip() == "a(oa{sv}) 0"
    assert television.show("ActiveState") == "active" and television.main_process() > 0
    assert television.show("StatusText") == "Holding 0 servers"
    assert "neighbour" not in television.run("ps", "-o", "user=", "-p", str(television.main_process()))


def test_an_ordinary_user_serves_lists_and_closes_a_third_party_client(television, conversations):
    app, peers = serving(television, conversations, connections=1)
    talking(peers)
    [path] = app.greeting["paths"]
    bus = ["busctl", "call", "org.wsserver1", path, "org.wsserver1.Server"]
    assert "/org/wsserver1" in television.call("ListServers", user="root"), "an administrator sees all servers"
    assert television.call("ListServers", user="neighbour").strip() == "a(oa{sv}) 0", "others see none"
    listed = television.run(*bus, "ListAllConnections", user="root")
    identity = re.search(r'a\(tsqa\{sv\}\) 1 (\d+) "127\.0\.0\.1"', listed).group(1)
    foreign = television.machine.run(*bus, "Close", "tqs", identity, "4321", "bye", user="neighbour", check=False)
    assert foreign.returncode != 0 and "there is no object" in foreign.stderr
    television.run(*bus, "Close", "tqs", identity, "4321", "bye", user="root")
    ended = until(lambda: peers.ask()["ended"], "the peer to be closed")
    assert ended[0][1:3] == [4321, "bye"]


def test_nobody_else_may_take_the_name(television):
    television.call("ListServers")
    taken = television.machine.run("busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                   "RequestName", "su", "org.wsserver1", "0", user="viewer", check=False)
    assert taken.returncode != 0 and ("denied" in taken.stderr or "not allowed" in taken.stderr)


# Stop, reload, idle


def all_told(peers, connections: int, started: float) -> None:
    ended = until(lambda: len(report := peers.ask()["ended"]) == connections and report, "the peers to be told")
    assert {code for _port, code, _reason, _time in ended} == {1001}
    assert max(at for *_rest, at in ended) - started < STOP_SECONDS


def test_stop_tells_every_peer_within_three_seconds_and_leaves_no_process(television, conversations):
    app, peers = serving(television, conversations, connections=20)
    talking(peers)
    app.ask("quiet")  # a call would start the service again
    started = time.monotonic()
    television.systemctl("stop", "wsserverd")
    until(lambda: not television.processes(), "the processes to leave", seconds=STOP_SECONDS)
    assert time.monotonic() - started < STOP_SECONDS
    all_told(peers, 20, started)
    assert television.kept() == 0 and television.main_process() == 0


def test_an_app_that_goes_on_calling_does_not_undo_a_stop(television, conversations):
    app, peers = serving(television, conversations, connections=50)
    talking(peers)
    started = time.monotonic()
    television.systemctl("stop", "wsserverd")
    all_told(peers, 50, started)
    app.ask("quiet")
    until(lambda: not television.workers(), "the workers to leave", seconds=STOP_SECONDS)
    assert television.call("ListServers").strip() == "a(oa{sv}) 0"


def test_a_reload_reads_the_configuration_and_a_faulty_one_changes_nothing(television, conversations):
    _app, peers = serving(television, conversations)
    main = television.main_process()

    def profile():
        return television.run("busctl", "get-property", "org.wsserver1", "/org/wsserver1", "org.wsserver1.Manager", "DeviceProfile")

    with television.configuration(json.dumps({"deviceProfile": "kiosk", "allowedProfiles": ["kiosk"]})):
        television.systemctl("reload", "wsserverd")
        until(lambda: profile() == 's "kiosk"\n', "the new profile")
    with television.configuration("{"):
        television.systemctl("reload", "wsserverd")
        until(lambda: "not changed" in television.journal(), "the complaint about the configuration")
        assert profile() == 's "kiosk"\n'
    talking(peers)
    assert television.main_process() == main and television.show("ActiveState") == "active"


def test_an_idle_service_leaves_and_the_next_call_brings_it_back(television, conversations):
    with television.configuration(json.dumps({"idleExitSeconds": 1})):
        television.call("ListServers")
        until(lambda: television.show("ActiveState") == "inactive", "the idle service to leave")
        assert television.show("Result") == "success"
        time.sleep(1)
        assert television.main_process() == 0, "it was started again though nobody called"
        app, peers = serving(television, conversations)
        time.sleep(2.5)  # longer than it may be idle: a server keeps it
        talking(peers)
        main = television.main_process()
        peers.end()
        app.end()
        until(lambda: television.main_process() != main, "the idle service to leave")


def test_a_service_with_a_faulty_configuration_says_so_and_starts_once_it_is_mended(television):
    with television.configuration('{"deviceProfile": 5}'):
        called = television.machine.run("busctl", "--timeout=5", "call", "org.wsserver1", "/org/wsserver1", "org.wsserver1.Manager",
                                        "ListServers", user="viewer", check=False)
        assert called.returncode != 0
        assert "deviceProfile" in television.journal()
    until(lambda: television.show("ActiveState") == "active", "the service to start")


# The sandbox of the unit


def test_the_daemon_can_write_nothing_outside_its_own_folders(television, conversations):
    """A shell in the daemon's place, under the unit's sandbox, tries every folder there is."""
    script = ("for folder in / /etc /usr /usr/lib/wsserverd /var /var/lib /var/tmp /run /run/systemd /home /root /tmp /dev /dev/shm "
              "/dev/mqueue /proc/sys/kernel /sys /sys/fs/cgroup; do "
              "if ( : > $folder/wsserverd-was-here ) 2>/dev/null; then echo wrote $folder; fi; done; "
              "id -u -n; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; cat /proc/1/cmdline 2>/dev/null; ls /home /root 2>/dev/null; "
              "unshare -U true 2>/dev/null && echo new namespace; /bin/mount -t tmpfs x /tmp 2>/dev/null && echo mounted; true")
    with television.drop_in("shell", "[Service]\nType=oneshot\nBusName=\nRestart=no\nWatchdogSec=0\nNoExecPaths=\nExecPaths=\n"
                            f"ExecStart=\nExecStart=/bin/sh -c {json.dumps(script.replace('$', '$$'))}\n"):
        television.systemctl("start", "wsserverd")
        output = television.journal().split("Starting wsserverd.service")[-1]
    written = re.findall(r"^wrote (.*)$", output, re.MULTILINE)
    assert set(written) == {"/tmp", "/var/tmp"}, "only the folders that are its own and empty"
    assert not television.machine.path("/tmp/wsserverd-was-here").exists()
    assert "wsserverd\n" in output and "new namespace" not in output and "mounted" not in output
    assert set(re.findall(r"^Cap\w+:\s*(\w+)$", output, re.MULTILINE)) == {"0" * 16}
    assert re.search(r"^NoNewPrivs:\s*1$", output, re.MULTILINE) and re.search(r"^Seccomp:\s*2$", output, re.MULTILINE)


def test_the_daemon_can_execute_nothing_but_its_worker(television):
    with television.drop_in("shell", "[Service]\nType=oneshot\nBusName=\nRestart=no\nExecStart=\nExecStart=/bin/true\n"):
        assert television.machine.run("systemctl", "start", "wsserverd", check=False).returncode != 0
        assert television.show("ExecMainStatus") == "203", "status EXEC"


def test_the_worker_is_locked_in_under_the_unit_too(television, conversations):
    serving(television, conversations)
    [worker] = television.workers()
    status = television.machine.path(f"/proc/{worker}/status").read_text()
    assert set(re.findall(r"^Cap(?!Bnd)\w+:\s*(\w+)$", status, re.MULTILINE)) == {"0" * 16}
    assert re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE) and re.search(r"^Seccomp:\s*2$", status, re.MULTILINE)
    filters = {pid: int(re.search(r"^Seccomp_filters:\s*(\d+)$", television.machine.path(f"/proc/{pid}/status").read_text(),
                                  re.MULTILINE).group(1)) for pid in (worker, television.main_process())}
    assert filters[worker] == filters[television.main_process()] + 1, "the worker's own filter, on top of the unit's"


def test_a_server_with_a_certificate_serves_under_the_unit_and_its_key_is_never_swapped(television, conversations):
    pair = {"certificate": "/var/tmp/certificate.pem", "privateKey": "/var/tmp/key.pem"}
    television.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                   "-keyout", pair["privateKey"], "-out", pair["certificate"])
    television.run("chown", "viewer", *pair.values())
    app = conversations(television, "echo_app.py", [[{**pair, "pingInterval": 0}]])
    assert app.greeting["refusals"] == []
    [port] = app.greeting["ports"]
    shown = television.machine.run("sh", "-c", f"openssl s_client -brief -connect 127.0.0.1:{port} </dev/null").stderr
    assert "Protocol version: TLSv1.3" in shown
    until(lambda: len(television.workers()) == 1, "the process that checked the certificate to be gone")
    [worker] = television.workers()
    status = television.machine.path(f"/proc/{worker}/status").read_text()
    assert int(re.search(r"^VmLck:\s*(\d+) kB$", status, re.MULTILINE).group(1)) >= 64


def test_ports_below_1024_need_the_drop_in_that_is_shipped(television, conversations):
    low = [[{"serverPort": 80, "pingInterval": 0}]]
    [refusal] = conversations(television, "echo_app.py", low).greeting["refusals"]
    assert "org.wsserver1.Error." in refusal
    television.tidy()
    with television.drop_in("low-ports", television.machine.path("/usr/lib/wsserverd/low-ports.conf").read_text()):
        app, peers = serving(television, conversations, low, connections=2)
        assert app.greeting["ports"] == [80]
        talking(peers)
        [worker] = television.workers()
        status = television.machine.path(f"/proc/{worker}/status").read_text()
        assert set(re.findall(r"^Cap(?:Eff|Prm|Amb):\s*(\w+)$", status, re.MULTILINE)) == {"0" * 16}, "the worker has it not"
        television.tidy()
