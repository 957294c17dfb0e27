"""Any small graph as a native model: a test double whose successors and observations are looked up in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt
from numba import cfunc

from pasidlab.search.memory import load64, store64

WIDTH = 16  # words of a state's row: what it observes (properties by state, by step, error, pending, again), successors
_where = np.zeros(1, dtype=np.int64)
_WHERE = int(_where.ctypes.data)


@cfunc("int64(int64, int64, int64)")
def _expand(state: int, out: int, observed: int) -> int:
    row = load64(_WHERE) + load64(state) * WIDTH * 8
    store64(observed, load64(row))
    store64(observed + 8, load64(row + 8))
    store64(observed + 24, load64(row + 16))
    store64(observed + 32, load64(row + 24))
    store64(observed + 40, load64(row + 32))
    count = load64(row + 40)
    for i in range(count):
        store64(out + 8 * i, load64(row + 48 + 8 * i))
    return count


@dataclass
class Graph:
    """A native model of the states 0 .. n-1; only the graph made last can be searched."""

    edges: Mapping[int, list[int]]
    by_state: Mapping[int, int] = field(default_factory=dict)  # state -> mask of properties
    by_step: Mapping[int, int] = field(default_factory=dict)
    error: Mapping[int, int] = field(default_factory=dict)
    starts: Sequence[int] = (0,)
    words: int = 1
    max_successors: int = WIDTH - 6
    observed_words: int = 8

    def __post_init__(self) -> None:
        named = [
            *self.starts,
            *self.edges,
            *self.by_state,
            *self.by_step,
            *self.error,
            *chain.from_iterable(self.edges.values()),
        ]
        states = max(named) + 1
        self.table = np.zeros((states, WIDTH), dtype=np.int64)
        for column, masks in enumerate((self.by_state, self.by_step, self.error)):
            for state, mask in masks.items():
                self.table.view(np.uint64)[state, column] = mask
        for state, after in self.edges.items():
            self.table[state, 5] = len(after)
            self.table[state, 6 : 6 + len(after)] = after
        _where[0] = self.table.ctypes.data

    @property
    def initial(self) -> npt.NDArray[np.uint64]:
        return np.array(self.starts, dtype=np.uint64).reshape(-1, 1)

    def optimised(self) -> Graph:
        return self

    @property
    def expand_address(self) -> int:
        return int(_expand.address)
