"""Evidence for a ``holds``: in the same part, around the same design, a kernel with a known mistake is caught by the same property.

A property that no mistake breaks in a part is not put to the test there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pasidlab.check.explore import Run
from pasidlab.check.findings import NAMES, CheckResult, Evidence
from pasidlab.check.processes import Report, available_cpus, side_by_side
from pasidlab.check.result import Budget
from pasidlab.check.scope import Scope
from pasidlab.designs import Design

if TYPE_CHECKING:
    from pasidlab.check.result import Flag

MOST_STATES = 5_000_000
"""States explored for one mistake in one part."""


class Mistake(Protocol):
    """A kernel with a mistake in it."""

    @property
    def breaks(self) -> str:
        """The property that is to catch it."""

    @property
    def sentence(self) -> str:
        """What is wrong, in words."""

    def around(self, design: Design) -> Design:
        """The design in that kernel."""


OnEvidence = Callable[[str, str, str], None]
"""Told what is tried: design, part, the mistake in words."""


def with_evidence(
    design: Design, result: CheckResult, mistakes: Sequence[Mistake], impossible: type[Exception], *, jobs: int | None = None,
    told: OnEvidence | None = None,
) -> CheckResult:  # fmt: skip
    """The result, and for each property that holds in a part what breaks it there.

    ``impossible`` is what compiling raises where a mistake cannot be made around a design. Raises KeyboardInterrupt.
    """
    asked = [(part.name, part.scope, [p.name for p in part.properties if p.holds]) for part in result.parts]
    tasks = [partial(_part, design, name, scope, wanted, mistakes, impossible) for name, scope, wanted in asked if wanted]
    at_once = min(jobs or available_cpus(), len(tasks))
    found: Iterator[tuple[Evidence, ...]]
    found = side_by_side(tasks, at_once, told) if at_once > 1 else (task(told or _nobody, None) or () for task in tasks)
    return replace(result, evidence=tuple(one for part in found for one in part))


def _nobody(*_: object) -> None:
    """Nobody wants to be told."""


def _part(
    design: Design, name: str, scope: Scope, wanted: Sequence[str], mistakes: Sequence[Mistake], impossible: type[Exception],
    report: Report, interrupted: Flag | None,
) -> tuple[Evidence, ...] | None:  # fmt: skip
    """What breaks each of the properties in one part; None if interrupted."""
    run = Run(NAMES, 1, None, None, None, True, True, False, interrupted)
    found: list[Evidence] = []
    for wish in wanted:
        tried: list[str] = []
        caught = None
        for mistake in (one for one in mistakes if one.breaks == wish):
            if interrupted and interrupted.is_set():
                return None
            report(design.name, name, mistake.sentence)
            steps = _caught(run, mistake, design, name, scope, impossible)
            if steps is None:
                continue
            tried.append(mistake.sentence)
            if steps:
                caught = Evidence(wish, name, mistake.sentence, steps)
                break
        found.append(caught or Evidence(wish, name, tried=tuple(tried)))
    return tuple(found)


def _caught(run: Run, mistake: Mistake, design: Design, name: str, scope: Scope, impossible: type[Exception]) -> int | None:
    """Steps after which the property catches the mistake, 0 if it does not; None if it cannot be made."""
    from pasidlab.check.graph import path_to
    from pasidlab.check.search import search
    from pasidlab.check.trace import Replayer
    from pasidlab.lang.interpreter import Interpreter

    try:
        built = run.build(mistake.around(design), name, scope)
    except impossible:
        return None
    bit = NAMES.index(mistake.breaks)
    found = search(built.native, jobs=1, budget=Budget(MOST_STATES), interrupted=run.interrupted, stop_on=1 << bit)
    violation = found.violations.get(bit)
    if violation is None:
        return 0
    way = path_to(found, violation.state, violation.depth)
    return len(Replayer(Interpreter(built.model, symmetric=True)).counterexample(mistake.breaks, way, violation.by_step).steps)
