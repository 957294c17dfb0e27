"""Every built-in design in kernel C: the same verdict, the same counterexamples, the same number of states as in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import LONG, some
from pasidlab import designs
from pasidlab.checking.api import check
from pasidlab.designs import Opening
from pasidlab.model.scope import Scope

EXAMPLES = Path(__file__).parents[2] / "examples"

SCOPES = {
    "bonds": Scope(tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "migrate", "softirq", "bind", "unbind", "exit", "ipi"])),
    "traps": Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset(["preempt", "softirq", "hardirq", "signal", "fault", "idle", "kvm"])),
    "family": Scope(cpus=1, tasks=2, mms=2, pasids=2, events=frozenset(["preempt", "fork"])),
    "race": Scope(cpus=1, tasks=2, mms=2, pasids=2, events=frozenset(["preempt", "softirq"])),
}


def outcome(design: designs.Design, scope: Scope) -> tuple[object, ...]:
    result = check(design, scope)
    return result.verdict, result.states, result.transitions, [(c.property, len(c.steps)) for c in result.counterexamples]


SOME = [("eager-ipi", "traps"), ("late-either-refs", "traps"), ("early", "bonds"), ("task-work", "family")]
"""One of each way to hand out the PASID."""
OFTEN_IDLE = {"eager-ipi", "task-work"}
"""Some scope executes no line of a function of their C file: that is not judged."""
PAIRS = some([(name, scope) for name in designs.BUILT_IN for scope in SCOPES if LONG or scope == "race"], 6, SOME[:2])


@pytest.mark.parametrize(("name", "scope"), PAIRS)
def test_c_and_python_are_the_same_model(name: str, scope: str) -> None:
    file = EXAMPLES / f"{name.replace('-', '_')}.c"
    verdict, *found = outcome(Opening(str(file)).design(), SCOPES[scope])
    expected, *numbers = outcome(designs.BUILT_IN[name], SCOPES[scope])
    assert found == numbers
    assert verdict == expected or (verdict, expected, name in OFTEN_IDLE) == ("inconclusive", "holds", True)


def test_numbers_are_what_they_were() -> None:
    design = Opening(str(EXAMPLES / "late_either.c")).design()
    assert outcome(design, SCOPES["bonds"]) == ("violated", 7156, 36540, [("coherent", 25), ("served", 34)])
    assert outcome(Opening(str(EXAMPLES / "early.c")).design(), SCOPES["bonds"])[:2] == ("holds", 5530)


def test_counterexample_shows_c_lines() -> None:
    result = check(Opening(str(EXAMPLES / "late_either.c")).design(), SCOPES["bonds"])
    lines = [line for step in result.counterexample("coherent").steps for line in step.lines]
    mine = [line for line in lines if line.here.file.endswith("late_either.c")]
    assert any(line.here.source == "wrmsrl(MSR_IA32_PASID, pasid_state);" for line in mine)
    assert {line.here.function for line in mine} >= {"fpu__pasid_write", "__fixup_pasid_exception"}


def test_base_goes_by_the_functions_defined() -> None:
    bases = {
        "early": "early",
        "late_either": "late_either",
        "late_locked": "late_bare",
        "eager_ipi": "eager_ipi",
        "task_work": "task_work",
    }
    assert {name: Opening(str(EXAMPLES / f"{name}.c")).design().path.stem for name in bases} == bases
