"""``check``: explore a design in a scope; the answer is a proof over the scope or a shortest counterexample for each broken property."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pasidlab.check.coverage import unexecuted_lines
from pasidlab.check.liveness import faults_for_ever
from pasidlab.check.model import design_model
from pasidlab.check.scope import Scope
from pasidlab.check.trace import Counterexample, Replayer
from pasidlab.designs import Design, find
from pasidlab.errors import PasidlabError
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import Function, Model
from pasidlab.linux.promises import PROPERTIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pasidlab.check.result import Budget, OnProgress, SearchResult, StopReason

Verdict = Literal["holds", "violated", "inconclusive"]


@dataclass(frozen=True)
class PropertyResult:
    """One property: does it hold, how many steps witnessed it, and the length of the shortest counterexample."""

    name: str
    holds: bool | None  # None: not settled within the budget
    reached: int  # steps that put it to the test (0: it holds vacuously)
    steps: int | None = None


@dataclass(frozen=True)
class CheckResult:
    """What a check found."""

    design: str
    scope: Scope
    verdict: Verdict
    reason: StopReason
    states: int
    transitions: int
    depth: int
    depth_completed: int
    seconds: float
    properties: tuple[PropertyResult, ...]
    counterexamples: tuple[Counterexample, ...]
    unexecuted: tuple[tuple[str, int, str], ...] = ()  # lines of the design never executed: file, line, text
    bytes_per_state: float = 0.0
    model: Model | None = field(default=None, repr=False, compare=False)

    @property
    def holds(self) -> bool:
        """Proved over the scope."""
        return self.verdict == "holds"

    def counterexample(self, name: str) -> Counterexample:
        """The counterexample for one property; KeyError if it is not violated."""
        for found in self.counterexamples:
            if found.property == name:
                return found
        raise KeyError(name)


def check(
    design: Design | str, scope: Scope | None = None, *, properties: Sequence[str] = (), jobs: int | None = None, budget: Budget | None = None,
    progress: OnProgress | None = None, functions: dict[str, Function] | None = None, merged: bool = True, symmetric: bool = True,
) -> CheckResult:  # fmt: skip
    """Explore ``design`` in ``scope``.

    ``properties`` limits the verdict to some of the nine (all are explored). ``functions`` are ready-made IR functions that replace
    kernel functions by name. Raises PasidlabError for bad input, and for a model error (a value outside its domain) with its place.
    """
    from pasidlab.check.search import search

    design = find(design) if isinstance(design, str) else design
    scope = scope or Scope()
    wanted = wanted_properties(properties)
    model = design_model(design, scope, merged=merged, functions=functions)
    from pasidlab.lang.native import compile_model

    native = compile_model(model, symmetric=symmetric)
    found = search(native, jobs=jobs, budget=budget, progress=progress)
    interpreter = Interpreter(model, symmetric=symmetric)
    replayer = Replayer(interpreter)
    _raise_model_error(found, replayer)
    counterexamples = _counterexamples(found, replayer, wanted)
    if "served" in wanted and not any(c.property == "served" for c in counterexamples):
        counterexamples += faults_for_ever(found, replayer, model, native)
    results = tuple(_property_result(name, found, native.properties, counterexamples) for name in wanted)
    verdict: Verdict = "violated" if counterexamples else "holds" if found.reason == "complete" else "inconclusive"
    return CheckResult(
        design.name, scope, verdict, found.reason, found.states, found.transitions, found.depth, found.depth_completed, found.seconds,
        results, tuple(counterexamples), unexecuted_lines(native, found.counters, design, model), found.bytes_per_state, model,
    )  # fmt: skip


def wanted_properties(names: Sequence[str]) -> tuple[str, ...]:
    """Property names checked against the nine; none given means all."""
    from pasidlab.lang.names import nearest

    known = [p.name for p in PROPERTIES]
    for name in names:
        if name not in known:
            raise PasidlabError(f"unknown property '{name}'", hint=nearest(name, known))
    return tuple(name for name in known if not names or name in names)


def _counterexamples(found: SearchResult, replayer: Replayer, wanted: tuple[str, ...]) -> list[Counterexample]:
    from pasidlab.check.graph import path_to

    names = [p.name for p in PROPERTIES]
    result = []
    for bit, violation in sorted(found.violations.items()):
        if names[bit] in wanted:
            path = path_to(found, violation.state, violation.depth)
            result.append(replayer.counterexample(names[bit], path, violation.by_step))
    return sorted(result, key=lambda c: (len(c.steps), names.index(c.property)))


def _raise_model_error(found: SearchResult, replayer: Replayer) -> None:
    """A value outside its domain or an endless step is a mistake in the design or the model, not a verdict."""
    from pasidlab.check.graph import path_to

    if found.error is None:
        return
    steps, outcome = replayer.error(path_to(found, found.error.state, found.error.depth))
    error = outcome.error
    assert error is not None
    raise PasidlabError(
        f"{error.sentence}, in {error.site.function}() after {len(steps)} steps", position=error.site.position,
        hint="widen the field's domain, or correct the value",
    )  # fmt: skip


def _property_result(name: str, found: SearchResult, bits: tuple[str, ...], counterexamples: list[Counterexample]) -> PropertyResult:
    broken = next((c for c in counterexamples if c.property == name), None)
    reached = found.reached >> bits.index(name) & 1
    if broken is not None:
        return PropertyResult(name, False, reached, len(broken.steps))
    return PropertyResult(name, True if found.reason == "complete" else None, reached)
