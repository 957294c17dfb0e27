"""Memory of the program for what a call of its is to name: lent for as long as the call lasts, which the program may decide.

It lies below the stack, and what was there is put back. Where the stack has no room for it a page is mapped, and unmapped afterwards:
nothing is held meanwhile that another thread could wait for.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator

from pasidlab.live import ptrace
from pasidlab.live.inject import SYSCALL, Injector
from pasidlab.live.libc import PAGE, SYS_MMAP, SYS_MUNMAP
from pasidlab.live.registers import ORIG_RAX, RAX, RIP, RSP, RegisterArray
from pasidlab.live.state import Thread

_RED_ZONE = 128  # bytes below RSP that are the program's (System V ABI)
_PROT_RW, _MAP_PRIVATE_ANONYMOUS, _U64 = 3, 0x22, (1 << 64) - 1

Prepare = Callable[[int], RegisterArray]
"""Fills the memory at an address: the registers with which the call is to happen."""


class Lender:
    """Lets calls happen with memory of ours."""

    def __init__(self, injector: Injector) -> None:
        self.injector = injector

    def call(self, thread: Thread, registers: RegisterArray, size: int, prepare: Prepare) -> int:
        """From the seccomp stop of a call, with ``registers``, to its exit: its result. ``prepare`` gets ``size`` bytes."""
        with self.below(thread, registers, size) as place:
            if place:
                ptrace.set_registers(thread.tid, prepare(place))
                return self.injector.run_to_exit(thread.tid)
        return self._on_a_page(thread, registers, size, prepare)

    @contextlib.contextmanager
    def below(self, thread: Thread, registers: RegisterArray, size: int) -> Iterator[int]:
        """Where ``size`` bytes below the stack may be used within it; 0 if there is no room."""
        memory, place = thread.mm.memory, (registers[RSP] - _RED_ZONE - size) & -8
        kept = memory.read(place, size)
        if memory.write(place, kept) < size:
            yield 0
            return
        try:
            yield place
        finally:
            memory.write(place, kept)

    def _on_a_page(self, thread: Thread, registers: RegisterArray, size: int, prepare: Prepare) -> int:
        """The call is left out, and made once more when there is a page."""
        tid, at, length = thread.tid, registers[RIP] - len(SYSCALL), -(-size // PAGE) * PAGE
        none = ptrace.copy_registers(registers)
        none[ORIG_RAX] = _U64
        ptrace.set_registers(tid, none)
        self.injector.run_to_exit(tid)
        page = self.injector.call(thread, at, SYS_MMAP, 0, length, _PROT_RW, _MAP_PRIVATE_ANONYMOUS, _U64, 0)
        if page < 0:
            return -errno.ENOMEM  # as getname() says it, fs/namei.c
        again = prepare(page)
        again[RIP], again[RAX], again[ORIG_RAX] = at, registers[ORIG_RAX], _U64
        self.enter(thread, again)
        result = self.injector.run_to_exit(tid)
        self.injector.call(thread, at, SYS_MUNMAP, page, length)
        return result

    def enter(self, thread: Thread, registers: RegisterArray) -> None:
        """To the entry of a call; a signal that comes before it waits until the call is in progress."""
        tid = thread.tid
        mask = ptrace.signal_mask(tid)
        ptrace.set_signal_mask(tid, _U64)
        ptrace.set_registers(tid, registers)
        self.injector.enter(thread)
        ptrace.set_signal_mask(tid, mask)
