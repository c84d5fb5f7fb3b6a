# SPDX-License-Identifier: Apache-2.0
"""No timer and no deadline goes by the time of day, which people and NTP set: a jump of it ends no connection and delays none."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
WALL_CLOCK = re.compile(r"CLOCK_REALTIME|\bgettimeofday\(|g_get_real_time|g_get_current_time|g_date_time_new_now|(?<![\w.>])time\((?:NULL|&|0)")
SHOWN = {"worker/clock.c": 1}  # when a peer connected, for the app


def test_only_what_is_shown_comes_from_the_wall_clock():
    found = {}
    for folder in ("channel", "daemon", "websocket", "worker", "client-lib"):
        for path in (ROOT / folder).rglob("*.c"):
            if uses := len(WALL_CLOCK.findall(path.read_text())):
                found[str(path.relative_to(ROOT))] = uses
    assert found == SHOWN
