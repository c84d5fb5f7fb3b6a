# SPDX-License-Identifier: Apache-2.0
"""wss with a CA of one's own: a server with a certificate that this CA has signed, and a client that trusts this CA alone.

    python3 secure.py CERTIFICATE KEY CA [PORT]
"""

import asyncio
import sys

import wsserver


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def main(certificate, key, ca, port="0"):
    async with wsserver.serve(echo, int(port), certificate=certificate, private_key=key, tls_min_version="1.3") as server:
        url = f"wss://localhost:{server.port}/"  # the name that is in the certificate
        async with wsserver.connect(url, ca_path=ca) as client:
            await client.send("nobody else can read this")
            print(await client.recv())
        try:
            async with wsserver.connect(url):  # trusts whom the system trusts
                print("which should not have worked")
        except Exception as error:  # noqa: BLE001
            print(error)


wsserver.run(main(*sys.argv[1:]))
