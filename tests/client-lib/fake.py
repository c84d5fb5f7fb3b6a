# SPDX-License-Identifier: Apache-2.0
"""A service that answers as a test tells it: rightly, with nonsense, or never."""

import os
import socket
import threading

from gi.repository import Gio, GLib

MANAGER = """<node><interface name="org.wsserver1.Manager"><method name="CreateServer"><arg type="{create}" direction="out"/>
</method></interface></node>"""
SERVER = """<node><interface name="org.wsserver1.Server">
<method name="Start"><arg type="a{{sv}}" direction="in"/></method><method name="Stop"/><method name="Release"/>
<method name="Acknowledge"><arg type="t" direction="in"/></method>
<method name="OpenChannel"><arg type="{open}" direction="out"/></method></interface>
<interface name="org.freedesktop.DBus.Properties"><method name="GetAll"><arg type="s" direction="in"/>
<arg type="a{{sv}}" direction="out"/></method></interface></node>"""
PATH = "/org/wsserver1/server/1"


class Fake:
    """`answers`: method to a function of the invocation; None: it is never answered. `types`: of what is answered."""

    def __init__(self, address: str, answers: dict | None = None, create: str = "o", open_channel: str = "h"):
        self.calls: list = []
        self.state = "running"
        self.ends: list = []
        self.answers = {"CreateServer": lambda call: call.return_value(GLib.Variant("(o)", (PATH,))),
                        "OpenChannel": self.give_channel, "GetAll": self.give_properties,
                        **dict.fromkeys(("Start", "Stop", "Release", "Acknowledge"), lambda call: call.return_value(None)),
                        **(answers or {})}
        self.context = GLib.MainContext.new()
        self.loop = GLib.MainLoop.new(self.context, False)
        self._nodes = [Gio.DBusNodeInfo.new_for_xml(MANAGER.format(create=create)),
                       Gio.DBusNodeInfo.new_for_xml(SERVER.format(open=open_channel))]
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address,), daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def _run(self, address: str) -> None:
        self.context.push_thread_default()
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.bus = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self.bus.register_object("/org/wsserver1", self._nodes[0].interfaces[0], self._take, None, None)
        for interface in self._nodes[1].interfaces:
            self.bus.register_object(PATH, interface, self._take, None, None)
        self.bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "RequestName",
                           GLib.Variant("(su)", ("org.wsserver1", 0)), None, 0, -1, None)
        self._ready.set()
        self.loop.run()
        self.bus.close_sync(None)
        self.context.pop_thread_default()

    def _take(self, _bus, sender, _path, _interface, method, _arguments, invocation) -> None:
        self.app = sender
        self.calls.append(method)
        answer = self.answers[method]
        if answer:
            answer(invocation)

    def give_channel(self, invocation) -> None:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.ends.append(mine)
        self.give_fd(invocation, theirs.detach())

    def give_fd(self, invocation, fd: int, index: int = 0) -> None:
        fds = Gio.UnixFDList.new()
        fds.append(fd)
        os.close(fd)
        invocation.return_value_with_unix_fd_list(GLib.Variant("(h)", (index,)), fds)

    def give_properties(self, invocation) -> None:
        values = {"State": GLib.Variant("s", self.state), "ServerIP": GLib.Variant("s", "127.0.0.1"),
                  "ServerPort": GLib.Variant("q", 4321), "Tls": GLib.Variant("b", False)}
        invocation.return_value(GLib.Variant("(a{sv})", (values,)))

    def emit(self, interface: str, name: str, signature: str, *body) -> None:
        self.bus.emit_signal(self.app, PATH, interface, name, GLib.Variant(signature, body))

    def emit_state(self, state: str) -> None:
        self.emit("org.freedesktop.DBus.Properties", "PropertiesChanged", "(sa{sv}as)", "org.wsserver1.Server",
                  {"State": GLib.Variant("s", state)}, [])

    def close(self) -> None:
        GLib.MainContext.invoke_full(self.context, GLib.PRIORITY_DEFAULT, self.loop.quit)
        self._thread.join(30)
        for end in self.ends:
            end.close()


def fail(name: str = "org.wsserver1.Error.Failed", text: str = "it is like that"):
    return lambda invocation: invocation.return_dbus_error(name, text)
