"""A small FUSE server (linux/fuse.h, protocol 7.31): serves a tree to the program, with live attributes and device files.

The kernel counts references to open files for us: RELEASE comes when the last descriptor and the last mapping are gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Protocol

from pasidlab.errors import PasidlabError
from pasidlab.live import workers
from pasidlab.live.nodes import Attribute, Binary, Directory, Link, Node, WqNode


class Opcode(IntEnum):
    """The requests of the kernel (enum fuse_opcode)."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    INTERRUPT = 36
    DESTROY = 38
    POLL = 40
    BATCH_FORGET = 42


_ACTS = frozenset({Opcode.OPEN, Opcode.WRITE, Opcode.RELEASE, Opcode.FLUSH, Opcode.POLL})
_NO_REPLY = frozenset({Opcode.FORGET, Opcode.INTERRUPT, Opcode.BATCH_FORGET})
_IN = struct.Struct("<IIQQIIIHH")
_ATTR = struct.Struct("<6Q10I")
_FOREVER = 3600  # seconds the kernel may keep names and attributes
_MAX_WRITE = 1 << 17
_INIT_FLAGS = 1 | 1 << 3 | 1 << 5 | 1 << 18  # ASYNC_READ, ATOMIC_O_TRUNC, BIG_WRITES, PARALLEL_DIROPS
_FOPEN_DIRECT_IO = 1
_NOTIFY_POLL = 1
_DT_REG = 8  # kinds of directory entries (dirent.h)
_ENTRY_KINDS = {Directory: 4, Link: 10}

Handler = Callable[[int, int, bytes], bytes]
"""Answers a request: (node, thread that asks, what follows the header) -> what follows the reply's."""


class DeviceFiles(Protocol):
    """What the server asks of the character devices. Errors are OSError with the errno for the program."""

    def open(self, tid: int, node: WqNode, flags: int) -> int:
        """A handle for a new open file."""

    def write(self, tid: int, handle: int, data: bytes) -> int:
        """Bytes accepted."""

    def poll(self, tid: int, handle: int, wake: Callable[[], None]) -> int:
        """Events ready now; ``wake`` is to be called when that changes."""

    def waits_at_close(self, tid: int, handle: int) -> bool:
        """Whether ``flush`` would wait. The server's own thread asks."""

    def flush(self, tid: int, handle: int) -> None:
        """close(2) of one descriptor."""

    def release(self, handle: int) -> None:
        """The last descriptor and mapping are gone."""


@dataclass
class OpenedFile:
    """What a thread of ours has learnt of an open file."""

    handle: int = 0  # 0: nothing


