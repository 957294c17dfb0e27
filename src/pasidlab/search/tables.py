"""Memory for the partitions' hash tables, which grow one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pasidlab.search import partition
from pasidlab.search.memory import HUGE_PAGE, Block, WordArray
from pasidlab.search.spill import Spill

PartitionMask = npt.NDArray[np.bool_]  # of partitions

_FIRST_LINES = 128


@dataclass(frozen=True)
class TableAt:
    """Where a partition's table is."""

    address: int
    lines: int
    full: int  # keys from which it has to grow


Refill = Callable[[int, TableAt, TableAt], None]
"""Fills a partition's new, empty table, which comes last, with the keys of the one before it."""


@dataclass(frozen=True)
class Shape:
    """How tables are filled and grow."""

    keys: int  # of a line
    full: float  # of a table's places, from which it grows
    growth: float  # of a table


WHOLE_KEYS = Shape(8, 0.85, 2.0)  # about 14 bytes per state, all tables together; 12 with 1.5, but a tenth slower
HALF_KEYS = Shape(16, 0.95, 1.3)  # about 5


class _Generation:
    """A block with room for a table of every partition, each a little larger than the one before it.

    The sizes rise up to those of the next generation. So the partitions move from one to the next in their order, and all their tables
    together are about as full at any time. What a table leaves is given back at once.
    """

    def __init__(self, age: int, growth: float, spill: Spill | None = None) -> None:
        spread = np.geomspace(1, growth, partition.PARTITIONS, endpoint=False)
        self.lines: WordArray = (_FIRST_LINES * growth**age * spread).astype(np.int64)
        self.ends = np.cumsum(self.lines) * partition.LINE
        large = int(self.lines[0]) * partition.LINE >= HUGE_PAGE  # of smaller ones some would share a page that only all can give back
        self.block = Block(int(self.ends[-1]), huge=large, spill=spill)
        self.first_pages = (self.ends - self.lines * partition.LINE) // self.block.page
        self.last_pages = (self.ends - 1) // self.block.page

    def address(self, p: int) -> int:
        """Where partition p's table is."""
        return int(self.block.address + self.ends[p] - self.lines[p] * partition.LINE)

    def table(self, p: int) -> WordArray:
        """The keys of partition p's table."""
        end = int(self.ends[p]) // 8
        return self.block.words[end - int(self.lines[p]) * (partition.LINE // 8) : end]

    def touched(self, kept: PartitionMask) -> int:
        """Bytes of memory of the pages that the tables of the ``kept`` partitions lie on."""
        if self.block.on_disk:
            return 0
        first, last = self.first_pages[kept], self.last_pages[kept]
        return int((last - first + 1).sum() - (first[1:] == last[:-1]).sum()) * self.block.page

    def leave(self, p: int, kept: PartitionMask) -> None:
        """Give back the memory of partition p, but for pages on which a table of a ``kept`` partition lies too."""
        below, above = np.flatnonzero(kept[:p]), np.flatnonzero(kept[p + 1 :]) + p + 1
        first = max([self.first_pages[p], *(self.last_pages[below[-1:]] + 1)])
        behind = min([self.last_pages[p] + 1, *self.first_pages[above[:1]]])
        self.block.release(int(first) * self.block.page, int(behind) * self.block.page)


class Tables:
    """The tables of all partitions. Threads may grow different ones at the same time."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._ages: WordArray = np.zeros(partition.PARTITIONS, dtype=np.int64)  # generation each partition's table is in
        self._moving = self._ages.copy()  # generation that it is about to be in
        self._generations = {0: _Generation(0, shape.growth)}
        self._lock = threading.Lock()
        self._spill: Spill | None = None

    def describe(self, p: int) -> TableAt:
        """Partition p's table."""
        return self._described(self._generations[int(self._ages[p])], p)

    def _described(self, generation: _Generation, p: int) -> TableAt:
        lines = int(generation.lines[p])
        return TableAt(generation.address(p), lines, int(lines * self._shape.keys * self._shape.full))

    def grow(self, p: int, refill: Refill) -> None:
        """Move partition p's keys to a larger table, which ``refill`` fills."""
        age = int(self._ages[p])
        old = self._generations[age]
        with self._lock:
            if age + 1 not in self._generations:
                self._generations[age + 1] = _Generation(age + 1, self._shape.growth, self._spill)
            new = self._generations[age + 1]
            self._moving[p] = age + 1
        refill(p, self._described(old, p), self._described(new, p))
        with self._lock:
            self._ages[p] = age + 1
            old.leave(p, self._kept(age))
            if not (self._ages <= age).any():
                del self._generations[age]

    def _kept(self, age: int) -> PartitionMask:
        """The partitions whose tables take memory of a generation."""
        kept: PartitionMask = (self._ages == age) | (self._moving == age)
        return kept

    def spill(self, spill: Spill) -> None:
        """Move all tables to disk, and keep them there. DiskFull if there is no room: then they are where they were."""
        moved = {}
        for age, old in self._generations.items():
            moved[age] = new = _Generation(age, self._shape.growth, spill)
            for p in np.flatnonzero(self._ages == age).tolist():
                new.table(p)[:] = old.table(p)
        self._generations, self._spill = moved, spill

    @property
    def disk(self) -> int:
        """Bytes of disk taken."""
        return sum(generation.block.bytes for generation in self._generations.values() if generation.block.on_disk)

    def bytes(self, growing: PartitionMask | None = None) -> int:
        """Bytes of memory taken, or that could be if the ``growing`` partitions grew."""
        total = 0
        for age, generation in self._generations.items():
            here = self._ages == age
            total += generation.touched(self._kept(age))
            if growing is not None and self._spill is None and (growing & here).any():
                total += int((generation.lines[growing & here] * self._shape.growth + 1).sum()) * partition.LINE + 2 * HUGE_PAGE
        return total
