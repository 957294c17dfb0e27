"""Random walks through one scope of a design: they may show that something is broken, and never that it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pasidlab.checking.coverage import covered_lines
from pasidlab.checking.explore import model_error, property_result
from pasidlab.checking.findings import PartResult, WalkFigures, in_order
from pasidlab.checking.searched import Built, Run
from pasidlab.lang.back.native import CompiledModel
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import Model
from pasidlab.lang.types import Ref
from pasidlab.trace.replay import Replayer
from pasidlab.trace.steps import Counterexample

if TYPE_CHECKING:
    from pasidlab.search.result import StopReason
    from pasidlab.search.simulate import WalkResult


def walked(run: Run, built: Built) -> PartResult:
    """What random walks find in one part, replayed by the interpreter. ``run.walks`` says how long they take."""
    from pasidlab.search.simulate import simulate

    assert run.walks is not None
    names, report, left = built.design.property_names, run.progress, run.time_left()
    wanted = sum(1 << names.index(name) for name in run.wanted)
    asked = replace(run.walks, wanted=wanted, seconds=run.walks.seconds if left is None else min(run.walks.seconds, left))
    found = simulate(
        built.native, asked, groups_of(built.model, built.native), jobs=run.jobs, interrupted=run.interrupted,
        progress=(lambda now: report(built.design.name, built.name, now)) if report else None,
    )  # fmt: skip
    replayer = Replayer(Interpreter(built.model), built.design.shown)
    error = model_error(replayer, found.error.states, built.design.sources) if found.error else None
    broken = [_counterexample(replayer, names, bit, found) for bit in found.ways if bit < len(names)]
    asked_for = [c for c in broken if c.property in run.wanted and (error is None or len(c.steps) <= error.steps)]
    executed, present = covered_lines(built.native, found.counters)
    cut = found.reason == "simulated" and asked.seconds < run.walks.seconds and not broken
    reason: StopReason = "timeout" if cut else found.reason
    return PartResult(
        built.name, built.scope, reason, states=0, transitions=found.steps, depth=found.longest, depth_completed=-1, seconds=found.seconds,
        bytes_per_state=0.0,
        properties=tuple(property_result(built.design, name, found.reached, asked_for) for name in run.wanted),
        counterexamples=in_order(asked_for, run.wanted), error=error, executed=executed, present=present, notes=built.model.notes,
        walks=WalkFigures(found.walks, asked.seed),
    )  # fmt: skip


def groups_of(model: Model, native: CompiledModel) -> list[list[int]]:
    """For each step of a labelled model: the number of its action, and those of the elements it is about, from one list."""
    numbers: dict[tuple[str, int], int] = {}
    rows = []
    for number, params in native.steps:
        about = [(domain.struct, n) for (_, domain), n in zip(model.actions[number].params, params, strict=True) if isinstance(domain, Ref)]
        rows.append([numbers.setdefault(key, len(numbers)) for key in (("", number), *about)])
    width = max(map(len, rows), default=0)
    return [row + [-1] * (width - len(row)) for row in rows]


def _counterexample(replayer: Replayer, names: Sequence[str], bit: int, found: WalkResult) -> Counterexample:
    way = found.ways[bit]
    return replace(replayer.counterexample(names[bit], way.states, way.by_step), shortest=False)
