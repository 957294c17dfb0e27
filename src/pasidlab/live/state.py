"""What is known of the running program: address spaces, processes, threads, open device files, portals, PASIDs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pasidlab.live.memory import ProcessMemory
from pasidlab.live.nodes import WqNode


@dataclass(eq=False)
class Mm:
    """An address space (struct mm_struct). It keeps its PASID for life once it has one (v5.18, 701fac40384f)."""

    memory: ProcessMemory  # for the tracer thread
    dma: ProcessMemory  # for the device, under the lock
    pasid: int = 0  # 0: none
    threads: set[int] = field(default_factory=set)
    portals: dict[int, Portal] = field(default_factory=dict)  # by page address
    model: Any = None  # the design's view of this address space
    bonds: int = 0  # open device files: iommu_sva_bind_device minus iommu_sva_unbind_device
    syscall_at: int = 0  # address of a syscall instruction, for injection
    scratch: int = 0  # a page of ours in the window, read and write
    code: int = 0  # a page of ours with instructions for bulk work
    window_next: int = 1  # page of the window to try next for a portal; the first is the scratch page

    @classmethod
    def of(cls, pid: int, parent: Mm | None = None) -> Mm:
        """The address space of ``pid``; of a forked child: no PASID, no portals (VM_DONTCOPY), but our scratch page."""
        mm = cls(ProcessMemory(pid), ProcessMemory(pid))
        if parent:
            mm.syscall_at, mm.scratch, mm.code = parent.syscall_at, parent.scratch, parent.code
        return mm

    def left_by(self, tid: int) -> None:
        """A thread is gone: reach the memory through another."""
        self.threads.discard(tid)
        for memory in (self.memory, self.dma):
            if memory.pid == tid and self.threads:
                memory.pid = next(iter(self.threads))


@dataclass(eq=False)
class OpenFile:
    """One open of a work queue's device file (struct idxd_user_context)."""

    handle: int
    node: WqNode
    mm: Mm
    tid: int
    flags: int = os.O_RDWR  # of open(2)

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading alone."""
        return self.flags & os.O_ACCMODE == os.O_RDONLY


@dataclass(eq=False)
class Portal:
    """One mapped page through which descriptors reach a queue, as long as it is ``writable``.

    Outside the window it is not ``watched``: nobody tells when it is unmapped, but /proc/PID/maps shows another ``path``.
    """

    file: OpenFile
    writable: bool = True
    watched: bool = True
    path: str = ""


@dataclass(eq=False)
class SignalState:
    """What the program believes of its handlers for the signals we use (struct k_sigaction, 32 bytes each).

    While ``armed`` the kernel never has SIG_DFL or SIG_IGN for these: a marker stands in, so that the reset a forced
    signal makes when the signal is blocked (force_sig_info_to_task, kernel/signal.c) can be seen.
    """

    armed: bool = False
    actions: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> SignalState:
        """For a forked child."""
        return SignalState(self.armed, dict(self.actions))


class TrapFrame(NamedTuple):
    """What a handler finds in its ucontext about the exception; ``address`` is CR2, None to leave it."""

    vector: int
    error: int
    address: int | None


@dataclass(eq=False)
class Process:
    """A thread group."""

    pid: int
    mm: Mm
    signals: SignalState = field(default_factory=SignalState)
    threads: set[int] = field(default_factory=set)


@dataclass(eq=False)
class Thread:
    """A task: what the kernel keeps per thread that matters here. ``fixup`` belongs to the design."""

    tid: int
    process: Process
    task: Any = None  # the design's view of this thread
    stat: int = -1  # descriptor of /proc/PID/task/TID/stat
    redeliver: tuple[int, bytes, TrapFrame | None] | None = None  # signal, siginfo and trap for the next stop
    lineage: str = "0"  # which child of which child of the program's first thread: the same in every run
    children: int = 0

    def child_of(self, parent: Thread) -> None:
        """Take the next place among the parent's children."""
        parent.children += 1
        self.lineage = f"{parent.lineage}.{parent.children}"

    @property
    def mm(self) -> Mm:
        """The address space, shared with the other threads."""
        return self.process.mm


class Iommu:
    """The PASID table: which address space a number reaches. Numbers are handed out lowest first and reused at once."""

    def __init__(self) -> None:
        self.table: dict[int, Mm] = {}
        self.used: set[int] = set()

    def bind(self, mm: Mm) -> int:
        """iommu_sva_bind_device(): a bond more; the first gives the mm its PASID."""
        if not mm.pasid:
            mm.pasid = next(number for number in range(1, 1 << 20) if number not in self.used)
            self.used.add(mm.pasid)
        mm.bonds += 1
        self.table[mm.pasid] = mm
        return mm.pasid

    def unbind(self, mm: Mm) -> None:
        """iommu_sva_unbind_device(): the last one removes the table entry; the mm keeps the number."""
        mm.bonds -= 1
        if mm.bonds == 0:
            self.table.pop(mm.pasid, None)
            if not mm.threads:
                self._drop(mm)

    def exit(self, mm: Mm) -> None:
        """Its last user is gone: the table entry goes now, the number with the last bond (__mmdrop)."""
        if self.table.get(mm.pasid) is mm:
            del self.table[mm.pasid]
        if mm.bonds == 0:
            self._drop(mm)

    def _drop(self, mm: Mm) -> None:
        """mm_pasid_drop(): the number is free."""
        self.used.discard(mm.pasid)
        mm.pasid = 0
        mm.dma.close()
