"""How a program ended, and whether it must end. The wait status alone tells a signal from an exit status of 129 and more."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass

from pasidlab.live.status import signals_of, status_of


@dataclass(frozen=True)
class Ending:
    """``wait_status`` as wait(2) gives it for the program's first process."""

    wait_status: int

    @property
    def signal(self) -> int:
        """The number of the signal that killed the program, 0 if it exited by itself."""
        return os.WTERMSIG(self.wait_status) if os.WIFSIGNALED(self.wait_status) else 0

    @property
    def code(self) -> int:
        """The exit status that a shell reports: the program's own, or 128 + the signal."""
        return 128 + self.signal if self.signal else os.WEXITSTATUS(self.wait_status)

    @property
    def words(self) -> str:
        """For the summary."""
        return f"killed by {signal_name(self.signal)}" if self.signal else f"exit status {self.code}"


def signal_name(number: int) -> str:
    """The name of a signal; Python knows only the ends of the real-time range (signal(7))."""
    if signal.SIGRTMIN < number < signal.SIGRTMAX:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # 32 and 33 are the C library's own


def dumps_core(pid: int) -> bool:
    """Whether a process is writing its core dump (/proc/PID/status, v4.15)."""
    with contextlib.suppress(OSError):
        return status_of(pid).get("CoreDumping") == "1"
    return False


def must_die_of(number: int, tid: int, blocks: int | None, *, told: bool) -> bool:
    """Whether a signal waits for the thread's process, or was ``told`` to a debugger, and the process neither handles nor ignores it, and
    the thread does not block it. ``blocks`` are the signals that it blocks by itself, None where the kernel says that.
    """
    try:
        fields = status_of(tid)
    except OSError:
        return False
    waits, blocked, ignored, handled = (signals_of(fields, name) for name in ("ShdPnd", "SigBlk", "SigIgn", "SigCgt"))
    kept = ignored | handled | (blocked if blocks is None else blocks)
    return bool(told or waits >> (number - 1) & 1) and not kept >> (number - 1) & 1
