# SPDX-License-Identifier: Apache-2.0
"""A WebSocket server that sends every message back. Run it with: python3 echo.py"""

import asyncio

import wsserver


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def main():
    async with wsserver.serve(echo, port=8080) as server:
        print(server.uri)
        await asyncio.Future()


wsserver.run(main())
