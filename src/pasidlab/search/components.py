"""Graphs given by their edges: strongly connected components, and shortest ways.

States count from 0; edge n leads from ``sources[n]`` to ``targets[n]``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pasidlab.search.memory import compiled
from pasidlab.search.store import Numbers


def components(sources: Sequence[int] | Numbers, targets: Sequence[int] | Numbers, size: int) -> Numbers:
    """The number of each state's strongly connected component (Tarjan, SIAM J. Comput. 1, 1972). Numbers count from 0."""
    label = np.full(size, -1, dtype=np.int64)
    _label(*_by_source(sources, targets, size), label)
    return label


class ShortestWays:
    """The shortest ways in a graph. Of several, the one by the lowest states."""

    def __init__(self, sources: Numbers, targets: Numbers, size: int) -> None:
        order = np.lexsort((targets, sources))
        self._first, self._targets = _by_source(sources[order], targets[order], size)

    def way(self, start: int, end: int) -> list[int]:
        """The states after ``start`` to ``end``, which can be reached from it."""
        before = np.full(len(self._first) - 1, -1, dtype=np.int64)
        _breadth_first(self._first, self._targets, start, before)
        way = [end] if end != start else []
        while way and before[way[-1]] != start:
            way.append(int(before[way[-1]]))
        return way[::-1]


def _by_source(sources: Sequence[int] | Numbers, targets: Sequence[int] | Numbers, size: int) -> tuple[Numbers, Numbers]:
    """Where the edges of each source begin, and the targets in that order; edges of one source keep theirs."""
    first = np.zeros(size + 2, dtype=np.int64)
    source, target = np.ascontiguousarray(sources, dtype=np.int64), np.ascontiguousarray(targets, dtype=np.int64)
    ordered = np.empty(len(target), dtype=np.int64)
    _sort(source, target, first, ordered)
    return first[:-1], ordered


@compiled("void(int64[::1], int64[::1], int64[::1], int64[::1])")
def _sort(sources: Numbers, targets: Numbers, first: Numbers, ordered: Numbers) -> None:
    """Sort by counting. ``first`` is 0 before; its last element stays over."""
    for source in sources:
        first[source + 2] += 1
    for state in range(2, first.size):
        first[state] += first[state - 1]
    for n in range(sources.size):
        ordered[first[sources[n] + 1]] = targets[n]
        first[sources[n] + 1] += 1


@compiled("int64(int64[::1], int64, int64, int64[::1], int64)")
def _close(open_: Numbers, opened: int, root: int, label: Numbers, number: int) -> int:
    """The open states down to ``root`` are a component; the number of those that stay open."""
    while True:
        opened -= 1
        label[open_[opened]] = number
        if open_[opened] == root:
            return opened


@compiled("void(int64[::1], int64[::1], int64[::1])")
def _label(first: Numbers, targets: Numbers, label: Numbers) -> None:
    """Number the components, in ``label``, which is -1 for each state before.

    ``way``: the states from the root to where the walk is. ``open_``: those it has seen whose component is not known yet.
    """
    size = label.size
    seen, low, at = np.zeros(size, np.int64), np.zeros(size, np.int64), first[:-1].copy()
    way, open_ = np.empty(size, np.int64), np.empty(size, np.int64)
    clock = opened = count = 0
    for root in range(size):
        depth = 0
        state = root
        enters = seen[root] == 0
        while enters or depth > 0:
            if enters:
                clock += 1
                seen[state] = low[state] = clock
                way[depth] = open_[opened] = state
                depth += 1
                opened += 1
                enters = False
            state = way[depth - 1]
            if at[state] < first[state + 1]:
                target = targets[at[state]]
                at[state] += 1
                if seen[target] == 0:
                    state, enters = target, True
                elif label[target] < 0:
                    low[state] = min(low[state], seen[target])
            else:
                depth -= 1
                if depth > 0:
                    low[way[depth - 1]] = min(low[way[depth - 1]], low[state])
                if low[state] == seen[state]:
                    opened = _close(open_, opened, state, label, count)
                    count += 1


@compiled("void(int64[::1], int64[::1], int64, int64[::1])")
def _breadth_first(first: Numbers, targets: Numbers, start: int, before: Numbers) -> None:
    """The state before each one on a shortest way from ``start``, in ``before``, which is -1 for each state until then."""
    queue = np.empty(before.size, np.int64)
    queue[0], head, tail = start, 0, 1
    before[start] = start
    while head < tail:
        state = queue[head]
        head += 1
        for n in range(first[state], first[state + 1]):
            target = targets[n]
            if before[target] < 0:
                before[target] = state
                queue[tail] = target
                tail += 1
