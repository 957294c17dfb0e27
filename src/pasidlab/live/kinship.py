"""What a new task shares with the one that made it."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

from pasidlab.live import ptrace
from pasidlab.live.libc import CLONE_VM, SYS_CLONE, SYS_CLONE3, SYS_FORK, SYS_KCMP, libc
from pasidlab.live.memory import without_memory
from pasidlab.live.registers import ORIG_RAX, RDI, Registers
from pasidlab.live.state import Thread

VM, SIGHAND = 1, 4
"""What two tasks may have in common: memory, signal handlers (include/uapi/linux/kcmp.h)."""


@dataclass(frozen=True)
class Kinship:
    """Thread group, address space and signal handlers: the parent's, or new ones."""

    same_process: bool
    same_mm: bool
    same_handlers: bool


def kinship(parent: Thread, child: int, event: int) -> Kinship | None:
    """At the parent's stop for the birth. The kernel is asked, whatever system call (of 64 or 32 bits) it was. None where the parent
    is being killed: it has given its memory up.
    """
    if os.path.exists(f"/proc/{parent.process.pid}/task/{child}"):
        return Kinship(True, True, True)  # CLONE_THREAD demands CLONE_SIGHAND, and that CLONE_VM
    guess = event == ptrace.EVENT_VFORK or (event == ptrace.EVENT_CLONE and _asks_to_share(parent))
    same_mm = shares(parent.tid, child, VM, guess=guess)
    if not same_mm and without_memory(parent.tid):
        return None
    return Kinship(False, same_mm, same_mm and shares(parent.tid, child, SIGHAND))


def shares(one: int, other: int, what: int, *, guess: bool = False) -> bool:
    """Whether two tasks have VM or SIGHAND in common: kcmp(2). Where that is forbidden, or one of them is gone, ``guess``."""
    answer = libc.syscall(SYS_KCMP, one, other, what, ctypes.c_ulong(0), ctypes.c_ulong(0))
    return guess if answer < 0 else answer == 0


def _asks_to_share(parent: Thread) -> bool:
    """Whether the flags of the clone or clone3 that the parent is in hold CLONE_VM."""
    registers = Registers()
    ptrace.get_registers(parent.tid, registers)
    number = registers[ORIG_RAX]
    if number == SYS_CLONE:
        return bool(registers[RDI] & CLONE_VM)
    if number == SYS_CLONE3:
        return bool(int.from_bytes(parent.mm.memory.read(registers[RDI], 8), "little") & CLONE_VM)
    return number != SYS_FORK
