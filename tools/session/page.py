# SPDX-License-Identifier: Apache-2.0
"""A web server for the demo's one page. It serves that file and nothing else, whatever path is asked for."""

import http.server
import pathlib
import socket
import threading
import urllib.parse

PAGE = pathlib.Path(__file__).resolve().parents[2] / "client-lib" / "examples" / "second-screen" / "index.html"


class _Handler(http.server.BaseHTTPRequestHandler):
    def _answer(self, with_body):
        if urllib.parse.urlsplit(self.path).path != "/":
            self.send_error(404)
            return
        content = PAGE.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def do_GET(self):
        self._answer(with_body=True)

    def do_HEAD(self):
        self._answer(with_body=False)

    def log_message(self, *_):
        pass


def in_url(address):
    return f"[{address}]" if ":" in address else address


class Page:
    """Listens from the constructor on, in a thread, on a free port."""

    def __init__(self, address):
        kind = type("Server", (http.server.ThreadingHTTPServer,), {"daemon_threads": True})
        if ":" in address:
            kind.address_family = socket.AF_INET6
        self.server = kind((address, 0), _Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def origin(self, host):
        return f"http://{in_url(host)}:{self.port}"

    def url(self, host, websocket_url):
        query = urllib.parse.urlencode({"ws": websocket_url}, safe=":/[]")
        return f"{self.origin(host)}/?{query}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
