"""Which file of the device tree a descriptor of the program stands for, where the tree is a file system of our own."""

from __future__ import annotations

import os

from pasidlab.live.cdev import CharacterDevices
from pasidlab.live.fuse import FuseServer
from pasidlab.live.libc import descriptor_of, device_number
from pasidlab.live.nodes import Attribute, Binary, Directory, WqNode
from pasidlab.live.state import OpenFile, Thread


class NamedFiles:
    """Knows files by their names; of several open files with one name, fsync(2) on a duplicate tells which it is."""

    def __init__(self, tree: Directory, files: CharacterDevices, server: FuseServer | None) -> None:
        self.tree, self.files, self.server = tree, files, server

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
        try:
            duplicate = descriptor_of(thread.process.pid, number)
        except OSError:  # forbidden by a container's seccomp profile: the process's latest open file of that name
            mine = [file for file in self.files.handles.values() if file.mm is thread.mm]
            return next((file for file in reversed(mine) if file.node is node), None)
        try:
            assert self.server is not None
            if self.server.device == 0 or device_number(duplicate) != self.server.device:
                return None  # a file of the program's own making at the same path: asking it could last
            self.server.identified = 0
            os.fsync(duplicate)
            return self.files.handles.get(self.server.identified)
        except OSError:
            return None
        finally:
            os.close(duplicate)
