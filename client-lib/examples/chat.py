# SPDX-License-Identifier: Apache-2.0
"""A chat: whoever connects with ?NAME says things to all others. Run it with: python3 chat.py [PORT]"""

import asyncio
import sys

import wsserver


async def main():
    async def talk(connection):
        name = connection.query or f"guest {connection.id & 0xFFFF}"
        others = lambda: [one for one in server.connections if one is not connection]  # noqa: E731
        await connection.send(f"Hello {name}, there are {len(others())} others.")
        server.broadcast(f"{name} has come.", others())
        async for message in connection:
            if isinstance(message, str):
                server.broadcast(f"{name}: {message}", others())
            else:
                connection.close(1003, "text only")
        server.broadcast(f"{name} has gone.")

    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    async with wsserver.serve(talk, port, max_connections_for_one_client=50) as server:
        print(server.uri, flush=True)
        await asyncio.Future()


wsserver.run(main())
