# SPDX-License-Identifier: Apache-2.0
"""org.wsserver1.Manager: every member, as an app, as another app and as an administrator."""

import re
import subprocess

import pytest
from blackbox.app import MANAGER, MANAGER_PATH, PROPERTIES, error_of, expect_error
from blackbox.service import daemon_path
from blackbox.users import ADMINISTRATORS, ORDINARY_USER, needs_root
from blackbox.wire import DBusError, Variant, until

SERVER_PROPERTIES = {
    "State": "s", "Owner": "s", "AppId": "s", "ServerIP": "s", "ServerPort": "q", "Tls": "b", "Protocol": "s", "Connections": "u",
    "MessagesReceived": "t", "MessagesSent": "t", "BytesReceived": "t", "BytesSent": "t", "Refused": "t", "QueuedBytes": "t",
    "ChannelOpen": "b",
}
SERVERS_PER_APP = 16
SERVERS_PER_USER = 64


def test_every_created_server_is_an_object_of_its_own(app):
    servers = [app.create_server() for _ in range(3)]
    assert all(re.fullmatch(r"/org/wsserver1/server/[1-9][0-9]*", server.path) for server in servers)
    assert len({server.path for server in servers}) == 3
    assert [server.get("State") for server in servers] == ["created"] * 3


def test_a_server_belongs_to_the_app_that_created_it(service, new_app):
    first, second = new_app(service), new_app(service)
    assert first.create_server().get("Owner") == first.name
    assert second.create_server().get("Owner") == second.name


def test_a_stale_path_never_leads_to_somebody_elses_later_server(app):
    paths = set()
    for _ in range(5):
        server = app.create_server()
        paths.add(server.path)
        server.release()
    assert len(paths) == 5


def test_an_app_that_leaks_servers_is_stopped_while_others_still_get_one(service, new_app):
    leaking = new_app(service)
    servers = [leaking.create_server() for _ in range(SERVERS_PER_APP)]
    expect_error("LimitExceeded", leaking.create_server)
    new_app(service).create_server()
    servers[0].release()
    leaking.create_server()


