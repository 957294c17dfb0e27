"""The program's own time: what it has run for, and what it has slept.

This clock stands still while the host runs something else. So what the program measures does not depend on how busy the host is.
"""

from __future__ import annotations

import os
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that only grow."""

    def now(self) -> float:
        """The time."""

    def watch(self, pid: int) -> None:
        """Counts the time of this process from now on."""


class WallClock:
    """The host's time."""

    def now(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def watch(self, pid: int) -> None:
        """Processes do not matter."""


_STILL = 0.5  # seconds without work after which time passes although a process does not sleep: it is stopped, or waits in vfork(2)


class ProgramClock:
    """CPU time of the processes that submit, and the time during which all of them sleep, or stand still."""

    def __init__(self) -> None:
        self._used: dict[int, float] = {}
        self._total, self._asleep_since, self._worked_at = 0.0, 0.0, 0.0

    def watch(self, pid: int) -> None:
        """Counts the time of this process from now on."""
        if pid not in self._used:
            self._used[pid], self._worked_at = _cpu_time(pid) or 0.0, time.monotonic()

    def now(self) -> float:
        """Seconds. Time asleep counts if nothing has run since the last call."""
        worked = 0.0
        for pid, before in tuple(self._used.items()):
            used = _cpu_time(pid)
            if used is None:
                del self._used[pid]
                continue
            worked += used - before
            self._used[pid] = used
        here = time.monotonic()
        if worked:
            self._worked_at = here
        stands_still = not worked and (here > self._worked_at + _STILL or all(_sleeps(pid) for pid in self._used))
        if not stands_still:
            self._asleep_since = 0.0
        else:
            worked = here - self._asleep_since if self._asleep_since else 0.0
            self._asleep_since = here
        self._total += worked
        return self._total


def _cpu_time(pid: int) -> float | None:
    """Seconds, of a process by its number (clock_getcpuclockid(3)); None if it is gone."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return None


def _sleeps(pid: int) -> bool:
    """Whether no thread runs, or would if the host or the tracer let it."""
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                if next(line for line in file if line.startswith("State")).split()[1] not in "SZX":
                    return False
    except OSError:
        return True
    return True
