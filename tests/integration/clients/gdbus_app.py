#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An app in a process of its own that speaks D-Bus through GDBus, as most apps on a device do.

    gdbus_app.py ADDRESS echo|count

Starts a server on loopback and prints its port as JSON. `echo` sends every message back; `count` checks that messages begin
with 0, 1, 2, ... in 8 octets. Each line on standard input is answered with the numbers so far; the end of input ends it.
"""

import json
import sys
from collections import deque

from gi.repository import Gio, GLib

NAME, SERVER = "org.wsserver1", "org.wsserver1.Server"
OUTSTANDING = 32


class CountingApp:
    def __init__(self, address: str, echo: bool):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.bus = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.echo = echo
        self.messages = self.octets = self.calls = 0
        self.in_order = True
        self.closed: list = []
        self.errors: list = []
        self.waiting: deque = deque()
        (self.path,) = self.call("/org/wsserver1", "org.wsserver1.Manager", "CreateServer", None)
        self.bus.signal_subscribe(NAME, SERVER, None, self.path, None, Gio.DBusSignalFlags.NONE, self.on_signal)
        options = {"serverIP": GLib.Variant("s", "127.0.0.1"), "serverPort": GLib.Variant("q", 0)}
        self.call(self.path, SERVER, "Start", GLib.Variant("(a{sv})", (options,)))
        (self.port,) = self.call(self.path, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (SERVER, "ServerPort")))

    def call(self, path: str, interface: str, member: str, parameters):
        return self.bus.call_sync(NAME, path, interface, member, parameters, None, Gio.DBusCallFlags.NONE, 60000, None).unpack()

    def on_signal(self, _bus, _sender, _path, _interface, member, parameters):
        if member == "MessageReceive":
            self.on_message(parameters.get_child_value(0), parameters.get_child_value(1), parameters.get_child_value(2))
        elif member == "Closed":
            self.closed.append(parameters.unpack())

    def on_message(self, connection, text, data):
        octets = data.get_data_as_bytes().get_data() or b""
        if self.echo:
            self.waiting.append(GLib.Variant.new_tuple(connection, text, data))
            self.send_next()
        elif int.from_bytes(octets[:8], "big") != self.messages:
            self.in_order = False
        self.messages += 1
        self.octets += len(octets)

    def send_next(self):
        while self.waiting and self.calls < OUTSTANDING:
            self.calls += 1
            self.bus.call(NAME, self.path, SERVER, "Send", self.waiting.popleft(), None, Gio.DBusCallFlags.NONE, 60000, None,
                          self.on_sent)

    def on_sent(self, bus, result):
        self.calls -= 1
        try:
            bus.call_finish(result)
        except GLib.Error as error:
            self.errors.append(error.message)
        self.send_next()

    def report(self):
        print(json.dumps({"port": self.port, "messages": self.messages, "octets": self.octets, "in_order": self.in_order,
                          "closed": self.closed, "errors": self.errors[:5]}), flush=True)


def main():
    app = CountingApp(sys.argv[1], sys.argv[2] == "echo")
    app.report()
    loop = GLib.MainLoop()

    def on_input(channel, _condition):
        if channel.readline():
            app.report()
            return True
        loop.quit()
        return False

    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, on_input)
    loop.run()


if __name__ == "__main__":
    main()
