# SPDX-License-Identifier: Apache-2.0
"""One real round trip through a running second-screen app, by a WebSocket client that is not ours."""

import asyncio
import json
import time

import websockets

from session import child

STEP_TIMEOUT = 20  # seconds
CHAT_LINE = "Grüße an den Fernseher 📺"


class _Phone:
    def __init__(self, connection):
        self.connection = connection

    async def expect(self, what, **wanted):
        """Reads until a message has all of `wanted`."""
        deadline = time.monotonic() + STEP_TIMEOUT
        while True:
            try:
                text = await asyncio.wait_for(self.connection.recv(), max(0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                raise child.Failure(f"no answer: {what}") from None
            message = json.loads(text)
            if all(message.get(key) == value for key, value in wanted.items()):
                return message

    async def say(self, **message):
        await self.connection.send(json.dumps(message, ensure_ascii=False))


async def _visit(url, say):
    started = time.monotonic()
    async with websockets.connect(url, open_timeout=STEP_TIMEOUT, close_timeout=STEP_TIMEOUT) as connection:
        phone = _Phone(connection)
        say(f"connected to {url} in {(time.monotonic() - started) * 1000:.0f} ms")
        welcome = await phone.expect("welcome", type="welcome")
        state = await phone.expect("first state", type="state")
        say(f"the TV said welcome to \"{welcome['name']}\": {state['selected']} selected, volume {state['volume']}")

        await phone.say(type="key", key="volume-up")
        louder = await phone.expect("volume", type="state", volume=state["volume"] + 5)
        say(f"pressed volume-up: volume {louder['volume']}")

        await phone.say(type="chat", text=CHAT_LINE)
        chat = await phone.expect("chat", type="chat", text=CHAT_LINE)
        say(f"chatted \"{CHAT_LINE}\", and the TV told it to every phone as from \"{chat['from']}\"")

        await connection.close(4321, "that was all")
        say(f"closed with 4321, the server answered with {connection.close_code}")
        if connection.close_code != 4321:
            raise child.Failure("the closing handshake went wrong")


def check(url, say):
    say(f"the client is Python \"websockets\" {websockets.__version__} (Debian: python3-websockets)")
    try:
        asyncio.run(_visit(url, say))
    except (OSError, websockets.WebSocketException, asyncio.TimeoutError) as error:
        raise child.Failure(f"the client failed: {error!r}") from error
