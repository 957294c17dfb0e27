"""Memory whose pages the program may serve itself: by userfaultfd(2), or by a file system that it has mounted.

An access may then last until a thread of the program has answered, and that thread may need the tracer first. So a thread of
ours waits for it, and the handler gives way. A device does not wait: its page request fails where a userfaultfd would have
to answer (handle_userfault() without FAULT_FLAG_ALLOW_RETRY, as iommu_sva_handle_mm() calls it, v6.12). Where it only tracks writes
(UFFD_FEATURE_WP_ASYNC, v6.7), nobody has to answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import TypeVar

from greenlet import getcurrent, greenlet

from pasidlab.errors import PasidlabError
from pasidlab.live import workers
from pasidlab.live.descriptors import binary_file, text_file
from pasidlab.live.libc import PAGE, leave_descriptors
from pasidlab.live.loop import EventLoop

# /proc/PID/pagemap, Documentation/admin-guide/mm/pagemap.rst
_THERE, _WRITE_PROTECTED = 1 << 63 | 1 << 62, 1 << 57  # in memory or swapped out; write-protected by a userfaultfd
_MISSING, _PROTECTING = frozenset(("um", "ui")), "uw"  # VmFlags of /proc/PID/smaps
_PIECE = 1 << 16  # pages
_PAGEMAP_SCAN, _SCAN = 0xC0606610, struct.Struct("<12Q")  # ioctl and struct pm_scan_arg, linux/fs.h: size, flags, start, end, ...
_CHECK_ASYNCHRONOUS = 2  # PM_SCAN_CHECK_WPASYNC: EPERM where a fault would have to be answered


Answer = TypeVar("Answer")
"""Of any type."""

ServedArea = tuple[int, int, frozenset[str]]
"""Start, end and flags of a mapping."""

_Look = tuple[int, list[ServedArea] | None]

_MOMENT, _LONG = 0.05, 1.0  # seconds
_Over = Callable[[int], None]

NOT_BEGUN = -2
"""What ``Patient.call`` returns where the call was not allowed to begin."""


class Interrupted(Exception):
    """A call is given up that may be made again: the thread for which it was made is wanted."""


class Patient:
    """Calls that may last: each in a thread of its own, while everything else goes on."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self.on_long: Callable[[], None] = lambda: None  # called now and then while one lasts that is not given up
        self._wanted: dict[greenlet, Callable[[], bool]] = {}  # by the handler whose calls are given up then
        self._left: dict[Hashable, list[_Over]] = {}  # who waits for a call that was given up and is not over, by its ``place``

    @contextlib.contextmanager
    def interruptible(self, wanted: Callable[[], bool]) -> Iterator[None]:
        """What this handler calls raises Interrupted once ``wanted`` says so, until ``commits``."""
        handler = getcurrent()
        self._wanted[handler] = wanted
        try:
            yield
        finally:
            self._wanted.pop(handler, None)

    def commits(self) -> None:
        """From now on, what this handler does could not be done again."""
        self._wanted.pop(getcurrent(), None)

    def call(self, work: Callable[[], int], begins: Callable[[], bool] = lambda: True, place: Hashable = None) -> int:
        """What ``work`` returns; NOT_BEGUN where ``begins``, asked just before, says no; -1 where there can be no more threads.

        ``work`` must not use anything that others use, for it may outlive the handler that waits. It has no descriptors: where the
        program keeps it for ever, pasidlab can be killed nevertheless, and what it served is closed then.

        ``place`` says what is waited for: while a call that was given up waits for the same, another one does not begin.
        """
        while place in self._left:
            self._wait(self._left[place].append)

        def begin(over: _Over) -> None:
            def run() -> None:
                leave_descriptors()
                result = work() if begins() else NOT_BEGUN
                self._loop.post(lambda: ended(result))

            def ended(result: int) -> None:
                over(result)
                for other in self._left.pop(place, ()):
                    other(0)

            workers.start_thread(run, "patient", self._loop.post)

        try:
            return self._wait(begin)
        except PasidlabError:
            return -1
        except Interrupted:
            if place is not None:
                self._left.setdefault(place, [])
            raise

    def _wait(self, begin: Callable[[_Over], None]) -> int:
        """Call ``begin`` with a function, and return what that is called with. Raises Interrupted if the handler is wanted first."""
        handler, wanted, waits = getcurrent(), self._wanted.get(getcurrent()), True
        given_up = object()

        def over(value: object) -> None:
            nonlocal waits
            if waits:
                waits = False
                self._loop.resume(handler, value)

        def look() -> None:
            if waits and wanted and wanted():
                over(given_up)
            elif waits:
                self._loop.after(_MOMENT if wanted else _LONG, look)
                if not wanted:
                    self.on_long()

        self._loop.after(_MOMENT if wanted else _LONG, look)
        try:
            begin(over)
            value = self._loop.park()
        finally:
            waits = False
        if value is given_up:
            raise Interrupted
        return int(value)

    def value(self, work: Callable[[], Answer], otherwise: Answer, place: Hashable = None) -> Answer:
        """What ``work`` returns, which is as in ``call``; ``otherwise`` where it raises OSError, or there can be no more threads."""
        found: list[Answer] = []

        def run() -> int:
            with contextlib.suppress(OSError):
                found.append(work())
            return 0

        self.call(run, place=place)
        return found[0] if found else otherwise



