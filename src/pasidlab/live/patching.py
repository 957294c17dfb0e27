"""Changes instructions of a running program: code of ours near them, and a jump to it in their place."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from pasidlab.live import shortcut_code as code
from pasidlab.live import slot_layout as layout
from pasidlab.live.inject import Injector
from pasidlab.live.libc import PAGE, SYS_CLOSE, SYS_MADVISE, SYS_MEMBARRIER, SYS_MEMFD_CREATE, SYS_MMAP
from pasidlab.live.maps import Mapping, mappings
from pasidlab.live.seccomp import WINDOW
from pasidlab.live.sites import JUMP, JUMP_SIZE, Area, SubmissionSite, aligned
from pasidlab.live.slots import SIZE, Shared, memory_of
from pasidlab.live.state import Thread

_AREA_SIZE = 16 * PAGE
_REACH = (1 << 31) - (1 << 24)  # bytes of a jump, less what lies within an area and a mapping's instructions
_LOWEST = 1 << 16  # vm.mmap_min_addr as distributions have it
_GAP = 16 * PAGE  # left free below and above
_FOR_STACK = 1 << 27  # the kernel leaves a stack at least as much (mmap_base(), arch/x86/mm/mmap.c, v6.12)
_PROT_RW, _PROT_RX, _MAP_SHARED, _MAP_PRIVATE, _MAP_FIXED_NOREPLACE = 3, 5, 1, 2, 0x100000
_MADV_DONTFORK, _MFD_CLOEXEC, _MFD_ALLOW_SEALING, _U64 = 10, 1, 2, (1 << 64) - 1
_REGISTER_SYNC_CORE, _SYNC_CORE = 1 << 6, 1 << 5  # linux/membarrier.h
_PLACE = WINDOW + (1 << 24)  # of the shared memory, if it is free
_MOST_AREAS = 16
_TASK_TOP = (1 << 47) - PAGE  # GS may point no higher (ptrace(2): EIO)

_Made = TypeVar("_Made")


class Patcher:
    """Everything is done by the thread that is stopped, by system calls made in its name. OSError: this process has no room."""

    def __init__(self, injector: Injector) -> None:
        self._injector = injector
        self.magic = int.from_bytes(os.urandom(8), "little")  # tells our slots from whatever GS may point to

    def suits(self, thread: Thread, site: SubmissionSite) -> bool:
        """Whether a jump fits, and the bytes are a file's that nobody changes: not made by a compiler at run time."""
        instruction, known = site.instruction, _mappings(thread)
        if instruction.kind not in layout.WAY_OF or len(site.original) < JUMP_SIZE:
            return False
        if instruction.segment >= 0 or instruction.address_mask != _U64:
            return False
        at = next((one for one in known if one.start <= site.ip and site.end <= one.end), None)
        if at is None or at.permissions != "r-xp" or at.path[:1] != "/" or at.path.endswith(" (deleted)"):
            return False
        return not any(one.path == at.path and one.permissions[1] + one.permissions[3] == "ws" for one in known)

    def share(self, thread: Thread) -> Shared:
        """Memory of the process and of ours: an unnamed file, which no child inherits."""
        shared = self._with_file(thread, partial(self._mapped, thread))
        if shared.at + SIZE + layout.BIAS >= _TASK_TOP:
            raise OSError(errno.ENOMEM, "no room in the window")
        return shared

    def _with_file(self, thread: Thread, use: Callable[[int, int], _Made]) -> _Made:
        """What ``use`` makes of a new file in memory: of its descriptor in the process, and of one of ours."""
        mm = thread.mm
        with mm.ours:
            if not mm.scratch or not mm.memory.write(mm.scratch, b"pasidlab\0"):
                raise OSError(errno.ENOMEM, "no page for a name")
            file = self._call(thread, SYS_MEMFD_CREATE, mm.scratch, _MFD_CLOEXEC | _MFD_ALLOW_SEALING)
        try:
            ours = file_of(thread.tid, file)
            try:
                made = use(file, ours)
            finally:
                os.close(ours)
        except OSError:  # after Gone the number may be another program's: then nothing more is called
            self._call(thread, SYS_CLOSE, file)
            raise
        self._call(thread, SYS_CLOSE, file)
        return made

    def _mapped(self, thread: Thread, file: int, ours: int) -> Shared:
        """The file in the process, at its size, in both memories."""
        shared = Shared(ours)
        shared.at = self._call(thread, SYS_MMAP, _PLACE, SIZE, _PROT_RW, _MAP_SHARED, file, 0)
        self._call(thread, SYS_MADVISE, shared.at, SIZE, _MADV_DONTFORK)
        return shared

    def area(self, thread: Thread, areas: list[Area], site: SubmissionSite) -> Area | None:
        """An area that a jump from the site reaches, with room for an entrance; None if there can be none."""
        for area in areas:
            if area.file and abs(area.start - site.ip) < _REACH and area.used + 2 * PAGE <= _AREA_SIZE:
                return area
        start = _gap_near(_taken(_mappings(thread), areas), site.ip)
        if not start or len(areas) >= _MOST_AREAS:
            return None
        area = self._with_file(thread, partial(self._new_area, thread, start))
        areas.append(area)
        return area

    def _new_area(self, thread: Thread, start: int, file: int, ours: int) -> Area:
        body = code.body()
        area = Area(start, body, aligned(len(body.data)), memory_of(ours, _AREA_SIZE, ours_to_write=True))
        area.write(start, body.data)
        try:
            self._call(thread, SYS_MMAP, start, _AREA_SIZE, _PROT_RX, _MAP_PRIVATE | _MAP_FIXED_NOREPLACE, file, 0)
        except BaseException:
            area.close()
            raise
        return area

    def add(self, area: Area, site: SubmissionSite) -> None:
        """An entrance for the site."""
        start = area.end
        entrance = code.entrance(site.instruction, code.EntrancePlace(start, area.start, site.end, self.magic))
        area.write(start, entrance.data)
        site.entrance, site.code = start, entrance
        area.used += aligned(len(entrance.data))
        area.sites.append(site)

    def patch(self, thread: Thread, site: SubmissionSite) -> bool:
        """Put the jump in place of the instruction, while other threads may come there. First comes a byte that traps, then the rest of
        the jump, then its first byte. In between every processor is made to see the change (as text_poke_bp(), v6.12). False: the kernel
        cannot do that, or the program has put something else there meanwhile.
        """
        try:
            self._synchronize(thread)
        except OSError:
            return False
        there = site.original[:JUMP_SIZE]
        for wanted in site.replacements:
            if not self._put(thread, site, there, wanted):
                return False
            there = wanted
            self._synchronize(thread)
        return True

    @staticmethod
    def is_patched(thread: Thread, site: SubmissionSite) -> bool:
        """Whether the jump is there: another thread stopped before it was."""
        return thread.mm.memory.read(site.ip, 1) == JUMP

    @staticmethod
    def give_back(thread: Thread, start: int, length: int) -> None:
        """The program moves this memory: its own instructions move, for a jump would lead elsewhere. They stay in place."""
        space = thread.mm.shortcut
        for site in tuple(space.sites.values()) if space else ():
            if space and start <= site.ip < start + length:
                space.refused.add(site.ip)
                for there in site.replacements:
                    Patcher._put(thread, site, there, site.original[:JUMP_SIZE])

    @staticmethod
    def give_copy_back(thread: Thread, copy: SubmissionSite) -> bool:
        """Whether the jump of a replaced instruction was where ``copy`` lies: the instruction is there now."""
        try:
            return Patcher._put(thread, copy, copy.replacements[-1], copy.original[:JUMP_SIZE])
        except OSError:  # it cannot be written, not even by us
            return False

    @staticmethod
    def _put(thread: Thread, site: SubmissionSite, there: bytes, wanted: bytes) -> bool:
        """Five bytes, within 8 that are written at once and lie in one page if the instruction does. Nothing is written where others than
        ``there`` are by now: then False.
        """
        start = site.ip if (site.ip + 8 - 1) // PAGE == (site.ip + JUMP_SIZE - 1) // PAGE else site.ip - 3
        mm, offset = thread.mm, site.ip - start
        around = bytearray(mm.memory.read(start, 8) or mm.instructions_at(thread.tid, start, 8))
        if len(around) < 8 or around[offset : offset + JUMP_SIZE] != there:
            return False
        around[offset : offset + JUMP_SIZE] = wanted
        thread.mm.memory.poke(thread.tid, start, bytes(around))
        return True

    def _synchronize(self, thread: Thread) -> None:
        """Every processor that runs a thread of the process forgets instructions it has fetched (membarrier(2))."""
        if len(thread.mm.threads) > 1:
            for command in (_REGISTER_SYNC_CORE, _SYNC_CORE):
                self._call(thread, SYS_MEMBARRIER, command, 0, 0)

    def _call(self, thread: Thread, number: int, *arguments: int) -> int:
        """The result of a system call; OSError if it fails."""
        result = self._injector.call(thread, thread.mm.syscall_at, number, *arguments)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result


