"""Which CPUs the others wait for: what ``independence`` and ``late`` have found, as a predicate of a CPU."""

from __future__ import annotations

from collections.abc import Mapping

from pasidlab.lang.ir import CPU, Action
from pasidlab.lang.lowering.contexts import CURRENT, counter_field
from pasidlab.lang.lowering.flow import Code
from pasidlab.lang.lowering.independence import SCHEDULE
from pasidlab.lang.lowering.inline import own_op
from pasidlab.lang.types import Ref


def private(counters: Mapping[str, frozenset[int]], late: frozenset[int], limits: Mapping[str, int], cpu: Ref) -> Action:
    """A predicate of a CPU: its topmost context stands at one of its local counters, or its scheduler at a late one.

    ``late``: counters of the scheduler's program. ``limits``: the largest counter of each program.
    """
    code: Code = []
    for context in ("hardirq", "softirq", SCHEDULE, "task"):
        if context not in counters:
            continue
        if context == "task":
            code += [own_op("load", "%task", CURRENT, CPU), own_op("branch", "%task", "task.there", "no"), own_op("label", "task.there")]
        answers = dict.fromkeys(counters[context], "yes")
        if context == SCHEDULE:
            answers = dict.fromkeys(late, "late") | answers
        below = f"below.{context}"
        code += [*_asked(context, limits[context], answers, "no", below), own_op("label", below)]
    code += [own_op("label", "no"), own_op("return", 0), own_op("label", "yes"), own_op("return", 1)]
    if late:
        code += [own_op("label", "late"), own_op("load", "%task", CURRENT, CPU), own_op("branch", "%task", "late.task", "yes")]
        stored = dict.fromkeys(counters["task"], "no")
        code += [own_op("label", "late.task"), *_asked("task", limits["task"], stored, "yes", "yes")]
    return Action("private", ((CPU, cpu),), tuple(code), cpu_param=True)


def _asked(context: str, limit: int, answers: Mapping[int, str], otherwise: str, at_none: str) -> Code:
    """Go on at the answer to where a program stands; ``at_none``: it is not under way."""
    labels = [answers.get(number, otherwise) for number in range(1, limit + 1)]
    element = "%task" if context == "task" else CPU
    return [own_op("load", "%pc", counter_field(context), element), own_op("switch", "%pc", at_none, *labels)]
