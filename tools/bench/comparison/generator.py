# SPDX-License-Identifier: Apache-2.0
"""One load generator process (tools/bench/load) or another program that obeys the same commands."""

import json
import subprocess

from session import child


class Generator:
    """Started by the constructor. Each command is one line, and so is its answer."""

    def __init__(self, command, environment=None):
        self.process = child.start_piped(command, env=environment)
        self.last_words = ""

    def _ask(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # what it says at its end tells why
        answer = self.process.stdout.readline()
        if not answer:
            raise child.Failure(self._end())
        return json.loads(answer)

    def _end(self):
        said = self.process.stderr.read().strip()
        status = self.process.wait()
        return said or child.describe_end("the load generator", status)

    def run(self, warmup, duration):
        return self._ask(f"run {int(warmup * 1000)} {int(duration * 1000)}")

    def open(self, connections):
        return self._ask(f"open {connections}")

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        child.stop(self.process)
        self.process.stdout.close()
        self.process.stderr.close()
