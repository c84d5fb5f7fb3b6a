# SPDX-License-Identifier: Apache-2.0
"""Defaults stand in four places: the properties, a new object, the D-Bus interface's description and the TypeScript declarations.
They are the same."""

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = ("ServerConfig", "ClientConfig")
ASK = """
import gi, json
gi.require_version("Ws", "0")
from gi.repository import Ws
def plain(value):
    value = None if value == [] else value  # PyGObject shows no list as an empty one
    return value if isinstance(value, (bool, int, str, list, type(None))) else value.value_nick
answer = {}
for name in %r:
    kind = getattr(Ws, name)
    new = kind()
    answer[name] = {spec.name: [plain(spec.default_value), plain(getattr(new.props, spec.name.replace("-", "_")))]
                    for spec in kind.list_properties()}
print(json.dumps(answer))
""" % (KINDS,)


@pytest.fixture(scope="module")
def properties(release_build):
    """Of each kind: name of a property, its default and its value in a new object."""
    library = pathlib.Path(release_build) / "client-lib"
    if not (library / "Ws-0.typelib").exists():
        pytest.skip("introspection is not built (libgirepository1.0-dev)")
    environment = {**os.environ, "GI_TYPELIB_PATH": str(library), "LD_LIBRARY_PATH": str(library)}
    said = subprocess.run(["/usr/bin/python3", "-c", ASK], env=environment, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def dashed(name):
    """serverIP: server-ip; maxMessageSize: max-message-size."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"-\1", name).lower()


def value_of(text):
    return {"true": True, "false": False}[text] if text in ("true", "false") else int(text) if text.isdigit() else text.strip("'\"")


def described_on_the_bus():
    """Of the options of Start: "name (type, default)", or "one, other (type, first and second)"."""
    text = (ROOT / "dbus" / "org.wsserver1.xml").read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", text[text.index("serverPort (q") :])
    for names, values in re.findall(r"\b(\w+(?:, \w+)*) \([a-z], ([^();:]+)\)", text[: text.index("</interface>")]):
        for name, value in zip(names.split(", "), values.split(" and ")):
            yield name, value_of(value)


def declared_for_typescript(interface):
    text = (ROOT / "client-lib" / "gjs" / "webSocket.d.ts").read_text(encoding="utf-8")
    body = re.search(rf"interface {interface} {{(.*?)\n  }}", text, re.S)[1]
    for value, name in re.findall(r"Default: ('[^']*'|\w+)[^/]*\*/\s*(\w+)\?:", body):
        yield name, value_of(value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_object_has_the_defaults_that_its_properties_name(properties, kind):
    assert len(properties[kind]) > 10
    for name, (default, value) in properties[kind].items():
        assert value == default, name


def test_the_bus_describes_the_same(properties):
    described = dict(described_on_the_bus())
    assert described["pongTimeout"] == 30 and described["compression"] is True and described["serverIP"] == "0.0.0.0"
    compared = 0
    for name, value in described.items():
        if dashed(name) in properties["ServerConfig"]:
            default = properties["ServerConfig"][dashed(name)][0]
            assert default is None or default == value, name  # None: it is left to the service
            compared += default is not None
    assert compared >= 6


@pytest.mark.parametrize("interface, kind, least", [("WebSocketServerConfig", "ServerConfig", 3), ("WebSocketRequestOptions", "ClientConfig", 3)])
def test_javascript_declares_the_same(properties, interface, kind, least):
    compared = 0
    for name, value in declared_for_typescript(interface):
        if dashed(name) in properties[kind] and properties[kind][dashed(name)][0] is not None:
            assert properties[kind][dashed(name)][0] == value, name
            compared += 1
    assert compared >= least