class FuseServer:
    """Serves ``root`` on the /dev/fuse descriptor ``fd`` from its own thread until the file system is unmounted.

    That thread answers what only looks. What acts, on a device file or by writing to sysfs, is ``post``ed: the thread of
    the tracer does it and replies. So the server never waits, neither for the tracer nor for the program.
    """

    def __init__(self, fd: int, root: Directory, files: DeviceFiles, post: Callable[[Callable[[], None]], None]) -> None:
        self.fd, self.files, self.post, self.tracer = fd, files, post, threading.get_native_id()
        self.device = 0  # st_dev of what is served, once it is known
        self._asked: dict[int, OpenedFile] = {}  # by the thread of ours that asks
        self.nodes: dict[int, Node] = {1: root}
        self.numbers: dict[int, int] = {id(root): 1}
        self.handlers: dict[int, Handler] = {
            Opcode.INIT: self._init, Opcode.LOOKUP: self._lookup, Opcode.GETATTR: self._getattr, Opcode.SETATTR: self._getattr,
            Opcode.READLINK: self._readlink, Opcode.OPEN: self._open, Opcode.OPENDIR: lambda n, t, b: bytes(16), Opcode.READ: self._read,
            Opcode.READDIR: self._readdir, Opcode.WRITE: self._write, Opcode.RELEASE: self._release, Opcode.RELEASEDIR: lambda n, t, b: b"",
            Opcode.FLUSH: self._flush, Opcode.FSYNC: self._fsync, Opcode.POLL: self._poll, Opcode.DESTROY: lambda n, t, b: b"",
            Opcode.STATFS: lambda n, t, b: struct.pack("<5Q10I", 0, 0, 0, 0, 0, 4096, 255, 4096, *([0] * 7)),
        }  # fmt: skip

    def start(self) -> None:
        """Begin to serve."""
        workers.start_thread(self._serve, "fuse", self.post)

    @contextlib.contextmanager
    def asked(self) -> Iterator[OpenedFile]:
        """Within it an fsync(2) of the calling thread, which is one of ours, tells which open file it reached."""
        tid = threading.get_native_id()
        found = self._asked[tid] = OpenedFile()
        try:
            yield found
        finally:
            del self._asked[tid]

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self.fd, _MAX_WRITE + 4096)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                return  # ENODEV: unmounted; EBADF: closed
            length, opcode, unique, number, _, _, tid, _, _ = _IN.unpack_from(request)
            if opcode in _NO_REPLY:
                continue
            handler = self.handlers.get(opcode)
            work = partial(self._answer, handler, unique, number, tid, request[_IN.size : length])
            if (tid == self.tracer or tid in self._asked) and opcode in _ACTS:
                self._reply(-errno.EACCES if opcode == Opcode.OPEN else 0, unique, b"")  # only to close what it looked at
            elif opcode in _ACTS and self._acts(opcode, number, tid, request):
                self.post(work)
            elif opcode == Opcode.FLUSH:
                self._reply(0, unique, b"")
            else:
                work()

    def _acts(self, opcode: int, number: int, tid: int, request: bytes) -> bool:
        """Whether the tracer's thread must answer. exec(2), whose locks that thread may need, only ever closes."""
        if opcode == Opcode.WRITE or not isinstance(self.nodes.get(number), WqNode):
            return opcode == Opcode.WRITE
        return opcode != Opcode.FLUSH or self.files.waits_at_close(tid, struct.unpack_from("<Q", request, _IN.size)[0])

    def _answer(self, handler: Handler | None, unique: int, number: int, tid: int, body: bytes) -> None:
        code, answer = 0, b""
        try:
            if handler is None:
                code = -errno.ENOSYS
            else:
                answer = handler(number, tid, body)
        except OSError as error:
            code = -(error.errno or errno.EIO)
        except PasidlabError:
            self._reply(-errno.EIO, unique, b"")
            raise
        except Exception:  # a bug of ours must not leave the program waiting for ever
            traceback.print_exc()
            code = -errno.EIO
        self._reply(code, unique, answer)

    def _reply(self, code: int, unique: int, body: bytes) -> None:
        try:
            os.write(self.fd, struct.pack("<IiQ", 16 + len(body), code, unique) + body)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EBADF):  # request interrupted, or unmounted
                raise

    # What each request means; ``number`` is the node, ``tid`` the thread that asked.

    def _init(self, number: int, tid: int, body: bytes) -> bytes:
        flags = struct.unpack_from("<4I", body)[3]
        return struct.pack("<4I2H2I2H8I", 7, 31, 65536, flags & _INIT_FLAGS, 16, 12, _MAX_WRITE, 1, 0, 0, *([0] * 8))

    def _number(self, node: Node) -> int:
        number = self.numbers.get(id(node))
        if number is None:
            number = self.numbers[id(node)] = len(self.nodes) + 1
            self.nodes[number] = node
        return number

    def _attributes(self, node: Node) -> bytes:
        mode, size = stat.S_IFDIR | 0o755, 0
        if isinstance(node, Link):
            mode, size = stat.S_IFLNK | 0o777, len(node.target)
        elif isinstance(node, Attribute):
            mode, size = stat.S_IFREG | (0o644 if node.write else 0o444), 4096
        elif isinstance(node, Binary):
            mode, size = stat.S_IFREG | 0o644, len(node.data)
        elif isinstance(node, WqNode):
            mode = stat.S_IFREG | 0o666
        return _ATTR.pack(self._number(node), size, 0, 0, 0, 0, 0, 0, 0, mode, 1, os.getuid(), os.getgid(), 0, 4096, 0)

    def _lookup(self, number: int, tid: int, body: bytes) -> bytes:
        directory = self.nodes[number]
        node = directory.entries.get(body.rstrip(b"\0").decode(errors="replace")) if isinstance(directory, Directory) else None
        if node is None:
            raise OSError(errno.ENOENT, "")
        lasting = 0 if isinstance(node, WqNode) or (isinstance(node, Link) and not node.lasting) else _FOREVER
        return struct.pack("<4Q2I", self._number(node), 0, lasting, lasting, 0, 0) + self._attributes(node)

    def _getattr(self, number: int, tid: int, body: bytes) -> bytes:
        node = self.nodes[number]
        return struct.pack("<Q2I", 0 if isinstance(node, WqNode) else _FOREVER, 0, 0) + self._attributes(node)

    def _readlink(self, number: int, tid: int, body: bytes) -> bytes:
        node = self.nodes[number]
        if not isinstance(node, Link):
            raise OSError(errno.EINVAL, "")
        return node.target.encode()

    def _open(self, number: int, tid: int, body: bytes) -> bytes:
        node = self.nodes[number]
        flags = struct.unpack_from("<I", body)[0]
        if isinstance(node, WqNode):
            return struct.pack("<QII", self.files.open(tid, node, flags), 0, 0)
        if isinstance(node, Attribute) and not node.write and flags & os.O_ACCMODE != os.O_RDONLY:
            raise OSError(errno.EACCES, "")
        return struct.pack("<QII", 0, _FOPEN_DIRECT_IO, 0)

    def _read(self, number: int, tid: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        node = self.nodes[number]
        if isinstance(node, Binary):
            return node.read(offset, size)
        if not isinstance(node, Attribute):
            raise OSError(errno.EINVAL, "")
        return node.content()[offset : offset + size]

    def _readdir(self, number: int, tid: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        directory = self.nodes[number]
        assert isinstance(directory, Directory)
        out = b""
        entries: list[tuple[str, Node]] = [(".", directory), ("..", directory), *directory.entries.items()]
        for position, (name, node) in enumerate(entries[offset:], offset + 1):
            kind = next((kind for cls, kind in _ENTRY_KINDS.items() if isinstance(node, cls)), _DT_REG)
            entry = struct.pack("<QQII", self._number(node), position, len(name), kind) + name.encode()
            entry = entry.ljust(-(-len(entry) // 8) * 8, b"\0")
            if len(out) + len(entry) > size:
                break
            out += entry
        return out

    def _write(self, number: int, tid: int, body: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        data, node = body[40 : 40 + size], self.nodes[number]
        if isinstance(node, WqNode):
            size = self.files.write(tid, handle, data)
        elif isinstance(node, Binary):
            node.write(offset, data)
        elif isinstance(node, Attribute) and node.write:
            node.write(data.decode(errors="replace"))
        else:
            raise OSError(errno.EACCES, "")
        return struct.pack("<II", size, 0)

    def _wq_handle(self, number: int, body: bytes) -> int | None:
        return struct.unpack_from("<Q", body)[0] if isinstance(self.nodes[number], WqNode) else None

    def _release(self, number: int, tid: int, body: bytes) -> bytes:
        handle = self._wq_handle(number, body)
        if handle is not None:
            self.files.release(handle)
        return b""

    def _flush(self, number: int, tid: int, body: bytes) -> bytes:
        handle = self._wq_handle(number, body)
        if handle is not None:
            self.files.flush(tid, handle)
        return b""

    def _fsync(self, number: int, tid: int, body: bytes) -> bytes:
        handle = self._wq_handle(number, body)
        asked = self._asked.get(tid)
        if handle is None or asked is None:
            raise OSError(errno.EINVAL, "")  # as the real device: it has no fsync operation
        asked.handle = handle
        return b""

    def _poll(self, number: int, tid: int, body: bytes) -> bytes:
        handle, key = struct.unpack_from("<QQ", body)
        if not isinstance(self.nodes[number], WqNode):
            raise OSError(errno.ENOSYS, "")
        events = self.files.poll(tid, handle, lambda: self._wake(key))
        return struct.pack("<II", events, 0)

    def _wake(self, key: int) -> None:
        try:
            os.write(self.fd, struct.pack("<IiQQ", 24, _NOTIFY_POLL, 0, key))
        except OSError:
            return  # nobody polls any more
