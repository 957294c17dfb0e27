"""The rules of the work queue's character device, after drivers/dma/idxd/cdev.c (v6.12)."""

from __future__ import annotations

import errno
import itertools
import select
import threading
from collections.abc import Callable
from typing import Protocol

from pasidlab.live.libc import PAGE
from pasidlab.live.nodes import WqNode
from pasidlab.live.state import Iommu, Mm, OpenFile, Thread

_BATCH = 1
_RETRIES = 64  # wq enqcmds_retries, the driver's default
_EVENTS = select.POLLIN | 0x40  # EPOLLRDNORM


class Queues(Protocol):
    """Where accepted descriptors go."""

    def submit(self, node: WqNode, pasid: int, descriptor: bytes, thread: Thread, via: str, ip: int) -> bool:
        """False: retry."""

    def drain(self, node: WqNode, mm: Mm) -> None:
        """Return when nothing of this address space is outstanding on the queue."""

    def software_error(self, node: WqNode) -> bool:
        """Whether the device has recorded an error it could not report otherwise (SWERR)."""


class CharacterDevices:
    """All open device files. Called from the FUSE thread and the tracer; both hold ``lock`` around shared state."""

    def __init__(
        self, threads: dict[int, Thread], iommu: Iommu, queues: Queues, lock: threading.RLock,
        bound: Callable[[Thread], None], *, safe: bool,
    ) -> None:  # fmt: skip
        self.threads, self.iommu, self.queues, self.lock, self.bound = threads, iommu, queues, lock, bound
        self.safe = safe  # user_submission_safe; false: mmap is refused, INTEL-SA-01084
        self.handles: dict[int, OpenFile] = {}
        self.identified: OpenFile | None = None
        self.waiting: list[tuple[WqNode, Callable[[], None]]] = []
        self._numbers = itertools.count(1)

    def _mm(self, tid: int) -> Mm | None:
        thread = self.threads.get(tid)
        return thread.mm if thread else None

    def open(self, tid: int, node: WqNode, flags: int) -> int:
        """Binds the opener's address space. EBUSY for a dedicated queue already open."""
        with self.lock:
            thread = self.threads.get(tid)
            if thread is None:
                raise OSError(errno.EACCES, "")
            mm = thread.mm
            if node.wq.mode == "dedicated" and self.clients(node):
                raise OSError(errno.EBUSY, "")
            self.iommu.bind(mm)
            self.bound(thread)
            file = OpenFile(next(self._numbers), node, mm, tid, flags)
            self.handles[file.handle] = file
            return file.handle

    def clients(self, node: WqNode) -> int:
        """Open files of one queue."""
        return sum(file.node is node for file in self.handles.values())

    def mmap_error(self, file: OpenFile, mm: Mm, length: int) -> int:
        """The errno with which mmap(2) fails, 0 if it may go ahead."""
        if not self.safe or file.mm is not mm:
            return errno.EPERM
        return errno.EINVAL if length > PAGE else 0

    def write(self, tid: int, handle: int, data: bytes) -> int:
        """Submits 64-byte descriptors; bytes accepted before the first that is not."""
        with self.lock:
            file, thread = self.handles[handle], self.threads.get(tid)
            if thread is None or thread.mm is not file.mm:
                raise OSError(errno.EPERM, "")
            written = 0
            while written + 64 <= len(data):
                error = self._submit(file, data[written : written + 64], thread)
                if error and not written:
                    raise OSError(error, "")
                if error:
                    break
                written += 64
            return written

    def _submit(self, file: OpenFile, descriptor: bytes, thread: Thread) -> int:
        alignment = 64 if file.node.device.kind == "iax" else 32
        completion = int.from_bytes(descriptor[8:16], "little")
        if completion % alignment or (not self.safe and descriptor[7] == _BATCH):
            return errno.EINVAL
        for _ in range(_RETRIES):
            if self.queues.submit(file.node, file.mm.pasid, descriptor, thread, "write", 0):
                return 0
        return errno.EAGAIN

    def poll(self, tid: int, handle: int, wake: Callable[[], None]) -> int:
        """POLLIN once the device has a software error; POLLNVAL for another address space."""
        with self.lock:
            file = self.handles[handle]
            if self._mm(tid) is not file.mm:
                return select.POLLNVAL
            if self.queues.software_error(file.node):
                return _EVENTS
            self.waiting.append((file.node, wake))
            return 0

    def wake(self, node: WqNode) -> None:
        """A software error was recorded for this queue: those who poll it look again (its err_queue)."""
        waiting, self.waiting = self.waiting, []
        for other, wake in waiting:
            if other is node:
                wake()
            else:
                self.waiting.append((other, wake))

    def flush(self, tid: int, handle: int) -> None:
        """close(2) in the address space that opened the file waits for its descriptors."""
        with self.lock:
            file = self.handles.get(handle)
            if file and self._mm(tid) is file.mm:
                self.queues.drain(file.node, file.mm)

    def release(self, handle: int) -> None:
        """The last reference is gone: drain, then unbind (idxd_file_dev_release)."""
        with self.lock:
            file = self.handles.pop(handle, None)
            if file is None:
                return
            self.queues.drain(file.node, file.mm)
            self.iommu.unbind(file.mm)
            for page in [page for page, portal in file.mm.portals.items() if portal.file is file]:
                del file.mm.portals[page]

    def identify(self, handle: int) -> None:
        """Remembers which open file the tracer's fsync(2) reached."""
        self.identified = self.handles.get(handle)
