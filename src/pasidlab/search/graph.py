"""The stored graph after a search: its edges, and a shortest path to a state.

No edges are stored: states are expanded again where edges are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pasidlab.search import kernels as k
from pasidlab.search.exchange import Exchange
from pasidlab.search.memory import Block
from pasidlab.search.observed import LABELS
from pasidlab.search.result import NativeModel, Packed, SearchResult
from pasidlab.search.store import Numbers, States

_BATCH = 4096  # states expanded at a time, at most
_ROOM = 1 << 26  # bytes for their successors, at most


@dataclass(frozen=True)
class Expansion:
    """Successors of some states, one state after the other."""

    sources: States
    counts: npt.NDArray[np.int64]  # successors of each source
    pending: npt.NDArray[np.uint64]  # liveness mask of each source
    again: npt.NDArray[np.uint64]
    successors: States  # sum(counts) of them
    labels: Numbers  # of each: which step leads there; empty if the model does not say


class Expander:
    """Expands states outside the search, one batch at a time."""

    def __init__(self, model: NativeModel) -> None:
        self._model = model
        each = max(model.max_successors, 1) * model.words * 8
        self.batch = min(max(_ROOM // each, 1), _BATCH)
        self._successors = Block(self.batch * each)
        self._notes = Block(self.batch * 24)
        self._observed = Block(model.observed_words * 8)
        self._labels = Block(self.batch * max(model.max_successors, 1) * 8) if getattr(model, "steps", ()) else None

    def expand(self, states: States) -> Iterator[Expansion]:
        """Expand ``states`` in order. An expansion is overwritten by the next one."""
        words = self._model.words
        for first in range(0, len(states), self.batch):
            some = np.ascontiguousarray(states[first : first + self.batch], dtype=np.uint64)
            if self._labels:
                self._observed.words[LABELS] = self._labels.address
            total = k.expand_list(
                self._model.expand_address,
                words,
                some.ctypes.data,
                len(some),
                self._successors.address,
                self._observed.address,
                self._notes.address,
            )
            notes = self._notes.words[: 3 * len(some)].reshape(-1, 3)
            successors = self._successors.words[: total * words].view(np.uint64).reshape(-1, words)
            pending, again = notes[:, 1].view(np.uint64), notes[:, 2].view(np.uint64)
            labels = self._labels.words[:total] if self._labels else np.empty(0, dtype=np.int64)
            yield Expansion(some, notes[:, 0], pending, again=again, successors=successors, labels=labels)


def path_to(result: SearchResult, state: Packed, depth: int | None = None) -> list[Packed]:
    """A shortest path: packed states from an initial one to ``state``, which is at level ``depth`` (None: looked up).

    From the end, each step comes from the smallest state of the level before that has it: the path is the same in every
    run.
    """
    if depth is None:
        depth = depth_of(result, state)
    expander, path = Expander(result.model), [tuple(state)]
    for level in range(depth - 1, -1, -1):
        path.append(_predecessor(expander, result.store.level(level), path[-1], result.peers))
    return path[::-1]


def depth_of(result: SearchResult, state: Packed) -> int:
    """Least number of steps from an initial state to ``state``. KeyError if the search did not find it."""
    found = result.peers.gather(result.store.depth(np.array(state, dtype=np.uint64)))
    depth = next((one for one in found if one is not None), None)
    if depth is None:
        raise KeyError(state)
    return depth


def _predecessor(expander: Expander, level: Iterable[States], state: Packed, peers: Exchange) -> Packed:
    """The smallest state of a level with a step to ``state``."""
    target, best = np.array(state, dtype=np.uint64), None
    for states in level:
        for done in expander.expand(states):
            hits = np.flatnonzero((done.successors == target).all(axis=1))
            for source in done.sources[np.searchsorted(np.cumsum(done.counts), hits, side="right")].tolist():
                best = tuple(source) if best is None else min(best, tuple(source))
    best = min((one for one in peers.gather(best) if one is not None), default=None)
    if best is None:
        raise AssertionError(f"no step leads to {state}: the successor function is not deterministic")
    return best
