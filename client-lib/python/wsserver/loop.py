# SPDX-License-Identifier: Apache-2.0
"""An event loop of asyncio that is GLib's main loop at the same time.

asyncio waits in a selector. This one waits in GLib's main context instead, with the descriptors that asyncio watches in a source there; so
whatever GLib has to do is done while asyncio waits, in the same thread. (PyGObject 3.50 and later can do that themselves.)
"""

import asyncio
import math
import selectors

import gi

gi.require_version("GLib", "2.0")
from gi.repository import GLib  # noqa: E402

TIMEOUT_MAX = 3_600_000  # milliseconds; asyncio looks again afterwards
READABLE = GLib.IOCondition.IN | GLib.IOCondition.HUP | GLib.IOCondition.ERR | GLib.IOCondition.NVAL
WRITABLE = GLib.IOCondition.OUT | GLib.IOCondition.HUP | GLib.IOCondition.ERR | GLib.IOCondition.NVAL


class _Descriptors(GLib.Source):
    """Those that asyncio watches."""

    def __init__(self):
        super().__init__()
        self.tags = {}  # by descriptor
        self.ready = {}  # what the last turn has found

    def prepare(self):
        return False, -1

    def check(self):
        self.ready = {descriptor: condition for descriptor, tag in self.tags.items() if (condition := self.query_unix_fd(tag))}
        return bool(self.ready)

    def dispatch(self, _callback, _arguments):
        return GLib.SOURCE_CONTINUE  # asyncio does the rest


class GLibSelector(selectors.BaseSelector):
    """Waits in `context` for descriptors, and for everything else that is in there."""

    def __init__(self, context):
        self._context = context
        self._keys = {}  # by descriptor
        self._source = _Descriptors()
        self._source.attach(context)

    @staticmethod
    def _descriptor_of(file):
        return file if isinstance(file, int) else int(file.fileno())

    def register(self, fileobj, events, data=None):
        descriptor = self._descriptor_of(fileobj)
        if descriptor in self._keys:
            raise KeyError(f"{fileobj!r} is registered already")
        key = selectors.SelectorKey(fileobj, descriptor, events, data)
        wanted = (READABLE if events & selectors.EVENT_READ else 0) | (WRITABLE if events & selectors.EVENT_WRITE else 0)
        self._source.tags[descriptor] = self._source.add_unix_fd(descriptor, GLib.IOCondition(wanted))
        self._keys[descriptor] = key
        return key

    def unregister(self, fileobj):
        try:
            descriptor = self._descriptor_of(fileobj)
        except ValueError:  # it was closed
            descriptor = next((key.fd for key in self._keys.values() if key.fileobj is fileobj), -1)
        key = self._keys.pop(descriptor)
        self._source.remove_unix_fd(self._source.tags.pop(descriptor))
        return key

    def select(self, timeout=None):
        self._source.ready = {}
        timer = None
        if timeout is not None and timeout > 0:
            timer = GLib.timeout_source_new(min(math.ceil(timeout * 1000), TIMEOUT_MAX))
            timer.set_callback(lambda *_: GLib.SOURCE_REMOVE)
            timer.attach(self._context)
        self._context.iteration(timeout is None or timeout > 0)
        if timer is not None:
            timer.destroy()
        return [(key, events) for descriptor, condition in self._source.ready.items()
                if (key := self._keys.get(descriptor)) and (events := self._events_of(key, condition))]

    @staticmethod
    def _events_of(key, condition):
        found = (selectors.EVENT_READ if condition & READABLE else 0) | (selectors.EVENT_WRITE if condition & WRITABLE else 0)
        return found & key.events

    def get_map(self):
        return {key.fileobj: key for key in self._keys.values()}

    def get_key(self, fileobj):
        return self._keys[self._descriptor_of(fileobj)]

    def close(self):
        self._source.destroy()
        self._keys.clear()


class _EventLoop(asyncio.SelectorEventLoop):
    def __init__(self, context):
        self._context = context
        super().__init__(GLibSelector(context))

    def run_forever(self):
        # What is created while it runs (a server, a bus connection) belongs to this context.
        self._context.push_thread_default()
        try:
            super().run_forever()
        finally:
            self._context.pop_thread_default()


def new_event_loop():
    """A loop for this thread, on its main context: GLib's default one in the main thread."""
    return _EventLoop(GLib.MainContext.ref_thread_default())


def run(main, *, debug=None):
    """As asyncio.run(), on such a loop."""
    with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
        return runner.run(main)
