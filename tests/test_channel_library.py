# SPDX-License-Identifier: Apache-2.0
"""libwschannel as others build against it: its header in their language, and a library that brings nothing along."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("WSSERVERD_RELEASE", os.environ.get("WSSERVERD_BUILD", ROOT / "build")))
HEADER = ROOT / "client-lib" / "include" / "wsserver" / "ws-channel.h"
LIBRARY = BUILD / "client-lib" / "libwschannel.so.0"
STEP = 120  # seconds that any one step may take on a busy machine

USER = """
#include <wsserver/ws-channel.h>

static void message(void *user, struct ws_channel_peer *peer, bool text, const uint8_t *data, size_t length) {
  (void)user;
  if (ws_channel_send(peer, text, data, length, false) == WS_CHANNEL_WOULD_BLOCK)
    ws_channel_close(peer, 1013, "later", 5);
}

int main(void) {
  struct ws_channel_events events = {};
  events.message = message;
  struct ws_channel *channel = ws_channel_new(-1, &events, &events);
  enum ws_channel_state state = ws_channel_dispatch(channel);
  ws_channel_broadcast_to_all(channel, true, "all", 3, NULL);
  ws_channel_free(channel);
  return state == WS_CHANNEL_ENDED ? 0 : 1;
}
"""
LANGUAGES = [("gcc", "c", "c11"), ("gcc", "c", "c17"), ("clang", "c", "c11"), ("g++", "cpp", "c++11"), ("g++", "cpp", "c++20"),
             ("clang++", "cpp", "c++11"), ("clang++", "cpp", "c++17")]


def run(*command) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=STEP)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("compiler, suffix, standard", LANGUAGES)
def test_a_program_in_c_and_in_cpp_is_built_with_every_warning_and_runs(tmp_path, compiler, suffix, standard):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    if not LIBRARY.exists():
        pytest.skip(f"there is no {LIBRARY}")
    source, program = tmp_path / f"user.{suffix}", tmp_path / "user"
    source.write_text(USER.replace("= {}", "= {0}") if suffix == "c" else USER)
    run(compiler, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror",
        *(["-Wstrict-prototypes"] if suffix == "c" else ["-Wold-style-cast"]),
        f"-I{HEADER.parents[1]}", source, LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}", "-o", program)
    if "__asan" not in run("nm", "-D", LIBRARY):  # whose run-time library must come first
        run(program)


def test_the_header_needs_nothing_but_the_standard():
    includes = re.findall(r"#include\s*(\S+)", HEADER.read_text())
    assert set(includes) <= {"<stdbool.h>", "<stddef.h>", "<stdint.h>"}


def declared() -> set:
    return set(re.findall(r"\b(ws_channel_\w+)\(", re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)))


def test_the_library_exports_what_the_header_declares_and_nothing_else():
    lines = run("nm", "-D", "--defined-only", LIBRARY).split("\n")
    exported = {line.split()[-1].split("@")[0] for line in lines if line and " A " not in line}  # A: the version's own name
    assert exported == declared()


def test_the_library_needs_libc_alone():
    dynamic = run("readelf", "-d", LIBRARY)
    assert re.findall(r"\(SONAME\).*\[(.*)\]", dynamic) == ["libwschannel.so.0"]
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert {name for name in needed if not re.match(r"lib(asan|ubsan|clang_rt|gcc_s|m|pthread|dl|rt)\b", name)} <= {"libc.so.6"}, needed
    if not any("asan" in name for name in needed):
        assert needed == {"libc.so.6"}
