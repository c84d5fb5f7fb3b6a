# SPDX-License-Identifier: Apache-2.0
"""A private bus with the default policy of Debian's system bus and the policy that wsserverd ships."""

import getpass
import os
import pathlib
import re
import signal
import subprocess

from .wire import Connection, until

ROOT = pathlib.Path(__file__).resolve().parents[3]
SHIPPED_POLICY = ROOT / "dbus" / "org.wsserver1.conf"

# The rules of Debian 12's /usr/share/dbus-1/system.conf, without what concerns activation and logging.
CONFIGURATION = """<?xml version="1.0"?>
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"
          send_member="UpdateActivationEnvironment"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Debug.Stats"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
  <include>{policy}</include>
</busconfig>
"""


class PrivateBus:
    """Starts in `folder`, which every user may enter. The address outlives kill() and start()."""

    def __init__(self, folder: pathlib.Path, daemon_may_ping: bool = True):
        self.folder = folder
        self.socket = folder / "bus"
        self.address = f"unix:path={self.socket}"
        self.configuration = folder / "bus.conf"
        policy = folder / "org.wsserver1.conf"
        policy.write_text(adapted_policy(daemon_may_ping))
        self.configuration.write_text(CONFIGURATION.format(socket=self.socket, policy=policy))
        self.process: subprocess.Popen | None = None

    def start(self) -> "PrivateBus":
        self.socket.unlink(missing_ok=True)
        with open(self.folder / "bus.log", "ab") as log:
            self.process = subprocess.Popen(["dbus-daemon", f"--config-file={self.configuration}", "--nofork", "--nopidfile"],
                                            stdout=log, stderr=log)
        until(self._answers, what="the private bus")
        return self

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError("dbus-daemon ended: " + (self.folder / "bus.log").read_text())
        try:
            Connection(self.address).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """As a crash of the bus."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


def adapted_policy(daemon_may_ping: bool = True) -> str:
    """The shipped policy file, with the daemon running as whoever runs the tests."""
    me = getpass.getuser() if os.geteuid() else "root"
    policy = SHIPPED_POLICY.read_text()
    policy = policy.replace('user="wsserverd"', f'user="{me}"')
    if not daemon_may_ping:  # calls to the daemon's own Peer interface stay allowed: those have a destination
        policy = re.sub(r"<allow\b(?![^>]*send_destination)[^>]*org\.freedesktop\.DBus\.Peer[^>]*/>", "", policy)
    return policy
