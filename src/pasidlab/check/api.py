"""``check``: explore a design in a scope; the answer is a proof over the scope or a shortest counterexample for each broken property."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from pasidlab.check.model import design_model, exact
from pasidlab.check.scope import DEFAULT_PARTS, Scope
from pasidlab.check.trace import Counterexample, Replayer
from pasidlab.designs import Design, find
from pasidlab.errors import PasidlabError
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import Function, Model
from pasidlab.lang.names import nearest
from pasidlab.linux.promises import PROPERTIES

if TYPE_CHECKING:
    from pasidlab.check.result import Budget, Progress, SearchResult, StopReason
    from pasidlab.lang.native import NativeModel

Verdict = Literal["holds", "violated", "inconclusive"]
Functions = Callable[[Scope], dict[str, Function]] | Mapping[str, Function]
OnPartProgress = Callable[[str, "Progress"], None]  # part, how far it is
OnProgress = Callable[[str, str, "Progress"], None]  # design, part, how far it is
NAMES = tuple(p.name for p in PROPERTIES)
STATES_AFTER_VIOLATION = 3_000_000


@dataclass(frozen=True)
class PropertyResult:
    """One property: does it hold, was it put to the test, and the length of the shortest counterexample."""

    name: str
    holds: bool | None  # None: not settled within what was explored
    reached: bool  # False: it holds vacuously
    steps: int | None = None


@dataclass(frozen=True)
class PartResult:
    """The exploration of one scope."""

    name: str
    scope: Scope
    reason: StopReason
    states: int
    transitions: int
    depth: int
    depth_completed: int
    seconds: float
    bytes_per_state: float
    properties: tuple[PropertyResult, ...]
    counterexamples: tuple[Counterexample, ...]
    executed: frozenset[tuple[str, int]] = field(default=frozenset(), repr=False)
    present: frozenset[tuple[str, int]] = field(default=frozenset(), repr=False)


@dataclass(frozen=True)
class CheckResult:
    """What a check found, over all parts of its scope."""

    design: str
    parts: tuple[PartResult, ...]
    unexecuted: tuple[tuple[str, int, str], ...] = ()  # lines of the design never executed: file, line, text

    @property
    def counterexamples(self) -> tuple[Counterexample, ...]:
        """The shortest counterexample for each broken property, shortest first."""
        best: dict[str, Counterexample] = {}
        for found in (c for part in self.parts for c in part.counterexamples):
            if found.property not in best or len(found.steps) < len(best[found.property].steps):
                best[found.property] = found
        return tuple(sorted(best.values(), key=lambda c: (len(c.steps), NAMES.index(c.property))))

    @property
    def properties(self) -> tuple[PropertyResult, ...]:
        """Each property over all parts."""
        return tuple(_joined([part.properties[i] for part in self.parts]) for i in range(len(self.parts[0].properties)))

    @property
    def verdict(self) -> Verdict:
        """``holds`` is a proof over every part; ``inconclusive`` means a budget ran out before anything was found."""
        if self.counterexamples:
            return "violated"
        return "holds" if all(part.reason == "complete" for part in self.parts) else "inconclusive"

    @property
    def holds(self) -> bool:
        """Proved over the scope."""
        return self.verdict == "holds"

    @property
    def states(self) -> int:
        """Distinct states of all parts."""
        return sum(part.states for part in self.parts)

    @property
    def transitions(self) -> int:
        """Steps of all parts."""
        return sum(part.transitions for part in self.parts)

    @property
    def depth(self) -> int:
        """Largest distance from an initial state."""
        return max(part.depth for part in self.parts)

    @property
    def seconds(self) -> float:
        """Time spent exploring."""
        return sum(part.seconds for part in self.parts)

    def counterexample(self, name: str) -> Counterexample:
        """The counterexample for one property; KeyError if it is not violated."""
        for found in self.counterexamples:
            if found.property == name:
                return found
        raise KeyError(name)

    def scope_of(self, counterexample: Counterexample) -> Scope:
        """The scope of the part a counterexample was found in."""
        return next(part.scope for part in self.parts if counterexample in part.counterexamples)


def _joined(parts: list[PropertyResult]) -> PropertyResult:
    steps = [p.steps for p in parts if p.steps is not None]
    holds = False if steps else None if any(p.holds is None for p in parts) else True
    return PropertyResult(parts[0].name, holds, any(p.reached for p in parts), min(steps, default=None))


def check(
    design: Design | str, scope: Scope | Mapping[str, Scope] | None = None, *, properties: Sequence[str] = (), jobs: int | None = None,
    budget: Budget | None = None, progress: OnPartProgress | None = None, functions: Functions | None = None, merged: bool = True,
    symmetric: bool = True,
) -> CheckResult:  # fmt: skip
    """Explore ``design`` in ``scope`` (None: in every part of DEFAULT_PARTS).

    ``properties`` limits the verdict to some of the nine (all are explored). ``functions`` are ready-made IR functions that replace
    kernel functions by name, or a callable that makes them for a scope. Once something is broken, a part is explored no further than
    STATES_AFTER_VIOLATION states, unless the budget or ``properties`` ask for more.

    Raises PasidlabError for bad input, and for a model error (a value outside its domain) with its place.
    """
    (result,) = check_each(
        [find(design) if isinstance(design, str) else design], scope, properties=properties, jobs=jobs, budget=budget,
        progress=progress and (lambda _design, part, now: progress(part, now)), functions=functions, merged=merged, symmetric=symmetric,
    )  # fmt: skip
    return result


def check_each(
    designs: Sequence[Design], scope: Scope | Mapping[str, Scope] | None = None, *, properties: Sequence[str] = (),
    jobs: int | None = None, budget: Budget | None = None, progress: OnProgress | None = None, functions: Functions | None = None,
    merged: bool = True, symmetric: bool = True,
) -> Iterator[CheckResult]:  # fmt: skip
    """``check`` for several designs, in turn; an interrupted one is the last. While a model is explored the next one is compiled."""
    from pasidlab.check.coverage import unexecuted_lines

    parts = {"scope": scope} if isinstance(scope, Scope) else dict(scope or DEFAULT_PARTS)
    run = _Run(wanted_properties(properties), jobs, budget, progress, functions, merged, symmetric)
    with ThreadPoolExecutor(max_workers=1) as builder:
        models = _ahead(builder, [partial(run.build, design, name, part) for design in designs for name, part in parts.items()])
        for design in designs:
            results: list[PartResult] = []
            for _ in parts:
                results.append(run.explore(next(models)))
                if results[-1].reason == "interrupted":
                    break
            yield CheckResult(design.name, tuple(results), unexecuted_lines(design, results))
            if results[-1].reason == "interrupted":
                models.close()
                return


def _ahead(builder: ThreadPoolExecutor, builds: Sequence[Callable[[], _Built]]) -> Generator[_Built, None, None]:
    """What each build gives, in turn, the one after it being under way."""
    futures: deque[Future[_Built]] = deque()
    try:
        for build in builds:
            futures.append(builder.submit(build))
            if len(futures) > 1:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        for future in futures:
            future.cancel()


@dataclass(frozen=True)
class _Built:
    """A model ready to be explored."""

    design: Design
    name: str
    scope: Scope
    model: Model
    native: NativeModel


@dataclass(frozen=True)
class _Run:
    """What was asked of all explorations of one call."""

    wanted: tuple[str, ...]
    jobs: int | None
    budget: Budget | None
    progress: OnProgress | None
    functions: Functions | None
    merged: bool
    symmetric: bool

    def build(self, design: Design, name: str, scope: Scope) -> _Built:
        """The model of a design in a scope, compiled."""
        from pasidlab.lang.native import compile_model

        made = self.functions(scope) if callable(self.functions) else dict(self.functions or {})
        model = design_model(design, scope, merged=self.merged, functions=made)
        return _Built(design, name, scope, model, compile_model(model, symmetric=self.symmetric))

    def explore(self, built: _Built) -> PartResult:
        """Explore one part and replay what it found."""
        from pasidlab.check.coverage import covered_lines
        from pasidlab.check.search import search

        model, native = built.model, built.native
        found = search(native, jobs=self.jobs, budget=self._limits(), progress=self._reporter(built))
        replayer = Replayer(Interpreter(model, symmetric=self.symmetric))
        _raise_model_error(found, replayer)
        broken = _counterexamples(found, replayer, self.wanted)
        if broken and model.forget:
            remembers = Replayer(Interpreter(exact(model)))
            broken = [remembers.same_moves(c) or replace(c, exact=False) for c in broken]
        if "served" in self.wanted and found.again and not any(c.property == "served" for c in broken):
            broken += self._liveness(built)
        executed, present = covered_lines(native, found.counters)
        return PartResult(
            built.name, built.scope, found.reason, found.states, found.transitions, found.depth, found.depth_completed, found.seconds,
            found.bytes_per_state, tuple(_property_result(name, found, native.properties, broken) for name in self.wanted),
            tuple(broken), executed, present,
        )  # fmt: skip

    def _limits(self) -> Budget:
        from pasidlab.check.result import Budget

        limits = self.budget or Budget()
        if limits.after_violation is None and len(self.wanted) == len(NAMES):
            limits = replace(limits, after_violation=STATES_AFTER_VIOLATION)
        return limits

    def _reporter(self, built: _Built) -> Callable[[Progress], None] | None:
        report = self.progress
        return (lambda now: report(built.design.name, built.name, now)) if report else None

    def _liveness(self, built: _Built) -> list[Counterexample]:
        """Repeated faults were seen: look for a fair cycle, in the graph of states themselves (not of classes)."""
        from pasidlab.check.liveness import faults_for_ever
        from pasidlab.check.search import search
        from pasidlab.lang.native import compile_model

        found = search(compile_model(built.model), jobs=self.jobs, budget=self._limits())
        return faults_for_ever(found, Replayer(Interpreter(built.model)), "served", built.scope.tasks)


def wanted_properties(names: Sequence[str]) -> tuple[str, ...]:
    """Property names checked against the nine; none given means all."""
    for name in names:
        if name not in NAMES:
            raise PasidlabError(f"unknown property '{name}'", hint=nearest(name, NAMES))
    return tuple(name for name in NAMES if not names or name in names)


def _counterexamples(found: SearchResult, replayer: Replayer, wanted: tuple[str, ...]) -> list[Counterexample]:
    from pasidlab.check.graph import path_to

    result = []
    for bit, violation in sorted(found.violations.items()):
        if NAMES[bit] in wanted:
            path = path_to(found, violation.state, violation.depth)
            result.append(replayer.counterexample(NAMES[bit], path, violation.by_step))
    return sorted(result, key=lambda c: (len(c.steps), NAMES.index(c.property)))


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
        hint="correct the value, or widen the domain it is stored to",
    )  # fmt: skip


def _property_result(name: str, found: SearchResult, bits: tuple[str, ...], broken: list[Counterexample]) -> PropertyResult:
    mine = next((c for c in broken if c.property == name), None)
    reached = bool(found.reached >> bits.index(name) & 1)
    if mine is not None:
        return PropertyResult(name, False, True, len(mine.steps))
    return PropertyResult(name, True if found.reason == "complete" else None, reached)
