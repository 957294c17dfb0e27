"""Four CPUs, tasks and address spaces: the canonical states by sorting are as many as those by trying every permutation."""

from __future__ import annotations

import pytest

from harness import LONG
from pasidlab.checking.api import check
from pasidlab.checking.reductions import Reductions
from pasidlab.checking.result import CheckResult
from pasidlab.lang.lowering import symmetry
from pasidlab.model.scope import Scope
from pasidlab.search.result import Budget

ALONE = Reductions(local_first=False, forgetting=False)


def figures(found: CheckResult) -> tuple:
    """What must not depend on which state stands for a class."""
    broken = [(c.property, len(c.steps)) for c in found.counterexamples]
    return found.verdict, found.states, found.transitions, found.depth, broken


@pytest.mark.parametrize(
    ("design", "scope", "states"),
    [
        ("early-read", Scope(4, 1, 1, 1, frozenset({"preempt", "migrate"})), 135_886),
        ("late-bare", Scope(1, 4, 1, 1, frozenset({"softirq"})), None),
        ("early-read", Scope(3, 2, 2, 2, frozenset({"preempt"})), 455_535),
    ],
)
def test_sorted_and_tried(monkeypatch: pytest.MonkeyPatch, design: str, scope: Scope, states: int | None) -> None:
    found = []
    for most in (0, 1_000):
        monkeypatch.setattr(symmetry, "MOST_TRIED", most)
        found.append(check(design, scope, properties=["coherent", "owned", "isolated"], jobs=1, reductions=ALONE))
    assert figures(found[0]) == figures(found[1])
    assert states in (None, found[0].states)


def test_a_counterexample_among_four_cpus_is_made_again() -> None:
    scope = Scope(4, 2, 1, 1, frozenset({"preempt", "migrate"}))
    found = check("late-either", scope, properties=["coherent"], jobs=1, budget=Budget(max_states=150_000), reductions=ALONE)
    assert [(c.property, len(c.steps)) for c in found.counterexamples] == [("coherent", 12)]
    assert found.scope_of(found.counterexamples[0]) == scope


@pytest.mark.skipif(not LONG, reason="PASIDLAB_LONG=1 runs it")
def test_what_holds_is_not_settled_there() -> None:
    scope = Scope(4, 4, 4, 4, frozenset())
    found = check("early-read", scope, jobs=1, budget=Budget(max_states=20_000))
    assert found.verdict == "inconclusive" and found.parts[0].reason == "max_states"
