# SPDX-License-Identifier: Apache-2.0
"""A private dbus-daemon that behaves as Debian's system bus does for an ordinary service: nobody may own a name or send a method
call unless a policy file allows it. Ours is read from the source tree, for the user who runs this instead of `wsserverd`."""

import os
import pathlib

from session import child

ROOT = pathlib.Path(__file__).resolve().parents[2]

DEFAULT_POLICY = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
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
  <!-- What root may do on the system bus. -->
  <policy user="{user}">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Debug.Stats"/>
  </policy>
  <include>{policy}</include>
</busconfig>
"""


class PrivateBus:
    """Started by the constructor; `address` answers from then on. Call stop()."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        user = os.getuid()
        policy = folder / "org.wsserver1.conf"
        shipped = (ROOT / "dbus" / "org.wsserver1.conf").read_text(encoding="utf-8")
        policy.write_text(shipped.replace('user="wsserverd"', f'user="{user}"'), encoding="utf-8")

        socket = folder / "bus"
        configuration = folder / "bus.conf"
        configuration.write_text(DEFAULT_POLICY.format(socket=socket, user=user, policy=policy), encoding="utf-8")

        self.address = f"unix:path={socket}"
        self.log = folder / "bus.log"
        self._start(configuration)

    def _start(self, configuration):
        # dbus-daemon prints its address once it listens, which is the one reliable sign that it does.
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        ready, written = os.pipe()
        with self.log.open("wb") as log:
            self.process = child.start_background(
                ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", f"--print-address={written}"],
                pass_fds=[written],
                stdout=log,
                stderr=log,
                env=environment,
            )
        os.close(written)
        with os.fdopen(ready, "rb") as line:
            if not line.readline():
                child.stop(self.process)
                raise child.Failure(f"the private bus did not start:\n{self.log.read_text(errors='replace')}")

    def stop(self):
        child.stop(self.process)
