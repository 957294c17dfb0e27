"""Evidence for a ``holds``: in the same part, around the same design, a kernel with a known mistake is caught by the same property.

A property that no mistake breaks in a part is not put to the test there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pasidlab.checking.findings import Evidence
from pasidlab.checking.processes import Report, available_cpus, side_by_side
from pasidlab.checking.reductions import Reductions
from pasidlab.checking.result import CheckResult
from pasidlab.checking.searched import Built, OutOfTime, Run
from pasidlab.designs import AnyScope, Design
from pasidlab.search.result import Budget, SearchResult

if TYPE_CHECKING:
    from pasidlab.interrupts import StopFlag

MOST_STATES = 5_000_000
"""States explored for one mistake in one part."""


class KernelWithMistake(Protocol):
    """A kernel with a mistake in it."""

    @property
    def breaks(self) -> str:
        """The property that is to catch it."""

    @property
    def sentence(self) -> str:
        """What is wrong, in words."""

    def around(self, design: Design) -> Design:
        """The design in that kernel."""


@dataclass(frozen=True)
class DeclaredMistake:
    """A mistake that a model of one's own declares, and a property of the model that it may break."""

    name: str
    sentence: str
    breaks: str

    def around(self, design: Design) -> Design:
        """The model with the mistake made."""
        assert design.own is not None
        return replace(design, own=replace(design.own, made=frozenset({self.name})))


def declared_mistakes(design: Design) -> tuple[DeclaredMistake, ...]:
    """What a model of one's own says can be done wrong; each may break any of its properties."""
    said = design.own.mistakes.items() if design.own else ()
    return tuple(DeclaredMistake(name, sentence, wish) for wish in design.property_names for name, sentence in said)


OnEvidence = Callable[[str, str, str], None]
"""Told what is tried: design, part, the mistake in words."""


@dataclass(frozen=True)
class _Look:
    """What is looked for, and until when. ``impossible`` is raised where a mistake cannot be made around a design."""

    design: Design
    mistakes: Sequence[KernelWithMistake]
    impossible: type[Exception]
    most_memory: int | None
    deadline: float | None  # of time.monotonic()


def with_evidence(
    design: Design, result: CheckResult, mistakes: Sequence[KernelWithMistake], impossible: type[Exception], *, jobs: int | None = None,
    most_memory: int | None = None, deadline: float | None = None, told: OnEvidence | None = None,
) -> CheckResult:  # fmt: skip
    """The result, and for each property that holds in a part what breaks it there.

    ``impossible`` is what compiling raises where a mistake cannot be made around a design. ``most_memory`` is in bytes, and has the
    parts looked at one by one; ``deadline`` is a moment of time.monotonic(). What they or Ctrl-C cut is in the evidence, not settled.
    """
    look = _Look(design, mistakes, impossible, most_memory, deadline)
    asked = [(part.name, part.scope, tuple(p.name for p in part.properties if p.holds)) for part in result.parts]
    tasks = [partial(_part, look, *one) for one in asked if one[2]]
    at_once = 1 if most_memory else min(jobs or available_cpus(), len(tasks))
    found: list[Evidence] = []
    with contextlib.suppress(KeyboardInterrupt):
        for part in side_by_side(tasks, at_once, told) if at_once > 1 else (task(told or _nobody, None) or () for task in tasks):
            found += part
    looked_at = {(one.property, one.part) for one in found}
    found += [Evidence(wish, name, settled=False) for name, _, wanted in asked for wish in wanted if (wish, name) not in looked_at]
    return replace(result, evidence=tuple(found))


def _nobody(*_: object) -> None:
    """Nobody wants to be told."""


def _part(
    look: _Look, name: str, scope: AnyScope, wanted: Sequence[str], report: Report, interrupted: StopFlag | None
) -> tuple[Evidence, ...]:
    """What breaks each of the properties in one part, as far as there is time."""
    reductions = Reductions(forgetting=False)
    run = Run(
        look.design.property_names, 1, None, progress=None, functions=None, reductions=reductions, interrupted=interrupted,
        deadline=look.deadline,
    )  # fmt: skip
    found: list[Evidence] = []
    for wish in wanted:
        evidence = Evidence(wish, name)
        for mistake in (one for one in look.mistakes if one.breaks == wish):
            report(look.design.name, name, mistake.sentence)
            try:
                steps = _caught(run, look, mistake, name, scope)
            except _Cut:
                evidence = replace(evidence, settled=False)
                continue
            except OutOfTime:
                return tuple(found)
            except KeyboardInterrupt:
                if interrupted is None:
                    raise
                return tuple(found)
            if steps:
                evidence = Evidence(wish, name, mistake.sentence, steps)
                break
            if steps is not None:
                evidence = replace(evidence, tried=(*evidence.tried, mistake.sentence))
        found.append(evidence)
    return tuple(found)


class _Cut(Exception):
    """The search for a counterexample ended at a limit: whether the mistake is caught is not settled."""


def _caught(run: Run, look: _Look, mistake: KernelWithMistake, name: str, scope: AnyScope) -> int | None:
    """Steps after which the property catches the mistake, 0 if it does not; None if it cannot be made."""
    run.look()
    try:
        built = run.build(mistake.around(look.design), name, scope)
    except look.impossible:
        return None
    bit = look.design.property_names.index(mistake.breaks)
    found = _explored(run, look, built, bit)
    if built.model.private is not None and bit in found.violations:  # what catches it is known, not in how few steps
        built = built.recompiled(replace(built.model, private=None), symmetric=True)
        found = _explored(run, look, built, bit)
    if bit in found.violations:
        return _steps(built, found, bit)
    if found.reason != "complete":
        raise _Cut
    return 0


def _explored(run: Run, look: _Look, built: Built, bit: int) -> SearchResult:
    """A search that ends where the property is broken. Raises KeyboardInterrupt and OutOfTime."""
    from pasidlab.search.breadth_first import search

    left = None if look.deadline is None else max(look.deadline - time.monotonic(), 0.0)
    limits = Budget(MOST_STATES, look.most_memory, left)
    found = search(built.native, jobs=1, budget=limits, interrupted=run.interrupted, stop_on=1 << bit)
    if bit not in found.violations:
        if found.reason == "interrupted":
            raise KeyboardInterrupt
        run.look()
    return found


def _steps(built: Built, found: SearchResult, bit: int) -> int:
    """The length of a shortest counterexample, replayed."""
    from pasidlab.lang.interpreter import Interpreter
    from pasidlab.search.graph import path_to
    from pasidlab.trace.replay import Replayer

    violation = found.violations[bit]
    way = path_to(found, violation.state, violation.depth)
    name = built.design.property_names[bit]
    return len(Replayer(Interpreter(built.model, symmetric=True), built.design.shown).counterexample(name, way, violation.by_step).steps)
