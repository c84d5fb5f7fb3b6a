# SPDX-License-Identifier: Apache-2.0
"""The part of tools/with-daemon behind its options: bus, daemon, command, and everything ended in the reverse order."""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from session import bus, child, daemon  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--config")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()

    child.become_supervisor()
    folder = tempfile.mkdtemp(prefix="wsserverd-")
    running = []
    try:
        private_bus = bus.PrivateBus(folder)
        running.append(private_bus)
        service = daemon.Daemon(arguments.build, private_bus.address, folder, arguments.config)
        running.append(service)
        return child.exit_status(run(arguments, private_bus, service))
    except child.Failure as failure:
        print(f"with-daemon: {failure}", file=sys.stderr)
        return 1
    except child.Ended as ended:
        return ended.status
    finally:
        child.hold_signals()
        for part in reversed(running):
            part.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run(arguments, private_bus, service):
    environment = {
        **os.environ,
        "DBUS_SYSTEM_BUS_ADDRESS": private_bus.address,
        "WSSERVERD_PID": str(service.process.pid),
        "WSSERVERD_BUS_PID": str(private_bus.process.pid),
        "WSSERVERD_LOG": str(service.log),
        "WSSERVERD_BUILD": arguments.build,
    }
    child.hold_signals()
    try:
        command = child.start_foreground(arguments.command, env=environment)
    except OSError as error:
        print(f"with-daemon: cannot run {arguments.command[0]}: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126
    told = False
    while command.poll() is None:
        received = child.wait_for_signal()
        if received.si_signo != signal.SIGCHLD:
            # The terminal (sender 0) has sent its Ctrl-C to the command as well; anybody else spoke to us alone.
            if received.si_pid != 0:
                command.send_signal(received.si_signo)
        elif service.process.poll() is not None and not told:
            told = True
            end = child.describe_end("wsserverd", service.process.returncode)
            print(f"with-daemon: {end} before the command did; it said:\n{service.output()}", file=sys.stderr)
    return command.returncode


if __name__ == "__main__":
    sys.exit(main())
