# SPDX-License-Identifier: Apache-2.0
"""An echo server that does something wrong with every third message of a connection: `wrong_echo.py FAULT`."""

import asyncio
import os
import sys

import websockets

FAULTS = {
    "changes-an-octet": lambda message, _last: [message[:-1] + bytes([message[-1] ^ 1])],
    "changes-an-octet-in-the-middle": lambda message, _last: [message[:700] + b"\0" + message[701:]],
    "repeats-an-earlier-one": lambda _message, last: [last],
    "cuts-the-end-off": lambda message, _last: [message[:-1]],
    "answers-twice": lambda message, _last: [message, message],
    "answers-with-text": lambda message, _last: [message.decode()],
}


async def serve(fault):
    async def echo(peer):
        count, last = 0, None
        async for message in peer:
            count += 1
            for answer in [message] if count % 3 else FAULTS[fault](message, last):
                await peer.send(answer)
            last = message

    limit = int(os.environ["WSBENCH_MAX_MESSAGE"])
    async with websockets.serve(echo, "127.0.0.1", 0, compression=None, max_size=limit) as server:
        print(f"listening on ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await asyncio.Future()


asyncio.run(serve(sys.argv[1]))
