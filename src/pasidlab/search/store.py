"""All states found so far: partitions that grow one by one, and where each breadth-first level ends in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pasidlab.search import kernels as k
from pasidlab.search.memory import HUGE_PAGE, Block, WordArray
from pasidlab.search.spill import Spill
from pasidlab.search.tables import Tables

States = k.States
Numbers = npt.NDArray[np.int64]  # of states in a store that no longer grows; -1: not stored

_FIRST_LOG = 1 << 24  # bytes reserved, not touched
_LEAST_ON_DISK = 1 << 16  # bytes of a log there
MOST_STATES = k.PARTITIONS * (k.PLACE_MASK // 2)  # 26-bit places can number them, however uneven the partitions


class Store:
    """The exact set of packed states, each known by its number, in levels.

    ``parts`` are the partitions' rows (columns: ``kernels``); ``levels[d][p]`` is the log position where level d ends
    in partition p.
    """

    def __init__(self, words: int, spill: Spill | None = None) -> None:
        """``spill``: where ``spill_more`` moves what memory does not hold."""
        self.words = words
        self.stride = 8 * words  # bytes of a state
        self.parts: WordArray = np.zeros((k.PARTITIONS, k.COLUMNS), dtype=np.int64)
        self.levels: list[WordArray] = []
        self.released = 0  # bytes of the largest block replaced by a larger one since this was last set to 0
        self._spill = spill
        self._logs = [Block(_FIRST_LOG, huge=False) for _ in range(k.PARTITIONS)]
        self._tables = Tables()
        for p in range(k.PARTITIONS):
            self._describe(p)

    def _describe(self, p: int) -> None:
        """Bring partition p's row in line with its memory."""
        row, (address, lines, full) = self.parts[p], self._tables.describe(p)
        row[k.LOG], row[k.TABLE], row[k.LINES] = self._logs[p].address, address, lines
        row[k.LIMIT] = min(full, self._logs[p].bytes // self.stride)

    def grow(self, p: int) -> None:
        """Make room for another batch in partition p. MemoryError if there is none; the partition is then as before."""
        log, count = self._logs[p], int(self.parts[p, k.COUNT])
        _, lines, full = self._tables.describe(p)
        if count + k.BATCH > log.bytes // self.stride:
            self._move(p, 2 * log.bytes, self._spill if log.on_disk else None)
            self.released = max(self.released, log.touched(count * self.stride))
        if count + k.BATCH > full:
            self._tables.grow(p)
            self.released = max(self.released, lines * k.LINE)
        self._describe(p)

    def _move(self, p: int, size: int, spill: Spill | None) -> None:
        """Give partition p's log another place."""
        log, used = Block(size, spill=spill), int(self.parts[p, k.COUNT]) * self.words
        log.words[:used] = self._logs[p].words[:used]
        self._logs[p] = log

    def spill_more(self) -> bool:
        """Move the logs to disk; the second time the tables. False if all is there, or may not go. Raises DiskFull.

        States are found in the tables alone if they are of one word, so what is looked for least goes first.
        """
        if self._spill is None or self._tables.disk:
            return False
        if all(log.on_disk for log in self._logs):
            self._tables.spill(self._spill)
        for p in range(k.PARTITIONS):
            if not self._logs[p].on_disk:
                self._move(p, max(2 * int(self.parts[p, k.COUNT]) * self.stride, _LEAST_ON_DISK), self._spill)
            self._describe(p)
        return True

    @property
    def disk(self) -> int:
        """Bytes of disk taken."""
        return self._tables.disk + sum(log.bytes for log in self._logs if log.on_disk)

    def bytes(self, incoming: WordArray | None = None) -> int:
        """Bytes of memory taken, or that could be once ``incoming[p]`` more states, all new, are in partition p."""
        added = np.zeros(k.PARTITIONS, dtype=np.int64) if incoming is None else incoming
        counts = self.parts[:, k.COUNT] + added
        used, (rooms, pages, here) = counts * self.stride, np.array([(log.bytes, log.page, not log.on_disk) for log in self._logs]).T
        moved = (added > 0) & (counts + k.BATCH > rooms // self.stride)
        logs = int(((np.minimum(-(-used // pages) * pages, rooms) + np.where(moved, used + HUGE_PAGE, 0)) * here).sum())
        growing = (added > 0) & (counts + k.BATCH > self.parts[:, k.LIMIT])
        return logs + self._tables.bytes(growing if incoming is not None else None)

    def open_level(self) -> None:
        """End the level found so far and make it the frontier."""
        ends = self.parts[:, k.COUNT].copy()
        self.parts[:, k.NEXT] = self.levels[-1] if self.levels else np.zeros_like(ends)
        self.parts[:, k.END] = ends
        self.levels.append(ends)

    @property
    def fresh(self) -> int:
        """States found since the last level was opened."""
        return self.count - (int(self.levels[-1].sum()) if self.levels else 0)

    @property
    def count(self) -> int:
        """States stored."""
        return int(self.parts[:, k.COUNT].sum())

    @property
    def unexpanded(self) -> int:
        """States of the frontier that have not been expanded yet."""
        return int((self.parts[:, k.END] - self.parts[:, k.NEXT]).sum())

    def run(self, p: int, first: int, last: int) -> States:
        """States first..last-1 of partition p's log: a view, in the order they were found."""
        words: States = self._logs[p].words[first * self.words : last * self.words].view(np.uint64)
        return words.reshape(-1, self.words)

    def level(self, depth: int) -> list[States]:
        """The states of a level, one view for each partition."""
        ends = self.levels[depth] if depth < len(self.levels) else self.parts[:, k.COUNT]
        starts = self.levels[depth - 1] if depth else np.zeros_like(ends)
        return [self.run(p, int(starts[p]), int(ends[p])) for p in range(k.PARTITIONS)]

    def numbers(self, states: States) -> Numbers:
        """The number of each state, -1 where it is not stored."""
        states = np.ascontiguousarray(states, dtype=np.uint64)
        found = np.empty(len(states), dtype=np.int64)
        k.find_state(self.words, self.parts, states.ctypes.data, len(states), found.ctypes.data)
        return found

    def depth(self, state: npt.NDArray[np.uint64]) -> int | None:
        """The level of a state: the least number of steps to it from an initial state. None if it is not stored."""
        number = int(self.numbers(state[np.newaxis])[0])
        if number < 0:
            return None
        p = number % k.PARTITIONS
        place = int(np.flatnonzero((self.run(p, 0, int(self.parts[p, k.COUNT])) == state).all(axis=1))[0])
        return next((depth for depth, ends in enumerate(self.levels) if place < ends[p]), len(self.levels))
