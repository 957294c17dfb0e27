"""Descriptors that may take long: they are carried out in slices, so that everything else has its turn in between."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from greenlet import greenlet

from pasidlab.accelerator import BULK
from pasidlab.accelerator.abi import Op
from pasidlab.live.libc import PAGE
from pasidlab.live.loop import EventLoop
from pasidlab.live.state import AddressSpace, Thread

_SLICE = 8 << 20  # bytes; an access counts as a page more
_ANALYTICS = struct.Struct("<II4xI")  # of IAX: maximum destination size, source 2 size, number of elements
_ENDLESS = frozenset((Op.BATCH, Op.DRAIN))  # how long they take does not show in their size


class Aborted(Exception):
    """The address space is gone, or will be another's: nothing more may be written."""


@dataclass(eq=False)
class Job:
    """A descriptor being carried out. ``thread`` submitted it, and waits while it is not ``detached``."""

    thread: Thread
    mm: AddressSpace
    mask: int = 0  # the thread's blocked signals, while it is ``borrowed``
    borrowed: bool = False
    detached: bool = False
    aborted: bool = False
    done: bool = False
    waiter: greenlet | None = None

    def let_go(self, loop: EventLoop) -> None:
        """The thread need not wait any longer."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            loop.resume(waiter, tid=self.thread.tid)

    def wanted(self) -> bool:
        """Whether a signal waits for the thread: on hardware it would take it now, the device working on."""
        fields = {}
        try:
            with open(f"/proc/{self.thread.tid}/status", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                fields = dict(line.split(":\t", 1) for line in file if line.startswith(("Sig", "Shd")))
        except OSError:
            return True
        pending = int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
        return bool(pending & ~(self.mask if self.borrowed else int(fields["SigBlk"], 16)))


def takes_long(descriptor: bytes) -> bool:
    """Whether a descriptor, or a member of its batch, may be large, or may have to wait for others."""
    large = descriptor[34] >= BULK >> 16 or descriptor[35] > 0 or descriptor[7] in _ENDLESS
    return large or (descriptor[7] >= Op.DECOMPRESS and max(_ANALYTICS.unpack_from(descriptor, 48)) >= BULK)


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
