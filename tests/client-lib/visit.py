# SPDX-License-Identifier: Apache-2.0
"""One visit of a WsClient to a server, through introspection: prints what happens, a JSON line each. Run by client_world.py in an
environment that has the typelib.

    visit.py URL <<< '{"config": {"property": value}, "headers": {"name": "value"}, "send": ["text", {"binary": hex}, ...],
                   "close": [code, reason] once everything came back, "cancel": milliseconds}'
"""

import json
import sys

import gi

gi.require_version("Ws", "0")
from gi.repository import Gio, GLib, Ws  # noqa: E402


def say(event, *values):
    print(json.dumps([event, *values]), flush=True)


class Visit:
    def __init__(self, url, plan):
        self.loop = GLib.MainLoop()
        self.plan = plan
        self.left = len(plan.get("send", []))
        self.client = Ws.Client()
        self.client.connect("open", lambda _, status, text: say("open", status, self.client.get_protocol()))
        self.client.connect("header-receive", lambda _, headers: say("headers", dict(headers)))
        self.client.connect("message", self.on_message)
        self.client.connect("data-end", lambda _: say("data-end"))
        self.client.connect("error", lambda _, error: say("error", error.message))
        self.client.connect("close", self.on_close)
        config = Ws.ClientConfig()
        config.props.proxy_mode = Ws.ProxyMode.NONE
        for name, value in plan.get("config", {}).items():
            config.set_property(name, getattr(Ws.ProxyMode, value.upper()) if name == "proxy-mode" else value)
        for name, value in plan.get("headers", {}).items():
            config.add_header(name, value)
        cancellable = Gio.Cancellable()
        if "cancel" in plan:
            GLib.timeout_add(plan["cancel"], cancellable.cancel)
        self.client.connect_async(url, config, cancellable, self.on_connected)

    def on_connected(self, client, result):
        try:
            client.connect_finish(result)
        except GLib.Error as error:
            say("failed", error.domain, error.code, error.message)
            GLib.idle_add(self.loop.quit)
            return
        for data in self.plan.get("send", []):
            if isinstance(data, dict):
                message = Ws.Message.new_binary(GLib.Bytes.new(bytes.fromhex(data["binary"])))
            else:
                message = Ws.Message.new_text_from_bytes(GLib.Bytes.new(data.encode()))
            client.send_async(message, None, lambda client, result: client.send_finish(result))

    def on_message(self, client, message):
        data = message.get_bytes().get_data() or b""
        say("message", data.decode() if message.is_text() else {"binary": data.hex()})
        self.left -= 1
        if self.left == 0 and "close" in self.plan:
            client.close(*self.plan["close"])

    def on_close(self, _client, code, reason, clean):
        say("close", code, reason, clean)
        self.loop.quit()


if __name__ == "__main__":
    visit = Visit(sys.argv[1], json.load(sys.stdin))
    visit.loop.run()
