# SPDX-License-Identifier: Apache-2.0
"""A TCP relay on loopback that counts: what a client and a server really put on the wire, whatever they say they do."""

import contextlib
import socket
import threading


class Relay:
    """Passes connections to its `port` on to the server's, both ways, each way's end as well. `sent` and `received` are
    octets as the clients see them."""

    def __init__(self, server_port: int, host: str = "127.0.0.1"):
        self.server = (host, server_port)
        self.sent = 0
        self.received = 0
        self._count = threading.Lock()
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]
        self._threads: list = []
        self._accepting = self._run(self._accept)

    def _run(self, function, *arguments) -> threading.Thread:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.server)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._run(self._pass_both_ways, client, server)

    def _pass_both_ways(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            upwards = self._run(self._pass, client, server, "sent")
            self._pass(server, client, "received")
            upwards.join()

    def _pass(self, source: socket.socket, target: socket.socket, counter: str) -> None:
        try:
            while octets := source.recv(1 << 18):
                with self._count:
                    setattr(self, counter, getattr(self, counter) + len(octets))
                target.sendall(octets)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, target):  # one is gone: so is the other then, and whoever waits for it wakes up
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()
