"""Explores a design in one scope, and replays what the search found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pasidlab.check.findings import NAMES, ModelError, PartResult, PropertyResult, in_order
from pasidlab.check.model import design_model, exact
from pasidlab.check.scope import Scope
from pasidlab.check.trace import Counterexample, Replayer
from pasidlab.designs import Design
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import Function, Model

if TYPE_CHECKING:
    from pasidlab.check.result import Budget, Progress, SearchResult
    from pasidlab.lang.native import NativeModel

Functions = Callable[[Scope], dict[str, Function]] | Mapping[str, Function]
OnProgress = Callable[[str, str, "Progress"], None]  # design, part, how far it is
STATES_AFTER_VIOLATION = 3_000_000
MOST_STATES_WITHOUT_FORGETTING = 20_000_000


@dataclass(frozen=True)
class Built:
    """A model ready to be explored."""

    design: Design
    name: str
    scope: Scope
    model: Model
    native: NativeModel


@dataclass(frozen=True)
class Run:
    """What was asked of all explorations of one call."""

    wanted: tuple[str, ...]
    jobs: int | None
    budget: Budget | None
    progress: OnProgress | None
    functions: Functions | None
    merged: bool
    symmetric: bool

    def build(self, design: Design, name: str, scope: Scope) -> Built:
        """The model of a design in a scope, compiled."""
        from pasidlab.lang.native import compile_model

        made = self.functions(scope) if callable(self.functions) else dict(self.functions or {})
        model = design_model(design, scope, merged=self.merged, functions=made)
        return Built(design, name, scope, model, compile_model(model, covered=design.sources, symmetric=self.symmetric))

    def explore(self, built: Built) -> PartResult:
        """Explore one part; once more without forgetting, for a while, if some of what is found shows only with contents forgotten."""
        from pasidlab.lang.native import compile_model

        part, doubtful = self._explore(built, self._limits())
        if not doubtful:
            return part
        model, limits = exact(built.model), self._limits()
        most = min(limits.max_states or MOST_STATES_WITHOUT_FORGETTING, MOST_STATES_WITHOUT_FORGETTING)
        remembers = replace(built, model=model, native=compile_model(model, covered=built.design.sources, symmetric=self.symmetric))
        again, _ = self._explore(remembers, replace(limits, max_states=most))
        return again if again.reason == "complete" else _both(again, part)

    def _explore(self, built: Built, limits: Budget) -> tuple[PartResult, bool]:
        """Explore one part and replay what it found; and whether some of that does not show without forgetting."""
        from pasidlab.check.coverage import covered_lines
        from pasidlab.check.search import search

        model, native = built.model, built.native
        found = search(native, jobs=self.jobs, budget=limits, progress=self._reporter(built))
        replayer = Replayer(Interpreter(model, symmetric=self.symmetric))
        error, broken = _model_error(found, replayer), _counterexamples(found, replayer)
        if "served" in self.wanted and found.again and not any(c.property == "served" for c in broken):
            broken += self._liveness(built, limits)
        doubtful = False
        if model.forget and (error or broken):
            remembers = Replayer(Interpreter(exact(model)))
            broken = [remembers.same_moves(c) or replace(c, exact=False) for c in broken]
            doubtful = not all(c.exact for c in broken) or (error is not None and not remembers.same_error(error.way, error.sentence))
        broken = [c for c in broken if c.property in self.wanted and (error is None or len(c.steps) <= error.steps)]
        executed, present = covered_lines(native, found.counters)
        part = PartResult(
            built.name, built.scope, found.reason, found.states, found.transitions, found.depth, found.depth_completed, found.seconds,
            found.bytes_per_state, tuple(_property_result(name, found, native.properties, broken) for name in self.wanted),
            in_order(broken), error, executed, present,
        )  # fmt: skip
        return part, doubtful

    def _limits(self) -> Budget:
        from pasidlab.check.result import Budget

        limits = self.budget or Budget()
        if limits.after_violation is None and len(self.wanted) == len(NAMES):
            limits = replace(limits, after_violation=STATES_AFTER_VIOLATION)
        return limits

    def _reporter(self, built: Built) -> Callable[[Progress], None] | None:
        report = self.progress
        return (lambda now: report(built.design.name, built.name, now)) if report else None

    def _liveness(self, built: Built, limits: Budget) -> list[Counterexample]:
        """Repeated faults were seen: look for a fair cycle, in the graph of states themselves (not of classes)."""
        from pasidlab.check.liveness import faults_for_ever
        from pasidlab.check.search import search
        from pasidlab.lang.native import compile_model

        found = search(compile_model(built.model), jobs=self.jobs, budget=limits)
        return faults_for_ever(found, Replayer(Interpreter(built.model)), "served", built.scope.tasks)


def _both(exactly: PartResult, part: PartResult) -> PartResult:
    """What an exploration without forgetting found before it was given up, and what the other one found beside it."""
    known = {c.property for c in exactly.counterexamples}
    kept = {c.property: c for c in part.counterexamples if c.property not in known}
    properties = (PropertyResult(p.name, False, True, len(kept[p.name].steps)) if p.name in kept else p for p in exactly.properties)
    return replace(exactly, counterexamples=in_order([*exactly.counterexamples, *kept.values()]), properties=tuple(properties))


def _counterexamples(found: SearchResult, replayer: Replayer) -> list[Counterexample]:
    from pasidlab.check.graph import path_to

    result = []
    for bit, violation in sorted(found.violations.items()):
        path = path_to(found, violation.state, violation.depth)
        result.append(replayer.counterexample(NAMES[bit], path, violation.by_step))
    return result


def _model_error(found: SearchResult, replayer: Replayer) -> ModelError | None:
    """The model error nearest to the beginning."""
    from pasidlab.check.graph import path_to

    if found.error is None:
        return None
    way, failure = replayer.error(path_to(found, found.error.state, found.error.depth))
    return ModelError(failure.sentence, failure.site, way)


def _property_result(name: str, found: SearchResult, bits: tuple[str, ...], broken: list[Counterexample]) -> PropertyResult:
    mine = next((c for c in broken if c.property == name), None)
    reached = bool(found.reached >> bits.index(name) & 1)
    if mine is not None:
        return PropertyResult(name, False, True, len(mine.steps))
    return PropertyResult(name, True if found.reason == "complete" and found.error is None else None, reached)
