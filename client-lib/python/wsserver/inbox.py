# SPDX-License-Identifier: Apache-2.0
"""Messages that have arrived and were not taken yet. Whoever is slow makes the other side wait: nothing grows without bound."""

import asyncio
import collections

from gi.repository import GLib, Ws

INBOX_HIGH = 4 << 20  # octets that wait in an app (of all connections of a server, or of a client) from which on nothing is read ...
INBOX_LOW = 1 << 20  # ... until there are fewer
MESSAGE_COST = 200  # what one is counted with beside its octets


class Account:
    """What waits in several inboxes together. `pause(bool)` makes the other side wait."""

    def __init__(self, pause):
        self._pause = pause
        self._octets = 0
        self._paused = False

    def add(self, octets):
        self._octets += octets
        if not self._paused and self._octets >= INBOX_HIGH:
            self._set(True)
        elif self._paused and self._octets < INBOX_LOW:
            self._set(False)

    def _set(self, paused):
        self._paused = paused
        self._pause(paused)


class Inbox:
    def __init__(self, account):
        self._account = account
        self._messages = collections.deque()
        self._waiting = collections.deque()  # futures of those who wait for one
        self.end = None  # the exception with which everybody is answered behind the last message

    def put(self, message):
        octets = message.get_bytes().get_data() or b""
        data = octets.decode() if message.is_text() else octets
        size = message.get_length() + MESSAGE_COST
        self._messages.append((data, size))
        self._account.add(size)
        self._wake()

    def close(self, end):
        self.end = end
        while self._waiting:
            self._wake()

    def forget(self):
        """Nobody takes what is left."""
        self._account.add(-sum(size for _data, size in self._messages))
        self._messages.clear()

    def _wake(self):
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return

    async def take(self):
        while not self._messages:
            if self.end is not None:
                raise self.end
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
        data, size = self._messages.popleft()
        self._account.add(-size)
        if self._messages:
            self._wake()
        return data


def message_of(data):
    """What the library sends."""
    if isinstance(data, str):
        return Ws.Message.new_text_from_bytes(GLib.Bytes.new(data.encode()))
    if isinstance(data, (bytes, bytearray, memoryview)):
        return Ws.Message.new_binary(GLib.Bytes.new(bytes(data)))
    raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
