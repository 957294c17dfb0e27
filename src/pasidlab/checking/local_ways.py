"""Counterexamples of a search with local steps first: each step of the model, also those that were followed, not stored."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from pasidlab.lang.back.layout import State
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.local_steps import LocalSteps
from pasidlab.search.graph import path_to
from pasidlab.search.result import Packed, SearchResult, Violation
from pasidlab.trace.replay import Replayer
from pasidlab.trace.steps import Counterexample


def by_local_steps(found: SearchResult, violation: Violation, name: str, replayer: Replayer) -> Counterexample:
    """A counterexample for a violation that local steps first found. There may be shorter ones.

    Raises AssertionError if the interpreter cannot follow.
    """
    way = _LocalWay(replayer.interpreter, name)
    stored = path_to(found, violation.state, violation.depth)
    path = [stored[0]]
    for before, after in pairwise(stored):
        path += way.to(before, after)
    by_step = violation.by_step
    if by_step:
        last, by_step = way.to_where_it_breaks(stored[-1])
        path += last
    return replace(replayer.counterexample(name, path, by_step), shortest=False)


class _LocalWay:
    """Ways between stored states."""

    def __init__(self, interpreter: Interpreter, name: str) -> None:
        self.interpreter, self.name = interpreter, name
        self.local = LocalSteps(interpreter)

    def to(self, before: Packed, after: Packed) -> list[Packed]:
        """The states on a way from one stored state to the next, that one included."""
        target = self.interpreter.layout.unpack(after)
        for way in self.local.ways(self.interpreter.layout.unpack(before)):
            if way and way[-1] == target:
                return list(map(self.interpreter.canonical, way))
        raise AssertionError("no local steps lead from one stored state to the next")

    def to_where_it_breaks(self, before: Packed) -> tuple[list[Packed], bool]:
        """A way to a state that breaks the property, or out of which a step does; which of the two."""
        start = self.interpreter.layout.unpack(before)
        for way in self.local.ways(start):
            if (by_step := self._breaks(way[-1] if way else start)) is not None:
                return list(map(self.interpreter.canonical, way)), by_step
        raise AssertionError(f"no local steps break {self.name}")

    def _breaks(self, state: State) -> bool | None:
        """Whether a step out of a state breaks the property; False: the state does; None: neither."""
        if any(predicate.property == self.name for predicate, _ in self.interpreter.broken(state)):
            return False
        failures = (f for outcome in self.interpreter.successors(state) for f in outcome.failures)
        return True if any(f.property == self.name for f in failures) else None
