"""The machine's memory, where a search has no limit of its own."""

from __future__ import annotations

import time
from pathlib import Path

_LEFT_TO_OTHERS = 1 << 28  # bytes no search takes
_UNSEEN = 1 << 24  # bytes that may be taken between two looks at the machine, ...
_LOOK = 0.05  # ... and seconds


def available_memory() -> int:
    """Bytes the machine can give without swapping (MemAvailable, proc(5)); where it does not say, as if there were no end."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 1 << 62
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 1 << 62)


class FreeMemory:
    """The memory that a process may still take, with ``neighbours`` that take as much at the same time."""

    def __init__(self, neighbours: int) -> None:
        self._neighbours = neighbours
        self._looked, self._since = 0.0, 0  # time of the last look, bytes asked for since
        self._glanced, self._free = 0.0, 0  # the same of ``has_plenty``, and what was free then

    def has(self, more: int) -> bool:
        """Whether there is room for ``more`` bytes. The machine is asked if they are many, or the last time was long ago."""
        now = time.perf_counter()
        self._since += more
        if self._since <= _UNSEEN and now - self._looked <= _LOOK:
            return True
        self._looked, self._since = now, 0
        return more * self._neighbours + _LEFT_TO_OTHERS <= available_memory()

    def has_plenty(self, most: int) -> bool:
        """Whether there is room even for ``most`` bytes more than are taken, by what the last look at the machine showed."""
        now = time.perf_counter()
        if now - self._glanced > _LOOK:
            self._glanced, self._free = now, available_memory()
        return most * self._neighbours + _LEFT_TO_OTHERS <= self._free
