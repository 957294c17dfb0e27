"""Which file of the device tree a descriptor of the program stands for. The tree is a file system of our own."""

from __future__ import annotations

import contextlib
import os

from pasidlab.live.cdev import CharacterDevices
from pasidlab.live.descriptors import text_file
from pasidlab.live.fuse import FuseServer
from pasidlab.live.libc import descriptor_of, device_of
from pasidlab.live.nodes import Attribute, Binary, Directory, Node, WqNode
from pasidlab.live.served import Patient
from pasidlab.live.state import OpenFile, Thread


class ServedFiles:
    """Knows files by their numbers in our file system, whatever names mounts and chroot(2) give them. Of several open files of
    one number, fsync(2) on a duplicate tells which it is.

    That waits for the lock of the file's inode (fuse_fsync(), v6.12). A write(2) of the program holds this lock until it is answered. So a
    thread of its own asks.
    """

    def __init__(self, tree: Directory, files: CharacterDevices, server: FuseServer, patient: Patient) -> None:
        self.tree, self.files, self.server, self.patient = tree, files, server, patient

    def open_file(self, thread: Thread, number: int) -> OpenFile | Attribute | Binary | None:
        """See ``Finder.open_file``."""
        node = None
        with contextlib.suppress(OSError):
            if device_of(thread.tid, number) == self.server.device:
                node = self._node(f"/proc/{thread.tid}/fdinfo/{number}", f"/proc/{thread.tid}/fd/{number}")
        if isinstance(node, Attribute | Binary):
            return node
        return self._which(thread, number, node) if isinstance(node, WqNode) else None

    def _node(self, about: str, link: str) -> Node | None:
        """By the number of the inode (fdinfo has it since Linux 5.14), else by the name."""
        with text_file(about) as file:
            inode = next((int(line.split()[1]) for line in file if line.startswith("ino:")), 0)
        return self.server.nodes.get(inode) if inode else self.tree.find(os.readlink(link))

    def _which(self, thread: Thread, number: int, node: WqNode) -> OpenFile | None:
        server, tid, pid = self.server, thread.tid, thread.process.pid
        known = [file for file in self.files.handles.values() if file.node is node]
        if len(known) < 2:
            return known[0] if known else None
        handle = self.patient.call(lambda: _asked(server, tid, pid, number))
        if handle >= 0:
            return self.files.handles.get(handle)
        return next((file for file in reversed(known) if file.mm is thread.mm), None)


def _asked(server: FuseServer, tid: int, pid: int, number: int) -> int:
    """The handle of an open file of ours, 0 for none; -1 where pidfd_getfd(2) is forbidden, by a container's profile, say."""
    try:
        duplicate = descriptor_of(tid, pid, number)
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
