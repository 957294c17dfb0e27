"""What is known of the running program: address spaces, processes, threads, open device files, portals, PASIDs."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from pasidlab.live import ptrace
from pasidlab.live.libc import PAGE
from pasidlab.live.loop import EventLoop, Gate, Mutex
from pasidlab.live.maps import Mapping, mapping_at
from pasidlab.live.memory import ProcessMemory
from pasidlab.live.nodes import WqNode
from pasidlab.live.presence import Pagemaps
from pasidlab.live.served import Answer, Patient
from pasidlab.live.sites import Shortcut

_NUMBER_AT = 4088  # in the scratch page
_MOMENT = 1e-3  # seconds
_PATIENCE = 0.05  # seconds that work waits for a thread through which the memory can be reached


class AddressSpace:
    """An address space (struct mm_struct). It keeps its PASID for life once it has one (v5.18, 701fac40384f).

    ``memory`` is for the program's own instructions and calls, ``dma`` for the device.
    """

    def __init__(self, pid: int, loop: EventLoop, pagemaps: Pagemaps, number: int, parent: AddressSpace | None = None) -> None:
        """The address space of ``pid``; of a forked child: no PASID, no portals (VM_DONTCOPY), but our pages. No other has ``number``."""
        self._loop, self.number = loop, number
        self.threads: set[int] = set()
        self.memory = ProcessMemory(pid, pagemaps, self.threads)
        self.dma = ProcessMemory(pid, pagemaps, self.threads, device=True)
        self.pasid = 0  # 0: none
        self.portals: dict[int, Portal] = {}  # by page address
        self.model: Any = None  # the design's view of this address space
        self.bonds = 0  # open device files: iommu_sva_bind_device minus iommu_sva_unbind_device
        self.syscall_at: int = parent.syscall_at if parent else 0  # address of a syscall instruction, for injection
        self.scratch: int = parent.scratch if parent else 0  # a page of ours in the window, read and write
        self.code: int = parent.code if parent else 0  # a page of ours with instructions for bulk work
        self.window_next = 0  # page of the window to try next for a portal
        self.ours = Mutex(loop)  # held by the handler that uses the scratch page
        self.shortcut: Shortcut | None = parent.shortcut.forked() if parent and parent.shortcut else None
        self.in_exec: dict[int, int] = {}  # threads in execve(2), each with the leader of its process
        self._leaving: set[int] = set()  # threads that are about to give their memory up
        self._way_found = Gate(loop)
        if parent and parent.memory.patient:
            self.serve(parent.memory.patient)
        self.sign()

    @property
    def served(self) -> bool:
        """Whether the program may serve pages of it."""
        return self.memory.patient is not None

    def serve(self, patient: Patient) -> None:
        """From now on it may."""
        self.memory.patient = self.dma.patient = patient
        if self.shortcut:
            self.shortcut.close_queue("")

    def sign(self) -> None:
        """Writes its number into the scratch page: a task of which nobody has told has it from its maker. Nobody waits for it."""
        if self.scratch and self.served:
            self._loop.spawn(self._write_number)
        elif self.scratch:
            self._write_number()

    def _write_number(self) -> None:
        self.memory.write(self.scratch + _NUMBER_AT, self.number.to_bytes(8, "little"))

    def number_in(self, tid: int) -> int:
        """The number that is where this one's would be in the memory of a task; 0 if there is none."""
        if not self.scratch:
            return 0
        return int.from_bytes(self.instructions_at(tid, self.scratch + _NUMBER_AT, 8), "little")

    def patiently(self, work: Callable[[], Answer], otherwise: Answer, place: Hashable = None) -> Answer:
        """What ``work`` finds out from the kernel about the memory. See ``Patient.value``.

        That may last where the program serves memory itself: whoever waits for a page may hold the lock of all mappings (mmap_lock).
        """
        return self.memory.patient.value(work, otherwise, (self, place)) if self.memory.patient else work()

    def commits(self) -> None:
        """What the handler does for a thread from now on could not be done again: see ``Patient.commits``."""
        if self.memory.patient:
            self.memory.patient.commits()

    def breathe(self) -> None:
        """Everything else has its turn. Raises Gone if the handler's thread ends meanwhile."""
        self._loop.breathe()

    def mapping_at(self, tid: int, address: int) -> Mapping | None:
        """The mapping that holds ``address``, as thread ``tid`` has it."""
        return self.patiently(partial(mapping_at, tid, address), None, address)

    def instructions_at(self, tid: int, address: int, length: int) -> bytes:
        """See ``ptrace.instructions_at``."""
        return self.patiently(partial(ptrace.instructions_at, tid, address, length), b"", (address, length))

    def add_portal(self, page: int, portal: Portal) -> None:
        """The program has mapped one."""
        self.portals[page] = portal
        portal.file.pages.add(page)

    def drop_portal(self, page: int) -> Portal | None:
        """Forgets a portal that was unmapped; None if there was none."""
        portal = self.portals.pop(page, None)
        if portal:
            portal.file.pages.discard(page)
        if self.shortcut:
            self.shortcut.close_row(page)
        return portal

    def portals_in(self, first: int, length: int) -> list[int]:
        """The pages of portals from address ``first`` on, in ``length`` bytes."""
        if length >> 12 < len(self.portals):
            return [page for page in range(first & -PAGE, first + length, PAGE) if page in self.portals]
        return sorted(page for page in self.portals if first <= page < first + length)

    def pages_of_ours_in(self, first: int, length: int) -> list[int]:
        """The pages of ours that any byte of an area lies in."""
        return [page for page in (self.scratch, self.code) if page and first < page + PAGE and page < first + length]

    def left_by(self, tid: int) -> None:
        """A thread is gone: reach the memory through another."""
        self.threads.discard(tid)
        self._leaving.discard(tid)
        for memory in (self.memory, self.dma):
            if memory.pid == tid:
                memory.pid = next(iter(self.threads), 0)

    # execve(2): the kernel may give the numbers of the thread that calls it, and of its leader, to another program at any
    # moment. The memory is then reached through other threads, or through a leader that stands still (``ptrace.stop_at_exit``):
    # de_thread(), fs/exec.c, waits until that is let go.
    #
    # The thread that runs the loop makes an access between two stops: the call, or the end of the leader that stands still, is a stop
    # which it has not answered by then. Another thread of ours may lose the processor just before its access (``sought_by_none``).

    def exec_begins(self, tid: int, leader: int) -> None:
        """A thread of the process of ``leader`` calls execve(2)."""
        self.in_exec[tid] = leader
        self.memory.doubt = self.dma.doubt = self

    def exec_ends(self, tid: int) -> None:
        """Notes that an exec has failed, or its thread has gone elsewhere, if it was in one."""
        if self.in_exec.pop(tid, None) is None:
            return
        if not self.in_exec:
            for memory in (self.memory, self.dma):
                memory.certain_again()
        self.way_found()

    def doubtful(self, tid: int) -> bool:
        """Whether this thread may have another memory by now."""
        if tid in self.in_exec or tid in self._leaving:
            return True
        return tid in tuple(self.in_exec.values()) and not self._loop.holds(tid)

    def ends(self, tid: int) -> None:
        """At the EVENT_EXIT of a thread: return when it may be let go, and its number may be another's."""
        self._leaving.add(tid)
        self.sought_by_none(tid)

    def sought_by_none(self, *tids: int) -> None:
        """Return when no access through these threads, which are doubtful by now, may still look for the memory."""
        moment = Gate(self._loop)
        while self.memory.seeks(tids) or self.dma.seeks(tids):
            self._loop.after(_MOMENT, moment.open)
            moment.wait()

    def within_reach(self) -> bool:
        """Whether a thread surely has this memory."""
        return not self.in_exec or not all(self.doubtful(tid) for tid in self.threads)

    def way_found(self) -> None:
        """Lets those who wait for the memory look again."""
        self._way_found.open()

    def starts_to_reach(self) -> bool:
        """Whether an access has been asked for and has not begun."""
        return bool(self.memory.starting or self.dma.starting)

    def reach(self) -> bool:
        """Wait until the memory is within reach; whether it still exists."""
        while self.threads and not self.within_reach():
            call = self._loop.after(_PATIENCE, self._call_leaders)
            self._way_found.wait()
            call.cancel()
        return bool(self.threads)

    def _call_leaders(self) -> None:
        """Bring them to a stop."""
        for leader in {*self.in_exec.values()} - {*self.in_exec}:
            with contextlib.suppress(ptrace.Gone):
                ptrace.interrupt(leader)


