# SPDX-License-Identifier: Apache-2.0
"""Who may serve, where, and on what terms: rules of the configuration against the real service, while it runs and over its restarts."""

import json
import pathlib
import subprocess

import pytest
from blackbox.app import expect_error
from blackbox.peer import Peer, Refused, refusal
from blackbox.service import daemon_path
from blackbox.users import ADMINISTRATORS, GROUP_MEMBER, ORDINARY_USER, needs_root
from blackbox.wire import until

pytestmark = needs_root

NOBODY = "65534"  # who the app of these tests is
MINE = {"users": [NOBODY]}


@pytest.fixture
def under(new_service, new_app):
    """(service, app of an ordinary user, administrator) under those rules."""

    def make(*rules, **more):
        service = new_service({"policy": list(rules), "administrators": ADMINISTRATORS, **more})
        return service, new_app(service, user=ORDINARY_USER), new_app(service)

    return make


def reload(service, administrator, *rules, **more):
    service.configure({"deviceProfile": "smart-screen", "connectionRate": 0, "administrators": ADMINISTRATORS, "policy": list(rules), **more})
    administrator.manager("Reload")


def knock(server, **options) -> int:
    try:
        server.joined.append(Peer(server.port, server.host, **options))
    except Refused as refused:
        return refused.response.status
    return 101


def log_of(service) -> str:
    return service.output()


# --- Who and where ---


def test_without_a_rule_nobody_serves_and_is_told_so(under):
    _service, app, _administrator = under()
    server = app.create_server()
    expect_error("PermissionDenied", server.start, serverIP="127.0.0.1", names="uid:65534")
    assert server.get("State") == "created"


def test_the_policy_is_asked_before_any_option_is_looked_at_and_after_the_profile(under):
    _service, app, _administrator = under()
    expect_error("PermissionDenied", app.create_server().start, serverIP="nonsense")
    _service, app, _administrator = under(MINE)
    expect_error("InvalidAddress", app.create_server().start, serverIP="nonsense", serverPort=80)
    _service, app, _administrator = under(deviceProfile="phone")
    expect_error("NotSupported", app.create_server().start)


def test_a_rule_by_user_and_one_by_group(under, new_app):
    service, app, root = under({"groups": ["1"]}, {"users": ["root"]})
    expect_error("PermissionDenied", app.create_server().start)
    new_app(service, user=GROUP_MEMBER).running_server()
    root.running_server()


def test_a_rule_names_ports(under):
    _service, app, _administrator = under({**MINE, "ports": ["20000-20999"]})
    expect_error("PermissionDenied", app.create_server().start, serverPort=21000, names="serverPort")
    expect_error("PermissionDenied", app.create_server().start, serverPort=0, names="serverPort")
    app.running_server(serverPort=20077)


def test_ports_below_1024_are_only_for_who_is_named_with_them(under):
    _service, app, _administrator = under(MINE)
    expect_error("PermissionDenied", app.create_server().start, serverPort=1023, names="serverPort")
    _service, app, _administrator = under({**MINE, "ports": [1023]})
    app.running_server(serverPort=1023)  # the service of these tests runs as root


def test_a_rule_for_loopback_lets_nobody_listen_to_the_network(under):
    _service, app, _administrator = under({**MINE, "addresses": ["loopback"]})
    for address in ("0.0.0.0", "::"):
        expect_error("PermissionDenied", app.create_server().start, serverIP=address, names="serverIP")
    for address in ("127.0.0.1", "127.0.0.2", "::1"):
        app.running_server(serverIP=address)


def test_a_denial_before_a_permission_holds(under):
    _service, app, _administrator = under({**MINE, "allow": False, "ports": [20001], "name": "not that one"}, MINE)
    expect_error("PermissionDenied", app.create_server().start, serverPort=20001, names='rule "not that one"')
    app.running_server(serverPort=20002)


# --- Terms ---


def test_a_server_that_must_use_tls_cannot_speak_plain_text(under, authority):
    _service, app, _administrator = under({**MINE, "requireTls": True})
    expect_error("PermissionDenied", app.create_server().start, names="certificate")
    server = app.create_server()
    authority.issue().start(server)
    assert server.get("Tls") is True


def test_where_an_origin_is_required_nobody_comes_in_without_one(under):
    _service, app, _administrator = under({**MINE, "requireOrigin": True})
    expect_error("PermissionDenied", app.create_server().start, names="allowedOrigins")
    server = app.running_server(allowedOrigins=["https://a.example"])
    response = refusal(server.port)
    assert response.status == 403 and b"Origin" in response.body
    assert knock(server, headers={"Origin": "https://b.example"}) == 403
    assert knock(server, headers={"Origin": "https://a.example"}) == 101


