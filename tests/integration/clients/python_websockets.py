#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""python_websockets.py URL yes|no CA: the exchange with the package `websockets`."""

import asyncio
import ssl

import websockets
from payloads import PAYLOADS, arguments, report


async def exchange(url: str, options: dict) -> None:
    closed = {}
    async with websockets.connect(url + "/echo", max_size=None, **options) as client:
        extensions = ", ".join(extension.name for extension in client.extensions)
        for name, data in PAYLOADS.items():
            await client.send(data)
            if await client.recv() != data:
                raise ValueError(f"{name} came back changed")
        await (await client.ping(b"mark"))
    closed["echo"] = [client.close_code, client.close_reason]
    async with websockets.connect(url + "/4321", **options) as client:
        await client.close(4321, "own code")
    closed["4321"] = [client.close_code, client.close_reason]
    async with websockets.connect(url + "/none", **options) as client:
        await client.write_close_frame(websockets.frames.Close(1005, ""), b"")
        await client.wait_closed()
    closed["none"] = [client.close_code, client.close_reason]
    report(list(PAYLOADS), extensions, True, closed)


def main() -> None:
    url, compressed, authority = arguments()
    options = {"compression": "deflate" if compressed else None}
    if url.startswith("wss:"):
        options["ssl"] = ssl.create_default_context(cafile=authority)
    asyncio.run(exchange(url, options))


if __name__ == "__main__":
    main()
