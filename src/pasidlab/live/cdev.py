"""The rules of the work queue's character device, after drivers/dma/idxd/cdev.c (v6.12)."""

from __future__ import annotations

import errno
import itertools
import select
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from pasidlab.live.libc import PAGE
from pasidlab.live.nodes import WqNode
from pasidlab.live.state import AddressSpace, Iommu, OpenFile, Thread
from pasidlab.live.status import status_of

_BATCH = 1
_TURN = 64  # descriptors that one write(2) submits before others have their turn
_RETRIES = 64  # wq enqcmds_retries, the driver's default
_EVENTS = select.POLLIN | 0x40  # EPOLLRDNORM


class SubmissionQueues(Protocol):
    """Where accepted descriptors go."""

    def submit(self, node: WqNode, pasid: int, descriptor: bytes, thread: Thread, via: str, ip: int) -> bool:
        """False: retry."""

    def drain(self, node: WqNode, mm: AddressSpace, tid: int) -> None:
        """Return when nothing of this address space is outstanding on the queue, or when ``tid``, which waits, must die
        (0: nobody waits).
        """

    def software_error(self, node: WqNode) -> bool:
        """Whether the device has recorded an error it could not report otherwise (SWERR)."""

    def breathe(self) -> None:
        """Let others have their turn."""


class CharacterDevices:
    """All open device files. Only the tracer thread calls it."""

    def __init__(
        self, threads: dict[int, Thread], iommu: Iommu, queues: SubmissionQueues, bound: Callable[[Thread], None], *, safe: bool
    ) -> None:
        self.threads, self.iommu, self.queues, self.bound = threads, iommu, queues, bound
        self.safe = safe  # user_submission_safe; false: mmap is refused, INTEL-SA-01084
        self.handles: dict[int, OpenFile] = {}
        self.clients: Counter[str] = Counter()  # open files of each queue
        self.waiting: dict[int, tuple[WqNode, Callable[[], None]]] = {}  # who polls, by handle
        self._numbers = itertools.count(1)

    def _thread(self, tid: int) -> Thread | None:
        """The thread that asks; for a worker of io_uring, which nobody traces, another of its process."""
        thread = self.threads.get(tid)
        if thread is None:
            group = _group(tid)
            known = tuple(self.threads.values())  # at once: this may not be the thread that changes them
            thread = next((one for one in known if one.process.pid == group), None)
        return thread

    def _mm(self, tid: int) -> AddressSpace | None:
        thread = self._thread(tid)
        return thread.mm if thread else None

    def open(self, tid: int, node: WqNode, flags: int) -> int:
        """Binds the opener's address space. EBUSY for a dedicated queue already open."""
        thread = self._thread(tid)
        if thread is None:
            raise OSError(errno.EACCES, "")
        mm, label = thread.mm, node.wq.label
        if node.wq.mode == "dedicated" and self.clients[label]:
            raise OSError(errno.EBUSY, "")
        self.iommu.bind(mm)
        self.bound(thread)
        file = OpenFile(next(self._numbers), node, mm, tid, flags)
        self.handles[file.handle] = file
        self.clients[label] += 1
        return file.handle

    def mmap_error(self, file: OpenFile, mm: AddressSpace, length: int) -> int:
        """The errno with which mmap(2) fails, 0 if it may go ahead."""
        if not self.safe or file.mm is not mm:
            return errno.EPERM
        return errno.EINVAL if length > PAGE else 0

    def write(self, tid: int, handle: int, data: bytes) -> int:
        """Submits 64-byte descriptors; bytes accepted before the first that is not."""
        file, thread = self.handles[handle], self._thread(tid)
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
            if written // 64 % _TURN == 0:
                self.queues.breathe()
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
        file = self.handles[handle]
        if self._mm(tid) is not file.mm:
            return select.POLLNVAL
        if self.queues.software_error(file.node):
            return _EVENTS
        self.waiting[handle] = file.node, wake
        return 0

    def wake(self, node: WqNode) -> None:
        """A software error was recorded for this queue: those who poll it look again (its err_queue)."""
        for handle, (other, wake) in tuple(self.waiting.items()):
            if other is node:
                del self.waiting[handle]
                wake()

    def waits_at_close(self, tid: int, handle: int) -> bool:
        """Whether close(2) of a descriptor waits for the work of the caller's address space. Any thread may ask.

        Close-on-exec does not: the caller's memory has gone before (begin_new_exec(), fs/exec.c). And exec holds locks of
        the process, so that whoever looked at its memory or its state would wait for it. exec gives the thread that calls
        it the number of the leader, hence the address space is asked.
        """
        file, thread = self.handles.get(handle), self._thread(tid)
        return file is not None and thread is not None and thread.mm is file.mm and not file.mm.in_exec

    def flush(self, tid: int, handle: int) -> None:
        """close(2) of one descriptor."""
        if self.waits_at_close(tid, handle):
            file = self.handles[handle]
            self.queues.drain(file.node, file.mm, tid)

    def release(self, handle: int) -> None:
        """The last reference is gone: drain, then unbind (idxd_file_dev_release)."""
        file = self.handles.pop(handle, None)
        self.waiting.pop(handle, None)
        if file is None:
            return
        for page in tuple(file.pages):
            file.mm.drop_portal(page)
        self.queues.drain(file.node, file.mm, 0)
        self.clients[file.node.wq.label] -= 1
        self.iommu.unbind(file.mm)


def _group(tid: int) -> int:
    """The thread group of a thread, 0 if it is gone."""
    try:
        return int(status_of(tid)["Tgid"])
    except OSError:
        return 0
