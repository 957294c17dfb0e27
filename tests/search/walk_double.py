"""A hand-written labelled successor function: a lock that opens after the right digits in order, for random walks.

A state is the number of right digits so far, times 1000, plus that of wrong ones (at most 999). A step tries a digit, which is its
label. Property bit 0 is broken by the open lock, bit 1 by the step that opens it. With ``fails`` that step is a model error as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cfunc

from pasidlab.search.memory import load64, store64

DIGITS = 10


@dataclass(frozen=True)
class Lock:
    """What random walks want of a native model."""

    expand_address: int
    keep: Any  # the compiled function: it lives as long as this does
    words: int = 1
    max_successors: int = DIGITS
    observed_words: int = 9
    label_bits: int = 16

    @property
    def initial(self) -> npt.NDArray[np.uint64]:
        return np.zeros((1, 1), dtype=np.uint64)

    def optimised(self) -> Lock:
        return self


def lock(fails: bool = False) -> Lock:
    """The lock that opens with 3, 1, 4, 1, 5, 9."""
    wrong = 1 if fails else 0

    @cfunc("int64(int64, int64, int64)")
    def expand(state: int, out: int, seen: int) -> int:
        right, missed = load64(state) // 1000, load64(state) % 1000
        code = 951413
        for _ in range(right):
            code //= 10
        at = load64(seen + 6 * 8)
        for word in range(6):
            if word != 2:
                store64(seen + 8 * word, 0)
        if right == 6:
            store64(seen, 1)
            return 0
        if right == 5:
            store64(seen + 8, 2)
            store64(seen + 3 * 8, wrong)
        store64(seen + 2 * 8, load64(seen + 2 * 8) | 1)
        store64(seen + 8 * 8, load64(seen + 8 * 8) + 1)
        for digit in range(10):
            good = digit == code % 10
            store64(out + 8 * digit, (right + 1) * 1000 + missed if good else right * 1000 + min(missed + 1, 999))
            if at != 0:
                store64(at + 8 * digit, digit)
        store64(seen + 6 * 8, at + 80)
        return 10

    return Lock(expand.address, expand)
