# SPDX-License-Identifier: Apache-2.0
"""Servers."""

import asyncio
import logging

from gi.repository import Ws

from .calls import call, run
from .errors import Error, translated
from .inbox import Account, message_of
from .peer import Peer

log = logging.getLogger("wsserver")


class Connection(Peer):
    """A peer of a server."""

    def __init__(self, native, account, headers):
        super().__init__(native, account)
        self.headers = headers  # names in lower case

    id = property(lambda self: self._native.get_id())
    client_ip = property(lambda self: self._native.get_client_ip())
    client_port = property(lambda self: self._native.get_client_port())
    path = property(lambda self: self._native.get_path())
    query = property(lambda self: self._native.get_query())
    origin = property(lambda self: self._native.get_origin())
    protocol = property(lambda self: self._native.get_protocol())
    client_subject = property(lambda self: self._native.get_client_subject())

    def __repr__(self):
        return f"<Connection {self.id} from {self.client_ip} port {self.client_port}>"


class Server:
    """`async with` it, or await start() and stop(). handler(connection) runs as a task for each; the connection is closed when it returns.

    Options are the properties of WsServerConfig, with _ for -: server_ip, certificate, private_key, max_message_size, ...
    on_error(error) is called when something goes wrong that no call is told about; without one it is logged.
    """

    def __init__(self, handler, port=0, *, bus=None, on_error=None, **options):
        self._handler = handler
        self._told = on_error
        self._bus = bus
        self._config = Ws.ServerConfig(server_port=port, **options)
        self._native = None  # while it is started
        self._handlers = []
        self._account = None
        self._connections = {}
        self._tasks = set()

    def _take(self):
        self._native = Ws.Server.new_for_bus(self._bus) if self._bus is not None else Ws.Server()
        self._account = Account(self._native.set_paused)
        self._handlers = [self._native.connect(signal, getattr(self, "_on_" + signal.replace("-", "_")))
                          for signal in ("connect", "message-receive", "close", "error")]

    def _give_back(self):
        """The service counts the servers of an app, so this does not wait for garbage to be collected."""
        native, self._native = self._native, None
        for handler in self._handlers:
            native.disconnect(handler)
        native.run_dispose()

    async def start(self):
        """Returns when peers can connect."""
        if self._native is not None:
            raise Error(2302999, "AlreadyRunning", "the server runs already, or is about to: stop it first")
        self._take()
        native = self._native
        try:
            await call(lambda cancellable, done: native.start_async(self._config, cancellable, done), native.start_finish)
        except BaseException:
            self._give_back()
            raise
        return self

    async def stop(self):
        """Peers get 1001. Returns when the port is free and every handler has ended."""
        native = self._native
        if native is None:
            return
        try:
            await call(lambda cancellable, done: native.stop_async(cancellable, done), native.stop_finish)
        except Error as error:
            if error.name != "NotRunning":
                raise
        if self._native is native:
            self._give_back()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def __aenter__(self):
        return await self.start()

    async def __aexit__(self, *_exception):
        await self.stop()

    port = property(lambda self: self._native.get_port() if self._native else 0)
    uri = property(lambda self: self._native.get_uri() if self._native else None)
    state = property(lambda self: self._native.get_state().value_nick if self._native else "stopped")

    @property
    def connections(self):
        """Those that are open."""
        return list(self._connections.values())

    def broadcast(self, data, connections=None):
        """Sends to all, or to those; how many get it. Whoever has too much waiting for him gets nothing."""
        if self._native is None:
            return 0
        chosen = None if connections is None else [connection._native for connection in connections]
        return run(self._native.broadcast, chosen, message_of(data))

    # What the library tells

    def _on_connect(self, _native, native):
        connection = Connection(native, self._account, dict(native.get_headers() or {}))
        self._connections[connection.id] = connection
        task = asyncio.get_running_loop().create_task(self._serve(connection), name=repr(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection):
        try:
            await self._handler(connection)
            connection.close()
        except Error as error:
            if not connection.closed:
                log.warning("%r: %s", connection, error)
                connection.close(1011, "")
        except Exception:  # noqa: BLE001
            log.exception("%r: the handler failed", connection)
            connection.close(1011, "")
        finally:
            connection._inbox.forget()

    def _on_message_receive(self, _native, native, message):
        self._connections[native.get_id()]._on_message(message)

    def _on_close(self, _native, native, code, reason, clean):
        self._connections.pop(native.get_id())._on_close(code, reason, clean)

    def _on_error(self, _native, error):
        problem = translated(error)
        if self._told is not None:
            self._told(problem)
        else:
            log.error("%s", problem)


def serve(handler, port=0, **options):
    """A Server: `async with wsserver.serve(handler, port=8080) as server:`."""
    return Server(handler, port, **options)
