"""Keeps the tracer and a submitting thread on one CPU: switching tasks costs far less than waking an idle CPU, twice."""

from __future__ import annotations

import contextlib
import os

from pasidlab.live import ptrace

_STEADY = 16  # submissions in a row from one thread before anything is done
_PATIENCE = 256  # submissions for which the thread is brought along after it was last seen elsewhere


class Placement:
    """Watches where submissions come from; only the tracer's own affinity changes for longer than a moment."""

    def __init__(self) -> None:
        self._tid = self._times = self._bring = 0
        self._seen, self._home = b"", b""

    def seen(self, tid: int, cpu: bytes) -> None:
        """A submission stopped ``tid`` on this CPU (its number in decimal)."""
        if tid != self._tid:
            self._tid, self._times, self._bring = tid, 0, 0
        self._times += 1
        if self._times == _STEADY and cpu != self._home:
            with contextlib.suppress(OSError):  # a CPU that we may not use
                os.sched_setaffinity(0, (int(cpu),))
                self._home = cpu
        elif self._times > _STEADY:
            self._bring = _PATIENCE if cpu != self._home else self._bring - 1

    def resume(self, tid: int) -> None:
        """Let the thread run on; if it keeps wandering off, it starts here, with its own affinity at once restored."""
        if self._bring <= 0 or tid != self._tid or not self._home:
            ptrace.resume(tid)
            return
        try:
            mask, home = os.sched_getaffinity(tid), int(self._home)
            if home in mask and len(mask) > 1:
                os.sched_setaffinity(tid, (home,))
        except OSError:
            ptrace.resume(tid)
            return
        try:
            ptrace.resume(tid)
        finally:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(tid, mask)