@dataclass(eq=False)
class OpenFile:
    """One open of a work queue's device file (struct idxd_user_context)."""

    handle: int
    node: WqNode
    mm: AddressSpace
    tid: int
    flags: int = os.O_RDWR  # of open(2)
    pages: set[int] = field(default_factory=set)  # where it has portals

    @property
    def read_only(self) -> bool:
        """True if the file was opened for reading alone."""
        return self.flags & os.O_ACCMODE == os.O_RDONLY

    @property
    def write_only(self) -> bool:
        """True if the file was opened for writing alone."""
        return self.flags & os.O_ACCMODE == os.O_WRONLY


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

    While ``armed`` the kernel never has SIG_DFL or SIG_IGN for these: a marker stands in. So the reset can be seen that a forced signal
    makes when it is blocked (force_sig_info_to_task, kernel/signal.c).
    """

    armed: bool = False
    unsure: bool = False  # of a task whose maker is not known for sure: the kernel is to be asked
    actions: dict[int, bytes] = field(default_factory=dict)
    resets: set[tuple[int, int]] = field(default_factory=set)  # (thread, signal): found or being set anew
    restores: int = 0  # handlers that were set anew so far
    stand_ins: set[int] = field(default_factory=set)  # signals whose handler is another's for a moment (``standin``)
    lent: dict[int, bytes] = field(default_factory=dict)  # what the program has for those that were so once
    taking: dict[int, int] = field(default_factory=dict)  # by thread: one of those that it takes, or sets, unless it has done so

    def copy(self) -> SignalState:
        """For a forked child."""
        return SignalState(self.armed, unsure=bool(self.lent), actions=dict(self.actions), lent=dict(self.lent))


class TrapFrame(NamedTuple):
    """What a handler finds in its ucontext about the exception; ``address`` is CR2, None to leave it."""

    vector: int
    error: int
    address: int | None


@dataclass(frozen=True)
class Redelivery:
    """A signal that the thread is to have at its next stop, with this siginfo and what its frame tells. The thread may die of it."""

    signal: int
    info: bytes
    trap: TrapFrame | None
    dies: bool


@dataclass(eq=False)
class Process:
    """A thread group."""

    pid: int
    mm: AddressSpace
    signals: SignalState = field(default_factory=SignalState)
    threads: set[int] = field(default_factory=set)
    filtered: bool = False  # it may have a seccomp filter of its own: nothing can be injected
    injected: int = 0  # system calls of ours that its threads are in
    first: bool | None = None  # of a pid namespace, once that has been asked (``firsts``)
    stops: int = 0  # times that a thread of it has come to a group stop


@dataclass(eq=False)
class Thread:
    """A task: what the kernel keeps per thread that matters here. ``fixup`` belongs to the design."""

    tid: int
    process: Process
    task: Any = None  # the design's view of this thread
    kept: deque[tuple[int, bytes]] = field(default_factory=deque)  # signals that came while it worked for us, with siginfo
    announced: tuple[int, bytes] | None = None  # the one of them that has been sent again
    masks: dict[int, tuple[bool, int]] = field(default_factory=dict)  # whether it blocked a signal, and its other ones, at its last trap
    restores: int = 0  # of its handlers, at that time
    missed_stop: bool = False  # it worked for us while its group was stopped
    slot: int = -1  # for submissions that do not stop; negative: none
    batched: int = 0  # members of the batch it is submitting that it has carried out by itself
    listens: bool = False  # in its group's stop
    blocks: int | None = None  # the signals that it blocks by itself, while it works for us with others blocked
    unborn: bool = True  # it has not run yet
    awaits_child: bool = False  # in vfork(2)
    redeliver: Redelivery | None = None  # at the next stop
    lineage: str = "0"  # the place among the tasks of its program image: the same in every run
    threads: int = 0  # started so far
    forks: int = 0

    def child_of(self, parent: Thread) -> None:
        """Take the next place among the parent's threads (0.1, 0.2 ...), or among its child processes (0/1, 0/2 ...).

        Threads and processes are counted apart: a helper process started in between moves no thread.
        """
        if self.process is parent.process:
            parent.threads += 1
            self.lineage = f"{parent.lineage}.{parent.threads}"
        else:
            parent.forks += 1
            self.lineage = f"{parent.lineage}/{parent.forks}"

    def comes_to_stop(self) -> None:
        """It is in its group's stop, and stays there."""
        self.missed_stop, self.listens = False, True
        self.process.stops += 1

    def misses_stop(self) -> None:
        """Its group is stopped, and it works for us: it joins the others when it is let go (``Injector.rejoin``)."""
        self.missed_stop = True
        self.process.stops += 1

    def begins_image(self) -> None:
        """exec(2): places are counted from here, whatever shells and wrappers came before."""
        self.lineage, self.threads, self.forks = "0", 0, 0

    @property
    def mm(self) -> AddressSpace:
        """The address space, shared with the other threads."""
        return self.process.mm


