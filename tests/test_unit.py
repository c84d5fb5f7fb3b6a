# SPDX-License-Identifier: Apache-2.0
"""The systemd unit has room for as many servers as the daemon allows."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]


def limit(name: str) -> int:
    return int(re.search(rf"#define {name}\b[\s\\]*(\d+)u", (ROOT / "daemon" / "limits.h").read_text())[1])


def test_the_descriptors_of_all_servers_fit_into_the_store():
    needed = limit("WSD_FDS_BESIDES") + limit("WSD_FDS_PER_SERVER") * limit("WSD_SERVERS_MAX")
    unit = (ROOT / "systemd" / "wsserverd.service.in").read_text()
    maximum = int(re.search(r"^FileDescriptorStoreMax=(\d+)$", unit, re.MULTILINE)[1])
    assert maximum >= needed
    assert f"\nEnvironment=FDSTORE={maximum}\n" in unit
    assert f"`FileDescriptorStoreMax={maximum}`" in (ROOT / "docs" / "integration.md").read_text()
