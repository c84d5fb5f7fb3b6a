# SPDX-License-Identifier: Apache-2.0
"""A helper process in the machine, asked in lines and answering in lines of JSON."""

import json
import select
import subprocess
import time

from machine import Machine

ANSWER_SECONDS = 90


class Conversation:
    def __init__(self, machine: Machine, script: str, argument, user: str):
        self.process = machine.popen("/usr/bin/python3", f"/opt/inside/{script}", json.dumps(argument), user=user,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.left = b""
        self.greeting = self.answer()

    def answer(self):
        deadline = time.monotonic() + ANSWER_SECONDS
        while b"\n" not in self.left:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            piece = self.process.stdout.read(65536) if ready else b""
            if not piece:
                self.process.kill()
                _output, complaint = self.process.communicate()
                raise AssertionError(f"{self.process.args[-2]} {'ended' if ready else 'does not answer'}:\n{complaint.decode()[-4000:]}")
            self.left += piece
        line, _newline, self.left = self.left.partition(b"\n")
        return json.loads(line)

    def ask(self, question: str = "report"):
        self.process.stdin.write(question.encode() + b"\n")
        return self.answer()

    def end(self) -> None:
        """The helper leaves as a process that exits."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.end()
        self.process.stdout.close()
        self.process.stderr.close()
