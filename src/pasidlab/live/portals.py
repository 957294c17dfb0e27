"""mmap of a device file, and what later happens to the mapping.

The mapping is made inaccessible (PROT_NONE), so that every submission raises a signal on any CPU. A forked child does not inherit the
mapping: VM_DONTCOPY in idxd_cdev_mmap(). It lies in the window that the seccomp filter watches. What protection the program asked for is
remembered: without PROT_WRITE a submission faults.
"""

from __future__ import annotations

import contextlib
import errno
from typing import Protocol

from pasidlab.live import ptrace
from pasidlab.live.cdev import CharacterDevices
from pasidlab.live.inject import SYSCALL, Injector
from pasidlab.live.libc import PAGE, SYS_MADVISE, SYS_MMAP, SYS_MREMAP, SYS_MUNMAP, SYS_SHMAT
from pasidlab.live.nodes import Attribute, Binary
from pasidlab.live.patching import Patcher
from pasidlab.live.registers import ORIG_RAX, R8, R10, RAX, RDI, RDX, RIP, RSI, RegisterArray
from pasidlab.live.seccomp import PORTALS, WINDOW
from pasidlab.live.signals import SignalKeeper
from pasidlab.live.state import AddressSpace, OpenFile, Portal, Thread
from pasidlab.live.window import own_page

_PROT_WRITE, _PROT_RW, _MAP_SHARED, _MAP_FIXED, _MAP_ANONYMOUS = 2, 3, 1, 0x10, 0x20
_MAP_POPULATE, _MAP_LOCKED, _MADV_DONTFORK = 0x8000, 0x2000, 10
_MREMAP_FIXED, _MREMAP_DONTUNMAP = 2, 4
_PAGES = (1 << 32) - (PORTALS - WINDOW) >> 12
_U64 = (1 << 64) - 1


class Finder(Protocol):
    """Knows the files of the device tree by the program's descriptors."""

    def open_file(self, thread: Thread, number: int) -> OpenFile | Attribute | Binary | None:
        """What a descriptor number of the thread stands for; None if it is not ours."""


