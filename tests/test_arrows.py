# SPDX-License-Identifier: Apache-2.0
"""The arrows of docs/architecture.md: which folder may include what. An include that is not listed here would let, for
instance, a parser's hole reach the daemon, or make the protocol engine untestable without a socket."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Folder: the project's own folders that its files may include.
ARROWS = {
    "websocket": {"websocket"},
    "channel": {"channel"},
    "worker": {"worker", "websocket", "channel"},
    "daemon": {"daemon", "channel", "dbus"},  # dbus: the code generated from the interface's XML
    "client-lib": {"client-lib", "websocket", "channel"},
    "tools": {"tools", "client-lib", "websocket"},  # websocket: tools/bench measures the engine
}
# What a folder must do without, as the beginning of a system header's name.
SYSTEM_HEADERS_FORBIDDEN = {
    "websocket": ("glib", "gio", "sys/socket", "sys/epoll", "unistd", "netinet", "json-c", "dbus"),
    "channel": ("glib", "gio", "openssl", "sys/epoll", "netinet", "json-c", "dbus"),
    "worker": ("glib", "gio", "json-c", "dbus", "systemd"),
}
LINES_MAX = 700
SKIPPED = re.compile(r"^(build.*|node_modules|\.git|__pycache__|\.pytest_cache)$")
SOURCES = {".c", ".h", ".py", ".sh", ".build", ".xml", ".conf", ".html", ".js"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.MULTILINE)


def files(folder, suffixes):
    for entry in sorted(folder.iterdir()):
        if SKIPPED.match(entry.name):
            continue
        if entry.is_dir():
            yield from files(entry, suffixes)
        elif entry.suffix in suffixes:
            yield entry


def faults(text, folder, own_folders):
    """Sentences about the includes in `text`, a file of `folder`."""
    for kind, name in INCLUDE.findall(text):
        target = name.split("/")[0]
        if kind == "<":
            if name.startswith(SYSTEM_HEADERS_FORBIDDEN.get(folder, ())):
                yield f"{folder} does without <{name}>"
        elif ".." in pathlib.PurePosixPath(name).parts or "/" not in name:
            yield f'"{name}" is not written from the root'
        elif target in own_folders and target not in ARROWS[folder]:
            yield f'{folder} may not include "{name}"'


def test_a_planted_include_is_found():
    own = set(ARROWS)
    assert list(faults('#include "worker/loop.h"\n', "websocket", own))
    assert list(faults('  #  include "daemon/call.h"\n', "worker", own))
    assert list(faults('#include "worker/limits.h"\n', "daemon", own))
    assert list(faults('#include "../daemon/call.h"\n', "daemon", own))
    assert list(faults("#include <glib.h>\n", "worker", own))
    assert not list(faults('#include "channel/record.h"\n#include <stdint.h>\n', "worker", own))


@pytest.mark.parametrize("folder", sorted(ARROWS))
def test_no_folder_reaches_where_it_may_not(folder):
    found = []
    if (ROOT / folder).is_dir():
        for path in files(ROOT / folder, {".c", ".h"}):
            found += [f"{path.relative_to(ROOT)}: {fault}" for fault in faults(path.read_text(), folder, set(ARROWS))]
    assert not found, "\n".join(found)


def test_every_source_file_says_its_licence():
    scripts = [path for path in (ROOT / "tools").iterdir() if path.is_file()]
    missing = [
        str(path.relative_to(ROOT))
        for path in [*files(ROOT, SOURCES), *scripts]
        if "SPDX-License-Identifier: Apache-2.0" not in path.read_text()[:400]
    ]
    assert not missing, f"no SPDX line: {missing}"


def test_no_source_file_outgrows_a_reader():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files(ROOT, {".c", ".h"})
        if (lines := path.read_text().count("\n")) > LINES_MAX
    }
    assert not long, f"more than {LINES_MAX} lines: {long}"
