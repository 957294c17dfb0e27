"""Makes a stopped thread execute a system call of ours, then puts everything back."""

from __future__ import annotations

import os
import signal
from collections import deque

from pasidlab.live import ptrace
from pasidlab.live.libc import SYS_TKILL, WALL, libc
from pasidlab.live.registers import ARGUMENTS, ORIG_RAX, RAX, RIP, Registers

_ALL = (1 << 64) - 1


class Injector:
    """System calls in the program's name. ``deferred`` holds the wait statuses that are still to be looked at."""

    def __init__(self) -> None:
        self.deferred: deque[tuple[int, int]] = deque()

    def wait(self, tid: int) -> tuple[int, int]:
        """(stop signal, event) of this thread's next stop.

        Others are waited for as well: the death of a thread group's leader is not told before that of the others
        (delay_group_leader(), kernel/exit.c).
        """
        while True:
            found, status = os.waitpid(-1, WALL)
            if found == tid and os.WIFSTOPPED(status):
                return status >> 8 & 0xFF, status >> 16
            self.deferred.append((found, status))
            if found == tid:
                raise ptrace.Gone(tid)

    def run_to_exit(self, tid: int) -> int:
        """From a seccomp stop: let the system call happen; its result."""
        registers = Registers()
        self._to_syscall_stop(tid)
        ptrace.get_registers(tid, registers)
        return _signed(registers[RAX])

    def call(self, tid: int, at: int, number: int, *arguments: int) -> int:
        """The result of system call ``number``, executed by the syscall instruction at address ``at``."""
        saved, mask = Registers(), ptrace.signal_mask(tid)
        ptrace.get_registers(tid, saved)
        registers = ptrace.copy_registers(saved)
        registers[RIP], registers[RAX], registers[ORIG_RAX] = at, number, _ALL
        for index, value in zip(ARGUMENTS, arguments, strict=False):
            registers[index] = value & _ALL
        ptrace.set_signal_mask(tid, _ALL)
        ptrace.set_registers(tid, registers)
        self._to_syscall_stop(tid)  # entry
        self._to_syscall_stop(tid)  # exit
        ptrace.get_registers(tid, registers)
        saved[ORIG_RAX] = _ALL  # nothing of ours is to be restarted
        ptrace.set_registers(tid, saved)
        ptrace.set_signal_mask(tid, mask)
        return _signed(registers[RAX])

    def _to_syscall_stop(self, tid: int) -> None:
        pending = 0
        while True:
            ptrace.resume_to_syscall(tid)
            stop, event = self.wait(tid)
            if stop == ptrace.SYSCALL_STOP and not event:
                break
            if not event and stop != signal.SIGTRAP:
                pending = stop
        if pending:
            self.send(tid, pending)

    def send(self, tid: int, number: int) -> None:
        """A signal that came while the thread worked for us comes again."""
        libc.syscall(SYS_TKILL, tid, number)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