class PortalMapper:
    """Answers the traced memory system calls at their seccomp stops."""

    def __init__(self, files: CharacterDevices, found: Finder, injector: Injector, keeper: SignalKeeper) -> None:
        self.files, self.found, self.injector, self.keeper = files, found, injector, keeper

    def on_call(self, thread: Thread, registers: RegisterArray) -> None:
        """At a seccomp stop of mmap, munmap, mremap, mprotect or shmat."""
        number = registers[ORIG_RAX]
        if number == SYS_MMAP and not registers[R10] & _MAP_ANONYMOUS:
            descriptor = registers[R8] & 0xFFFFFFFF
            file = self.found.open_file(thread, descriptor) if descriptor < 1 << 31 else None
            if isinstance(file, OpenFile):
                self._map(thread, registers, file)
                return
            if isinstance(file, Attribute | Binary):  # kernfs_fop_mmap() without an mmap operation, as sysfs has it
                answer(thread, registers, -errno.ENODEV)
                return
        if number == SYS_SHMAT:
            self._attached(thread)
        elif number == SYS_MREMAP:
            self._move(thread, registers)
        elif number == SYS_MMAP and not registers[R10] & _MAP_FIXED:
            ptrace.resume(thread.tid)
        else:
            self._cover(thread, registers)

    def _cover(self, thread: Thread, registers: RegisterArray) -> None:
        """munmap or mprotect of an area, or an mmap that takes its place."""
        mm, start, length = thread.mm, registers[RDI], registers[RSI]
        touched, ours = mm.portals_in(start, length), mm.pages_of_ours_in(start, length)
        if (not touched and not ours) or start % PAGE:  # EINVAL
            ptrace.resume(thread.tid)
        elif registers[ORIG_RAX] in (SYS_MMAP, SYS_MUNMAP) or not touched:
            self._changed(thread, dict.fromkeys(touched), ours)
        else:
            self._protect_all(thread, registers, touched)

    def _move(self, thread: Thread, registers: RegisterArray) -> None:
        """mremap: of a portal, or to where one is."""
        mm, start, length, wanted, flags = thread.mm, registers[RDI], registers[RSI], registers[RDX], registers[R10]
        Patcher.give_back(thread, start, length)
        touched = mm.portals_in(start, max(length, 1))
        covered = (registers[R8], wanted) if flags & _MREMAP_FIXED else (0, 0)
        ours = mm.pages_of_ours_in(start, length) + mm.pages_of_ours_in(*covered)
        if touched and (flags & _MREMAP_DONTUNMAP or length != wanted):  # vma_to_resize(), mm/mremap.c: VM_PFNMAP
            answer(thread, registers, -errno.EFAULT if wanted > length else -errno.EINVAL)
            return
        over = dict.fromkeys(mm.portals_in(*covered))
        if not touched and not over and not ours:
            ptrace.resume(thread.tid)
        else:
            self._changed(thread, over | {page: page - start for page in touched}, ours)

    def _attached(self, thread: Thread) -> None:
        """shmat: what it covers (SHM_REMAP) is seen afterwards."""
        mm, address = thread.mm, self.injector.run_to_exit(thread.tid)
        if not -PAGE < address < 0 and (mapping := thread.mm.mapping_at(thread.tid, address)):
            length = mapping.end - address
            for page in mm.portals_in(address, length):
                mm.drop_portal(page)
            self._renew(thread, mm.pages_of_ours_in(address, length))
        ptrace.resume(thread.tid)

    def _protect_all(self, thread: Thread, registers: RegisterArray, touched: list[int]) -> None:
        """mprotect of an area that holds the portals ``touched``: they stay inaccessible, and what the program wants is remembered. The
        kernel says whether it may: not of what is sealed (mseal(2)).
        """
        start, end, wanted = registers[RDI], registers[RDI] + registers[RSI], registers[RDX]
        result, again = 0, False
        for page in (*touched, end):
            if page > start and not result:
                result, again = self._protect_part(thread, registers, (start, page - start, wanted), again=again), True
            portal = thread.mm.portals.get(page)
            if page < end and not result and wanted & _PROT_WRITE and portal and portal.file.read_only:
                result = -errno.EACCES  # VM_MAYWRITE is clear (mm/mprotect.c)
            elif page < end and not result:
                result, again = self._protect_part(thread, registers, (page, PAGE, 0), again=again), True
                if not result:
                    self._remember(thread.mm, page, writable=bool(wanted & _PROT_WRITE))
            start = page + PAGE
        self.injector.rejoin(thread)
        answer(thread, registers, result)

    def _protect_part(self, thread: Thread, registers: RegisterArray, part: tuple[int, int, int], *, again: bool) -> int:
        """The result of the call for a part of its area: (start, length, protection). It is made ``again`` where that has been done for
        another.
        """
        changed = ptrace.copy_registers(registers)
        changed[RDI], changed[RSI], changed[RDX] = part
        if again:
            changed[RIP], changed[RAX], changed[ORIG_RAX] = registers[RIP] - len(SYSCALL), registers[ORIG_RAX], _U64
            self.keeper.lender.enter(thread, changed)
        else:
            ptrace.set_registers(thread.tid, changed)
        return self.injector.run_to_exit(thread.tid)

    @staticmethod
    def _remember(mm: AddressSpace, page: int, *, writable: bool) -> None:
        if page in mm.portals:
            mm.portals[page].writable = writable
        if mm.shortcut:
            mm.shortcut.close_row(page)

    @staticmethod
    def _place(thread: Thread, address: int, file: OpenFile, writable: bool) -> None:
        portal = Portal(file, writable, address >> 32 == WINDOW >> 32)
        thread.mm.add_portal(address, portal)
        if not portal.watched and (mapping := thread.mm.mapping_at(thread.tid, address)):
            portal.path = mapping.path

    def _changed(self, thread: Thread, touched: dict[int, int | None], ours: list[int]) -> None:
        """Let the call happen. Portals it touches go, or move to this many bytes from its result; ``ours`` are pages of ours
        that may be none any more.
        """
        result = self.injector.run_to_exit(thread.tid)
        if not -PAGE < result < 0:
            portals = [(thread.mm.drop_portal(page), to) for page, to in touched.items()]
            for portal, to in portals:
                if portal and to is not None:
                    self._place(thread, result + to, portal.file, portal.writable)
            self._renew(thread, ours)
        ptrace.resume(thread.tid)

    def _renew(self, thread: Thread, lost: list[int]) -> None:
        """At a system call exit: pages of ours that the program has taken are its own; we need another scratch page."""
        mm = thread.mm
        if mm.code in lost:
            mm.code = 0
        if mm.scratch in lost:
            mm.scratch = 0
            self._make_scratch(thread)

    def _map(self, thread: Thread, registers: RegisterArray, file: OpenFile) -> None:
        mm = thread.mm
        writable = bool(registers[RDX] & _PROT_WRITE)
        error = self.files.mmap_error(file, mm, registers[RSI])
        if file.write_only or (writable and file.read_only and registers[R10] & _MAP_SHARED):
            error = errno.EACCES  # do_mmap(), before the driver is asked
        if error:
            answer(thread, registers, -error)
            return
        changed = ptrace.copy_registers(registers)
        changed[RDX] = 0
        changed[R10] &= ~(_MAP_POPULATE | _MAP_LOCKED) & _U64
        if not registers[R10] & _MAP_FIXED:
            changed[RDI] = self._free_page(mm)
        ptrace.set_registers(thread.tid, changed)
        address = self.injector.run_to_exit(thread.tid)
        registers[RAX], registers[ORIG_RAX] = address & _U64, _U64
        ptrace.set_registers(thread.tid, registers)
        if not -PAGE < address < 0:
            self._place(thread, address, file, writable)
            mm.syscall_at = registers[RIP] - len(SYSCALL)
            self.injector.call(thread, mm.syscall_at, SYS_MADVISE, address, PAGE, _MADV_DONTFORK)
            self._prepare(thread)
        ptrace.resume(thread.tid)

    def _prepare(self, thread: Thread) -> None:
        """The first portal of an address space: a scratch page, then the signal markers. Other processes that share it come to a stop
        before they can submit, and get theirs (``Tracer``).
        """
        self._make_scratch(thread)
        self.keeper.arm(thread)
        for tid in thread.mm.threads - thread.process.threads:
            with contextlib.suppress(ptrace.Gone, OSError):
                ptrace.interrupt(tid)

    def _make_scratch(self, thread: Thread) -> None:
        mm = thread.mm
        with mm.ours:
            if not mm.scratch:
                mm.scratch = own_page(self.injector, thread, WINDOW, _PROT_RW)
                mm.sign()

    def _free_page(self, mm: AddressSpace) -> int:
        for _ in range(_PAGES):
            page = PORTALS + mm.window_next * PAGE
            mm.window_next = (mm.window_next + 1) % _PAGES
            if page not in mm.portals:
                return page
        return 0


def answer(thread: Thread, registers: RegisterArray, result: int) -> None:
    """Skip the system call of this seccomp stop and let it return ``result``."""
    registers[ORIG_RAX], registers[RAX] = _U64, result & _U64
    ptrace.set_registers(thread.tid, registers)
    ptrace.resume(thread.tid)
