"""Descriptors that may take long: they are carried out in slices, so that everything else has its turn in between."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from greenlet import greenlet

from pasidlab.accelerator import BULK
from pasidlab.accelerator.abi import DESCRIPTOR_SIZE, Op
from pasidlab.live.libc import PAGE
from pasidlab.live.loop import EventLoop
from pasidlab.live.memory import ProcessMemory
from pasidlab.live.state import AddressSpace, Thread
from pasidlab.live.wanted import has_signal

_SLICE = 8 << 20  # bytes; an access counts as a page more
_FEW = 64  # members of a batch
_ANALYTICS = struct.Struct("<II4xI")  # of IAX: maximum destination size, source 2 size, number of elements
_ENDLESS = frozenset((Op.BATCH, Op.DRAIN))  # how long they take does not show in their size


class Aborted(Exception):
    """The address space is gone, or will be another's: nothing more may be written."""


@dataclass(eq=False)
class Job:
    """A descriptor being carried out. ``thread`` submitted it, and waits while it is not ``detached``."""

    thread: Thread
    mm: AddressSpace
    borrowed: bool = False
    detached: bool = False
    aborted: bool = False
    done: bool = False
    waiter: greenlet | None = None
    stops: int = field(init=False)  # ``Process.stops`` when it began

    def __post_init__(self) -> None:
        self.stops = self.thread.process.stops

    def let_go(self, loop: EventLoop) -> None:
        """The thread need not wait any longer."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            loop.resume(waiter, tid=self.thread.tid)

    def wanted(self) -> bool:
        """Whether a signal waits for the thread, or the stop of its group: on hardware it would take it now, the device working on."""
        return bool(self.thread.kept) or self.thread.process.stops != self.stops or has_signal(self.thread)


def takes_long(descriptor: bytes) -> bool:
    """Whether a descriptor, or a member of its batch, may be large, or may have to wait for others."""
    large = descriptor[34] >= BULK >> 16 or descriptor[35] > 0 or descriptor[7] in _ENDLESS
    return large or (descriptor[7] >= Op.DECOMPRESS and max(_ANALYTICS.unpack_from(descriptor, 48)) >= BULK)


class ShortBatch:
    """The memory of a batch that does not take long. Its list is not read again, or it could be another by then."""

    def __init__(self, dma: ProcessMemory, start: int, listed: bytes) -> None:
        self._dma, self._start, self._listed = dma, start, listed
        self.write, self.write_record, self.present = dma.write, dma.write_record, dma.present

    def read_into(self, address: int, target: memoryview) -> int:
        """See ``Memory.read_into`` of the accelerator, which reads the list first."""
        listed, self._listed = self._listed, b""
        if address == self._start and len(target) == len(listed):
            target[:] = listed
            return len(listed)
        return self._dma.read_into(address, target)


def short_batch(descriptor: bytes, dma: ProcessMemory, begun: int) -> ShortBatch | None:
    """The memory for a batch whose members are few and small, apart from those that are carried out; None for others."""
    start, count = int.from_bytes(descriptor[16:24], "little") + begun * DESCRIPTOR_SIZE, int.from_bytes(descriptor[32:36], "little")
    if not begun < count <= _FEW:
        return None
    listed = dma.read(start, (count - begun) * DESCRIPTOR_SIZE)
    if len(listed) < (count - begun) * DESCRIPTOR_SIZE:
        return None
    members = [listed[at : at + DESCRIPTOR_SIZE] for at in range(0, len(listed), DESCRIPTOR_SIZE)]
    if any(map(takes_long, members)) or sum(int.from_bytes(one[32:36], "little") for one in members) > _SLICE:
        return None
    return ShortBatch(dma, start, listed)


class SlicedMemory:
    """The memory of a job. Every access may let others have their turn first; raises Aborted once the job must stop."""

    def __init__(self, job: Job, loop: EventLoop) -> None:
        self.job, self._loop, self._credit = job, loop, _SLICE
        self._dma = job.mm.dma

    def turn(self, size: int) -> None:
        """Before an access to ``size`` bytes."""
        job = self.job
        self._credit -= size + PAGE
        if self._credit < 0:
            self._credit = _SLICE
            self._loop.breathe()
        if job.detached:
            job.let_go(self._loop)
        if not job.mm.reach() or job.aborted:
            raise Aborted

    def read_into(self, address: int, target: memoryview) -> int:
        """See ``Memory.read_into`` of the accelerator."""
        self.turn(len(target))
        return self._dma.read_into(address, target)

    def write(self, address: int, data: bytes | memoryview) -> int:
        """See ``Memory.write`` of the accelerator."""
        self.turn(len(data))
        return self._dma.write(address, data)

    def present(self, address: int, length: int) -> int:
        """See ``Memory.present`` of the accelerator."""
        self.turn(length)
        return self._dma.present(address, length)

    def write_record(self, address: int, record: bytes) -> int:
        """See ``Memory.write_record`` of the accelerator."""
        self.turn(len(record))
        return self._dma.write_record(address, record)
