#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soup.py URL yes|no CA: the exchange with libsoup 3."""

import gi

gi.require_version("Soup", "3.0")

from gi.repository import Gio, GLib, Soup  # noqa: E402
from payloads import PAYLOADS, arguments, report  # noqa: E402


class Client:
    """A connection and what has just come on it; every call waits for its end."""

    def __init__(self, session: Soup.Session, url: str):
        self.loop = GLib.MainLoop()
        self.session = session
        self.come: list = []
        self.ponged = False
        message = Soup.Message.new("GET", url)
        session.websocket_connect_async(message, None, None, GLib.PRIORITY_DEFAULT, None, self._on_connected)
        self.loop.run()
        if isinstance(self.connection, GLib.Error):
            raise self.connection
        self.connection.set_max_incoming_payload_size(0)
        if self.connection.find_property("max-total-message-size"):  # Debian has it in the security updates of 3.2
            self.connection.set_property("max-total-message-size", 0)
        self.connection.connect("message", self._on_message)
        self.connection.connect("pong", self._on_pong)
        self.connection.connect("closed", lambda _connection: self.loop.quit())

    def _on_connected(self, session, result) -> None:
        try:
            self.connection = session.websocket_connect_finish(result)
        except GLib.Error as error:
            self.connection = error
        self.loop.quit()

    def _on_message(self, _connection, kind: int, octets: GLib.Bytes) -> None:
        data = octets.get_data() or b""
        self.come.append(data.decode() if kind == Soup.WebsocketDataType.TEXT else data)
        self.loop.quit()

    def _on_pong(self, _connection, _octets: GLib.Bytes) -> None:
        self.ponged = True
        self.loop.quit()

    def echo_of(self, data: str | bytes):
        kind = Soup.WebsocketDataType.TEXT if isinstance(data, str) else Soup.WebsocketDataType.BINARY
        self.connection.send_message(kind, GLib.Bytes.new(data.encode() if isinstance(data, str) else data))
        self.loop.run()
        return self.come.pop(0) if self.come else f"closed with {self.connection.get_close_code()}"

    def pong(self) -> bool:
        """libsoup pings on its own, a second after this at the earliest."""
        self.connection.set_keepalive_interval(1)
        self.loop.run()
        self.connection.set_keepalive_interval(0)
        return self.ponged

    def close(self, code: int, reason: str | None) -> list:
        self.connection.close(code, reason)
        self.loop.run()
        return [self.connection.get_close_code(), self.connection.get_close_data() or ""]


def main() -> None:
    url, compressed, authority = arguments()
    session = Soup.Session()
    session.set_tls_database(Gio.TlsFileDatabase.new(authority))
    if compressed:
        session.add_feature_by_type(Soup.WebsocketExtensionManager)  # knows permessage-deflate from the start
    client = Client(session, url + "/echo")
    extensions = ["permessage-deflate" if isinstance(extension, Soup.WebsocketExtensionDeflate) else type(extension).__name__
                  for extension in client.connection.get_extensions()]
    for name, data in PAYLOADS.items():
        if client.echo_of(data) != data:
            raise ValueError(f"{name} came back changed")
    ponged = client.pong()
    closed = {"echo": client.close(1000, None), "4321": Client(session, url + "/4321").close(4321, "own code"),
              "none": Client(session, url + "/none").close(Soup.WebsocketCloseCode.NO_STATUS, None)}
    report(list(PAYLOADS), ", ".join(extensions), ponged, closed)


if __name__ == "__main__":
    main()
