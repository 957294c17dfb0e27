"""Files of the machine, for gdb to read symbols from (GDB manual, appendix E, "Host I/O Packets"). Nothing is written."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable

from pasidlab.live.gdb_packets import escaped

_EINVAL, _EBADF, _EACCES = 22, 9, 13  # of the protocol, "Errno Values"
_ERRNO = {1, 2, 4, 9, 13, 14, 16, 17, 19, 20, 21, 22, 23, 24, 27, 28, 29, 30}  # these are the same; 91: too long a name
_UNKNOWN = 9999
_MOST_FILES, _MOST_BYTES = 64, 0x1E00
_STAT = struct.Struct(">IIIIIIIQQQIII")  # "struct stat" of the protocol


class HostFiles:
    """The files that one gdb has open."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def close(self) -> None:
        """gdb is gone."""
        while self._open:
            os.close(self._open.pop())

    def answer(self, request: bytes) -> bytes:
        """The reply to ``vFile:...``; empty for what is not known."""
        name, _, rest = request.partition(b":")
        arguments = rest.split(b",")
        operations: dict[bytes, Callable[[], bytes]] = {
            b"setfs": lambda: b"F0",
            b"open": lambda: self._open_file(os.fsdecode(bytes.fromhex(arguments[0].decode())), int(arguments[1], 16)),
            b"close": lambda: self._close(int(arguments[0], 16)),
            b"pread": lambda: self._read(*(int(one, 16) for one in arguments[:3])),
            b"fstat": lambda: self._status(int(arguments[0], 16)),
            b"readlink": lambda: _attached(os.fsencode(os.readlink(bytes.fromhex(rest.decode())))),
        }
        if name not in operations:
            return b""
        try:
            return operations[name]()
        except OSError as error:
            return b"F-1,%x" % (error.errno if error.errno in _ERRNO else _UNKNOWN)
        except (ValueError, IndexError, TypeError, OverflowError):
            return b"F-1,%x" % _EINVAL

    def _open_file(self, path: str, flags: int) -> bytes:
        if flags & 3 or len(self._open) >= _MOST_FILES:  # O_WRONLY, O_RDWR
            return b"F-1,%x" % _EACCES
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            return b"F-1,%x" % _EACCES
        self._open.add(file)
        return b"F%x" % file

    def _known(self, file: int) -> int:
        if file not in self._open:
            raise OSError(_EBADF, os.strerror(_EBADF))
        return file

    def _close(self, file: int) -> bytes:
        os.close(self._known(file))
        self._open.discard(file)
        return b"F0"

    def _read(self, file: int, count: int, offset: int) -> bytes:
        return _attached(os.pread(self._known(file), min(count, _MOST_BYTES), offset))

    def _status(self, file: int) -> bytes:
        s = os.fstat(self._known(file))
        fields = (s.st_dev, s.st_ino, s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_rdev)
        times = (int(s.st_atime), int(s.st_mtime), int(s.st_ctime))
        low = [number & 0xFFFFFFFF for number in (*fields, *times)]
        return _attached(_STAT.pack(*low[:7], s.st_size, s.st_blksize, s.st_blocks, *low[7:]))


def _attached(data: bytes) -> bytes:
    return b"F%x;" % len(data) + escaped(data)
