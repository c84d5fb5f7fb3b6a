# SPDX-License-Identifier: Apache-2.0
"""An app as the daemon sees it: a bus connection of its own, the servers it created, and their signals in order."""

from collections import deque
from typing import Any, NamedTuple

from .peer import Peer
from .service import BUS_NAME
from .wire import TIMEOUT, Connection, DBusError, Message, Pending, Variant, plain

MANAGER_PATH = "/org/wsserver1"
MANAGER = "org.wsserver1.Manager"
SERVER = "org.wsserver1.Server"
PROPERTIES = "org.freedesktop.DBus.Properties"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
ERROR_PREFIX = "org.wsserver1.Error."

EVENT_SIGNALS = ("Connect", "MessageReceive", "Closed", "Error", "Drained", "Recovered")

START_TYPES = {
    "serverPort": "q",
    "serverIP": "s",
    "maxConcurrentClientsNumber": "u",
    "maxConnectionsForOneClient": "u",
    "protocol": "s",
    "certificate": "h",
    "privateKey": "h",
    "privateKeyPassword": "s",
    "clientCa": "h",
    "tlsMinVersion": "s",
    "allowedOrigins": "as",
    "maxMessageSize": "t",
    "pingInterval": "u",
    "pongTimeout": "u",
    "compression": "b",
}


class Event(NamedTuple):
    member: str
    args: tuple
    position: int  # in the order of everything that the app received


class App:
    def __init__(self, address: str, answer_pings: bool = True, user: tuple | None = None):
        self.servers: dict = {}
        self.connection = Connection(address, answer_pings, user)
        self.connection.on_signal = self._take_signal
        self.name = self.connection.unique_name

    # Calls

    def call_later(self, path: str, interface: str, member: str, signature: str = "", *body, fds=(), on_reply=None) -> Pending:
        return self.connection.call(BUS_NAME, path, interface, member, signature, *body, fds=fds, on_reply=on_reply)

    def call(self, path: str, interface: str, member: str, signature: str = "", *body, fds=(), timeout: float = TIMEOUT) -> Any:
        return self.call_later(path, interface, member, signature, *body, fds=fds).result(timeout)

    def manager(self, member: str, signature: str = "", *body, fds=()) -> Any:
        return self.call(MANAGER_PATH, MANAGER, member, signature, *body, fds=fds)

    def get(self, path: str, interface: str, name: str) -> Any:
        return self.call(path, PROPERTIES, "Get", "ss", interface, name)

    def introspect(self, path: str) -> str:
        return self.call(path, INTROSPECTABLE, "Introspect")

    def create_server(self) -> "Server":
        return self.adopt(self.manager("CreateServer"))

    def adopt(self, path: str) -> "Server":
        """A server object at `path`, whoever owns it there."""
        return self.servers.setdefault(path, Server(self, path))

    def running_server(self, **options) -> "Server":
        """A server that listens on loopback, unless `options` say otherwise."""
        server = self.create_server()
        server.start(**{"serverIP": "127.0.0.1", **options})
        return server

    def round_trip(self) -> None:
        """Returns when all that the daemon had sent to this app before has arrived."""
        self.call(MANAGER_PATH, PROPERTIES, "Get", "ss", MANAGER, "Version")
        self.connection.round_trip()

    def wait_for(self, condition, timeout: float = TIMEOUT, what: str = "a condition") -> None:
        self.connection.wait_for(condition, timeout, what)

    def foreign_signals(self) -> list:
        """Signals other than those of this app's own servers and the bus's own."""
        return [message for _position, message in self.connection.signals if message.sender != "org.freedesktop.DBus"]

    def _take_signal(self, position: int, message: Message) -> bool:
        # CreateServer's reply may be read behind the first signals only if the daemon sent them before it: it never does.
        server = self.servers.get(message.path)
        if not server:
            return False
        server.take_signal(position, message)
        return True

    def close(self) -> None:
        self.connection.close()


