# SPDX-License-Identifier: Apache-2.0
"""The libraries' faces: what they export is what their headers declare, and other languages get nothing that they cannot use."""

import pathlib
import re
import subprocess
import xml.etree.ElementTree

import pytest

INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "client-lib" / "include" / "wsserver"
CORE = "{http://www.gtk.org/introspection/core/1.0}"
C = "{http://www.gtk.org/introspection/c/1.0}"
# Not for other languages, and why.
HIDDEN = {"ws_message_peek"}  # a bare pointer; get_bytes is what they use


def exported(library: pathlib.Path) -> set:
    said = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library], capture_output=True, text=True, check=True).stdout
    return {line.split()[0].split("@")[0] for line in said.splitlines() if line.split()[1] in "TDRB"}


def declared(mark: str) -> set:
    """Names behind WS_API or WS_CHANNEL_API; of a type that is declared with one, its get_type function."""
    names = set()
    for header in INCLUDE.glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        text = re.sub(r"^#.*$", "", text, flags=re.M)
        for declaration in re.findall(rf"\b{mark}\b([^;{{]*?\([^;{{]*?\))", text):
            kind = re.match(r"\s*G_DECLARE_FINAL_TYPE\(\w+, (\w+)", declaration)
            names.add(kind[1] + "_get_type" if kind else re.search(r"(\w+)\s*\(", declaration)[1])
    return names


@pytest.mark.parametrize("library, mark", [("libwsserver.so", "WS_API"), ("libwschannel.so", "WS_CHANNEL_API")])
def test_what_is_exported_is_what_is_declared(release_build, library, mark):
    names = declared(mark)
    assert len(names) > 20
    assert exported(pathlib.Path(release_build) / "client-lib" / library) == names


@pytest.fixture(scope="module")
def namespace(release_build):
    path = pathlib.Path(release_build) / "client-lib" / "Ws-0.gir"
    if not path.exists():
        pytest.skip("introspection is not built (libgirepository1.0-dev)")
    return xml.etree.ElementTree.parse(path).getroot().find(f"{CORE}namespace")


def callables(namespace):
    for kind in ("function", "method", "constructor", "callback"):
        yield from namespace.iter(f"{CORE}{kind}")
    yield from namespace.iter("{http://www.gtk.org/introspection/glib/1.0}signal")


def called(element) -> str:
    return element.get(f"{C}identifier") or element.get("name")


def test_other_languages_get_everything_but_what_is_named_here(namespace):
    hidden = {called(element) for element in callables(namespace) if element.get("introspectable") == "0"}
    assert hidden <= HIDDEN, hidden - HIDDEN


def test_there_are_neither_varargs_nor_bare_pointers(namespace):
    for element in callables(namespace):
        parameters = element.findall(f"{CORE}parameters/{CORE}parameter")
        closures = {parameters[int(p.get("closure"))] for p in parameters if p.get("closure")}
        for parameter in parameters:
            assert parameter.find(f"{CORE}varargs") is None, called(element)
            type_of = parameter.find(f"{CORE}type")
            is_bare = type_of is not None and type_of.get("name") == "gpointer"
            is_user_data = parameter in closures or parameter.get("name") == "user_data"
            assert not is_bare or is_user_data, f"{called(element)}: {parameter.get('name')}"


def test_everything_is_documented(namespace):
    def has_words(element):
        """Where a function is about what it returns, that says it."""
        return any(element.find(path) is not None for path in (f"{CORE}doc", f"{CORE}return-value/{CORE}doc"))

    kinds = ("class", "record", "enumeration", "member", "property", "constant")
    named = [*callables(namespace), *(element for kind in kinds for element in namespace.iter(f"{CORE}{kind}"))]
    missing = {called(element) for element in named
               if not has_words(element) and not (called(element) or "").endswith(("_get_type", "_quark", "Class"))}
    assert not missing, missing
    for element in callables(namespace):
        for part in element.findall(f"{CORE}parameters/{CORE}parameter"):
            assert has_words(part), f"{called(element)}: {part.get('name')}"
        answer = element.find(f"{CORE}return-value")
        kind = answer.find(f"{CORE}type") if answer is not None else None
        if kind is not None and kind.get("name") != "none" and not called(element).endswith(("_get_type", "_quark")):
            assert has_words(answer), called(element)


def test_every_asynchronous_call_can_be_cancelled_and_finished(namespace):
    by_name = {called(element): element for element in callables(namespace)}
    for name, element in by_name.items():
        if not name.endswith("_async"):
            continue
        assert name.removesuffix("_async") + "_finish" in by_name
        kinds = [kind.get("name") for kind in element.iter(f"{CORE}type")]
        assert "Gio.Cancellable" in kinds and "Gio.AsyncReadyCallback" in kinds, name


def test_the_signals_are_those_of_the_guide(namespace):
    signals = {element.get("name"): {signal.get("name") for signal in element.iter("{http://www.gtk.org/introspection/glib/1.0}signal")}
               for element in namespace.iter(f"{CORE}class")}
    assert signals["Server"] >= {"connect", "message-receive", "close", "error", "drained"}
    assert signals["Client"] >= {"open", "message", "close", "error", "header-receive", "data-end"}
