# SPDX-License-Identifier: Apache-2.0
"""Processes that one of our tools starts, and their end.

A background child gets a session of its own, so that Ctrl-C at the terminal reaches the tool alone, which then ends its children
in order. Should the tool be killed with -9, the kernel ends them (parent death signal). What a child leaves behind, such
as the workers of a killed daemon, is inherited by the tool (child subreaper), recognised by its session, and ended too.
"""

import ctypes
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
WATCHED = ENDING | {signal.SIGCHLD}


class Failure(Exception):
    """Something that the person at the terminal has to know: the message is the whole story."""


class Ended(BaseException):
    """One of ENDING came while signals were not held."""

    def __init__(self, number):
        super().__init__(number)
        self.status = 128 + number


def _raise_ended(number, _frame):
    raise Ended(number)


def become_supervisor():
    """Call once, before the first child. From here on a signal of ENDING raises Ended, until hold_signals()."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for number in ENDING:
        signal.signal(number, _raise_ended)


def hold_signals():
    """From here on signals wait until wait_for_signal() takes them: no race between a check and a sleep."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)


def wait_for_signal():
    return signal.sigwaitinfo(WATCHED)


def _unblock():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)


def _prepare_background():
    _unblock()
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def start_background(command, **options):
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_prepare_background, **options
    )


def start_piped(command, **options):
    """A background child that is spoken to in lines."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        command, **pipes, text=True, bufsize=1, start_new_session=True, preexec_fn=_prepare_background, **options
    )


def start_foreground(command, **options):
    """A child that stays in the tool's process group and has the terminal."""
    return subprocess.Popen(command, preexec_fn=_unblock, **options)


def stop(process, patience=10):
    """Ends one background child and what it left behind in its session. Returns its status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    _end_session(process.pid, patience)
    return process.returncode


def _end_session(session, patience):
    deadline = time.monotonic() + patience
    while pids := orphans(session):
        if time.monotonic() > deadline:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            deadline = float("inf")
        signal.sigtimedwait({signal.SIGCHLD}, 0.05)
        reap(pids)


def orphans(session):
    """Processes of that session that have become children of ours."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue  # ended while we looked
        if int(fields[1]) == os.getpid() and int(fields[3]) == session and int(entry) != session:
            found.append(int(entry))
    return found


def reap(pids):
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass


def describe_end(name, status):
    if status < 0:
        return f"{name} was ended by {signal.Signals(-status).name}"
    return f"{name} exited with status {status}"


def exit_status(status):
    """What a shell would report for a child's status."""
    return 128 - status if status < 0 else status
