# SPDX-License-Identifier: Apache-2.0
"""Asynchronous calls of GLib, awaited."""

import asyncio

from gi.repository import Gio, GLib

from .errors import translated


async def call(begin, finish):
    """begin(cancellable, callback), then finish(result) when it calls back. To be cancelled cancels it, and waits for what that comes to."""
    future = asyncio.get_running_loop().create_future()
    cancellable = Gio.Cancellable()

    def done(_source, result, *_more):
        try:
            value, problem = finish(result), None
        except GLib.Error as error:
            value, problem = None, translated(error)
        if not future.cancelled():
            future.set_exception(problem) if problem else future.set_result(value)

    begin(cancellable, done)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        cancellable.cancel()
        await asyncio.wait([future])
        future.exception()  # looked at, so nobody complains that nobody did
        raise


def run(function, *arguments):
    """The same for calls that answer at once."""
    try:
        return function(*arguments)
    except GLib.Error as error:
        raise translated(error) from None
