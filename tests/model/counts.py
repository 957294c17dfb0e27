"""Recorded numbers of states and steps to break each promise: ``make promote`` records them anew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import LONG
from pasidlab import designs
from pasidlab.checking.api import check
from pasidlab.checking.reductions import EVERY_STEP
from pasidlab.model.scope import Scope

TABLE = Path(__file__).with_name("counts.json")
SOME = tuple(designs.BUILT_IN) if LONG else ("eager-ipi", "late-either-refs", "early-read", "task-work")
"""One of each way to hand out the PASID."""
FEW = SOME if LONG else ("late-either-refs", "task-work")
"""A design that is broken and one that holds, for what concerns the search and not the designs."""


def scope(events: str, *, cpus: int = 1, tasks: int = 1, mms: int = 1) -> Scope:
    return Scope(cpus=cpus, tasks=tasks, mms=mms, pasids=mms, events=frozenset(events.split()))


SCOPES = {
    "interrupts": scope("preempt softirq hardirq idle"),
    "signals": scope("preempt signal fault"),
    "bind": scope("preempt ipi bind unbind exec exit device", mms=2),
    "fork": scope("preempt fork exec", tasks=2, mms=2),
    "kvm": scope("preempt migrate kvm", cpus=2),
    "tracer": scope("preempt ptrace kthread", tasks=2),
}


def measured(design: str, name: str, **options: bool) -> dict[str, Any]:
    """What the full search finds."""
    found = check(designs.BUILT_IN[design], SCOPES[name], reductions=replace(EVERY_STEP, **options))
    broken = {c.property: len(c.steps) for c in found.counterexamples}
    return {"states": found.states, "transitions": found.transitions, "depth": found.depth, "broken": broken}


if __name__ == "__main__":
    table = {name: {design: measured(design, name) for design in designs.BUILT_IN} for name in SCOPES}
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
