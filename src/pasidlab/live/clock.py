"""The program's own time: what it has run for, and what it has slept.

This clock stands still while the host runs something else. So what the program measures does not depend on how busy the host is.
"""

from __future__ import annotations

import time
from typing import Protocol

from pasidlab.live.descriptors import names_in, text_file


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
_WINDOW = 0.1  # seconds over which work is compared with time
_LITTLE = 0.02  # share of a CPU: who uses less gives it away, by sched_yield(2); on a busy host others then have it for long


class ProgramClock:
    """CPU time of the processes that submit, and the time during which all of them sleep, stand still, or give the CPU away."""

    def __init__(self) -> None:
        self._used: dict[int, float] = {}
        self._total, self._asleep_since, self._worked_at = 0.0, 0.0, 0.0
        self._window_at, self._window_work, self._asked_at = 0.0, 0.0, 0.0
        self._yields = False  # in the last window

    def watch(self, pid: int) -> None:
        """Counts the time of this process from now on."""
        if pid not in self._used:
            self._used[pid], self._worked_at = _cpu_time(pid) or 0.0, time.monotonic()

    def now(self) -> float:
        """Seconds. Time without work counts if it did at the last call too."""
        worked, here = self._work(), time.monotonic()
        if worked:
            self._worked_at = here
        still = not worked and (here > self._worked_at + _STILL or all(_sleeps(pid) for pid in self._used))
        if not (self._gives_away(worked, here) or still):
            self._asleep_since = 0.0
        else:
            worked = max(worked, here - self._asleep_since if self._asleep_since else 0.0)
            self._asleep_since = here
        self._total += worked
        return self._total

    def _work(self) -> float:
        """CPU time since the last call."""
        worked = 0.0
        for pid, before in tuple(self._used.items()):
            used = _cpu_time(pid)
            if used is None:
                del self._used[pid]
                continue
            worked += used - before
            self._used[pid] = used
        return worked

    def _gives_away(self, worked: float, here: float) -> bool:
        """Whether the processes run and hardly work: in the last window, and since the last call. A window that nobody looked into tells
        nothing.
        """
        since, self._asked_at = here - self._asked_at, here
        self._window_work += worked
        window = here - self._window_at
        if window > _WINDOW:
            if self._window_work:
                self._yields = window < 2 * _WINDOW and self._window_work < _LITTLE * window
            self._window_at, self._window_work = here, 0.0
        return self._yields and worked <= _LITTLE * since


def _cpu_time(pid: int) -> float | None:
    """Seconds, of a process by its number (clock_getcpuclockid(3)); None if it is gone."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return None


def _sleeps(pid: int) -> bool:
    """Whether no thread runs, or would if the host or the tracer let it."""
    try:
        for tid in names_in(f"/proc/{pid}/task"):
            with text_file(f"/proc/{pid}/task/{tid}/status") as file:
                if next(line for line in file if line.startswith("State")).split()[1] not in "SZX":
                    return False
    except OSError:
        return True
    return True