def file_of(tid: int, number: int) -> int:
    """A descriptor of ours for the file that we have a thread make under this number. OSError if the program has put another there.

    It is looked at before it is opened: another could keep us waiting, and must not be opened with our rights.
    """
    place = os.open(f"/proc/{tid}/fd/{number}", os.O_PATH | os.O_CLOEXEC)
    try:
        if os.fstat(place).st_nlink or os.readlink(f"/proc/self/fd/{place}") != "/memfd:pasidlab (deleted)":
            raise OSError(errno.EPERM, "not a file of ours")
        return os.open(f"/proc/self/fd/{place}", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    finally:
        os.close(place)


def _mappings(thread: Thread) -> list[Mapping]:
    return thread.mm.patiently(lambda: list(mappings(thread.tid)), list[Mapping]())


def _taken(known: list[Mapping], areas: list[Area]) -> list[Mapping]:
    """The mappings, and places of areas whatever is there by now: jumps may still lead to them."""
    ours = [Mapping(area.start, area.start + _AREA_SIZE, "r-xp", 0, "") for area in areas]
    others = [one for one in known if not any(area.start <= one.start < area.end for area in ours)]
    return sorted([*others, *ours], key=lambda one: one.start)


def _gap_near(known: list[Mapping], address: int) -> int:
    """An address for an area within reach, away from what may grow, and below the mapping that holds ``address`` if possible;
    0 for none.
    """
    found: list[tuple[bool, bool, int]] = []
    end, grows = 0, False  # of the mapping before
    for mapping in known:
        top, bottom = mapping.start - _GAP - _AREA_SIZE, max(end + _GAP, _LOWEST)
        if mapping.path == "[stack]":
            top -= _FOR_STACK
        elif bottom <= top:
            found.append((False, top >= address, top))
        if bottom <= top and end and not grows:
            found.append((True, bottom >= address, bottom))
        end, grows = mapping.end, mapping.path == "[heap]"
    reached = [one for one in found if abs(address - one[2]) < _REACH]
    return min(reached, key=lambda one: (*one[:2], abs(address - one[2])), default=(True, True, 0))[2]