def transfer(call: Callable[..., int], pid: int, local: bytearray, there: int) -> int:
    """process_vm_readv(2) or process_vm_writev(2) of ``local`` from or to ``there``, with vectors of its own."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(local))
    vectors = (ctypes.c_uint64 * 4)(address, len(local), there, len(local))
    at = ctypes.addressof(vectors)
    return int(call(pid, at, 1, at + 16, 1, 0))


class Registered:
    """The areas of a process that its userfaultfds serve. Looking for them takes long where there are many mappings.

    So what was found holds until another is registered (``forget``). One that is gone may be among them: it counts only if a
    second look finds it too. A look may last, as any access does: the kernel asks for the lock of the process's mappings.
    """

    def __init__(self) -> None:
        self._found: list[ServedArea] | None = None
        self._times = 0  # that ``forget`` was called

    def forget(self) -> None:
        """There may be more."""
        self._found = None
        self._times += 1

    def reachable(self, patient: Patient, pid: int, place: range, *, write: bool) -> int:
        """Bytes of ``place`` before the first page that a userfaultfd would have to serve."""
        known, times = self._found, self._times
        if known == []:
            return len(place)
        nowhere: _Look = 0, None
        reached, found = patient.value(partial(_reached, known, pid, place, write), nowhere)
        if reached < len(place) and known is not None:
            reached, found = patient.value(partial(_reached, None, pid, place, write), nowhere)
        if times == self._times:
            self._found = found
        return reached


def _reached(known: list[ServedArea] | None, pid: int, place: range, write: bool) -> _Look:
    """See ``Registered.reachable``; and the areas, ``known`` or found, None where the process has just ended."""
    found = known
    if found is None:
        areas = list(_areas(pid))
        found = [area for area in areas if area[2] & {*_MISSING, _PROTECTING}] if areas else None
    address, end = place.start, place.stop
    for start, stop, flags in found or ():
        if stop <= address or start >= end:
            continue
        protects = write and _PROTECTING in flags
        for page, entry in _pages(pid, max(address, start), min(end, stop)):
            if flags & _MISSING and not entry & _THERE:
                return max(0, page - address), found
            if protects and entry & _WRITE_PROTECTED:
                protects = not _only_tracks(pid, page, min(end, stop))
                if protects:
                    return max(0, page - address), found
    return len(place), found


def present_in(pid: int, place: range) -> int:
    """Bytes of ``place`` until the first page that is not in memory: as ``Pagemaps.present``, for whoever may have to wait."""
    for page, entry in _pages(pid, place.start, place.stop):
        if not entry >> 63:
            return max(0, page - place.start)
        last = page + PAGE
    return len(place) if place.start < place.stop and last >= place.stop else 0


def _only_tracks(pid: int, page: int, end: int) -> bool:
    """Whether a userfaultfd that protects these pages lets writes happen."""
    asked = bytearray(_SCAN.pack(_SCAN.size, _CHECK_ASYNCHRONOUS, page, -(-end // PAGE) * PAGE, *[0] * 8))
    try:
        with binary_file(f"/proc/{pid}/pagemap") as pagemap:
            fcntl.ioctl(pagemap, _PAGEMAP_SCAN, asked)
    except OSError:  # older kernels know neither
        return False
    return True


def _areas(pid: int) -> Iterator[tuple[int, int, frozenset[str]]]:
    """Start, end and flags of every mapping."""
    start = stop = 0
    try:
        with text_file(f"/proc/{pid}/smaps") as file:
            for line in file:
                if line.startswith("VmFlags:"):
                    yield start, stop, frozenset(line.split()[1:])
                elif "-" in (head := line.split(" ", 1)[0]) and not head.endswith(":"):
                    start, stop = (int(number, 16) for number in head.split("-"))
    except OSError:
        return


def _pages(pid: int, address: int, end: int) -> Iterator[tuple[int, int]]:
    """Address and pagemap entry of every page between."""
    page = address // PAGE
    try:
        with binary_file(f"/proc/{pid}/pagemap") as pagemap:
            while page * PAGE < end:
                text = os.pread(pagemap.fileno(), 8 * min(_PIECE, -(-end // PAGE) - page), 8 * page)
                if not text:
                    return
                for at in range(0, len(text), 8):
                    yield (page + at // 8) * PAGE, int.from_bytes(text[at : at + 8], "little")
                page += len(text) // 8
    except OSError:
        return
