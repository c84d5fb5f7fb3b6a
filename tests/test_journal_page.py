# SPDX-License-Identifier: Apache-2.0
"""The manual page lists what the journal holds."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "man" / "wsserverd.8").read_text()
SOURCE = (ROOT / "daemon" / "journal.c").read_text()


def test_the_page_lists_every_message_id_with_its_priority():
    events = re.findall(r'\[WSD_EVENT_\w+\] = \{"([0-9a-f]{32})", "(\d)"\}', SOURCE)
    assert len(events) == len(set(events)) > 10
    assert events == re.findall(r"^([0-9a-f]{32})\t(\d)\t", PAGE, re.MULTILINE)


def test_the_page_names_every_field():
    fields = set(re.findall(r'"(WSSERVERD_[A-Z]+)"', SOURCE))
    assert fields and all(field in PAGE for field in fields)
