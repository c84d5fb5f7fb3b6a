# SPDX-License-Identifier: Apache-2.0
"""The access matrix: every member of the interface, called by everybody there can be. A member that the table does not know fails the test,
so nobody can add one without saying who may use it."""

import pathlib
import xml.etree.ElementTree

import pytest
from blackbox.app import MANAGER_PATH, PROPERTIES, SERVER
from blackbox.users import ORDINARY_USER, needs_root
from blackbox.wire import DBusError, Variant

pytestmark = needs_root

INTERFACE = pathlib.Path(__file__).resolve().parents[2] / "dbus" / "org.wsserver1.xml"
MANAGER = "org.wsserver1.Manager"
CALLERS = {  # user and group; None: root
    "owner": ORDINARY_USER,
    "another app of the same user": ORDINARY_USER,
    "another user": (2, 2),
    "administrator": (1, 1),
    "root, where it is no administrator": None,
}
STRANGERS = [name for name in CALLERS if name not in ("owner", "administrator")]
# How each is answered: it may; the object does not exist for it; it may not.
YES, NOTHING, NO = "yes", "nothing there", "no"

EVERYBODY = dict.fromkeys(CALLERS, YES)
ADMINISTRATORS = {**dict.fromkeys(CALLERS, NO), "administrator": YES}
OWNER = {**dict.fromkeys(CALLERS, NOTHING), "owner": YES, "administrator": NO}
OWNER_AND_ADMINISTRATORS = {**OWNER, "administrator": YES}

METHODS = {  # signature, arguments that are right, and who may
    (MANAGER, "CreateServer"): ("", (), EVERYBODY),
    (MANAGER, "ListServers"): ("", (), EVERYBODY),  # of everybody's own
    (MANAGER, "ListBans"): ("", (), ADMINISTRATORS),
    (MANAGER, "ClearBan"): ("s", ("192.0.2.1",), ADMINISTRATORS),
    (MANAGER, "Reload"): ("", (), ADMINISTRATORS),
    (SERVER, "Start"): ("a{sv}", ({},), OWNER),
    (SERVER, "Stop"): ("", (), OWNER_AND_ADMINISTRATORS),
    (SERVER, "Send"): ("tbay", (1, True, b"x"), OWNER),
    (SERVER, "Broadcast"): ("atbay", ([], True, b"x"), OWNER),
    (SERVER, "Close"): ("tqs", (1, 1000, ""), OWNER_AND_ADMINISTRATORS),
    (SERVER, "ListAllConnections"): ("", (), OWNER_AND_ADMINISTRATORS),
    (SERVER, "OpenChannel"): ("", (), OWNER),
    (SERVER, "OpenSharedChannel"): ("", (), OWNER),
    (SERVER, "Acknowledge"): ("t", (1,), OWNER),
    (SERVER, "ReplaceCertificate"): ("hhs", (0, 1, ""), OWNER),
    (SERVER, "Release"): ("", (), OWNER),
}
READING = {MANAGER: EVERYBODY, SERVER: OWNER_AND_ADMINISTRATORS}
WRITING = dict.fromkeys(CALLERS, NO)  # the bus itself refuses it, whether there is such an object or not


def members(kind):
    for interface in xml.etree.ElementTree.parse(INTERFACE).getroot().iter("interface"):
        for member in interface.iter(kind):
            yield interface.get("name"), member.get("name")


def answer_to(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except DBusError as error:
        name = error.name.rpartition(".")[2]
        if name == "UnknownObject":
            return NOTHING
        return NO if name in ("PermissionDenied", "AccessDenied", "PropertyReadOnly") else YES  # another fault: it may, in vain
    return YES


@pytest.fixture
def scene(new_service, new_app):
    """An app by name of the caller, and the path of the owner's running server, which has a connection."""
    service = new_service({"administrators": {"users": ["daemon"], "groups": []}})
    apps = {name: new_app(service, user=user) if user else new_app(service) for name, user in CALLERS.items()}
    server = apps["owner"].running_server()
    server.join()
    return apps, server


def in_order(apps):
    """Strangers first, and last the owner, since some calls end the server."""
    return [*((name, apps[name]) for name in STRANGERS), ("administrator", apps["administrator"]), ("owner", apps["owner"])]


def path_of(interface, server):
    return server.path if interface == SERVER else MANAGER_PATH


def test_the_table_knows_every_method():
    assert set(members("method")) == set(METHODS)
    assert {interface for interface, _name in members("property")} == set(READING)


@pytest.mark.parametrize("interface, member", METHODS)
def test_who_may_call(scene, tmp_path, interface, member):
    apps, server = scene
    signature, arguments, allowed = METHODS[interface, member]
    (tmp_path / "file.pem").write_text("no certificate")
    with open(tmp_path / "file.pem", encoding="ascii") as file:
        options = {"fds": [file.fileno(), file.fileno()]} if "h" in signature else {}
        answers = {
            name: answer_to(app.call, path_of(interface, server), interface, member, signature, *arguments, **options)
            for name, app in in_order(apps)
        }
    assert answers == allowed


@pytest.mark.parametrize("interface, name", members("property"))
def test_who_may_read_a_property_and_that_nobody_sets_it(scene, interface, name):
    apps, server = scene
    path = path_of(interface, server)
    reads = {who: answer_to(app.call, path, PROPERTIES, "Get", "ss", interface, name) for who, app in in_order(apps)}
    sets = {
        who: answer_to(app.call, path, PROPERTIES, "Set", "ssv", interface, name, Variant("s", "x")) for who, app in in_order(apps)
    }
    assert reads == READING[interface]
    assert sets == WRITING


def test_who_is_shown_a_server(scene):
    apps, server = scene
    shown = {name: [path for path, _properties in app.manager("ListServers")] for name, app in apps.items()}
    assert shown == {name: [server.path] if name in ("owner", "administrator") else [] for name in CALLERS}


def test_signals_reach_the_owner_alone(scene):
    apps, server = scene
    for name, app in apps.items():
        if name != "owner":
            app.connection.bus_call("AddMatch", "s", "type='signal'").result()
    peer, connection = server.join()
    peer.send_message("private")
    server.wait("MessageReceive")
    peer.leave()
    server.wait_closed(connection)
    for name, app in apps.items():
        app.round_trip()
        if name != "owner":
            assert app.foreign_signals() == [], name


@pytest.mark.parametrize("name", STRANGERS)
def test_what_a_stranger_creates_is_its_own(scene, name):
    apps, server = scene
    own = apps[name].create_server()
    assert own.path != server.path
    assert answer_to(apps["owner"].call, own.path, SERVER, "Stop") == NOTHING
    assert own.get("State") == "created"