@pytest.mark.parametrize("key, ceiling, over", [
    ("maxConcurrentClientsNumber", 3, 4), ("maxConnectionsForOneClient", 3, 4), ("maxMessageSize", 1000, 1001)])
def test_asking_for_more_than_the_ceiling_is_refused_by_name(under, key, ceiling, over):
    _service, app, _administrator = under({**MINE, key: ceiling, "name": "small"})
    error = expect_error("LimitExceeded", app.create_server().start, **{key: over}, names=key)
    assert str(ceiling) in error.message and "small" in error.message
    app.running_server(**{key: ceiling})


def test_who_asks_for_nothing_gets_no_more_than_the_ceiling(under):
    _service, app, _administrator = under({**MINE, "maxConnectionsForOneClient": 2, "maxMessageSize": 100})
    server = app.running_server()
    peer, connection = server.join()
    assert knock(server) == 101 and knock(server) == 429
    expect_error("MessageTooBig", server.send, connection, b"x" * 101)
    peer.send_message(b"x" * 101)
    assert peer.finish_close()[0] == 1009


def test_a_server_takes_no_more_connections_than_the_rule_says(under):
    _service, app, _administrator = under({**MINE, "maxConnections": 3})
    server = app.running_server(maxConnectionsForOneClient=100)
    assert [knock(server, source=f"127.0.0.{host}") for host in (1, 2, 3, 4)] == [101, 101, 101, 503]
    server.joined.pop().close()
    until(lambda: server.get("Connections") == 2, what="the place of the one that left")
    assert knock(server) == 101


def test_an_app_id_runs_no_more_servers_than_the_rule_says_from_however_many_connections(under, new_app):
    service, app, administrator = under({**MINE, "maxServers": 2}, {"users": ["0"]})
    first = app.running_server()
    second_app = new_app(service, user=ORDINARY_USER)
    second_app.running_server()
    expect_error("LimitExceeded", app.create_server().start, names="2")
    administrator.running_server()
    first.stop()
    app.running_server()


def test_a_worker_gets_the_nice_value_of_its_rule(under):
    service, app, administrator = under({**MINE, "nice": 7})
    app.running_server()
    [worker] = service.workers()
    assert nice_value(worker) == 7
    reload(service, administrator, {**MINE, "nice": 11})
    until(lambda: nice_value(worker) == 11, what="the worker to give way more")


