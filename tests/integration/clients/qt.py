#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""qt.py URL yes|no CA: the exchange with Qt's QWebSocket, which knows no compression and cannot close without a code."""

from payloads import PAYLOADS, arguments, report
from PyQt5.QtCore import QByteArray, QCoreApplication, QEventLoop, QUrl
from PyQt5.QtNetwork import QAbstractSocket, QSslCertificate, QSslConfiguration
from PyQt5.QtWebSockets import QWebSocket, QWebSocketProtocol


class Client:
    """A connection and what has just come on it; every call waits for its end."""

    def __init__(self, url: str, authority: str):
        self.loop = QEventLoop()
        self.come: list = []
        self.ponged = None
        self.socket = QWebSocket()
        configuration = QSslConfiguration.defaultConfiguration()
        configuration.setCaCertificates(QSslCertificate.fromPath(authority))
        self.socket.setSslConfiguration(configuration)
        self.socket.connected.connect(self.loop.quit)
        self.socket.disconnected.connect(self.loop.quit)
        self.socket.textMessageReceived.connect(self._on_message)
        self.socket.binaryMessageReceived.connect(lambda octets: self._on_message(octets.data()))
        self.socket.pong.connect(self._on_pong)
        self.socket.open(QUrl(url))
        self.loop.exec_()
        if not self.socket.isValid():
            raise ConnectionError(self.socket.errorString())

    def _on_message(self, data: str | bytes) -> None:
        self.come.append(data)
        self.loop.quit()

    def _on_pong(self, _milliseconds: int, octets: QByteArray) -> None:
        self.ponged = octets.data() == b"mark"
        self.loop.quit()

    def echo_of(self, data: str | bytes):
        if isinstance(data, str):
            self.socket.sendTextMessage(data)
        else:
            self.socket.sendBinaryMessage(QByteArray(data))
        self.loop.exec_()
        return self.come.pop(0) if self.come else f"closed with {self.socket.closeCode()}"

    def pong(self) -> bool:
        self.socket.ping(QByteArray(b"mark"))
        self.loop.exec_()
        return self.ponged

    def close(self, code: int, reason: str) -> list:
        """Qt hangs up as soon as it has sent its Close, and before this returns when the socket takes all at once."""
        self.socket.close(QWebSocketProtocol.CloseCode(code), reason)
        if self.socket.state() != QAbstractSocket.UnconnectedState:
            self.loop.exec_()
        return [int(self.socket.closeCode()), self.socket.closeReason()]


def main() -> None:
    url, _compressed, authority = arguments()
    _application = QCoreApplication([])  # event loops need it to be there
    client = Client(url + "/echo", authority)
    for name, data in PAYLOADS.items():
        if client.echo_of(data) != data:
            raise ValueError(f"{name} came back changed")
    ponged = client.pong()
    closed = {"echo": client.close(1000, ""), "4321": Client(url + "/4321", authority).close(4321, "own code")}
    report(list(PAYLOADS), None, ponged, closed)


if __name__ == "__main__":
    main()