@needs_root
def test_a_user_whose_apps_leak_servers_together_is_stopped_while_others_still_get_one(new_service, new_app):
    service = new_service()
    apps = [new_app(service) for _ in range(SERVERS_PER_USER // SERVERS_PER_APP)]
    for leaking in apps:
        for _ in range(SERVERS_PER_APP):
            leaking.create_server()
    late = new_app(service)
    expect_error("LimitExceeded", late.create_server, names="uid:0")
    assert can_create(new_app(service, user=ORDINARY_USER))
    apps[0].close()
    until(lambda: can_create(late), what="a place of the app that left")


@needs_root
def test_users_that_leak_servers_together_are_stopped_and_their_places_come_back(new_service, new_app):
    service = new_service()
    users = [ORDINARY_USER, (1, 1), (2, 2), (3, 3)]  # every Debian has these
    apps = [new_app(service, user=user) for user in users for _ in range(SERVERS_PER_USER // SERVERS_PER_APP)]
    for leaking in apps:
        for _ in range(SERVERS_PER_APP):
            leaking.create_server()
    late = new_app(service)
    expect_error("LimitExceeded", late.create_server, names="device")
    apps[0].close()
    until(lambda: can_create(late), what="a place of the app that left")


def can_create(app) -> bool:
    try:
        return bool(app.create_server())
    except DBusError:
        return False


def test_an_app_finds_its_own_servers_again_with_all_their_properties(service, new_app):
    app, other = new_app(service), new_app(service)
    idle, running = app.create_server(), app.running_server(protocol="chat")
    theirs = other.create_server()
    reply = app.call_later(MANAGER_PATH, MANAGER, "ListServers").message()
    assert reply.signature == "a(oa{sv})"
    (listed,) = reply.body
    by_path = dict(listed)
    assert set(by_path) == {idle.path, running.path} and theirs.path not in by_path
    for properties in by_path.values():
        assert {name: variant.signature for name, variant in properties.items()} == SERVER_PROPERTIES
    assert by_path[idle.path]["State"].value == "created"
    assert by_path[running.path]["State"].value == "running"
    assert by_path[running.path]["ServerPort"].value == running.port
    assert by_path[running.path]["Protocol"].value == "chat"


def test_an_app_without_servers_gets_an_empty_list(app):
    assert app.manager("ListServers") == []


def test_the_version_on_the_bus_is_the_programs(service, app):
    printed = subprocess.run([daemon_path(service.build), "--version"], capture_output=True, text=True, check=True).stdout
    version = app.get(MANAGER_PATH, MANAGER, "Version")
    assert version and version in printed


def test_an_app_can_tell_whether_this_device_runs_servers(app):
    reply = app.call_later(MANAGER_PATH, PROPERTIES, "GetAll", "s", MANAGER).message()
    (properties,) = reply.body
    assert {name: variant.signature for name, variant in properties.items()} == \
        {"Version": "s", "DeviceProfile": "s", "ServerAllowed": "b"}
    assert properties["DeviceProfile"].value == "smart-screen"
    assert properties["ServerAllowed"].value is True


@pytest.mark.parametrize("name", ["Version", "DeviceProfile", "ServerAllowed"])
def test_no_app_can_talk_the_daemon_into_another_profile(app, name):
    before = app.get(MANAGER_PATH, MANAGER, name)
    with pytest.raises(DBusError):
        app.call(MANAGER_PATH, PROPERTIES, "Set", "ssv", MANAGER, name, Variant("s", "phone"))
    assert app.get(MANAGER_PATH, MANAGER, name) == before


@pytest.mark.parametrize("member, signature, body", [("ListBans", "", ()), ("ClearBan", "s", ("127.0.0.1",)), ("Reload", "", ())])
def test_an_ordinary_app_administrates_nothing(app, member, signature, body):
    expect_error("PermissionDenied", app.manager, member, signature, *body)


@needs_root
def test_an_administrator_finds_the_servers_of_all_apps(administrated, new_app):
    owner, administrator = new_app(administrated, user=ORDINARY_USER), new_app(administrated)
    theirs, own = owner.running_server(), administrator.create_server()
    listed = dict(administrator.manager("ListServers"))
    assert {theirs.path, own.path} <= set(listed)
    assert listed[theirs.path]["Owner"] == owner.name
    assert listed[theirs.path]["ServerPort"] == theirs.port
    assert set(dict(owner.manager("ListServers"))) == {theirs.path}


@needs_root
def test_a_changed_profile_takes_effect_with_reload(new_service, new_app):
    service = new_service({"administrators": ADMINISTRATORS})
    owner, administrator = new_app(service, user=ORDINARY_USER), new_app(service)
    server = owner.running_server()
    peer, connection = server.join()
    service.configure({"deviceProfile": "phone", "administrators": ADMINISTRATORS})
    administrator.manager("Reload")
    assert administrator.get(MANAGER_PATH, MANAGER, "DeviceProfile") == "phone"
    assert administrator.get(MANAGER_PATH, MANAGER, "ServerAllowed") is False
    owner.wait_for(lambda: any(message.member == "PropertiesChanged" and message.path == MANAGER_PATH
                               for message in owner.foreign_signals()), what="the change of the profile")
    assert peer.finish_close()[0] == 1001
    assert server.wait_closed(connection)[0] == 1001
    expect_error("NotSupported", owner.create_server().start)
    service.configure({"deviceProfile": "smart-screen", "administrators": ADMINISTRATORS})
    administrator.manager("Reload")
    owner.running_server()


@needs_root
def test_a_faulty_configuration_is_refused_by_reload_and_changes_nothing(new_service, new_app):
    service = new_service({"administrators": ADMINISTRATORS})
    administrator = new_app(service)
    server = administrator.running_server()
    service.configure({"deviceProfile": "phone", "noSuchKey": 1})
    error = expect_error("Failed", administrator.manager, "Reload", names="noSuchKey")
    assert service.configuration.name in error.message
    assert administrator.get(MANAGER_PATH, MANAGER, "DeviceProfile") == "smart-screen"
    server.join()[0].assert_alive()


@pytest.mark.parametrize("member, signature, body", [
    ("CreateServer", "s", ("extra",)), ("ListServers", "u", (1,)), ("ClearBan", "", ()), ("NoSuchMember", "", ()),
])
def test_a_malformed_call_gets_an_answer_and_hurts_nobody(app, member, signature, body):
    known = "org.freedesktop.DBus.Error.AccessDenied", "org.wsserver1.Error.InvalidArgument"
    assert error_of(app.manager, member, signature, *body).name in known
    assert app.manager("ListServers") == []