def nice_value(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


def test_the_queue_of_one_peer_is_as_long_as_the_rule_says(under):
    """What waits for a peer that does not read: WouldBlock comes earlier."""

    def taken_until_refused(*rules) -> int:
        _service, app, _administrator = under(*rules)
        server = app.running_server()
        peer, connection = server.join(receive_buffer=4096)
        taken = 0
        while taken < 64 << 20:
            try:
                server.send(connection, b"x" * 65536)
            except Exception as error:  # noqa: BLE001
                assert "WouldBlock" in str(error.name)
                break
            taken += 65536
        peer.close()
        return taken

    usual, short = taken_until_refused(MINE), taken_until_refused({**MINE, "maxQueueBytes": 262144})
    assert usual - short >= 512 << 10


def test_a_worker_holds_no_more_for_its_peers_than_the_rule_says(under):
    """Peers that send large messages and never finish them are cut off at a lower mark."""
    _service, app, _administrator = under({**MINE, "maxWorkerMemory": 4 << 20})
    server = app.running_server(maxConnectionsForOneClient=100, maxMessageSize=1 << 20)
    hoarders = []
    for _ in range(20):
        peer = Peer(server.port)
        hoarders.append(peer)
        try:
            peer.send_frame(2, b"x" * (900 << 10), fin=False)
        except OSError:
            pass
    until(lambda: server.get("Connections") <= 6, what="those that hold too much to be cut off")
    Peer(server.port).close()
    for peer in hoarders:
        peer.close()


# --- While it runs ---


def test_who_loses_permission_is_stopped_and_told(under):
    service, app, administrator = under(MINE)
    server, other = app.running_server(), administrator.create_server()
    peer, connection = server.join()
    reload(service, administrator, {"users": ["0"]})
    assert peer.finish_close()[0] == 1001
    assert server.wait_closed(connection)[0] == 1001
    code, text = server.wait("Error").args
    assert code == 201 and "uid:65534" in text
    until(lambda: server.get("State") == "stopped", what="the server to stop")
    expect_error("PermissionDenied", server.start)
    other.start(serverIP="127.0.0.1")
    reload(service, administrator, MINE)
    server.start(serverIP="127.0.0.1")


def test_who_must_use_tls_from_now_on_is_stopped(under):
    service, app, administrator = under(MINE)
    server = app.running_server()
    reload(service, administrator, {**MINE, "requireTls": True})
    assert server.wait("Error").args[0] == 201
    until(lambda: server.get("State") == "stopped", what="the server to stop")


def test_a_free_port_stays_allowed_whichever_it_became(under):
    service, app, administrator = under({**MINE, "ports": [0]})
    server = app.running_server()
    reload(service, administrator, {**MINE, "ports": [0], "name": "again"})
    assert server.get("State") == "running" and knock(server) == 101


def test_tighter_limits_hold_at_once_and_cut_off_nobody(under):
    service, app, administrator = under(MINE)
    server = app.running_server(maxConnectionsForOneClient=10)
    first, second = server.join()[0], server.join()[0]
    reload(service, administrator, {**MINE, "maxConnectionsForOneClient": 1})
    until(lambda: knock(server) == 429, what="the new limit")
    first.assert_alive()
    second.assert_alive()
    reload(service, administrator, MINE)
    until(lambda: knock(server) == 101, what="the old limit")


def test_the_rate_and_the_length_of_bans_hold_at_once(under):
    service, app, administrator = under(MINE)
    server = app.running_server(maxConnectionsForOneClient=1000)
    assert [knock(server) for _ in range(20)] == [101] * 20
    reload(service, administrator, MINE, connectionRate=3, banSeconds=600)
    until(lambda: 429 in [knock(server) for _ in range(4)], what="the rate")
    for _ in range(25):
        knock(server)
    [(_path, address, _reason, left)] = administrator.manager("ListBans")
    assert address == "127.0.0.1" and left > 500
    reload(service, administrator, MINE, connectionRate=3, banSeconds=5)
    until(lambda: administrator.manager("ListBans")[0][3] <= 5, what="the ban to become shorter")
    reload(service, administrator, MINE)
    until(lambda: administrator.manager("ListBans") == [], what="bans to end with the rate")
    assert knock(server) == 101


@pytest.mark.parametrize("fault, names", [
    ('{"policy": [{"users": ["*"]},\n{"user": ["*"]}]}', ":2: policy[1].user: unknown key"),
    ('{"policy": [\n{"users": ["*"], "ports": ["x"]}]}', ":2: policy[0].ports[0]"),
    ('{"policy": [', ": the JSON text ends"), ("", ": the JSON text ends"), ('{"policy": "none"}', ":1: policy: must be an array")])
def test_a_broken_file_never_changes_what_holds(under, fault, names):
    service, app, administrator = under({**MINE, "ports": [0, 20055]})
    server = app.running_server()
    service.configuration.write_text(fault)
    expect_error("Failed", administrator.manager, "Reload", names=service.configuration.name + names if names[1].isdigit() else names)
    assert server.get("State") == "running" and knock(server) == 101
    expect_error("PermissionDenied", app.create_server().start, serverPort=20056)
    app.running_server(serverPort=20055)
    until(lambda: "configuration not changed" in log_of(service), what="the reason in the log")


def test_a_policy_that_changed_while_the_service_was_away_holds_when_it_is_back(new_managed, new_app):
    service = new_managed({"policy": [MINE, {"users": ["0"]}], "administrators": ADMINISTRATORS})
    app, root = new_app(service, user=ORDINARY_USER), new_app(service)
    denied, allowed = app.running_server(), root.running_server()
    peer, connection = denied.join()
    staying, _connection = allowed.join()
    service.configure({"deviceProfile": "smart-screen", "connectionRate": 0, "administrators": ADMINISTRATORS, "policy": [{"users": ["0"]}]})
    service.manager.restart()
    assert peer.finish_close()[0] == 1001
    assert denied.wait_closed(connection)[0] == 1001
    until(lambda: denied.get("State") == "stopped", what="the server to stop")
    staying.assert_alive()
    assert allowed.get("State") == "running"


def test_limits_of_an_adopted_server_are_those_of_the_new_policy(new_managed, new_app):
    service = new_managed({"policy": [MINE]})
    server = new_app(service, user=ORDINARY_USER).running_server()
    first, _connection = server.join()
    service.configure({"deviceProfile": "smart-screen", "connectionRate": 0, "policy": [{**MINE, "maxConnections": 1}]})
    service.manager.restart()
    until(lambda: knock(server) == 503, what="the new limit")
    first.assert_alive()


# --- Explanations ---


@pytest.fixture
def explain(build, tmp_path):
    def run(rules, *arguments, profile="smart-screen"):
        file = tmp_path / "explained.json"
        file.write_text(json.dumps({"deviceProfile": profile, "policy": rules}, indent=1))
        return subprocess.run([daemon_path(build), f"--config={file}", "--explain", *arguments], capture_output=True, text=True, timeout=60)

    return run


RULES = [
    {"name": "never", "users": ["nobody"], "allow": False, "ports": [9000]},
    {"name": "here", "users": ["nobody"], "ports": ["8000-8999"], "addresses": ["loopback"], "requireTls": True, "maxServers": 2},
    {"name": "apps", "labels": ["App::*"], "ports": ["1-65535"]},
]


@pytest.mark.parametrize("arguments, status, says", [
    (["nobody", "8080", "127.0.0.1"], 0, ["may serve", 'because rule "here"', "explained.json:", "users nobody", "with TLS only", "at most 2 servers"]),
    (["nobody", "8080"], 3, ["may not serve", "no rule for that user covers it", 'passed over: rule "here"', "is not about 0.0.0.0"]),
    (["nobody", "9000"], 3, ["may not serve", 'because rule "never"', "denies"]),
    (["nobody", "7000"], 3, ['rule "never" (', "is not about port 7000", 'rule "apps"', "label"]),
    (["nobody"], 0, ["may serve", 'rule "never"', 'rule "here"', "port 8000-8999 of loopback"]),
    (["root"], 3, ["may not serve", "no rule"]),
    (["--label=App::x", "65534", "80"], 0, ["uid:65534,label:App::x", 'because rule "apps"']),
    (["65534", "x"], 1, []), (["no-such-user"], 1, ["no-such-user"]), (["nobody", "80", "nonsense"], 1, ["serverIP"]),
    ([], 2, []), (["a", "1", "::", "more"], 2, ["more"]),
])
def test_the_policy_explains_itself(explain, arguments, status, says):
    ran = explain(RULES, *arguments)
    assert ran.returncode == status, ran
    for words in says:
        assert words in ran.stdout + ran.stderr, (words, ran)


def test_an_explanation_tells_when_the_device_may_not_serve_at_all(explain):
    ran = explain(RULES, "nobody", "8080", "127.0.0.1", profile="phone")
    assert ran.returncode == 3 and "phone" in ran.stdout


# --- The log ---


def test_the_log_tells_start_stop_and_refusals_with_the_rule_that_decided(under):
    service, app, _administrator = under({**MINE, "ports": [0], "name": "any free one"})
    server = app.running_server()
    expect_error("PermissionDenied", app.create_server().start, serverPort=20001)
    server.stop()
    until(lambda: "server 1 of uid:65534 has stopped" in log_of(service), what="the log to be written")
    log = log_of(service)
    assert f"server 1 of uid:65534 listens on 127.0.0.1 port {server.port}" in log and 'rule "any free one"' in log
    assert "uid:65534 may not start server 2: serverPort: no rule" in log


def test_the_log_tells_bans_and_refused_peers_but_nothing_of_what_they_say(under):
    service, app, _administrator = under(MINE, connectionRate=3, banSeconds=60)
    server = app.running_server(allowedOrigins=["https://good.example"])
    refusal(server.port, headers={"Origin": "https://secret.example", "Authorization": "Bearer secret"})
    for _ in range(30):
        try:
            Peer(server.port).close()
        except Refused:
            pass
    until(lambda: "refuses 127.0.0.1 for 60 seconds: too many connections" in log_of(service), what="the ban in the log")
    log = log_of(service)
    assert "server 1 refused 1 peers, the last from 127.0.0.1, with 403" in log
    assert "secret" not in log and "Bearer" not in log


def test_an_app_that_makes_noise_cannot_fill_the_log_and_hides_nobody_else(under, new_app):
    service, app, administrator = under({**MINE, "ports": [0]}, {"users": ["0"]})
    server = app.create_server()
    for _ in range(500):
        expect_error("PermissionDenied", server.start, serverPort=20001)
    quiet = administrator.running_server()
    until(lambda: f"port {quiet.port}" in log_of(service), what="the line about the quiet app")
    assert 50 <= log_of(service).count("may not start") <= 80
    app.close()
    until(lambda: "more lines, which were left out" in log_of(service), what="the number of lines left out")


def test_what_an_administrator_does_to_others_is_in_the_log(under):
    service, app, administrator = under(MINE)
    server = app.running_server()
    administrator.call(server.path, "org.wsserver1.Server", "Stop")
    until(lambda: "uid:0 calls Stop of server 1 of uid:65534" in log_of(service), what="the line about it")
