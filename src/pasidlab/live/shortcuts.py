"""Submissions that do not stop: the instruction is replaced by a jump, and the program's own thread carries the descriptor out.

What is changed in the program, and only from its ``_WARM``-th submission at an instruction on: five bytes of a private mapping of a file
(a page that other processes do not see); a few pages of code near it; memory shared with us (``slots``); GS of the threads that submit.
Every doubt leads back to the trap: ``restore`` makes the thread look as if its own instruction had trapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from pasidlab.accelerator import Op, abi
from pasidlab.accelerator.abi import DESCRIPTOR_SIZE, RECORD_SIZE, Cap, Flag
from pasidlab.accelerator.legality import Checker
from pasidlab.live import ptrace
from pasidlab.live import shortcut_code as code
from pasidlab.live import slot_layout as layout
from pasidlab.live.libc import PAGE
from pasidlab.live.nodes import WqNode
from pasidlab.live.patching import Patcher
from pasidlab.live.presence import can_ask
from pasidlab.live.registers import (
    EFLAGS,
    GS,
    GS_BASE,
    ORIG_RAX,
    R9,
    R10,
    R11,
    RBX,
    RCX,
    RESUME_FLAG,
    RIP,
    RSI,
    STATUS_FLAGS,
    RegisterArray,
    Registers,
    is_canonical,
)
from pasidlab.live.shortcut_crc import has_crc32
from pasidlab.live.sites import Area, Shortcut, SubmissionSite
from pasidlab.live.slots import QUEUES, Permit, Shared
from pasidlab.live.state import AddressSpace, Portal, Thread

_WARM = 8
"""Submissions at an instruction before it is replaced: a program that submits little is left alone."""
_MOST_SITES = 4096  # instructions whose submissions are counted
_LOOK = 8  # bytes of our code, to see that it is ours
_MOST_BYTES = 1 << 24  # of one transfer: what is interrupted is done again
_CLASSES = Flag.ADDRESS_1_TC | Flag.ADDRESS_2_TC | Flag.ADDRESS_3_TC | Flag.RECORD_TC
_REFUSED = _CLASSES | Flag.REQUEST_INTERRUPT | Flag.CACHE_CONTROL_3
_NO_CALL = (1 << 64) - 1
_NEVER = 0xFFFFFFFF  # as required flags: there are only 24
_TAKEN: dict[Op, int] = {
    **dict.fromkeys((Op.NOOP, Op.MEMORY_MOVE, Op.DUALCAST, Op.COMPARE, Op.COMPARE_PATTERN), _REFUSED),
    Op.FILL: _REFUSED | abi.PATTERN_16,
    Op.BATCH: _REFUSED | abi.BATCH_ERROR,
    **(dict.fromkeys((Op.CRC, Op.COPY_CRC), _REFUSED | abi.CRC_64 | abi.READ_SEED) if has_crc32() else {}),
}
"""Operations that are carried out without stopping, and flags that they must not have there."""


class QueueFacts(Protocol):
    """What the engine says of queues."""

    def checker(self, node: WqNode) -> Checker | None:
        """The rules of a DSA queue whose descriptors may now complete at once; None for others."""


class Counts(Protocol):
    """Where what happened is counted."""

    def in_process(self, thread: Thread, queue: str, via: str, outcome: tuple[int, int], number: int) -> None:
        """So many descriptors of this (operation, status) were accepted and carried out in the program's own thread."""

    def of_batches(self, outcome: tuple[int, int], number: int) -> None:
        """So many members of batches with this outcome were carried out there."""

    def moved(self, size: int) -> None:
        """Bytes they moved or compared."""


