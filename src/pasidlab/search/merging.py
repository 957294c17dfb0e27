"""Which slices of a state are better kept as one: those whose values come together.

Two slices with 100 values each take 14 bits of a log. If only 200 pairs of values come, one slice for both takes 8. More pairs than values
have to be kept, though. So the states found so far decide. Any choice is exact (``slice_kernels``): a bad one takes more memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from pasidlab.search.slices import StateMask

States = npt.NDArray[np.uint64]  # [n, words]
Numbers = npt.NDArray[np.int64]  # [n]: of the value that each state has

_PAIRED = 12  # slices that are compared with one another, at most: those with the fewest values
_PLACE = 16  # bytes of a value's places in its index
_LATER = 3  # times as many states a value, at least, once the search is over
_FEW = 1 << 20  # pairs that may come, for which there is a flag each
_MIX = np.uint64(0x9E3779B97F4A7C15)


class _Slice:
    """A slice, and the number of its value in each state."""

    def __init__(self, mask: StateMask, numbers: Numbers, count: int) -> None:
        self.mask, self.numbers, self.count = mask, numbers, count
        self.width = (count - 1).bit_length()


def merged_masks(states: States, masks: Sequence[StateMask]) -> list[StateMask]:
    """The masks after two slices at a time were made one, as long as that saves memory for these states and those to come."""
    slices = sorted((_slice(states, mask) for mask in masks), key=lambda one: one.count)
    paired, others = slices[:_PAIRED], slices[_PAIRED:]
    bytes_of_value: float = (8 * states.shape[1] + _PLACE) / _LATER
    pairs: dict[tuple[StateMask, StateMask], int] = {}

    def saved(one: _Slice, other: _Slice) -> float:
        """Bytes that are saved where two slices become one."""
        key = one.mask, other.mask
        if key not in pairs:
            pairs[key] = _pairs(one, other)
        count = pairs[key]
        bits = one.width + other.width - (count - 1).bit_length()
        return len(states) * bits / 8 - (count - one.count - other.count) * bytes_of_value

    while len(paired) > 1:
        best = max(combinations(paired, 2), key=lambda pair: saved(*pair))
        if saved(*best) <= 0:
            break
        paired = [one for one in paired if one not in best] + [_together(*best)]
    return [one.mask for one in (*paired, *others)]


def _slice(states: States, mask: StateMask) -> _Slice:
    mixed = np.zeros(len(states), dtype=np.uint64)
    for w, bits in enumerate(mask):
        mixed = (mixed ^ (states[:, w] & np.uint64(bits))) * _MIX
        mixed ^= mixed >> np.uint64(29)
    values, numbers = np.unique(mixed, return_inverse=True)
    return _Slice(mask, numbers.astype(np.int64), len(values))


def _pairs(one: _Slice, other: _Slice) -> int:
    """How many pairs of values come."""
    both = one.numbers * other.count + other.numbers
    if one.count * other.count > _FEW:
        return len(np.unique(both))
    come = np.zeros(one.count * other.count, dtype=np.bool_)
    come[both] = True
    return int(np.count_nonzero(come))


def _together(one: _Slice, other: _Slice) -> _Slice:
    values, numbers = np.unique(one.numbers * other.count + other.numbers, return_inverse=True)
    return _Slice(tuple(a | b for a, b in zip(one.mask, other.mask, strict=True)), numbers.astype(np.int64), len(values))
