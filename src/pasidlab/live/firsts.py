"""The first process of a pid namespace: nothing that it does to itself ends it while it is traced.

Outside of tracing a fault whose signal it does not handle ends it, for the kernel then clears SIGNAL_UNKILLABLE. For a traced process it
does not (force_sig_info_to_task(), kernel/signal.c, v6.12): the instruction would fault for ever. So it is let go for its last instruction.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from functools import partial

from pasidlab.live import ptrace
from pasidlab.live.descriptors import pidfd_of
from pasidlab.live.inject import SYSCALL
from pasidlab.live.loop import EventLoop
from pasidlab.live.registers import RIP, Registers
from pasidlab.live.state import Thread
from pasidlab.live.status import status_of

_MOMENT = 0.5  # seconds
_INT3 = 1  # bytes of it


class FirstProcesses:
    """Lets those go that end. ``on_end`` hears which thread is not traced any more."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self.on_end: Callable[[int], None] = lambda tid: None

    def let_go(self, thread: Thread, number: int, *, emulated: bool = False) -> None:
        """At the stop of a signal that an instruction raised. If its process dies of it, and only untraced, it does so now: raises Gone.

        ``emulated``: the processor would raise another signal there. The thread then dies at address 0, of SIGSEGV.
        """
        process = thread.process
        if process.first is None:
            process.first = _is_first(process.pid)
        if not process.first or _handles(thread.tid, number):
            return
        registers = Registers()
        ptrace.get_registers(thread.tid, registers)
        registers[RIP] = 0 if emulated else registers[RIP] - _behind(thread.tid, number)
        ptrace.set_registers(thread.tid, registers)
        with contextlib.suppress(ProcessLookupError):
            self._loop.after(_MOMENT, partial(_kill, pidfd_of(process.pid)))
        ptrace.detach(thread.tid)
        self._loop.spawn(self.on_end, thread.tid)
        raise ptrace.Gone(thread.tid)


def _behind(tid: int, number: int) -> int:
    """How far behind its instruction the thread stands: INT3, or a system call that a filter of the program's own traps."""
    if number == signal.SIGTRAP and ptrace.signal_code(tid) == ptrace.SI_KERNEL:
        return _INT3
    return len(SYSCALL) if number == signal.SIGSYS else 0


def _kill(process: int) -> None:
    """It has met no fault once more: another thread has changed its memory, say."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    os.close(process)


def _is_first(pid: int) -> bool:
    """Whether its own namespace is not ours, and knows it as 1 (/proc/PID/status)."""
    numbers = _field(pid, "NStgid").split()
    return len(numbers) > 1 and numbers[-1] == "1"


def _handles(tid: int, number: int) -> bool:
    return bool(int(_field(tid, "SigCgt") or "0", 16) >> (number - 1) & 1)


def _field(tid: int, name: str) -> str:
    with contextlib.suppress(OSError):
        return status_of(tid).get(name, "")
    return ""
