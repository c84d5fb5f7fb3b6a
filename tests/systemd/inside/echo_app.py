# SPDX-License-Identifier: Apache-2.0
"""An app with servers that sends every message back, in a GDBus main loop of its own. It notices what is missing, repeated or
out of order.

Its argument is JSON: a list of apps, each a client of the bus of its own, each a list of Start options. It says ports and paths in a
line of JSON, and what the calls of servers that could not be had answered; then it answers each line of standard input with
a line, and to "quiet" it also stops sending. It ends with its standard input.

Messages are text, "LINE:NUMBER", the numbers of a connection counting from 1. A message is sent back by one call at a time per
connection, so that one whose outcome nobody knows, because the service crashed, can be called again without changing the order.
"""

import collections
import json
import sys

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

BUS_NAME, ROOT, MANAGER, SERVER = "org.wsserver1", "/org/wsserver1", "org.wsserver1.Manager", "org.wsserver1.Server"
CALLS_MAX = 60  # outstanding, of one client of the bus
AGAIN_MS = 5
FILES = ("certificate", "privateKey")  # of these Start options the value is a path here
TYPES = {"serverPort": "q", "serverIP": "s", "maxConcurrentClientsNumber": "u", "maxConnectionsForOneClient": "u", "pingInterval": "u"}
# What a call may answer around a crash of the service; then nobody knows whether it was carried out.
AGAIN = ("org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner")
GONE = ("org.wsserver1.Error.ConnectionNotFound", "org.wsserver1.Error.NotRunning", "org.freedesktop.DBus.Error.UnknownObject")


