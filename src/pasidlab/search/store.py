"""All states found so far: partitions that grow one by one, and where each breadth-first level ends in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pasidlab.search import kernels as k
from pasidlab.search import partition
from pasidlab.search import slice_kernels as s
from pasidlab.search.memory import HUGE_PAGE, Block, WordArray
from pasidlab.search.merging import merged_masks
from pasidlab.search.slices import Slices, StateMask, slice_masks
from pasidlab.search.spill import Spill
from pasidlab.search.tables import HALF_KEYS, WHOLE_KEYS, TableAt, Tables

States = npt.NDArray[np.uint64]  # [n, words]: packed states
Numbers = npt.NDArray[np.int64]  # of states in a store that no longer grows; -1: not stored

_FIRST_LOG = 1 << 24  # bytes reserved, not touched
_LEAST_ON_DISK = 1 << 16  # bytes of a log there
_WORTH_MERGING = 1 << 15  # states from which slices whose values come together are kept as one
_LOOKED_AT = 1 << 17  # of them, to find those
_BEHIND = 64  # bits behind a log that its last state is read with
MOST_STATES = partition.PARTITIONS * (partition.PLACE_MASK // 2)  # 26-bit places can number them, however uneven the partitions


class Store:
    """The exact set of packed states, each known by its number, in levels.

    ``parts`` are the partitions' rows (columns: ``partition``); ``levels[d][p]`` is the log position where level d ends
    in partition p. Logs are in slices if a state has several words.
    """

    def __init__(self, words: int, spill: Spill | None = None, masks: Sequence[StateMask] = ()) -> None:
        """``spill``: where ``spill_more`` moves what memory does not hold. ``masks``: slices of a state; none: its pieces."""
        self.words = words
        self.parts: WordArray = np.zeros((partition.PARTITIONS, partition.COLUMNS), dtype=np.int64)
        self.parts[:, partition.BITS] = 64 if words == 1 else 0
        self.slices = Slices(words, slice_masks(words, masks))
        self.cut = self.slices.address, len(self.slices.masks)  # where the rows of the slices are, and how many: for the compiled loops
        self.levels: list[WordArray] = []
        self.released = 0  # bytes of the largest block replaced by a larger one since this was last set to 0
        self._spill, self._merged = spill, words == 1
        self._logs = [Block(_FIRST_LOG) for _ in range(partition.PARTITIONS)]
        self._kept: WordArray = np.zeros((3, partition.PARTITIONS), dtype=np.int64)  # of each log: bytes, bytes of a page, 1 if in memory
        self._tables = Tables(WHOLE_KEYS if words == 1 else HALF_KEYS)
        for p in range(partition.PARTITIONS):
            self._describe(p)

    def _row(self, p: int) -> int:
        return int(self.parts.ctypes.data) + p * partition.ROW

    def _describe(self, p: int) -> None:
        """Bring partition p's row in line with its memory."""
        row, table = self.parts[p], self._tables.describe(p)
        row[partition.LOG], row[partition.TABLE], row[partition.LINES] = self._logs[p].address, table.address, table.lines
        row[partition.ROOM], row[partition.FULL], row[partition.PLACE] = self._room(p), table.full, _place_bits(table)
        self._kept[:, p] = self._logs[p].bytes, self._logs[p].page, not self._logs[p].on_disk
        row[partition.LIMIT] = min(table.full, int(row[partition.ROOM]) // max(int(row[partition.BITS]), 1))

    def _room(self, p: int) -> int:
        return self._logs[p].bytes * 8 - _BEHIND

    @property
    def _widths(self) -> int:
        """Bits of a state in a log that is cut for all values there are."""
        return self.slices.widths if self.words > 1 else 64

    def grow(self, p: int) -> None:
        """Make room for another batch in partition p. MemoryError if there is none; the partition is then as before."""
        log, count = self._logs[p], int(self.parts[p, partition.COUNT])
        table = self._tables.describe(p)
        if (count + partition.BATCH) * self._widths > self._room(p):
            self._move(p, 2 * log.bytes, self._spill if log.on_disk else None)
            self.released = max(self.released, log.touched(self._used(p)))
        if count + partition.BATCH > table.full:
            self._tables.grow(p, self._refill)
            self.released = max(self.released, table.lines * partition.LINE)
        self._describe(p)

    def crowded(self, p: int) -> bool:
        """Whether partition p cannot go on before ``grow_slices``."""
        return bool(self.parts[p, partition.CROWDED])

    def grow_slices(self) -> None:
        """Make room for more values of the slices that are full. No thread may work on any partition."""
        self.slices.grow()
        self.parts[:, partition.CROWDED] = 0

    def _refill(self, p: int, old: TableAt, new: TableAt) -> None:
        if self.words == 1:
            used = np.zeros(new.lines, dtype=np.uint8)
            k.rehash(old.address, old.lines, new.address, new.lines, used.ctypes.data)
        else:
            scratch = _scratch()
            s.refill(self._row(p), *self.cut, self.words, new.address, new.lines, _place_bits(new), scratch.ctypes.data)

    def _merge_slices(self) -> None:
        """Keep slices as one whose values come together. Each state keeps its place in its log. All room is made before the first log is
        written anew: where there is none, everything stays as it is.
        """
        self._merged, counts = True, self.parts[:, partition.COUNT].tolist()
        few = [self.run(p, 0, min(count, _LOOKED_AT // partition.PARTITIONS)) for p, count in enumerate(counts)]
        slices = Slices(self.words, merged_masks(np.concatenate(few), [tuple(mask) for mask in self.slices.masks.tolist()]))
        for p, count in enumerate(counts):
            slices.take_in(self.run(p, 0, count))
        bits, widths, scratch = slices.widths, slices.each_width, _scratch()
        try:
            for p, count in enumerate(counts):
                if (count + partition.BATCH) * bits > self._room(p):
                    log = self._logs[p]
                    self._move(p, max(2 * log.bytes, count * bits), self._spill if log.on_disk else None)
                    self._describe(p)
        except MemoryError:
            return
        for p, count in enumerate(counts):
            states = self.run(p, 0, count)
            self.parts[p, partition.BITS] = bits
            self.parts[p, partition.WIDTHS : partition.WIDTHS + len(widths)] = widths
            s.write_run(self._row(p), slices.address, len(widths), self.words, states.ctypes.data, scratch.ctypes.data)
            self._describe(p)
        self.slices, self.cut = slices, (slices.address, len(widths))

    def _used(self, p: int) -> int:
        """Bytes that the states of partition p's log take."""
        return -(-int(self.parts[p, partition.COUNT]) * int(self.parts[p, partition.BITS]) // 8)

    def _move(self, p: int, size: int, spill: Spill | None) -> None:
        """Give partition p's log another place."""
        log, used = Block(size, spill=spill), -(-self._used(p) // 8)
        log.words[:used] = self._logs[p].words[:used]
        self._logs[p] = log
        self.parts[p, partition.LOG] = log.address

    def spill_more(self) -> bool:
        """Move the logs to disk; the second time the tables. False if all is there, or may not go. Raises DiskFull.

        A key in a table often says that a state is new, so what is looked for least goes first.
        """
        if self._spill is None or self._tables.disk:
            return False
        if all(log.on_disk for log in self._logs):
            self._tables.spill(self._spill)
        for p in range(partition.PARTITIONS):
            if not self._logs[p].on_disk:
                self._move(p, max(2 * self._used(p), _LEAST_ON_DISK), self._spill)
            self._describe(p)
        return True

    @property
    def disk(self) -> int:
        """Bytes of disk taken."""
        return self._tables.disk + sum(log.bytes for log in self._logs if log.on_disk)

    def bytes(self, incoming: WordArray | None = None) -> int:
        """Bytes of memory taken, or that could be once ``incoming[p]`` more states, all new, are in partition p."""
        added = np.zeros(partition.PARTITIONS, dtype=np.int64) if incoming is None else incoming
        counts, more = self.parts[:, partition.COUNT] + added, incoming is not None
        widths = self.slices.most_widths(int(added.sum())) if more and self.words > 1 else 0
        bits = np.maximum(self.parts[:, partition.BITS], widths)
        used, (rooms, pages, here) = -(-counts * bits // 8), self._kept
        moved = (added > 0) & ((counts + partition.BATCH) * bits > rooms * 8 - _BEHIND)
        logs = int(((np.minimum(-(-used // pages) * pages, rooms) + np.where(moved, used + HUGE_PAGE, 0)) * here).sum())
        growing = (added > 0) & (counts + partition.BATCH > self.parts[:, partition.FULL])
        slices = (self.slices.most_bytes if more else self.slices.bytes) if self.words > 1 else 0
        return logs + self._tables.bytes(growing if more else None) + slices

    def open_level(self) -> None:
        """End the level found so far and make it the frontier. No thread may work on any partition."""
        if not self._merged and self.count >= _WORTH_MERGING:
            self._merge_slices()
        ends = self.parts[:, partition.COUNT].copy()
        self.parts[:, partition.NEXT] = self.levels[-1] if self.levels else np.zeros_like(ends)
        self.parts[:, partition.END] = ends
        self.levels.append(ends)

    @property
    def fresh(self) -> int:
        """States found since the last level was opened."""
        return self.count - (int(self.levels[-1].sum()) if self.levels else 0)

    @property
    def count(self) -> int:
        """States stored."""
        return int(self.parts[:, partition.COUNT].sum())

    @property
    def unexpanded(self) -> int:
        """States of the frontier that have not been expanded yet."""
        return int((self.parts[:, partition.END] - self.parts[:, partition.NEXT]).sum())

    def run(self, p: int, first: int, last: int) -> States:
        """States first..last-1 of partition p's log, in the order they were found; a view if they are of one word."""
        if self.words == 1:
            return self._logs[p].words[first:last].view(np.uint64).reshape(-1, 1)
        states, scratch = np.empty((max(last - first, 0), self.words), dtype=np.uint64), _scratch()
        s.read_run(self._row(p), *self.cut, self.words, first, last, states.ctypes.data, scratch.ctypes.data)
        return states

    def level(self, depth: int) -> Iterator[States]:
        """The states of a level, partition by partition."""
        ends = self.levels[depth] if depth < len(self.levels) else self.parts[:, partition.COUNT]
        starts = self.levels[depth - 1] if depth else np.zeros_like(ends)
        return (self.run(p, int(starts[p]), int(ends[p])) for p in range(partition.PARTITIONS))

    def numbers(self, states: States) -> Numbers:
        """The number of each state, -1 where it is not stored."""
        states = np.ascontiguousarray(states, dtype=np.uint64)
        found, scratch = np.empty(len(states), dtype=np.int64), _scratch()
        k.find_state(self.words, self.parts, *self.cut, states.ctypes.data, len(states), found.ctypes.data, scratch.ctypes.data)
        return found

    def depth(self, state: npt.NDArray[np.uint64]) -> int | None:
        """The level of a state: the least number of steps to it from an initial state. None if it is not stored."""
        number = int(self.numbers(state[np.newaxis])[0])
        if number < 0:
            return None
        place, p = divmod(number, partition.PARTITIONS)
        if self.words == 1:
            place = int(np.flatnonzero(self.run(p, 0, int(self.parts[p, partition.COUNT]))[:, 0] == state[0])[0])
        return next((depth for depth, ends in enumerate(self.levels) if place < ends[p]), len(self.levels))


def _place_bits(table: TableAt) -> int:
    """Bits of a place in a partition with this table."""
    return table.full.bit_length()


def _scratch() -> WordArray:
    return np.empty(s.SCRATCH // 8, dtype=np.int64)
