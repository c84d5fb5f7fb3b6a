# SPDX-License-Identifier: Apache-2.0
"""A file of a FUSE file system that opens, and then answers no read."""

import contextlib
import ctypes
import os
import pathlib
import struct
import threading

GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, INTERRUPT, FORGET = 3, 14, 15, 18, 25, 26, 36, 2
REQUEST = struct.Struct("<IIQQIIII")
ATTRIBUTES = struct.Struct("<QII6Q10I")
MNT_FORCE, MNT_DETACH = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)


class HangingFile:
    """Mounted on `path`, a regular file; OSError where this machine, or this user, cannot mount."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        path.touch()
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.device},rootmode=100644,user_id={os.getuid()},group_id={os.getgid()},allow_other"
        if _libc.mount(b"hanging", os.fsencode(path), b"fuse", 0, options.encode()) != 0:
            number = ctypes.get_errno()
            os.close(self.device)
            raise OSError(number, os.strerror(number))
        self.reads = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def _serve(self) -> None:
        try:
            while True:
                self._answer(os.read(self.device, 1 << 18))
        except OSError:
            pass  # unmounted

    def _answer(self, request: bytes) -> None:
        _length, opcode, unique, *_rest = REQUEST.unpack_from(request)
        self.reads += opcode == READ
        if opcode in (READ, INTERRUPT, FORGET):
            return
        bodies = {INIT: struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 16, 16, 1 << 17, 1, 0, 0, 0), OPEN: struct.pack("<QII", 1, 1, 0),
                  GETATTR: ATTRIBUTES.pack(60, 0, 0, 1, 4000, 8, 0, 0, 0, 0, 0, 0, 0o100644, 1, 0, 0, 0, 4096, 0),
                  FLUSH: b"", RELEASE: b""}
        body = bodies.get(opcode)
        error = 0 if body is not None else -38
        os.write(self.device, struct.pack("<IiQ", 16 + len(body or b""), error, unique) + (body or b""))

    def close(self) -> None:
        """Whoever still waits for a read gets an error. Before that not even SIGKILL ends him."""
        if not self.path:
            return
        _libc.umount2(os.fsencode(self.path), MNT_FORCE | MNT_DETACH)
        for fd in (self.fd, self.device):
            with contextlib.suppress(OSError):  # there is nobody any more who could be told of the end
                os.close(fd)
        self.path = None
