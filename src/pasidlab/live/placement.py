"""Keeps the tracer and a submitting thread on one CPU: switching tasks costs less than waking an idle CPU, twice."""

from __future__ import annotations

import contextlib
import ctypes
import os

from pasidlab.live import ptrace
from pasidlab.live.libc import libc

_STEADY = 16  # submissions in a row from one thread before anything is done
_PATIENCE = 256  # submissions for which the thread is brought along after it was last seen elsewhere
_SIZE = 128  # bytes of a CPU mask, as glibc's cpu_set_t
_get, _set = libc.sched_getaffinity, libc.sched_setaffinity
_get.argtypes = _set.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p]


class Placement:
    """Watches where submissions come from. Only the tracer's own affinity changes for longer than a moment. What could tell of a thread's
    stops first (``seccomp.PLACES``).
    """

    def __init__(self) -> None:
        self._tid = self._times = self._bring = 0
        self._others_look = False
        self._home = b""
        self._home_mask, self._mask = ctypes.create_string_buffer(_SIZE), ctypes.create_string_buffer(_SIZE)
        self._home_at, self._at = ctypes.addressof(self._home_mask), ctypes.addressof(self._mask)

    def let_be(self) -> None:
        """The program looks at, or sets, where another of its threads may run: none is brought along from now on."""
        self._others_look = True

    def seen(self, tid: int, cpu: bytes) -> None:
        """A submission stopped ``tid`` on this CPU (its number in decimal)."""
        if tid != self._tid:
            self._tid, self._times, self._bring = tid, 0, 0
        self._times += 1
        if self._times > _STEADY:
            self._bring = _PATIENCE if cpu != self._home else self._bring - 1
        elif self._times == _STEADY and cpu != self._home:
            self._settle(cpu)

    def _settle(self, cpu: bytes) -> None:
        number = int(cpu)
        with contextlib.suppress(OSError):  # a CPU that we may not use
            os.sched_setaffinity(0, (number,))
            self._home = cpu
            mask = bytearray(_SIZE)
            mask[number >> 3] = 1 << (number & 7)
            self._home_mask.raw = bytes(mask)

    def resume(self, tid: int) -> None:
        """Let the thread run on; if it keeps wandering off, it starts here, with its own affinity at once restored."""
        if self._others_look or self._bring <= 0 or tid != self._tid or not self._home or _get(tid, _SIZE, self._at) < 0:
            ptrace.resume(tid)
            return
        number = int(self._home)
        moved = self._mask.raw[number >> 3] >> (number & 7) & 1 and _set(tid, _SIZE, self._home_at) == 0
        try:
            ptrace.resume(tid)
        finally:
            if moved:
                _set(tid, _SIZE, self._at)
