"""Which violation of each property counts: the one with the fewest steps, then the one with the smallest state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pasidlab.search import kernels as k
from pasidlab.search.memory import WordArray
from pasidlab.search.result import Packed, Violation

_ALL = (1 << 64) - 1
_Observation = tuple[WordArray, WordArray]  # a group's tally and its worst states


class Verdicts:
    """The violations found so far, level by level.

    A state at level d shows a violation in d steps, a step out of it one in d + 1. So a violation by a step waits until
    the next level is expanded: a state of that level that violates the same property goes before it.
    """

    def __init__(self) -> None:
        self.violations: dict[int, Violation] = {}
        self.error: Violation | None = None
        self.again = 0  # liveness classes with a repeated fault
        self.pending = 0  # liveness classes in which some state that was expanded is pending
        self.waiting: dict[int, Violation] = {}  # by a step out of the last level

    def restore(self, violations: dict[int, Violation], waiting: dict[int, Violation], error: Violation | None) -> None:
        """Go on from what was found up to some level."""
        self.violations, self.waiting, self.error = violations, waiting, error

    @property
    def settled(self) -> int:
        """Mask of the properties whose violation is final."""
        return sum(1 << bit for bit in self.violations)

    @property
    def open(self) -> int:
        """Mask of the properties whose violations are still of interest."""
        return _ALL & ~self.settled

    def close_level(self, depth: int, groups: Sequence[_Observation]) -> None:
        """Take in what the groups observed while they expanded the states at ``depth``."""
        for tally, _ in groups:
            self.again |= int(tally[k.AGAIN]) & _ALL
            self.pending |= int(tally[k.PENDING]) & _ALL
        by_state = {bit: Violation(depth, s, by_step=False) for bit, s in _smallest(groups, k.BY_STATE, 0).items()}
        self._settle({**self.waiting, **by_state})
        by_step = {bit: Violation(depth + 1, s, by_step=True) for bit, s in _smallest(groups, k.BY_STEP, 64).items()}
        self.waiting = {bit: violation for bit, violation in by_step.items() if bit not in self.violations}
        if self.error is None:
            for state in _smallest(groups, k.ERROR, k.ERROR_ROW).values():
                self.error = Violation(depth + 1, state, by_step=True)

    def finish(self, completed: int) -> None:
        """Take what still waits: no more levels will follow, and only those up to ``completed`` are known entirely."""
        self._settle({bit: Violation(v.steps, v.state, by_step=True, minimal=v.depth <= completed) for bit, v in self.waiting.items()})
        self.waiting = {}

    def _settle(self, found: dict[int, Violation]) -> None:
        self.violations = dict(sorted({**found, **self.violations}.items()))


def _smallest(groups: Sequence[_Observation], column: int, row: int) -> dict[int, Packed]:
    """For each property bit some group noted in ``column``, the smallest of the groups' states."""
    best: dict[int, Packed] = {}
    for tally, worst in groups:
        seen = int(tally[column]) & _ALL
        while seen:
            bit = seen.bit_length() - 1
            seen ^= 1 << bit
            state = tuple(worst[row + bit].view(np.uint64).tolist())
            best[bit] = min(best.get(bit, state), state)
    return best
