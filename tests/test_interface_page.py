# SPDX-License-Identifier: Apache-2.0
"""The manual page of the D-Bus interface says what the code does."""
import importlib.util
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "man" / "interface-page.py"


def test_page_names_every_error_with_its_number():
    spec = importlib.util.spec_from_file_location("interface_page", PAGE)
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    source = (ROOT / "daemon" / "error.c").read_text()
    coded = re.findall(r'WSD_ERROR_PREFIX "(\w+)", (\d+)', source)
    assert coded
    assert {(name, number) for name, number, _ in page.ERRORS} == {(name, int(number)) for name, number in coded}


def make_page(xml):
    return subprocess.run([sys.executable, PAGE, xml], capture_output=True, text=True, check=False)


def test_page_is_made_without_complaint(tmp_path):
    made = make_page(ROOT / "dbus" / "org.wsserver1.xml")
    assert made.returncode == 0, made.stderr
    for member in ("CreateServer", "OpenChannel", "MessageReceive", "QueuedBytes"):
        assert member in made.stdout


def test_undocumented_member_is_an_error(tmp_path):
    text = (ROOT / "dbus" / "org.wsserver1.xml").read_text()
    planted = tmp_path / "planted.xml"
    planted.write_text(text.replace('<method name="Release"/>', '<method name="Release"/><method name="Bare"/>'))
    made = make_page(planted)
    assert made.returncode != 0 and "Bare" in made.stderr