class Server:
    def __init__(self, app: App, path: str):
        self.app = app
        self.path = path
        self.port = 0
        self.host = "127.0.0.1"
        self.events: list = []  # event signals alone
        self.signals: list = []  # these, PropertiesChanged too
        self.on_event = None  # called in the reading thread
        self.keep_events = True
        self.joined: list = []  # peers; one that nobody holds would close its socket

    # Members

    def call_later(self, member: str, signature: str = "", *body, fds=(), on_reply=None) -> Pending:
        return self.app.call_later(self.path, SERVER, member, signature, *body, fds=fds, on_reply=on_reply)

    def call(self, member: str, signature: str = "", *body, fds=()) -> Any:
        return self.call_later(member, signature, *body, fds=fds).result()

    def start_later(self, fds=(), **options) -> Pending:
        """Values that are no Variant take the type of the contract's table; serverPort is any free one unless given.
        An option given as None is left out."""
        options = {"serverPort": 0, **options}
        typed = {key: value if isinstance(value, Variant) else Variant(START_TYPES[key], value)
                 for key, value in options.items() if value is not None}
        return self.call_later("Start", "a{sv}", typed, fds=fds)

    def start(self, fds=(), **options) -> None:
        self.start_later(fds, **options).result()
        self.host = plain(options.get("serverIP") or "127.0.0.1")
        if self.host in ("0.0.0.0", "::"):
            self.host = "127.0.0.1"
        self.port = self.get("ServerPort")

    def stop(self) -> None:
        self.call("Stop")

    def send_later(self, connection: int, data: str | bytes, on_reply=None) -> Pending:
        text = isinstance(data, str)
        return self.call_later("Send", "tbay", connection, text, data.encode() if text else data, on_reply=on_reply)

    def send(self, connection: int, data: str | bytes) -> None:
        self.send_later(connection, data).result()

    def broadcast(self, data: str | bytes, connections=()) -> int:
        text = isinstance(data, str)
        return self.call("Broadcast", "atbay", list(connections), text, data.encode() if text else data)

    def close_connection(self, connection: int, code: int = 0, reason: str = "") -> None:
        self.call("Close", "tqs", connection, code, reason)

    def list_connections(self) -> list:
        return self.call("ListAllConnections")

    def acknowledge(self, events: int) -> None:
        self.call("Acknowledge", "t", events)

    def release(self) -> None:
        self.call("Release")

    def get(self, name: str) -> Any:
        return self.app.get(self.path, SERVER, name)

    def get_all(self) -> dict:
        return self.app.call(self.path, PROPERTIES, "GetAll", "s", SERVER)

    # Signals

    def take_signal(self, position: int, message: Message) -> None:
        event = Event(message.member, plain(message.body), position)
        if self.keep_events:
            self.signals.append(event)
        if message.member in EVENT_SIGNALS and message.interface == SERVER:
            if self.keep_events:
                self.events.append(event)
            if self.on_event:
                self.on_event(event)

    def find(self, member: str, where=None, start: int = 0) -> list:
        return [event for event in self.events[start:] if event.member == member and (where is None or where(*event.args))]

    def wait(self, member: str, where=None, count: int = 1, timeout: float = TIMEOUT) -> Event:
        """The count-th signal `member` whose arguments satisfy `where`, since the beginning."""
        self.app.wait_for(lambda: len(self.find(member, where)) >= count, timeout, f"signal {member}; so far {self.events[-5:]}")
        return self.find(member, where)[count - 1]

    def messages(self, connection: int) -> list:
        return [data for _id, _text, data in (event.args for event in self.find("MessageReceive", lambda i, _t, _d: i == connection))]

    def wait_closed(self, connection: int, timeout: float = TIMEOUT) -> tuple:
        """(code, reason, clean) of that connection."""
        return self.wait("Closed", lambda i, _c, _r, _k: i == connection, timeout=timeout).args[1:]

    # Peers

    def join(self, **options) -> tuple:
        """Lets a peer connect and returns it with its connection id."""
        peer = Peer(self.port, self.host, **options)
        self.joined.append(peer)
        return peer, self.connection_of(peer)

    def connection_of(self, peer: Peer) -> int:
        ip, port = peer.address
        connections = self.find("Connect", lambda _i, c_ip, c_port, _d: (c_ip, c_port) == (ip, port))
        if not connections:
            connections = [self.wait("Connect", lambda _i, c_ip, c_port, _d: (c_ip, c_port) == (ip, port))]
        return connections[-1].args[0]


class Echo:
    """Sends every message of a server back to where it came from, in order, with few calls outstanding."""

    OUTSTANDING = 32

    def __init__(self, server: Server, acknowledge: bool = False):
        self.server = server
        self.acknowledge = acknowledge
        self.waiting: dict = {}  # connection: messages not sent yet
        self.outstanding: dict = {}  # connection: number of calls
        self.blocked: set = set()
        self.echoed = 0
        self.events = 0
        self.failures: list = []
        server.keep_events = False
        server.on_event = self._take

    def _take(self, event: Event) -> None:
        self.events += 1
        connection = event.args[0]
        if event.member == "MessageReceive":
            self.waiting.setdefault(connection, deque()).append(event.args[1:])
        elif event.member == "Drained":
            self.blocked.discard(connection)
        elif event.member == "Closed":
            self.waiting.pop(connection, None)
        self._send_next(connection)
        if self.acknowledge and self.events % 16 == 0:
            self.server.call_later("Acknowledge", "t", self.events)

    def _send_next(self, connection: int) -> None:
        waiting = self.waiting.get(connection)
        while waiting and connection not in self.blocked and self.outstanding.get(connection, 0) < self.OUTSTANDING:
            text, data = waiting.popleft()
            self.outstanding[connection] = self.outstanding.get(connection, 0) + 1
            self.server.call_later("Send", "tbay", connection, text, data,
                                   on_reply=lambda reply, message=(text, data): self._replied(connection, message, reply))

    def _replied(self, connection: int, message: tuple, reply: Pending) -> None:
        self.outstanding[connection] -= 1
        try:
            reply.message()
            self.echoed += 1
        except DBusError as error:
            self.failures.append(error)
        self._send_next(connection)


def error_of(call, *args, **options) -> DBusError:
    """The error that a call must raise."""
    try:
        result = call(*args, **options)
    except DBusError as error:
        return error
    raise AssertionError(f"no error, but {result!r}")


def expect_error(short_name: str, call, *args, names: str = "", **options) -> DBusError:
    """The call must fail with that error of ours, in a sentence, which mentions `names` where given."""
    error = error_of(call, *args, **options)
    assert error.name == ERROR_PREFIX + short_name, error
    assert error.message.strip(), f"{error.name} without a message"
    assert names in error.message, f"{error} does not name {names}"
    return error
