"""A core dump of the program at its first rejected descriptor: what a debugger loads as if the program had died there.

The layout is the kernel's (fs/binfmt_elf.c, v6.12; struct elf_prstatus and elf_prpsinfo in linux/elfcore.h and elfcore.h).
No page is touched that is not in memory: dumping changes nothing that a device could notice.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pasidlab.live import ptrace
from pasidlab.live.descriptors import binary_file
from pasidlab.live.libc import PAGE
from pasidlab.live.maps import Mapping, mappings
from pasidlab.live.outputs import LaterFile
from pasidlab.live.registers import COUNT, RIP, RSP, Registers
from pasidlab.live.state import Thread

_HEADER, _SEGMENT = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
_CORE, _X86_64, _PT_LOAD, _PT_NOTE = 4, 62, 1, 4
_PRSTATUS, _FPREGSET, _PRPSINFO, _AUXV, _XSTATE = 1, 2, 3, 6, 0x202  # note types
_FILE, _SIGINFO = 0x46494C45, 0x53494749
_STATUS, _INFO = struct.Struct("<3ih2xQQ4i8Q216si4x"), struct.Struct("<BcBbxxxxQII4i16s80s")
_MOST_SEGMENTS = 60000  # their number has 16 bits
_LARGEST = 1 << 36  # bytes of a mapping: a larger one is reserved, not used
_GAP = 1 << 20  # bytes without memory, from which a new segment begins
_ENTRIES = 1 << 16  # of /proc/PID/pagemap at once
_PIECE = 1 << 20
_TURN = 1 << 30  # bytes of a mapping whose pages are asked for before everything else has its turn
_ARGUMENTS = -5  # their start in /proc/PID/stat, counted from the end; then their end (fs/proc/array.c)
_IN_MEMORY, _OF_A_FILE = np.uint64(3 << 62), np.uint64(1 << 61)  # present or swapped; Documentation/admin-guide/mm/pagemap.rst


@dataclass
class CoreFile:
    """Where the dump goes, and whether there is one. ``failed`` says why not."""

    file: LaterFile
    reason: str = ""  # the rejection; empty while there was none
    failed: str = ""

    def rejected(self, thread: Thread, reason: str, threads: dict[int, Thread]) -> None:
        """Write the dump, at the first call. ``thread`` submitted the descriptor, and is stopped."""
        if self.reason:
            return
        self.reason, self.failed = reason, f"cannot write {self.file.path}: the program ended first"
        others = [one.tid for one in threads.values() if one.process is thread.process and one is not thread]
        try:
            self.file.replace(lambda file: _dump(file, thread, [thread.tid, *others]))
            self.failed = ""
        except OSError as error:
            self.failed = f"cannot write {self.file.path}: {error.strerror or error}"

    @property
    def line(self) -> str:
        """For the summary."""
        if not self.reason:
            return "core: none, no descriptor was rejected"
        return f"core: {self.failed or self.file.path}"


@dataclass(frozen=True)
class _DumpedPart:
    """Part of a mapping: with its contents, or without."""

    start: int
    end: int
    permissions: str
    contents: bool
    whole: bool = False  # the kernel's own page of code: its pages come into memory when they are read, and that is all


def _dump(file: BinaryIO, thread: Thread, tids: list[int]) -> None:
    """The memory is asked for by ``thread``, which has it: its leader may have ended."""
    mapped: list[Mapping] = thread.mm.patiently(lambda: list(mappings(thread.tid)), list[Mapping]())
    runs = [run for mapping in mapped for run in _runs(thread, mapping)][: _MOST_SEGMENTS - 1]
    notes = b"".join(_notes(thread, tids, mapped))
    notes_at = _HEADER.size + _SEGMENT.size * (len(runs) + 1)
    at = -(-(notes_at + len(notes)) // PAGE) * PAGE
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    file.write(_HEADER.pack(identity, _CORE, _X86_64, 1, 0, 64, 0, 0, 64, _SEGMENT.size, len(runs) + 1, 0, 0, 0))
    file.write(_SEGMENT.pack(_PT_NOTE, 0, notes_at, 0, 0, len(notes), 0, 4))
    places = []
    for run in runs:
        size = run.end - run.start if run.contents else 0
        flags = sum(bit for bit, letter in ((4, "r"), (2, "w"), (1, "x")) if letter in run.permissions)
        file.write(_SEGMENT.pack(_PT_LOAD, flags, at, run.start, 0, size, run.end - run.start, PAGE))
        places.append(at)
        at += size
    file.write(notes)
    for run, place in zip(runs, places, strict=True):
        if run.contents:
            _copy(file, place, thread, run)
    file.truncate(at)


def _copy(file: BinaryIO, place: int, thread: Thread, run: _DumpedPart) -> None:
    """The pages that are in memory; the others are holes, which read as zeros. So are those that went away since: [vvar], say."""
    for begin, entries in _asked(thread, run.start, run.end):
        for first, last in _stretches(((entries & _IN_MEMORY) != 0) | run.whole):
            end = begin + last * PAGE
            for start in range(begin + first * PAGE, end, _PIECE):
                file.seek(place + start - run.start)
                file.write(thread.mm.memory.read(start, min(_PIECE, end - start)))
                thread.mm.breathe()


def _asked(thread: Thread, start: int, end: int) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Piece by piece its address and ``_entries``; zeros where nobody can tell. A mapping may be large, and there may be many of them."""
    for first in range(start, end, _TURN):
        last = min(first + _TURN, end)
        yield first, thread.mm.patiently(partial(_entries, thread.tid, first, last), np.zeros((last - first) // PAGE, np.uint64))
        thread.mm.breathe()


def _entries(pid: int, start: int, end: int) -> NDArray[np.uint64]:
    """An entry of the page table for each page."""
    parts = []
    with suppress(OSError), binary_file(f"/proc/{pid}/pagemap") as file:
        for page in range(start // PAGE, end // PAGE, _ENTRIES):
            parts.append(os.pread(file.fileno(), 8 * min(_ENTRIES, end // PAGE - page), 8 * page))
    entries = np.frombuffer(b"".join(parts), np.uint64)
    return np.concatenate((entries, np.zeros((end - start) // PAGE - len(entries), np.uint64)))


def _stretches(wanted: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The runs of True, as [first, last)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], wanted, [False])).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _runs(thread: Thread, mapping: Mapping) -> Iterator[_DumpedPart]:
    """What of a mapping is dumped, as by coredump_filter's default: private memory, and what has no file to be read from."""
    if mapping.path == "[vdso]":
        yield _DumpedPart(mapping.start, mapping.end, mapping.permissions, True, True)
        return
    at, gap = mapping.start, _GAP if not mapping.path.startswith("/") else 0
    pieces = _wanted(thread, mapping)
    stretches = ((begin + first * PAGE, begin + last * PAGE) for begin, wanted in pieces for first, last in _stretches(wanted))
    for start, end in _joined(stretches, gap):
        if at < start:
            yield _DumpedPart(at, start, mapping.permissions, False)
        yield _DumpedPart(start, end, mapping.permissions, True)
        at = end
    if at < mapping.end:
        yield _DumpedPart(at, mapping.end, mapping.permissions, False)


def _joined(stretches: Iterable[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in stretches:
        if joined and start - joined[-1][1] < max(gap, 1):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _wanted(thread: Thread, mapping: Mapping) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Piece by piece its address, and which of its pages are dumped."""
    file = mapping.path.startswith("/") and not mapping.path.endswith(" (deleted)")
    shared = "s" in mapping.permissions
    if mapping.path in ("[vvar]", "[vsyscall]") or (shared and file) or "r" not in mapping.permissions:
        return
    if mapping.end - mapping.start > _LARGEST:
        return
    for begin, entries in _asked(thread, mapping.start, mapping.end):
        wanted: NDArray[np.bool_] = (entries & _IN_MEMORY) != 0
        if file:
            wanted &= (entries & _OF_A_FILE) == 0  # pages that were written; the others are in the file
            if begin == mapping.start:
                wanted[:1] |= mapping.offset == 0 and bool(entries[0] & _IN_MEMORY)  # the ELF header, for the build id
        yield begin, wanted


def _note(kind: int, data: bytes, name: bytes = b"CORE") -> bytes:
    padded = data.ljust(-(-len(data) // 4) * 4, b"\0")
    return struct.pack("<III8s", len(name) + 1, len(data), kind, name) + padded


def _notes(thread: Thread, tids: list[int], mapped: list[Mapping]) -> Iterator[bytes]:
    """In the kernel's order: the thread that the dump is about, its process, then the other threads."""
    info, pid = _signal_info(tids[0]), thread.process.pid
    yield _note(_PRSTATUS, _status(pid, tids[0], int.from_bytes(info[:4], "little")))
    yield _note(_PRPSINFO, _process(thread))
    yield _note(_SIGINFO, info)
    yield _note(_AUXV, _read(f"/proc/{thread.tid}/auxv"))
    yield _note(_FILE, _files(mapped))
    yield from _vectors(tids[0])
    for tid in tids[1:]:
        yield _note(_PRSTATUS, _status(pid, tid, 0))
        yield from _vectors(tid)


def _vectors(tid: int) -> Iterator[bytes]:
    """The floating-point and vector registers of a thread that stands still."""
    with suppress(OSError, ptrace.Gone):
        yield _note(_FPREGSET, ptrace.register_set(tid, _FPREGSET))
        yield _note(_XSTATE, ptrace.register_set(tid, _XSTATE), b"LINUX")


def _signal_info(tid: int) -> bytes:
    """Of the stop; where that is no signal's, SIGTRAP."""
    with suppress(OSError, ptrace.Gone):
        info = ptrace.signal_info(tid)
        if info[:4] != bytes(4):
            return info
    return ptrace.fault_info(signal.SIGTRAP, ptrace.SI_KERNEL, 0)


def _status(pid: int, tid: int, number: int) -> bytes:
    """struct elf_prstatus. A thread that runs on has no registers; in a system call it shows where it is."""
    registers, stands = Registers(*[0] * COUNT), 1
    try:
        ptrace.get_registers(tid, registers)
    except (ptrace.Gone, OSError):
        words, stands = _read(f"/proc/{tid}/syscall").split(), 0
        if len(words) >= 3:
            registers[RSP], registers[RIP] = int(words[-2], 16), int(words[-1], 16)
    fields = _fields(pid)
    pending, held = int(fields.get("SigPnd", "0"), 16), int(fields.get("SigBlk", "0"), 16)
    parents = int(fields.get("PPid", "0")), _call(os.getpgid, pid), _call(os.getsid, pid)
    return _STATUS.pack(number, 0, 0, number, pending, held, tid, *parents, *[0] * 8, bytes(registers), stands)


def _process(thread: Thread) -> bytes:
    """struct elf_prpsinfo."""
    pid = thread.process.pid
    fields = _fields(pid)
    ids = [int(fields.get(name, "0").split()[0]) for name in ("Uid", "Gid")]
    name = _read(f"/proc/{pid}/comm").strip()[:15]
    arguments = _arguments(thread).replace(b"\0", b" ").strip()[:79]
    parents = pid, int(fields.get("PPid", "0")), _call(os.getpgid, pid), _call(os.getsid, pid)
    return _INFO.pack(0, b"R", 0, 0, 0, *ids, *parents, name, arguments)


def _arguments(thread: Thread) -> bytes:
    """The first of them, from the program's own memory: /proc/PID/cmdline could wait for who serves it."""
    fields = _read(f"/proc/{thread.tid}/stat").rsplit(b" ", -_ARGUMENTS)[1:]
    start, end = (int(fields[0]), int(fields[1])) if len(fields) >= 2 else (0, 0)
    return thread.mm.memory.read(start, min(end - start, 80))


def _files(mapped: list[Mapping]) -> bytes:
    """NT_FILE: which file is mapped where."""
    named = [one for one in mapped if one.path.startswith("/")]
    head = struct.pack("<QQ", len(named), PAGE)
    places = b"".join(struct.pack("<QQQ", one.start, one.end, one.offset // PAGE) for one in named)
    return head + places + b"".join(os.fsencode(one.path) + b"\0" for one in named)


def _call(function: Callable[[int], int], pid: int) -> int:
    try:
        return function(pid)
    except OSError:
        return 0


def _read(path: str) -> bytes:
    try:
        with binary_file(path) as file:
            return file.read()
    except OSError:
        return b""


def _fields(pid: int) -> dict[str, str]:
    lines = _read(f"/proc/{pid}/status").decode(errors="backslashreplace").split("\n")
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