class Shortcuts:
    """The shortcuts of all address spaces of a run."""

    def __init__(self, patcher: Patcher, queues: QueueFacts, counts: Counts, *, on: bool) -> None:
        self._patcher, self._queues, self._counts, self.on = patcher, queues, counts, on
        self._asks = on and can_ask()  # whether a thread can tell which pages are in memory
        self._labels: list[tuple[str, str]] = []  # queues and how they are reached, by the number they have in the counters
        self._spaces: set[Shortcut] = set()  # those with shared memory

    # When an instruction has trapped

    def restore(self, thread: Thread, registers: RegisterArray) -> SubmissionSite | None:
        """Where a thread stopped in code of ours: its site, and ``registers`` as they were there.

        RIP is behind the site's instruction if the descriptor had been carried out already. ``thread.batched`` is set.
        """
        space, ip = thread.mm.shortcut, registers[RIP]
        area = space.area_at(ip) if space else None
        if space is None or area is None or not area.is_there(ip, thread.mm.memory.read(ip, _LOOK)):
            return None
        shared = space.shared if thread.slot >= 0 else None
        if ip < area.entrances:
            site = space.ends.get(shared.field(thread.slot, layout.RETURN)) if shared else None
            if shared and site:
                self._restore_body(area, shared, thread, site, registers)
            return site
        site = area.site_at(ip)
        if site is not None:
            _restore_entrance(site, shared, thread.slot, registers)
        return site

    @staticmethod
    def _restore_body(area: Area, shared: Shared, thread: Thread, site: SubmissionSite, registers: RegisterArray) -> None:
        slot = thread.slot
        offset, labels = registers[RIP] - area.start, area.body.labels
        in_batch = shared.field(slot, layout.COUNTED_AS) & 0xFFFFFFFF != 0
        committed = labels["commit"] < offset <= labels["advance"]
        if (committed and offset <= labels["counted"]) or labels["batch_commit"] < offset <= labels["batch_counted"]:
            shared.count(slot, registers[RBX])
        if committed and offset <= labels["summed"]:
            shared.add(slot, layout.BYTES, registers[RCX])
        begun = shared.field(slot, layout.DONE) + committed if in_batch else 0
        done = (committed and not in_batch) or labels["batch_commit"] < offset != labels["reject"]
        thread.batched = 0 if done else begun
        shared.restore(slot, registers)
        flags = shared.flags(slot, layout.RESULT if done else layout.FLAGS)
        registers[EFLAGS] = registers[EFLAGS] & ~(STATUS_FLAGS | RESUME_FLAG) | flags
        registers[RIP] = site.end if done else site.ip
        registers[ORIG_RAX] = _NO_CALL  # a system call of ours is not to be restarted

    @staticmethod
    def may_fault(thread: Thread, area: Area, registers: RegisterArray, address: int | None) -> bool:
        """Whether our code, where the thread stands in it, may meet a page fault at this address (None: #GP): in memory of ours, at the
        descriptor, its record or its regions.
        """
        space = thread.mm.shortcut
        shared = space.shared if space else None
        if address is not None and space is not None and space.holds(address):
            return True
        if shared is None or thread.slot < 0 or registers[GS_BASE] != shared.base(thread.slot):
            return area.uses_slot_at(registers[RIP])
        size = shared.field(thread.slot, layout.SIZE) & 0xFFFFFFFF
        places = [(registers[RSI], DESCRIPTOR_SIZE), (registers[R9], RECORD_SIZE), (registers[R10], size), (registers[R11], size)]
        places.append((shared.field(thread.slot, layout.SECOND), size))
        if address is None:
            return not all(is_canonical(start) and is_canonical(start + length) for start, length in places)
        return any(0 <= address - start < length for start, length in places)

    def grant(self, thread: Thread, registers: RegisterArray, site: SubmissionSite, portal: Portal) -> None:
        """After a submission at a site that was accepted: the thread's next one need not stop."""
        space, shared = thread.mm.shortcut, thread.mm.shortcut.shared if thread.mm.shortcut else None
        if space is None or shared is None or thread.mm.served:
            return
        page = site.instruction.destination(registers) & -PAGE
        if page not in space.rows and not self._open_row(space, shared, portal, page):
            return
        if thread.slot < 0 and not registers[GS_BASE] | registers[GS]:
            thread.slot = shared.take()
            registers[GS_BASE] = shared.base(thread.slot) if thread.slot >= 0 else 0
        if thread.slot >= 0 and registers[GS_BASE] == shared.base(thread.slot):
            asks = layout.MAY_ASK if self._asks and not thread.process.filtered else 0
            shared.grant(thread.slot, self._patcher.magic, layout.WAY_OF[site.instruction.kind] | asks)

    def _open_row(self, space: Shortcut, shared: Shared, portal: Portal, page: int) -> bool:
        node = portal.file.node
        checker = self._queues.checker(node) if portal.watched and portal.writable else None
        if checker is None:
            return False
        way, via = (layout.BY_ENQCMD, "enqcmd") if node.wq.mode == "shared" else (layout.BY_MOVDIR64B, "movdir64b")
        name = node.wq.label, via
        if name not in self._labels:
            if len(self._labels) >= QUEUES:
                return False
            self._labels.append(name)
        space.open_row(shared, page, node.wq.label, self._row(checker, way, self._labels.index(name)))
        return True

    def _row(self, checker: Checker, way: int, queue: int) -> Permit:
        """What may be submitted. Where nobody can ask which pages are in memory, data has to block on faults."""
        forbidden, required = [0] * layout.OPERATIONS, [_NEVER] * layout.OPERATIONS
        for place, operation in enumerate(layout.CODES):
            refused = _TAKEN.get(operation)
            if refused is None:
                continue
            not_allowed, also = checker.admitted(operation)
            also |= 0 if self._asks or operation in (Op.NOOP, Op.BATCH) else Flag.BLOCK_ON_FAULT
            forbidden[place] = not_allowed | refused
            if not also & not_allowed and not_allowed != 0xFFFFFF:
                required[place] = also
        members = 1 if checker.gencap & Cap.BATCH_1 else 2, checker.wq.max_batch_size
        return Permit(way, queue, min(checker.wq.max_transfer_size, _MOST_BYTES), members, tuple(forbidden), tuple(required))

    def consider(self, thread: Thread, site: SubmissionSite) -> None:
        """After a submission at an instruction that was accepted: replace it, if it is worth it and possible. A child has its parent's
        replacements, but memory that is shared with us only from its own ``_WARM``-th submission on.
        """
        mm, process = thread.mm, thread.process
        if not self.on or process.filtered or mm.served or mm.in_exec:
            return
        space = mm.shortcut = mm.shortcut or Shortcut()
        if space.busy or space.failed or site.ip in space.refused:
            return
        if len(space.heat) >= _MOST_SITES:
            space.heat.clear()
        space.heat[site.ip] += 1
        if space.heat[site.ip] < _WARM or (space.shared and self._patcher.is_patched(thread, site)):
            return
        space.busy = True
        try:
            if not self._replace(thread, space, site):
                space.refused.add(site.ip)
        except FileExistsError:
            pass  # another thread has mapped what was free a moment ago: later, elsewhere
        except OSError:  # memory of ours is not there any more, or cannot be had
            space.failed = True
        finally:
            space.busy = False
            space.heat.pop(site.ip, None)

    def _replace(self, thread: Thread, space: Shortcut, site: SubmissionSite) -> bool:
        """Whether the instruction is replaced now."""
        if not self._patcher.suits(thread, site):
            return False
        if space.shared is None:
            space.shared = self._patcher.share(thread)
            space.slots_at = space.shared.at
            self._spaces.add(space)
        known = space.sites.get(site.ip)
        if known is None or known.original != site.original:
            area = self._patcher.area(thread, space.areas, site)
            if area is None:
                return False
            known = SubmissionSite(site.ip, site.instruction, site.original)
            self._patcher.add(area, known)
            space.sites[known.ip] = space.ends[known.end] = known
        return self._patcher.patch(thread, known)

    @staticmethod
    def back_to_copy(thread: Thread, registers: RegisterArray) -> bool:
        """Whether the thread came to RIP, where nothing can be fetched, by a jump of ours that the program has copied. The copy is then
        the program's instruction again, and RIP leads there.
        """
        at, space = registers[RIP], thread.mm.shortcut
        sites = [one for one in space.sites.values() if one.entrance not in (0, at)] if space else []
        copies = [replace(one, ip=at - one.entrance + one.ip, entrance=at) for one in sites if at - one.entrance + one.ip >= 0]
        for copy in copies:
            only = all(other.original == copy.original for other in copies if other.ip == copy.ip)
            if only and Patcher.give_copy_back(thread, copy):
                registers[RIP] = copy.ip
                registers[EFLAGS] &= ~RESUME_FLAG
                return True
        return False

    # When something else happens

    def interrupted(self, thread: Thread) -> bool:
        """A signal is about to be delivered: the program is to see its own instruction. Its next submission stops.

        True if the thread stands at an instruction that has not been carried out.
        """
        registers = Registers()
        ptrace.get_registers(thread.tid, registers)
        site = self.restore(thread, registers)
        if site is None:
            return False
        ptrace.set_registers(thread.tid, registers)
        begins = bool(registers[RIP] == site.ip)
        shared = thread.mm.shortcut.shared if thread.mm.shortcut else None
        if shared and thread.slot >= 0 and begins:
            shared.revoke(thread.slot)
        return begins

    def born(self, thread: Thread) -> None:
        """Before its first instruction: where GS came from a thread that has a slot, it is not this one's."""
        space = thread.mm.shortcut
        if not space or not space.slots_at:
            return
        registers = Registers()
        ptrace.get_registers(thread.tid, registers)
        if space.has_slot_at(registers[GS_BASE]):
            ptrace.set_gs_base(thread.tid, 0)

    def left(self, thread: Thread) -> None:
        """The thread leaves its address space: what it submitted is counted."""
        space = thread.mm.shortcut
        if thread.slot < 0 or space is None or space.shared is None:
            return
        for one in space.shared.counts(thread.slot):
            if one.of_members:
                self._counts.of_batches(one.outcome, one.number)
            elif one.queue < len(self._labels):
                self._counts.in_process(thread, *self._labels[one.queue], one.outcome, one.number)
        self._counts.moved(space.shared.bytes_moved(thread.slot))
        space.shared.give_back(thread.slot)
        thread.slot = -1

    def ask_no_more(self, threads: Iterable[Thread]) -> Callable[[], bool]:
        """These threads are about to have a filter of the program's own, which our system call could meet. Whether one of them is making it
        still is what the function says.
        """
        slots = [(one.mm.shortcut.shared, one.slot) for one in threads if one.slot >= 0 and one.mm.shortcut and one.mm.shortcut.shared]
        for shared, slot in slots:
            shared.forbid_asking(slot)
        return lambda: any(shared.asks(slot) for shared, slot in slots)

    def gone(self, mm: AddressSpace) -> None:
        """The address space is gone."""
        if mm.shortcut and mm.shortcut.shared:
            self._spaces.discard(mm.shortcut)
            mm.shortcut.shared.close()
            mm.shortcut.shared = None
            for area in mm.shortcut.areas:
                area.close()

    def close_queue(self, label: str) -> None:
        """Submissions to this queue stop again, until one of them finds that they need not."""
        for space in self._spaces:
            space.close_queue(label)


def _restore_entrance(site: SubmissionSite, shared: Shared | None, slot: int, registers: RegisterArray) -> None:
    offset, labels = registers[RIP] - site.entrance, site.code.labels
    flags = code.leaf_flags(site.code, offset)
    if shared and offset >= labels["save"]:
        flags = shared.flags(slot, layout.FLAGS)
        if offset > labels["taken"]:
            shared.restore(slot, registers)
    if flags is not None:
        registers[EFLAGS] = registers[EFLAGS] & ~STATUS_FLAGS | flags
    registers[EFLAGS] &= ~RESUME_FLAG
    registers[RIP] = site.ip
