"""How far a part is explored once another one is broken."""

from __future__ import annotations

import pytest

from pasidlab.checking import explore
from pasidlab.checking.api import check
from pasidlab.model.scope import Scope
from pasidlab.search.result import Budget

BROKEN = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq"}))


def reasons(*parts: Scope, budget: Budget | None = None, properties: tuple[str, ...] = ()) -> list[str]:
    named = {str(number): part for number, part in enumerate(parts)}
    return [part.reason for part in check("late-either", named, jobs=1, budget=budget, properties=properties).parts]


def test_what_follows_a_broken_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "STATES_AFTER_EARLIER_VIOLATION", 100)
    assert reasons(BROKEN, BROKEN) == ["complete", "max_states"]
    assert reasons(BROKEN, BROKEN, budget=Budget(max_states=1_000_000)) == ["complete", "complete"]
    assert reasons(BROKEN, BROKEN, properties=("coherent",)) == ["complete", "complete"]
    assert reasons(BROKEN) == ["complete"]
