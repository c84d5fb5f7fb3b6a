# SPDX-License-Identifier: Apache-2.0
"""Adds the corpora of the fuzzers to the profiles of the unit tests and tells the lines that were executed, by file and by
folder: `coverage.py DIRECTORY [--require PERCENT] [--missed]`, for tools/coverage."""

import argparse
import itertools
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
FOLDERS = ("websocket", "channel")
# Those that reach these folders; the others are about worker and daemon.
FUZZERS = (
    *("server-handshake", "client-handshake", "connection-server", "connection-client", "octets"),
    *("channel-decoder", "control", "event-store"),
)
# Sources that hold nothing on a processor of another kind.
VARIANTS = {"neon": "aarch64", "avx2": "x86_64", "sse2": "x86_64", "ssse3": "x86_64"}


def is_for_another_processor(path):
    return VARIANTS.get(path.stem.rpartition("-")[2], platform.machine()) != platform.machine()


def replay(build):
    """Executes each input once. Named one by one: without instrumentation libFuzzer finds none of a folder interesting."""
    programs = [f"tests/fuzz/fuzz-{name}" for name in FUZZERS]
    subprocess.run(["ninja", "-C", build, *programs], check=True, stdout=subprocess.DEVNULL)
    for name in FUZZERS:
        inputs = sorted((CORPUS / name).iterdir())
        assert inputs, f"no inputs for {name}"
        subprocess.run([build / "tests" / "fuzz" / f"fuzz-{name}", *inputs], check=True, stderr=subprocess.DEVNULL)


def executed_lines(directory, build):
    """File below the root: line to number of executions."""
    profile = directory / "coverage.profdata"
    raw = sorted((directory / "profiles").glob("*.profraw"))
    subprocess.run(["llvm-profdata", "merge", "-sparse", "-o", profile, *raw], check=True)
    programs = [build / "tests" / "fuzz" / f"fuzz-{name}" for name in FUZZERS]
    for folder in FOLDERS:
        programs += [path for path in (build / "tests" / folder).glob("test-*") if path.is_file()]
    objects = itertools.chain.from_iterable(("-object", program) for program in programs[1:])
    command = ["llvm-cov", "export", "-format=lcov", f"-instr-profile={profile}", programs[0], *objects]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    files = {}
    for line in report.splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            path = pathlib.Path(build, rest).resolve()
            lines = files.setdefault(path.relative_to(ROOT), {}) if path.is_relative_to(ROOT) else {}
        elif kind == "DA":
            number, count = rest.split(",")[:2]
            lines[int(number)] = lines.get(int(number), 0) + int(count)
    return files


def ranges(numbers):
    """[3, 4, 5, 9] as "3-5 9"."""
    groups = itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in group] for _, group in groups]
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def tell(name, lines):
    executed = sum(count > 0 for count in lines)
    percent = 100 * executed / len(lines)
    print(f"{str(name):36} {executed:>5} of {len(lines):>5} lines {percent:6.1f} %")
    return percent


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--require", type=float, default=0)
    parser.add_argument("--missed", action="store_true")
    options = parser.parse_args()
    build = options.directory / "coverage"
    replay(build)
    files = executed_lines(options.directory, build)
    enough = True
    for folder in FOLDERS:
        own = {path: lines for path, lines in sorted(files.items()) if path.parts[0] == folder}
        sources = {path for path in (ROOT / folder).glob("*.c") if not is_for_another_processor(path)}
        absent = {path.relative_to(ROOT) for path in sources} - set(own)
        assert not absent, f"in no program: {absent}"
        for path, lines in own.items():
            tell(path, lines.values())
            missed = sorted(number for number, count in lines.items() if count == 0)
            if options.missed and missed:
                print(f"  never executed: {ranges(missed)}")
        percent = tell(f"{folder}/", [count for lines in own.values() for count in lines.values()])
        enough = enough and percent >= options.require
    sys.exit(not enough)


if __name__ == "__main__":
    main()
