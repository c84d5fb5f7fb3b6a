# SPDX-License-Identifier: Apache-2.0
"""The part of tools/run behind its options: bus, daemon, television, page; and everything ended in the reverse order."""

import argparse
import pathlib
import shutil
import signal
import socket
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from session import app, bus, child, daemon, page  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="run")
    parser.add_argument("--build", required=True)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--port", default="0")
    parser.add_argument("--listen", default="127.0.0.1")
    arguments = parser.parse_args()

    child.become_supervisor()
    folder = tempfile.mkdtemp(prefix="wsserverd-")
    running = []
    try:
        status = serve(arguments, folder, running)
    except child.Failure as failure:
        print(f"run: {failure}", file=sys.stderr)
        status = 1
    except child.Ended as ended:
        status = ended.status
    finally:
        child.hold_signals()
        for part in reversed(running):
            part.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.check:
        print("Check passed." if status == 0 else "Check failed.")
    else:
        print("Everything has ended.")
    return status


def serve(arguments, folder, running):
    private_bus = bus.PrivateBus(folder)
    running.append(private_bus)
    print(f"Private bus: {private_bus.address} (dbus-daemon, process {private_bus.process.pid})")
    service = daemon.Daemon(arguments.build, private_bus.address, folder)
    running.append(service)
    print(f"wsserverd: process {service.process.pid}, profile smart-screen, log {service.log}")
    options = ["--port", arguments.port, "--ip", arguments.listen]
    if not arguments.check:
        shown = listen_for_page(arguments, running)
        for host in page_hosts(arguments.listen):  # no other page that somebody has open may control this TV
            options += ["--origin", shown.origin(host)]
    tv = app.App(arguments.build, "second-screen", private_bus.address, options, show=lambda line: print(f"  TV: {line}"))
    running.append(tv)
    print(f"Television (example app second-screen): process {tv.process.pid}, {tv.url}")
    if arguments.check:
        from session import round_trip

        round_trip.check(reachable(tv.url, arguments.listen), lambda step: print(f"  {step}"))
        return 0
    show_page(arguments, shown, tv)
    return wait_for_end(service, tv)


def reachable(url, listen):
    """The URL that a client on this machine uses: 0.0.0.0 and :: are for listening only."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def own_address(family, somewhere):
    """The address by which this machine would be seen from `somewhere` (nothing is sent)."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((somewhere, 9))
        except OSError:
            return None
        return probe.getsockname()[0]


ANYWHERE = {"0.0.0.0": (socket.AF_INET, "192.0.2.1", "127.0.0.1"), "::": (socket.AF_INET6, "2001:db8::1", "::1")}


def page_hosts(listen):
    """The hosts in the URLs of the page."""
    if listen not in ANYWHERE:
        return [listen]
    family, somewhere, loopback = ANYWHERE[listen]
    return [host for host in (own_address(family, somewhere), loopback) if host]


def listen_for_page(arguments, running):
    try:
        shown = page.Page(arguments.listen)
    except OSError as error:
        raise child.Failure(f"cannot serve the page on {arguments.listen}: {error.strerror}") from error
    running.append(shown)
    return shown


def show_page(arguments, shown, tv):
    hosts = page_hosts(arguments.listen)
    port = tv.url.rstrip("/").rpartition(":")[2]

    print()
    for host in hosts:
        websocket_url = f"ws://{page.in_url(host)}:{port}/"
        print(f"  open        {shown.url(host, websocket_url)}")
        print(f"  WebSocket   {websocket_url}")
    if arguments.listen not in ANYWHERE:
        print("  Only this machine reaches that. For phones in your network: tools/run --listen 0.0.0.0")
    print("\nCtrl-C ends everything.\n")


def wait_for_end(service, tv):
    child.hold_signals()
    while child.wait_for_signal().si_signo == signal.SIGCHLD:
        for name, part in (("wsserverd", service), ("the television", tv)):
            if part.process.poll() is not None:
                output = service.output()
                raise child.Failure(f"{child.describe_end(name, part.process.returncode)}\n{output}".rstrip())
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
