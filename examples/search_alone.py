"""The search engine without the modelling language: Peterson's lock as a successor function of one's own.

    python examples/search_alone.py

docs/search.md explains each part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cfunc

from pasidlab.search.breadth_first import search
from pasidlab.search.graph import path_to
from pasidlab.search.memory import load64, store64
from pasidlab.search.observed import COUNTERS, ERROR, REACHED, STATE_BROKEN, STEP_BROKEN, WORD

# One state is one 64-bit word. Each of two processes has a program counter (2 bits) and a flag; they share a turn.
PC, FLAG, TURN = (0, 2), (4, 5), 6
IDLE, ASKED, WAITS, CRITICAL = range(4)
TOGETHER = 0  # property: both are in the critical section
MOST_SUCCESSORS = 2


def peterson(swapped: bool) -> Any:
    """The successor function. ``swapped``: a process gives the turn away before it raises its flag."""

    def expand(state: int, successors: int, observed: int) -> int:
        s = load64(state)
        found = 0
        for me in range(2):
            other = 1 - me
            pc = (s >> PC[me]) & 3
            step = (s & ~(3 << PC[me])) | (((pc + 1) & 3) << PC[me])
            raised, given = step | (1 << FLAG[me]), (step & ~(1 << TURN)) | (other << TURN)
            if pc == IDLE:
                step = given if swapped else raised
            elif pc == ASKED:
                step = raised if swapped else given
            elif pc == WAITS:
                if (s >> FLAG[other]) & 1 and (s >> TURN) & 1 != me:
                    continue  # no step: it waits
            else:
                step = step & ~(1 << FLAG[me])
            store64(successors + WORD * found, step)
            found += 1
        both = (s >> PC[0]) & 3 == CRITICAL and (s >> PC[1]) & 3 == CRITICAL
        store64(observed + WORD * STATE_BROKEN, 1 << TOGETHER if both else 0)
        store64(observed + WORD * STEP_BROKEN, 0)
        store64(observed + WORD * ERROR, 0)
        store64(observed + WORD * REACHED, load64(observed + WORD * REACHED) | ((s >> PC[0]) & 3 == CRITICAL))
        return found

    return cfunc("int64(int64, int64, int64)")(expand)


@dataclass(frozen=True)
class Peterson:
    """What the engine asks for (``pasidlab.search.result.NativeModel``)."""

    compiled: Any  # lives as long as the model: the address is inside it
    words: int = 1
    max_successors: int = MOST_SUCCESSORS
    observed_words: int = COUNTERS

    @property
    def initial(self) -> npt.NDArray[np.uint64]:
        return np.zeros((1, 1), dtype=np.uint64)

    @property
    def expand_address(self) -> int:
        return int(self.compiled.address)

    def optimised(self) -> Peterson:
        return self


def in_words(state: tuple[int, ...]) -> str:
    names = ("idle", "asked", "waits", "critical")
    (s,) = state
    each = [f"P{me} {names[(s >> PC[me]) & 3]:8} flag {(s >> FLAG[me]) & 1}" for me in range(2)]
    return f"{each[0]} | {each[1]} | turn {(s >> TURN) & 1}"


if __name__ == "__main__":
    for swapped in (False, True):
        found = search(Peterson(peterson(swapped)))
        print(f"\nturn {'before' if swapped else 'after'} flag: {found.reason}, {found.states} states, {found.depth} steps deep")
        print(f"process 0 was in its critical section: {'yes' if found.reached else 'no'}")
        broken = found.violations.get(TOGETHER)
        if broken is None:
            print("both at once: never")
        else:
            print(f"both at once, after {broken.steps} steps:")
            for state in path_to(found, broken.state, broken.depth):
                print("   ", in_words(state))