class Iommu:
    """The PASID table: which address space a number reaches. Numbers are handed out lowest first and reused at once."""

    def __init__(self) -> None:
        self.table: dict[int, AddressSpace] = {}
        self.used: set[int] = set()

    def bind(self, mm: AddressSpace) -> int:
        """iommu_sva_bind_device(): a bond more; the first gives the mm its PASID."""
        if not mm.pasid:
            mm.pasid = next(number for number in range(1, 1 << 20) if number not in self.used)
            self.used.add(mm.pasid)
        mm.bonds += 1
        self.table[mm.pasid] = mm
        return mm.pasid

    def unbind(self, mm: AddressSpace) -> None:
        """iommu_sva_unbind_device(): the last one removes the table entry; the mm keeps the number."""
        mm.bonds -= 1
        if mm.bonds == 0:
            self.table.pop(mm.pasid, None)
            if not mm.threads:
                self._drop(mm)

    def exit(self, mm: AddressSpace) -> None:
        """The last user of an address space is gone: the table entry goes now, the number with the last bond (__mmdrop)."""
        if self.table.get(mm.pasid) is mm:
            del self.table[mm.pasid]
        if mm.bonds == 0:
            self._drop(mm)

    def _drop(self, mm: AddressSpace) -> None:
        """mm_pasid_drop(): the number is free."""
        self.used.discard(mm.pasid)
        mm.pasid = 0
