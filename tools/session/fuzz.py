# SPDX-License-Identifier: Apache-2.0
"""Runs fuzzers side by side and tells what came of it: `fuzz.py DIRECTORY [OPTION...] [TARGET...]`, for tools/fuzz."""

import argparse
import base64
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
DICTIONARIES = ROOT / "tests" / "fuzz" / "dictionaries"
SHARED_DICTIONARY = {"server-handshake": "handshake", "client-handshake": "handshake"}
LIMITS = ["-timeout=30", "-rss_limit_mb=2048"]  # seconds and memory of one input; beyond is a finding
ENVIRONMENT = {
    **os.environ,
    # A small quarantine: the default one of 256 MiB costs time and finds nothing more in inputs that take microseconds.
    "ASAN_OPTIONS": "quarantine_size_mb=16:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


class Run:
    """One target's run; afterwards its figures, and its findings as files."""

    def __init__(self, directory, target):
        self.target = target
        self.program = directory / "asan" / "tests" / "fuzz" / f"fuzz-{target}"
        self.seeds = CORPUS / target
        self.log = directory / f"{target}.log"
        self.prefix = directory / "findings" / f"{target}-"
        self.interesting = directory / "corpus" / target

    def command(self, corpus, seconds):
        dictionary = DICTIONARIES / f"{SHARED_DICTIONARY.get(self.target, self.target)}.dict"
        yield from (self.program, f"-max_total_time={seconds}", "-print_final_stats=1", *LIMITS)
        yield f"-artifact_prefix={self.prefix}"
        if dictionary.exists():
            yield f"-dict={dictionary}"
        yield from (corpus, self.seeds)

    def go(self, seconds, keeps):
        self.prefix.parent.mkdir(parents=True, exist_ok=True)
        before = set(self.prefix.parent.glob(f"{self.target}-*"))
        self.interesting.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as nothing_kept, self.log.open("wb") as log:
            command = self.command(self.interesting if keeps else nothing_kept, seconds)
            self.status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=ENVIRONMENT).returncode
        self.findings = sorted(set(self.prefix.parent.glob(f"{self.target}-*")) - before)
        self.text = self.log.read_text(errors="replace")
        return self

    def last(self, pattern):
        found = re.findall(pattern, self.text)
        return int(found[-1]) if found else 0

    @property
    def executions(self):
        return self.last(r"stat::number_of_executed_units: (\d+)")

    @property
    def passed(self):
        """A fuzzer that executed nothing, or had no inputs to begin with, tells nothing."""
        return self.status == 0 and not self.findings and self.executions > 0 and any(self.seeds.iterdir())

    def tell(self, seconds):
        print(
            f"{self.target:20} {self.executions:>11} executions {self.executions // seconds:>7} a second"
            f" {self.last(r'cov: ([0-9]+)'):>5} edges {self.last(r'ft: ([0-9]+)'):>6} features"
            f" {self.last(r'corp: ([0-9]+)'):>5} inputs  {'nothing found' if self.passed else 'FAILED'}"
        )
        if not self.passed:
            self.tell_failure()

    def tell_failure(self):
        print(f"  status {self.status}; the end of {self.log}:")
        print("".join(f"    {line}\n" for line in self.text.splitlines()[-30:]), end="")
        for finding in self.findings:
            print(f"  {finding}\n    base64: {base64.b64encode(finding.read_bytes()).decode()}")

    def add_to_seeds(self):
        command = [self.program, "-merge=1", self.seeds, self.interesting]
        subprocess.run(command, check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("targets", nargs="*")
    options = parser.parse_intermixed_args()

    known = sorted(path.name[5:] for path in options.directory.glob("asan/tests/fuzz/fuzz-*") if path.is_file())
    unknown = set(options.targets) - set(known)
    if unknown:
        sys.exit(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    seconds = options.seconds or max(1, round(options.minutes * 60))
    runs = [Run(options.directory, target) for target in options.targets or known]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for run in pool.map(lambda run: run.go(seconds, keeps=options.seconds is None), runs):
            run.tell(seconds)
            if options.keep:
                run.add_to_seeds()
    passed = sum(run.passed for run in runs)
    executions = sum(run.executions for run in runs)
    print(f"{passed} of {len(runs)} fuzzers found nothing in {executions} executions")
    (options.directory / "tally").write_text(f"{passed} {len(runs) - passed} 0\n")
    sys.exit(passed < len(runs))


if __name__ == "__main__":
    main()
