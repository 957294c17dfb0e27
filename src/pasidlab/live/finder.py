"""Which file of the device tree a descriptor of the program stands for, where the tree is a file system of our own."""

from __future__ import annotations

import os

from pasidlab.live.cdev import CharacterDevices
from pasidlab.live.fuse import FuseServer
from pasidlab.live.libc import descriptor_of, device_number
from pasidlab.live.nodes import Attribute, Binary, Directory, WqNode
from pasidlab.live.served import Patient
from pasidlab.live.state import OpenFile, Thread


class NamedFiles:
    """Knows files by their names; of several open files with one name, fsync(2) on a duplicate tells which it is.

    That waits for the lock of the file's inode (fuse_fsync(), v6.12), which a write(2) of the program holds until it is
    answered. So a thread of its own asks.
    """

    def __init__(self, tree: Directory, files: CharacterDevices, server: FuseServer | None, patient: Patient) -> None:
        self.tree, self.files, self.server, self.patient = tree, files, server, patient

    def open_file(self, thread: Thread, number: int) -> OpenFile | Attribute | Binary | None:
        """As Finder."""
        try:
            path = os.readlink(f"/proc/{thread.tid}/fd/{number}")
        except OSError:
            return None
        node = self.tree.find(path)
        if isinstance(node, Attribute | Binary):
            return node
        return self._which(thread, number, node) if isinstance(node, WqNode) else None

    def _which(self, thread: Thread, number: int, node: WqNode) -> OpenFile | None:
        server, pid = self.server, thread.process.pid
        assert server is not None
        try:
            if server.device == 0 or device_number(thread.tid, number) != server.device:
                return None  # a file of the program's own making at the same path: asking it could last
        except OSError:
            return None
        known = [file for file in self.files.handles.values() if file.node is node]
        if len(known) < 2:
            return known[0] if known else None
        handle = self.patient.call(lambda: _asked(server, pid, number))
        if handle >= 0:
            return self.files.handles.get(handle)
        return next((file for file in reversed(known) if file.mm is thread.mm), None)


def _asked(server: FuseServer, pid: int, number: int) -> int:
    """The handle of an open file of ours, 0 for none; -1 where pidfd_getfd(2) is forbidden, by a container's profile, say."""
    try:
        duplicate = descriptor_of(pid, number)
    except OSError:
        return -1
    with server.asked() as found:
        try:
            os.fsync(duplicate)
        except OSError:
            return 0
        finally:
            os.close(duplicate)
        return found.handle
