"""Tasks whose makers died before they could tell of them (``unborn``): whose memory and handlers they have.

Memory in common with one that lives is what kcmp(2) says. Else the number in our scratch page tells which address space a task has,
or has a copy of: one that is told of has a number of its own before it runs. The handlers are the kernel's to tell: ``SignalKeeper.arm``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping

from pasidlab.live import ptrace
from pasidlab.live.descriptors import names_in
from pasidlab.live.kinship import SIGHAND, VM, shares
from pasidlab.live.state import AddressSpace, Process, SignalState, Thread
from pasidlab.live.status import status_of

_MOST_REMEMBERED = 64  # processes that have ended

NewMm = Callable[[int, AddressSpace | None], AddressSpace]
"""Makes the address space of a process: (its number, its maker's address space)."""


class Heirs:
    """Finds out what they have. ``threads`` and ``processes`` are those that are known and live."""

    def __init__(self, threads: Mapping[int, Thread], processes: Mapping[int, Process], new_mm: NewMm) -> None:
        self._threads, self._processes, self._new_mm = threads, processes, new_mm
        self._ended: OrderedDict[Process, Thread] = OrderedDict()  # each with the last thread that left it

    def remember(self, thread: Thread) -> None:
        """A thread has left its process."""
        self._ended[thread.process] = thread
        self._ended.move_to_end(thread.process)
        if len(self._ended) > _MOST_REMEMBERED:
            self._ended.popitem(last=False)

    def of_memory(self, mm: AddressSpace) -> list[int]:
        """Processes not told of that have this memory, whose last known thread is ending."""
        return [pid for pid in self._untold() if _has(pid, mm)]

    def _untold(self) -> Iterator[int]:
        for name in names_in("/proc"):
            if name.isdecimal() and int(name) not in self._threads and ptrace.is_traced(int(name)):
                yield int(name)

    def process(
        self, tid: int, father: int, mm: AddressSpace | None, maker: Process | None
    ) -> tuple[Process | None, Thread | None, bool]:
        """What the task belongs to, a thread of its maker, and whether both have one memory. ``father`` is its parent's number, or was.
        ``mm`` is its memory, ``maker`` who made it, where that is known.

        No process where the task is gone; no thread where its maker is not known.
        """
        try:
            group = int(status_of(tid)["Tgid"])
        except OSError:
            return None, None, False  # its own death will be told
        if known := self._processes.get(group):
            return known, None, True
        mm = mm or self._memory_of(tid)
        makers = [maker] if maker else self._makers(mm or self._copied_by(tid), father)
        if not makers:
            return Process(group, mm or self._new_mm(tid, None)), None, False
        maker, signals = makers[0], self._handlers(tid, makers)
        thread = self._ended.get(maker) or self._threads[next(iter(maker.threads))]
        filtered = any(one.filtered for one in makers)
        return Process(group, mm or self._new_mm(tid, maker.mm), signals, filtered=filtered), thread, mm is not None

    def _memory_of(self, tid: int) -> AddressSpace | None:
        """The address space of a living task that this one has, too. Of its threads some may be ending, without memory."""
        living = {thread.mm for thread in self._threads.values()}
        return next((mm for mm in living if any(shares(one, tid, VM) for one in mm.threads) or _has(tid, mm)), None)

    def _copied_by(self, tid: int) -> AddressSpace | None:
        """The address space of which this one's is a copy."""
        known = [*reversed(self._ended), *self._processes.values()]
        return next((one.mm for one in known if one.mm.number_in(tid) == one.mm.number), None)

    def _makers(self, mm: AddressSpace | None, father: int) -> list[Process]:
        """Processes that have, or had, this memory: who most likely made the task comes first."""
        known = [*reversed(self._ended), *self._processes.values()] if mm else []
        return sorted((one for one in known if one.mm is mm), key=lambda one: one.pid != father)

    @staticmethod
    def _handlers(tid: int, makers: list[Process]) -> SignalState:
        """Those that the task has in common with one that lives, or its own, of which its first stop tells."""
        for one in makers:
            if one.threads and shares(next(iter(one.threads)), tid, SIGHAND):
                return one.signals
        signals = makers[0].signals.copy()
        signals.unsure = True
        return signals


def _has(tid: int, mm: AddressSpace) -> bool:
    """Whether a task has this memory, and no copy: those have no portals."""
    return bool(mm.portals) and mm.number_in(tid) == mm.number and mm.mapping_at(tid, next(iter(mm.portals))) is not None
