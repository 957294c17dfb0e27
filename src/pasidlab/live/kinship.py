"""What a new task shares with the one that made it."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

from pasidlab.live import ptrace
from pasidlab.live.libc import CLONE_VM, SYS_CLONE, SYS_CLONE3, SYS_FORK, SYS_KCMP, libc
from pasidlab.live.registers import ORIG_RAX, RDI, Registers
from pasidlab.live.state import Thread

_KCMP_VM = 1  # include/uapi/linux/kcmp.h


@dataclass(frozen=True)
class Kinship:
    """Thread group and address space: the parent's, or new ones."""

    same_process: bool
    same_mm: bool


def kinship(parent: Thread, child: int, event: int) -> Kinship:
    """At the parent's stop for the birth. The kernel is asked, whatever system call (of 64 or 32 bits) it was."""
    if os.path.exists(f"/proc/{parent.process.pid}/task/{child}"):
        return Kinship(True, True)  # CLONE_THREAD demands CLONE_VM
    if event == ptrace.EVENT_VFORK:
        return Kinship(False, _shares(parent, child, guess=True))
    return Kinship(False, _shares(parent, child, guess=event == ptrace.EVENT_CLONE and _asks_to_share(parent)))


def _shares(parent: Thread, child: int, *, guess: bool) -> bool:
    """kcmp(2); where it is forbidden, ``guess``."""
    answer = libc.syscall(SYS_KCMP, parent.tid, child, _KCMP_VM, ctypes.c_ulong(0), ctypes.c_ulong(0))
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