class App:
    def __init__(self, servers: list):
        address = Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM)
        flags = Gio.DBusConnectionFlags
        self.bus = Gio.DBusConnection.new_for_address_sync(
            address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None)
        self.bus.set_exit_on_close(False)
        self.outstanding = 0
        self.waiting = collections.deque()
        self.servers = {}
        self.refusals = []
        self.quiet = False
        self.bus.signal_subscribe(BUS_NAME, None, None, None, None, Gio.DBusSignalFlags.NONE, self.on_signal)
        for options in servers:
            try:
                self.serve({"serverPort": 0, "serverIP": "127.0.0.1", **options})
            except GLib.Error as failure:
                self.refusals.append(failure.message)

    def serve(self, options):
        [path] = self.call(ROOT, MANAGER, "CreateServer")
        server = self.servers[path] = Server(self, path)
        try:
            fds = Gio.UnixFDList()
            typed = {key: self.handle(fds, value) if key in FILES else GLib.Variant(TYPES[key], value) for key, value in options.items()}
            self.call(path, SERVER, "Start", GLib.Variant("(a{sv})", [typed]), fds)
            server.port = self.port(path)
        except GLib.Error:
            del self.servers[path]
            raise

    def handle(self, fds, path):
        with open(path, "rb") as file:
            return GLib.Variant("h", fds.append(file.fileno()))

    def call(self, path, interface, member, arguments=None, fds=None):
        answer, _fds = self.bus.call_with_unix_fd_list_sync(BUS_NAME, path, interface, member, arguments, None,
                                                            Gio.DBusCallFlags.NONE, 30000, fds, None)
        return answer.unpack()

    def port(self, path):
        [port] = self.call(path, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", [SERVER, "ServerPort"]))
        return port

    def send(self, path, connection, data, done):
        self.waiting.append((path, connection, data, done))
        self.flush()

    def flush(self):
        while self.waiting and self.outstanding < CALLS_MAX and not self.quiet:
            path, connection, data, done = self.waiting.popleft()
            self.outstanding += 1
            arguments = GLib.Variant.new_tuple(GLib.Variant("t", connection), GLib.Variant("b", True), GLib.Variant("ay", data))
            self.bus.call(BUS_NAME, path, SERVER, "Send", arguments, None, Gio.DBusCallFlags.NONE, 60000, None, self.on_sent, done)

    def on_sent(self, bus, result, done):
        self.outstanding -= 1
        try:
            bus.call_finish(result)
            error = ""
        except GLib.Error as failure:
            error = Gio.DBusError.get_remote_error(failure) or failure.message
        done(error)
        self.flush()

    def on_signal(self, _bus, _sender, path, _interface, member, arguments):
        if path in self.servers:
            self.servers[path].on_signal(member, arguments)


class Server:
    def __init__(self, app: App, path: str):
        self.app, self.path, self.port = app, path, 0
        self.last = {}  # connection: number of its newest message
        self.queues = collections.defaultdict(collections.deque)
        self.count = collections.Counter()
        self.errors = collections.Counter()  # of Send
        self.faults = []
        self.closed = []
        self.allowed = 0  # how many of the next events may be repeats

    def on_signal(self, member, arguments):
        if member == "Recovered":
            self.allowed = arguments.unpack()[0]
            self.count["recovered"] += 1
            self.count["announced"] += self.allowed
        elif member == "Error":
            self.count["events"] += 1
            self.faults.append(f"Error {arguments.unpack()}")
        elif member in ("Connect", "MessageReceive", "Closed"):
            self.count["events"] += 1
            may_repeat, self.allowed = self.allowed > 0, max(0, self.allowed - 1)
            connection = arguments.get_child_value(0).get_uint64()
            if getattr(self, f"is_repeated_{member}")(connection, arguments):
                self.count["repeats"] += 1
                if not may_repeat:
                    self.faults.append(f"{member} of {connection} again, and nobody announced it")

    def is_repeated_Connect(self, connection, _arguments):
        repeated = connection in self.last
        self.last.setdefault(connection, 0)
        return repeated

    def is_repeated_Closed(self, connection, arguments):
        if connection not in self.last:
            self.faults.append(f"Closed of {connection}, which never connected")
        repeated = any(connection == known for known, _code, _clean in self.closed)
        if not repeated:
            _id, code, _reason, clean = arguments.unpack()
            self.closed.append((connection, code, clean))
        return repeated

    def is_repeated_MessageReceive(self, connection, arguments):
        data = arguments.get_child_value(2).get_data_as_bytes().get_data()
        number = int(data.rpartition(b":")[2])
        if connection not in self.last:
            self.faults.append(f"a message of {connection}, which never connected")
        last = self.last.get(connection, 0)
        if number <= last:
            return True
        if number != last + 1:
            self.faults.append(f"connection {connection}: message {number} came after {last}")
        self.last[connection] = number
        self.count["messages"] += 1
        queue = self.queues[connection]
        queue.append(data)
        if len(queue) == 1:
            self.send_first(connection)
        return False

    def send_first(self, connection):
        self.app.send(self.path, connection, self.queues[connection][0], lambda error: self.on_sent(connection, error))
        return False

    def on_sent(self, connection, error):
        queue = self.queues[connection]
        if error:
            self.errors[error] += 1
            if error not in GONE:
                if error not in AGAIN:
                    self.faults.append(f"Send: {error}")
                GLib.timeout_add(AGAIN_MS, self.send_first, connection)
                return
            queue.clear()
        else:
            queue.popleft()
        if queue:
            self.send_first(connection)

    def report(self):
        return {**{key: self.count[key] for key in ("events", "messages", "recovered", "announced", "repeats")},
                "errors": dict(self.errors), "faults": self.faults[:20], "closed": self.closed, "connections": len(self.last)}


def main():
    apps = [App(servers) for servers in json.loads(sys.argv[1])]
    servers = [server for app in apps for server in app.servers.values()]
    loop = GLib.MainLoop()

    def on_input(source, _condition):
        line = source.readline()
        if not line:
            loop.quit()
            return False
        for app in apps:
            app.quiet = line.strip() == "quiet"
        print(json.dumps([server.report() for server in servers]), flush=True)
        return True

    GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, on_input)
    print(json.dumps({"ports": [server.port for server in servers], "paths": [server.path for server in servers],
                      "refusals": [text for app in apps for text in app.refusals]}), flush=True)
    loop.run()


main()
