# SPDX-License-Identifier: Apache-2.0
"""One WebSocket connection, of whichever side."""

from .calls import call, run
from .errors import ConnectionClosed
from .inbox import Inbox, message_of


class Peer:
    """Iterate over it for messages; it ends when the connection does."""

    def __init__(self, native, account):
        self._native = native
        self._inbox = Inbox(account)

    async def recv(self):
        """The next message, str or bytes. ConnectionClosed when there are no more."""
        return await self._inbox.take()

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self._inbox.take()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def send(self, data):
        """Returns when the message is written to the socket. Messages leave in the order of the calls."""
        if self.closed:
            raise self._inbox.end
        message = message_of(data)
        await call(lambda cancellable, done: self._native.send_async(message, cancellable, done), self._native.send_finish)

    def close(self, code=1000, reason=""):
        """Says goodbye behind everything that was sent before. Messages still arrive until the other side has answered."""
        if not self.closed:
            run(self._native.close, code, reason)

    @property
    def closed(self):
        return self._inbox.end is not None

    @property
    def close_code(self):
        return self._inbox.end.close_code if self.closed else None

    @property
    def close_reason(self):
        return self._inbox.end.reason if self.closed else None

    def _on_message(self, message):
        self._inbox.put(message)

    def _on_close(self, code, reason, clean):
        self._inbox.close(ConnectionClosed(code, reason, clean))
