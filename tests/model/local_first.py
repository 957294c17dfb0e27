"""Local steps first against the full search: ``python tests/model/local_first.py FIRST COUNT`` compares that many nearly right designs.

Both searches run to their end, whatever they find: what is broken, what is reached and which lines are executed must be the same.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from near_designs import near_design

from pasidlab.checking.coverage import covered_lines
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import Reductions
from pasidlab.designs import Design, Opening
from pasidlab.errors import PasidlabError
from pasidlab.lang.back.native import SOMEBODY_WAITS, compile_model
from pasidlab.lang.ir import LOOKED_AT, Model
from pasidlab.lang.lowering.forget import forgetting_nothing
from pasidlab.model.scope import Scope
from pasidlab.search.breadth_first import search
from pasidlab.search.result import Budget

MOST_STATES = 3_000_000
_CLASSES = 1 << SOMEBODY_WAITS


def scope(events: str, *, tasks: int = 1, mms: int = 1, bounds: dict[str, int] | None = None) -> Scope:
    return Scope(cpus=2, tasks=tasks, mms=mms, pasids=mms, events=frozenset(events.split()), bounds=bounds or {})


SCOPES = {
    "threads": scope("preempt migrate softirq", tasks=2),
    "interrupts": scope("preempt migrate softirq hardirq idle"),
    "limited": scope("preempt migrate softirq hardirq signal", bounds={"softirq": 2, "hardirq": 1, "signal": 2}),
    "traps": scope("preempt migrate signal fault kvm"),
    "life": scope("preempt migrate ipi bind unbind exec exit device"),
    "bind": scope("preempt ipi bind", tasks=2),
    "family": scope("preempt fork exit", tasks=2, mms=2, bounds={"fork": 1, "exit": 1}),
    "others": scope("preempt ptrace kthread", tasks=2),
}


@dataclass(frozen=True)
class Found:
    """What a search tells, but for how it got there."""

    broken: frozenset[str]
    error: bool
    reached: int
    again: int
    pending: int  # by class; which element it is depends on the state that stands for its like
    executed: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Compared:
    """Both searches of one model, and the states each stored."""

    full: Found
    local: Found
    states: tuple[int, int]


def compared(design: Design, where: Scope, *, merged: bool = True) -> Compared | None:
    """Both searches of a design; None if one does not come to its end, or no CPU is ever private.

    Where code looks at contents that are forgotten, what was found is void: both are done once more in the model that forgets nothing.
    """
    model = design_model(design, where, reductions=Reductions(merging=merged))
    if model.private is None:
        return None
    both = _searched(design, model)
    if both and any(name.startswith(LOOKED_AT) for found in (both.full, both.local) for name in found.broken):
        return _searched(design, forgetting_nothing(model))
    return both


def _searched(design: Design, model: Model) -> Compared | None:
    found, states = [], []
    for local_first in (False, True):
        native = compile_model(model, covered=design.sources, symmetric=True, local_first=local_first)
        result = search(native, jobs=1, budget=Budget(max_states=MOST_STATES))
        if result.reason != "complete":
            return None
        broken = frozenset(native.properties[bit] for bit in result.violations)
        executed = covered_lines(native, result.counters)[0]
        found.append(Found(broken, result.error is not None, result.reached, result.again, result.pending & _CLASSES, executed))
        states.append(result.states)
    return Compared(found[0], found[1], (states[0], states[1]))


def near(first: int, count: int, names: Sequence[str] = tuple(SCOPES)) -> Iterator[tuple[str, Compared | None]]:
    """Designs close to correct ones, each in one of the scopes, merged or not."""
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            path = Path(folder) / "near.py"
            path.write_text(near_design(seed).text, encoding="utf-8")
            where = names[seed % len(names)]
            merged = seed // len(names) % 3 != 0
            try:
                yield f"{seed} {where}{'' if merged else ' unmerged'}", compared(Opening(str(path)).design(), SCOPES[where], merged=merged)
            except PasidlabError as error:
                print(f"{seed}: refused: {str(error).splitlines()[0]}", flush=True)


def main(first: int, count: int) -> int:
    """Compare them; the number that differ."""
    different = same = broken = 0
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for name, both in near(first, count):
            if both is None:
                continue
            differs = both.full != both.local
            different, same, broken = different + differs, same + (not differs), broken + bool(both.full.broken)
            if differs:
                print(f"{name}: {both}", flush=True)
    print(f"{same} agree ({broken} of all break something), {different} differ")
    return different


if __name__ == "__main__":
    sys.exit(1 if main(*map(int, sys.argv[1:3])) else 0)
