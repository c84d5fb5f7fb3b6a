# SPDX-License-Identifier: Apache-2.0
"""webSocket.js as it is installed, used as docs/javascript.md says."""

import os
import pathlib
import re
import subprocess

import pytest
from program import FOLDER, MODULE, ROOT, STEP, environment

PAGE = (ROOT / "docs" / "javascript.md").read_text()


@pytest.fixture(scope="module")
def installed(library, release_build, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", release_build, "--destdir", folder, "--no-rebuild", "--quiet"], check=True, timeout=STEP)
    [description] = folder.rglob("wsserver-0.pc")
    description.write_text(description.read_text().replace("prefix=/", f"prefix={folder}/", 1))
    return folder


def settings(installed: pathlib.Path, service, clients_folder: str) -> dict:
    [typelib], [library] = installed.rglob("Ws-0.typelib"), installed.rglob("libwsserver.so.0")
    path = f"{clients_folder}/node_modules/.bin:{os.environ['PATH']}"
    return {**environment(library.parent, service.bus.address), "GI_TYPELIB_PATH": str(typelib.parent), "PATH": path,
            "PKG_CONFIG_PATH": str(next(installed.rglob("wsserver-0.pc")).parent)}


def test_the_whole_module_is_installed(installed):
    [module] = installed.rglob("webSocket.js")
    assert str(module).endswith("/usr/share/wsserver-0/gjs/webSocket.js")
    names = {path.name for path in MODULE.parent.iterdir() if path.suffix in {".js", ".ts"}}
    assert {path.name for path in module.parent.iterdir()} == names


BLOCKS = re.findall(r"^```sh\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["esbuild", "typescript"])
def test_the_commands_of_the_page_make_a_program_of_the_guide_run(installed, service, clients_folder, port, tmp_path, block):
    [config] = re.findall(r"^```json\n(.*?)```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "tsconfig.json").write_text(config.replace('"/usr/', f'"{installed}/usr/'))
    (tmp_path / "app.ets").write_text((FOLDER / "guide" / "server.ets").read_text().replace("8080", str(port)))
    done = subprocess.run(["bash", "-euc", block], cwd=tmp_path, env=settings(installed, service, clients_folder), capture_output=True, text=True,
                          timeout=STEP)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "webSocket server start success" in done.stdout and "server stop service successfully" in done.stdout


def test_each_error_and_event_is_on_the_page():
    types = (MODULE.with_suffix(".d.ts")).read_text()
    for event in set(re.findall(r"on\(type: '(\w+)'", types)):
        assert f"| `{event}` |" in PAGE
    numbers = set(re.findall(r"\{WS_ERROR_\w+, (\d+)\}", (ROOT / "client-lib" / "error.c").read_text()))
    assert len(numbers) > 9 and not [number for number in numbers if number not in PAGE]
