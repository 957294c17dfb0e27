"""What a new task shares with the one that made it."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

from pasidlab.live import ptrace
from pasidlab.live.libc import CLONE_VM, SYS_CLONE, SYS_CLONE3, SYS_FORK, SYS_KCMP, libc
from pasidlab.live.registers import ORIG_RAX, RDI, Registers
from pasidlab.live.state import Thread

_KCMP_VM, _KCMP_SIGHAND = 1, 4  # include/uapi/linux/kcmp.h


@dataclass(frozen=True)
class Kinship:
    """Thread group, address space and signal handlers: the parent's, or new ones."""

    same_process: bool
    same_mm: bool
    same_handlers: bool


def kinship(parent: Thread, child: int, event: int) -> Kinship:
    """At the parent's stop for the birth. The kernel is asked, whatever system call (of 64 or 32 bits) it was."""
    if os.path.exists(f"/proc/{parent.process.pid}/task/{child}"):
        return Kinship(True, True, True)  # CLONE_THREAD demands CLONE_SIGHAND, and that CLONE_VM
    guess = event == ptrace.EVENT_VFORK or (event == ptrace.EVENT_CLONE and _asks_to_share(parent))
    same_mm = _shares(parent, child, _KCMP_VM, guess=guess)
    return Kinship(False, same_mm, same_mm and _shares(parent, child, _KCMP_SIGHAND, guess=False))


def _shares(parent: Thread, child: int, what: int, *, guess: bool) -> bool:
    """kcmp(2); where it is forbidden, ``guess``."""
    answer = libc.syscall(SYS_KCMP, parent.tid, child, what, ctypes.c_ulong(0), ctypes.c_ulong(0))
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
