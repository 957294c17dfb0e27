"""All states found so far: partitions that grow one by one, and where each breadth-first level ends in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pasidlab.check import kernels as k
from pasidlab.check.native import Block, Words

States = npt.NDArray[np.uint64]  # [n, words]: packed states
Numbers = npt.NDArray[np.int64]  # of states in a store: log position * PARTITIONS + partition; -1: not stored

_FIRST_SLOTS = 1024
_FIRST_LOG = 1 << 20  # bytes reserved, not touched
MOST_STATES = k.PARTITIONS * (k.INDEX_MASK // 2)  # what 26-bit log positions can number, with room for uneven partitions

# Partition p's table doubles when it is this full. The spread makes the partitions grow at different times, so that the
# whole takes 8 to 10 bytes of slots per state at any size, and never much more for a moment.
_FULL = np.linspace(0.5, 0.8, k.PARTITIONS)


class Store:
    """The exact set of packed states, each known by its number, in levels.

    ``parts`` are the partitions' rows (columns: ``kernels``); ``levels[d][p]`` is the log position where level d ends in
    partition p.
    """

    def __init__(self, words: int) -> None:
        self.words = words
        self.stride = 8 * words  # bytes of a state
        self.parts: Words = np.zeros((k.PARTITIONS, k.COLUMNS), dtype=np.int64)
        self.levels: list[Words] = []
        self.released = 0  # bytes of the largest block replaced by a larger one since this was last set to 0
        self._logs = [Block(_FIRST_LOG) for _ in range(k.PARTITIONS)]
        self._tables = [Block(4 * _FIRST_SLOTS) for _ in range(k.PARTITIONS)]
        for p in range(k.PARTITIONS):
            self._describe(p)

    def _describe(self, p: int) -> None:
        """Bring partition p's row in line with its blocks."""
        slots = self._tables[p].bytes // 4
        row = self.parts[p]
        row[k.LOG], row[k.TABLE], row[k.SLOTS_MASK] = self._logs[p].address, self._tables[p].address, slots - 1
        row[k.LIMIT] = min(int(slots * _FULL[p]), self._logs[p].bytes // self.stride)

    def grow(self, p: int) -> None:
        """Make room for another batch in partition p. MemoryError if there is none; the partition is then as before."""
        log, table, count = self._logs[p], self._tables[p], int(self.parts[p, k.COUNT])
        if count + k.BATCH > log.bytes // self.stride:
            self._logs[p] = Block(2 * log.bytes)
            used = count * self.words
            self._logs[p].words[:used] = log.words[:used]
            self.released = max(self.released, log.touched(8 * used))
        if count + k.BATCH > int(table.bytes // 4 * _FULL[p]):
            self._tables[p] = Block(2 * table.bytes)
            k.rehash(self.words, self._logs[p].address, count, self._tables[p].address, self._tables[p].bytes // 4 - 1)
            self.released = max(self.released, table.bytes)
        self._describe(p)

    def bytes_after(self, incoming: Words) -> int:
        """Bytes of memory the store could take once ``incoming[p]`` more states, all new, are in partition p (0: takes now)."""
        counts = self.parts[:, k.COUNT] + incoming
        tables = np.array([table.bytes for table in self._tables])
        tables += np.where((incoming > 0) & (counts + k.BATCH > self.parts[:, k.LIMIT]), 2 * tables, 0)
        logs = 0
        for log, old, new in zip(self._logs, self.parts[:, k.COUNT].tolist(), counts.tolist(), strict=True):
            logs += log.touched(new * self.stride)
            if new + k.BATCH > log.bytes // self.stride and new > old:
                logs += new * self.stride
        return int(tables.sum()) + logs

    def open_level(self) -> int:
        """End the level found so far and make it the frontier. Return its number of states; 0: there is no such level."""
        ends = self.parts[:, k.COUNT].copy()
        starts = self.levels[-1] if self.levels else np.zeros_like(ends)
        size = int((ends - starts).sum())
        if size:
            self.parts[:, k.NEXT], self.parts[:, k.END] = starts, ends
            self.levels.append(ends)
        return size

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
        k.find(self.words, self.parts, states.ctypes.data, len(states), found.ctypes.data)
        return found

    def states(self, numbers: Numbers) -> States:
        """The packed states with these numbers."""
        packed = np.empty((len(numbers), self.words), dtype=np.uint64)
        for p in range(k.PARTITIONS):
            here = numbers % k.PARTITIONS == p
            packed[here] = self.run(p, 0, int(self.parts[p, k.COUNT]))[numbers[here] // k.PARTITIONS]
        return packed

    def depth(self, number: int) -> int:
        """The level of a stored state: the least number of steps to it from an initial state."""
        position, p = divmod(number, k.PARTITIONS)
        return next((depth for depth, ends in enumerate(self.levels) if position < ends[p]), len(self.levels))
