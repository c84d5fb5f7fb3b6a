# SPDX-License-Identifier: Apache-2.0
"""Masking and UTF-8 validation on processors that this machine is not: the differential program (differential.c) is
built by a cross compiler and run in an emulator. Most televisions have an aarch64 processor; s390x has the other order
of octets, and i386 words of 32 bits."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = ["-std=gnu11", "-O2", "-static", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}"]

# Compiler's prefix, emulator, what the program must have tried. The older processors of i386 show that nothing is
# chosen that a processor does not have.
MACHINES = {
    "aarch64": ("aarch64-linux-gnu", ["qemu-aarch64"], ["mask: neon portable", "utf8: neon portable"]),
    "s390x": ("s390x-linux-gnu", ["qemu-s390x"], ["mask: portable", "utf8: portable"]),
    "i386-ssse3": (
        "i686-linux-gnu",
        ["qemu-i386", "-cpu", "core2duo"],
        ["mask: sse2 portable", "utf8: ssse3 sse2 portable"],
    ),
    "i386-old": ("i686-linux-gnu", ["qemu-i386", "-cpu", "pentium3"], ["mask: portable", "utf8: portable"]),
}


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_processor_masks_and_judges_text_alike(machine, tmp_path):
    prefix, emulator, tried = MACHINES[machine]
    compiler = f"{prefix}-gcc"
    for command in (compiler, emulator[0]):
        if not shutil.which(command):
            pytest.skip(f"{command} is not there (tools/setup --test installs it)")
    program = tmp_path / "differential"
    sources = [path for noun in ("mask", "utf8") for path in sorted((ROOT / "websocket").glob(f"{noun}*.c"))]
    sources.append(ROOT / "tests" / "websocket" / "differential.c")
    built = subprocess.run(
        [compiler, *FLAGS, *map(str, sources), "-o", str(program)], capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([*emulator, str(program)], capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == tried
