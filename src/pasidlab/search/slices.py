"""The slices of a model's states, and all values that each slice has had. How a log uses them: ``slice_kernels``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pasidlab.search import slice_kernels as s
from pasidlab.search.memory import Block, WordArray
from pasidlab.search.partition import MOST_SLICES

_FIRST = 1 << 6  # values of a slice there is room for at first
_SPARSE = 2  # places of an index for each value there is room for, at least
_PIECE = 16  # bits of a slice where the model names none
_ALL = (1 << 64) - 1

StateMask = tuple[int, ...]  # bits of a packed state, word by word


def slice_masks(words: int, named: Sequence[StateMask]) -> list[StateMask]:
    """Masks that have every bit of a state, none twice: those a model names, the last one with all that the others leave out.

    Pieces of 16 bits where it names none.
    """
    left = [_ALL] * words
    masks: list[StateMask] = []
    pieces = [tuple((1 << _PIECE) - 1 << low if w == v else 0 for w in range(words)) for v in range(words) for low in range(0, 64, _PIECE)]
    for mask in list(named or pieces)[: MOST_SLICES - 1]:
        masks.append(tuple(bits & free for bits, free in zip(mask, left, strict=True)))
        left = [free & ~bits for free, bits in zip(left, mask, strict=True)]
    return [*masks[:-1], tuple(bits | rest for bits, rest in zip(masks[-1], left, strict=True))]


class Slices:
    """The values of every slice. ``rows`` is what the compiled loops know of them (columns: ``slice_kernels``)."""

    def __init__(self, words: int, masks: Sequence[StateMask]) -> None:
        self.words, self.masks = words, np.array(masks, dtype=np.uint64)
        self._locks: WordArray = np.zeros(len(masks), dtype=np.int64)
        self._values = [Block(_FIRST * words * 8) for _ in masks]
        self._indexes = [Block(_FIRST * _SPARSE * 4) for _ in masks]
        self.rows: WordArray = np.zeros((len(masks), s.SLICE_COLUMNS), dtype=np.int64)
        self.address = int(self.rows.ctypes.data)
        for c in range(len(masks)):
            self.rows[c, s.MASK] = self.masks[c].ctypes.data
            self.rows[c, s.LOCK] = self._locks[c:].ctypes.data
            self.rows[c, s.MOST], self.rows[c, s.PLACES] = _FIRST, _FIRST * _SPARSE - 1
            self.rows[c, s.VALUES], self.rows[c, s.INDEX] = self._values[c].address, self._indexes[c].address

    def grow(self) -> None:
        """Give the slices that are full twice the room. No thread may be in the compiled loops."""
        for c in np.flatnonzero(self.rows[:, s.SIZE] == self.rows[:, s.MOST]).tolist():
            size = int(self.rows[c, s.SIZE])
            values, index = Block(2 * size * self.words * 8), Block(2 * size * _SPARSE * 4)
            values.words[: size * self.words] = self._values[c].words[: size * self.words]
            self._values[c], self._indexes[c] = values, index
            self.rows[c, s.MOST], self.rows[c, s.PLACES] = 2 * size, 2 * size * _SPARSE - 1
            self.rows[c, s.VALUES], self.rows[c, s.INDEX] = values.address, index.address
            s.reindex(self.address + c * s.SLICE_ROW, self.words)

    def take_in(self, states: npt.NDArray[np.uint64]) -> None:
        """Add the values that states [n, words] have. No other thread may be in the compiled loops."""
        taken = 0
        while True:
            taken += s.intern_run(self.address, len(self.masks), self.words, states[taken:].ctypes.data, len(states) - taken)
            if taken == len(states):
                return
            self.grow()

    @property
    def each_width(self) -> list[int]:
        """Bits that number the values of each slice."""
        return [(max(size, 1) - 1).bit_length() for size in self.rows[:, s.SIZE].tolist()]

    @property
    def widths(self) -> int:
        """Bits that number one value of each slice."""
        return sum(self.each_width)

    def most_widths(self, incoming: int) -> int:
        """The same once ``incoming`` more states are stored: slices that are more than half full may grow once meanwhile."""
        sizes, most = self.rows[:, s.SIZE], self.rows[:, s.MOST]
        ends = np.minimum(sizes + incoming, np.where(2 * sizes > most, 2 * most, most))
        return sum((max(end, 1) - 1).bit_length() for end in ends.tolist())

    @property
    def bytes(self) -> int:
        """Bytes of memory taken, at most."""
        return sum(block.bytes for block in self._indexes) + sum(
            block.touched(int(self.rows[c, s.SIZE]) * self.words * 8) for c, block in enumerate(self._values)
        )

    @property
    def most_bytes(self) -> int:
        """Bytes of memory that may be taken once slices have grown that are more than half full."""
        fuller = np.flatnonzero(2 * self.rows[:, s.SIZE] > self.rows[:, s.MOST]).tolist()
        return self.bytes + 3 * sum(self._values[c].bytes + self._indexes[c].bytes for c in fuller)
