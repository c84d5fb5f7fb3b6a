# SPDX-License-Identifier: Apache-2.0
"""What goes wrong."""

import re

from gi.repository import GLib, Ws

DOMAIN = GLib.quark_to_string(Ws.error_quark())


class Error(Exception):
    """`code` is the guide's number, `name` that of the D-Bus interface, such as "PortInUse"."""

    def __init__(self, code, name, message):
        super().__init__(message)
        self.code = code
        self.name = name


class ConnectionClosed(Error):
    """The connection is over. `close_code` and `reason` are those of the Close frame; 1006: there was none. `clean`: both sides have sent one."""

    def __init__(self, close_code, reason, clean):
        super().__init__(2302006, "ConnectionNotFound", f"the connection is closed: {close_code}{' ' + reason if reason else ''}")
        self.close_code = close_code
        self.reason = reason
        self.clean = clean


def _name_of(number):
    """PortInUse of WS_ERROR_PORT_IN_USE."""
    return "".join(word.capitalize() for word in re.split("[-_]", Ws.Error(number).value_nick))


def translated(error):
    """The library's error as one of ours; others as they are."""
    if not isinstance(error, GLib.Error) or error.domain != DOMAIN:
        return error
    return Error(Ws.error_get_number(error), _name_of(error.code), error.message)
