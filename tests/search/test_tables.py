"""Tables that grow give back what they leave, and nothing that another partition's table has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pasidlab.search import partition
from pasidlab.search.memory import HUGE_PAGE
from pasidlab.search.tables import HALF_KEYS, WHOLE_KEYS, Shape, TableAt, Tables

PAGE = 4096
MOST_GROWTHS = 5  # of a table: each makes it larger


class Marked:
    """Tables whose partitions each keep a mark in every line, while they grow in any order."""

    def __init__(self, shape: Shape) -> None:
        self.tables = Tables(shape)
        for p in range(partition.PARTITIONS):
            self._mark(p, self.tables.describe(p))

    def in_turn(self, seed: int) -> Iterator[int]:
        """Each partition MOST_GROWTHS times, in any order."""
        order = [p for p in range(partition.PARTITIONS) for _ in range(MOST_GROWTHS)]
        random.Random(seed).shuffle(order)
        yield from order

    def _view(self, at: TableAt) -> np.ndarray:
        return np.ctypeslib.as_array((np.ctypeslib.ctypes.c_int64 * (at.lines * 8)).from_address(at.address))

    def _mark(self, p: int, at: TableAt) -> None:
        self._view(at)[:] = p + 1

    def grow(self, p: int, meanwhile: int | None = None) -> None:
        """Grow p's table; ``meanwhile``: a partition that grows after p's keys were moved and before p has left."""

        def refill(at: int, old: TableAt, new: TableAt) -> None:
            assert (self._view(old) == at + 1).all() and not self._view(new).any()
            self._mark(at, new)
            if meanwhile is not None and at == p:
                self.grow(meanwhile)

        self.tables.grow(p, refill)

    def whole(self) -> bool:
        return all((self._view(self.tables.describe(p)) == p + 1).all() for p in range(partition.PARTITIONS))


@pytest.mark.parametrize("shape", [WHOLE_KEYS, HALF_KEYS])
def test_a_table_that_leaves_takes_nothing_from_others(shape: Shape) -> None:
    marked = Marked(shape)
    turns = marked.in_turn(seed=5)
    for first, second in zip(turns, turns, strict=True):
        marked.grow(first, second if second != first else None)
        assert marked.whole()


@pytest.mark.parametrize("step", [-1, 1])
def test_a_neighbour_that_leaves_where_a_table_comes_takes_nothing_from_it(step: int) -> None:
    for p in range(1, partition.PARTITIONS - 1):
        marked = Marked(HALF_KEYS)
        marked.grow(p + step)
        marked.grow(p, p + step)  # which leaves the generation that p comes to
        assert marked.whole()


@pytest.mark.parametrize("shape", [WHOLE_KEYS, HALF_KEYS])
def test_memory_is_that_of_the_tables_there_are(shape: Shape) -> None:
    marked = Marked(shape)
    for p in marked.in_turn(seed=7):
        marked.grow(p)
        lines = sum(marked.tables.describe(p).lines for p in range(partition.PARTITIONS))
        needed = lines * partition.LINE
        assert needed <= marked.tables.bytes() <= needed + 2 * partition.PARTITIONS * PAGE


def test_pages_are_huge_where_a_table_fills_one() -> None:
    tables = Tables(replace(WHOLE_KEYS, growth=4.0))
    while tables.describe(0).lines * partition.LINE < HUGE_PAGE:
        for p in range(partition.PARTITIONS):
            tables.grow(p, lambda *_: None)
    # a table begins within a huge page of its neighbour's
    lines = sum(tables.describe(p).lines for p in range(partition.PARTITIONS)) * partition.LINE
    assert lines <= tables.bytes() <= lines + 2 * HUGE_PAGE and tables.bytes() % HUGE_PAGE == 0
