# SPDX-License-Identifier: Apache-2.0
"""The client, which runs in the app itself."""

import asyncio

from gi.repository import Ws

from .calls import call
from .inbox import Account
from .peer import Peer


class Client(Peer):
    """`async with` it. Options are the properties of WsClientConfig, with _ for -: protocol, ca_path, ping_interval, ..."""

    def __init__(self, url, headers=None, **options):
        native = Ws.Client()
        super().__init__(native, Account(native.set_paused))
        self._url = url
        self._config = Ws.ClientConfig(**options)
        for name, value in (headers or {}).items():
            self._config.add_header(name, value)
        self._over = None
        self._handlers = [native.connect("message", lambda _native, message: self._on_message(message)),
                          native.connect("close", self._on_closed)]

    async def connect(self):
        """Returns when the connection is open."""
        native = self._native
        self._over = asyncio.get_running_loop().create_future()
        await call(lambda cancellable, done: native.connect_async(self._url, self._config, cancellable, done), native.connect_finish)
        return self

    async def wait_closed(self):
        """Returns when the connection is over."""
        if self._over is not None and not self.closed:
            await asyncio.shield(self._over)

    async def __aenter__(self):
        return await self.connect()

    async def __aexit__(self, *_exception):
        self._inbox.forget()  # nobody takes it, and behind it is the answer to our goodbye
        self.close()
        await self.wait_closed()

    protocol = property(lambda self: self._native.get_protocol())
    headers = property(lambda self: dict(self._native.get_headers() or {}))

    def _on_closed(self, _native, code, reason, clean):
        self._on_close(code, reason, clean)
        for handler in self._handlers:  # they hold us, and we hold the client
            self._native.disconnect(handler)
        self._handlers = []
        if not self._over.done():
            self._over.set_result(None)


def connect(url, headers=None, **options):
    """A Client: `async with wsserver.connect("wss://tv.example/") as server:`."""
    return Client(url, headers, **options)
