# SPDX-License-Identifier: Apache-2.0
"""WebSocket servers through the system service wsserverd, and a WebSocket client, for asyncio.

    import asyncio, wsserver

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async def main():
        async with wsserver.serve(echo, port=8080):
            await asyncio.Future()

    wsserver.run(main())

Text is str, data is bytes. On libwsserver's introspection data (Ws-0.typelib); docs/python.md tells more.
"""

import gi

gi.require_version("Ws", "0")

from .client import Client, connect  # noqa: E402
from .errors import ConnectionClosed, Error  # noqa: E402
from .loop import new_event_loop, run  # noqa: E402
from .server import Connection, Server, serve  # noqa: E402

__all__ = ["Client", "Connection", "ConnectionClosed", "Error", "Server", "connect", "new_event_loop", "run", "serve"]
