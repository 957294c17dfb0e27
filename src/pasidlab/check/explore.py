"""Explores a design in one scope, and replays what the search found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pasidlab.check.findings import NAMES, ModelError, PartResult, PropertyResult, in_order
from pasidlab.check.forgotten import LOOKED_AT, exact
from pasidlab.check.model import design_model
from pasidlab.check.scope import Scope
from pasidlab.check.trace import Counterexample, Replayer
from pasidlab.designs import Design
from pasidlab.errors import PasidlabError, counted
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import Function, Model

if TYPE_CHECKING:
    from pasidlab.check.result import Budget, Flag, Progress, SearchResult
    from pasidlab.lang.native import NativeModel

Functions = Callable[[Scope], dict[str, Function]] | Mapping[str, Function]
OnProgress = Callable[[str, str, "Progress"], None]  # design, part, how far it is
STATES_AFTER_VIOLATION = 3_000_000
MOST_STATES_WITHOUT_FORGETTING = 20_000_000  # where forgetting leaves the verdict in doubt ...
MOST_STATES_TO_SETTLE = 5_000_000  # ... and where it only leaves the other promises open
MOST_WORDS = 8  # of 64 bits in a packed state


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
    jobs: int
    budget: Budget | None
    progress: OnProgress | None
    functions: Functions | None
    merged: bool
    symmetric: bool
    forgetting: bool
    interrupted: Flag | None = None  # None: Ctrl-C itself

    def build(self, design: Design, name: str, scope: Scope) -> Built:
        """The model of a design in a scope, compiled."""
        from pasidlab.lang.native import compile_model

        made = self.functions(scope) if callable(self.functions) else dict(self.functions or {})
        model = design_model(design, scope, merged=self.merged, abstract=self.forgetting, functions=made)
        native = compile_model(model, covered=design.sources, symmetric=self.symmetric)
        if native.words > MOST_WORDS:
            what = f"a state of {design.name} in this scope takes {native.words} words of 64 bits, {MOST_WORDS} are the most"
            raise PasidlabError(what, hint="a smaller scope: fewer --tasks, --mms or events")
        return Built(design, name, scope, model, native)

    def explore(self, built: Built) -> PartResult:
        """Explore one part; once more without forgetting, for a while, if that alone can tell what holds.

        Forgetting may not be relied on where code looks at forgotten contents (``forgotten``), and contents forgotten may break
        another promise than the one that is broken without. So while nothing is broken all promises hold; but if some are, nothing
        is said of the others until they are settled without, and what nobody asked for must not be all that is broken.
        """
        limits = self._limits()
        part, doubtful = self._explore(built, limits)
        if doubtful:
            again = self._without_forgetting(built, replace(limits, max_states=limits.max_states or MOST_STATES_WITHOUT_FORGETTING))
            return again if again.reason == "complete" else _both(again, part)
        if part.reason == "complete" and part.error is None and any(p.holds is None for p in part.properties):
            most = limits.max_states or MOST_STATES_TO_SETTLE
            again = self._without_forgetting(built, replace(limits, max_states=most, after_violation=None))
            return again if again.reason == "complete" else part
        return part

    def _without_forgetting(self, built: Built, limits: Budget) -> PartResult:
        from pasidlab.lang.native import compile_model

        model = exact(built.model)
        native = compile_model(model, covered=built.design.sources, symmetric=self.symmetric)
        return self._explore(replace(built, model=model, native=native), limits)[0]

    def _explore(self, built: Built, limits: Budget) -> tuple[PartResult, bool]:
        """Explore one part and replay what it found; and whether some of that does not show without forgetting."""
        from pasidlab.check.coverage import covered_lines
        from pasidlab.check.search import search

        model, native = built.model, built.native
        found = search(native, jobs=self.jobs, budget=limits, progress=self._reporter(built), interrupted=self.interrupted)
        if found.reason == "max_memory" and found.depth_completed < 0:
            first = counted(found.states, "state")
            what = f"{built.design.name}: the memory limit does not even hold the first level of this scope ({first})"
            raise PasidlabError(what, hint="a larger --max-memory, or fewer --cpus, --tasks or --mms")
        replayer = Replayer(Interpreter(model, symmetric=self.symmetric))
        error, broken = _model_error(found, replayer, built.design.sources), _counterexamples(found, replayer)
        if "served" in self.wanted and found.again and not any(c.property == "served" for c in broken):
            broken += self._liveness(built, limits)
        doubtful = any(native.properties[bit] == LOOKED_AT.name for bit in found.violations)
        if model.forget and (error or broken):
            remembers = Replayer(Interpreter(exact(model)))
            broken = [remembers.same_moves(c) or replace(c, exact=False) for c in broken]
            doubtful |= not all(c.exact for c in broken) or (error is not None and not remembers.same_error(error.way, error.sentence))
        proved = found.reason == "complete" and error is None and not (model.forget and broken)  # forgetting may show as another promise
        asked_for = [c for c in broken if c.property in self.wanted and (error is None or len(c.steps) <= error.steps)]
        doubtful |= bool(model.forget and broken and not asked_for)
        executed, present = covered_lines(native, found.counters)
        part = PartResult(
            built.name, built.scope, found.reason, found.states, found.transitions, found.depth, found.depth_completed, found.seconds,
            found.bytes_per_state, tuple(_property_result(name, found, asked_for, proved) for name in self.wanted),
            in_order(asked_for), error, executed, present,
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

        found = search(compile_model(built.model), jobs=self.jobs, budget=limits, interrupted=self.interrupted)
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
    for bit, violation in sorted((bit, v) for bit, v in found.violations.items() if bit < len(NAMES)):
        path = path_to(found, violation.state, violation.depth)
        result.append(replayer.counterexample(NAMES[bit], path, violation.by_step))
    return result


def _model_error(found: SearchResult, replayer: Replayer, sources: Sequence[str]) -> ModelError | None:
    """The model error nearest to the beginning, at the line of the design that leads there."""
    from pasidlab.check.graph import path_to

    if found.error is None:
        return None
    way, failure = replayer.error(path_to(found, found.error.state, found.error.depth))
    site = next((s for s in failure.site.chain() if s.position.file in sources), failure.site)
    return ModelError(failure.sentence, site, way)


def _property_result(name: str, found: SearchResult, broken: list[Counterexample], proved: bool) -> PropertyResult:
    mine = next((c for c in broken if c.property == name), None)
    if mine is not None:
        return PropertyResult(name, False, True, len(mine.steps))
    return PropertyResult(name, True if proved else None, bool(found.reached >> NAMES.index(name) & 1))
