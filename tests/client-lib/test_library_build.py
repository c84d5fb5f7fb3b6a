# SPDX-License-Identifier: Apache-2.0
"""Programs of others are built against the libraries as they are installed: C by pkg-config, the tutorial's code, and Vala; and the reference is there."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest
from driven import STEP

ROOT = pathlib.Path(__file__).resolve().parents[2]
TUTORIAL = (ROOT / "docs" / "reference" / "tutorial.md").read_text()
SNIPPETS = re.findall(r"```c\n// (program: \w+|function)\n(.*?)```", TUTORIAL, re.S)
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-unused-function")


class Installed:
    """What `meson install` has put into a folder."""

    def __init__(self, build: str, folder: pathlib.Path):
        self.folder = folder
        subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", str(folder)], check=True, timeout=STEP)
        [pc] = folder.rglob("wsserver-0.pc")
        system = subprocess.run(["pkg-config", "--variable=pc_path", "pkg-config"], capture_output=True, text=True, check=True).stdout.strip()
        self.library = pc.parents[1]
        self.environment = {**os.environ, "PKG_CONFIG_LIBDIR": f"{pc.parent}:{system}", "LD_LIBRARY_PATH": str(self.library)}
        for description in pc.parent.glob("*.pc"):  # what the system has stays where it is
            description.write_text(re.sub(r"^prefix=(/.*)", rf"prefix={folder}\1", description.read_text(), flags=re.M))

    def flags(self, package: str) -> list:
        said = subprocess.run(["pkg-config", "--cflags", "--libs", package], capture_output=True, text=True, check=True,
                              env=self.environment).stdout
        return said.split()

    def run(self, *words, bus: str = "", **options) -> subprocess.CompletedProcess:
        return subprocess.run([str(word) for word in words], text=True, timeout=STEP, check=True, capture_output=True,
                              env={**self.environment, "DBUS_SYSTEM_BUS_ADDRESS": bus}, **options)


@pytest.fixture(scope="module")
def installed(release_build, tmp_path_factory) -> Installed:
    return Installed(release_build, tmp_path_factory.mktemp("installed"))


def compile_c(installed: Installed, folder: pathlib.Path, source: str, *more: str, package: str = "wsserver-0") -> pathlib.Path:
    (folder / "program.c").write_text(source)
    done = subprocess.run(["cc", *WARNINGS, "program.c", "-o", "program", *more, *installed.flags(package)], cwd=folder, text=True,
                          capture_output=True, env=installed.environment, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "program"


def test_the_tutorial_has_programs_and_functions():
    assert [kind for kind, _ in SNIPPETS].count("function") >= 5 and len(SNIPPETS) == TUTORIAL.count("```c\n")


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_code_of_the_tutorial_compiles(installed, tmp_path, number):
    kind, code = SNIPPETS[number]
    source = code if kind != "function" else f"#include <wsserver/wsserver.h>\n\n{code}"
    compile_c(installed, tmp_path, source, *(["-c"] if kind == "function" else []))


def test_programs_of_the_tutorial_talk_to_each_other(installed, tmp_path, service):
    programs = {}
    for kind, code in SNIPPETS:
        if kind != "function":
            name = kind.removeprefix("program: ")
            (tmp_path / name).mkdir()
            programs[name] = compile_c(installed, tmp_path / name, code)
    echo = subprocess.Popen([programs["echo"]], stdout=subprocess.PIPE, text=True,
                            env={**installed.environment, "DBUS_SYSTEM_BUS_ADDRESS": service.bus.address})
    try:
        uri = echo.stdout.readline().strip().replace("0.0.0.0", "127.0.0.1")
        assert installed.run(programs["visit"], uri).stdout == "hello\n"
    finally:
        echo.kill()
        echo.communicate()


def test_the_plain_channel_needs_nothing_but_its_header(installed, tmp_path):
    program = compile_c(installed, tmp_path, """
#include <wsserver/ws-channel.h>
int main(void) { return ws_channel_new(-1, &(struct ws_channel_events){0}, 0) == 0; }
""", package="wschannel-0")
    needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True, env=installed.environment).stdout
    assert "libwschannel" in needed and "glib" not in needed


def test_a_program_in_vala(installed, tmp_path, service):
    if not shutil.which("valac"):
        pytest.skip("valac is not installed (tools/setup --test)")
    [vapi] = installed.folder.rglob("wsserver-0.vapi")
    flags = [word for flag in installed.flags("wsserver-0") for word in ("-X", flag)]
    source = pathlib.Path(__file__).with_name("echo.vala")
    installed.run("valac", f"--vapidir={vapi.parent}", "--pkg=gio-2.0", "--pkg=wsserver-0", "-X", "-w", *flags, "-o", tmp_path / "echo", source)
    said = installed.run(tmp_path / "echo", bus=service.bus.address).stdout
    assert said == "hello from Vala\n1000 thanks\n"


def test_the_reference_is_installed_with_the_tutorial(installed):
    if not shutil.which("gi-docgen"):
        pytest.skip("gi-docgen is not installed (tools/setup --test)")
    [index] = installed.folder.rglob("doc/wsserver-0/html/index.html")
    assert "tutorial.html" in index.read_text()
    tutorial = (index.parent / "tutorial.html").read_text()
    for name in ("class.Server.html", "class.Connection.html", "class.Client.html"):
        assert (index.parent / name).exists()
    assert "method.Server.start_async.html" in tutorial


def test_the_manual_page_is_right():
    said = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", ROOT / "docs" / "man" / "libwsserver.3"], capture_output=True,
                          text=True, check=False, env={**os.environ, "MANROFFSEQ": "", "MANWIDTH": "80"})
    assert said.returncode == 0 and not said.stderr
