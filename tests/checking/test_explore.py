"""How far a part is explored once another one is broken, and what a result is as an object."""

from __future__ import annotations

import pickle

import pytest

from pasidlab.checking import explore
from pasidlab.checking.api import check
from pasidlab.checking.reductions import EVERY_STEP
from pasidlab.model.scope import Scope
from pasidlab.search.result import Budget

RACE = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))
BROKEN = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq"}))


def reasons(*parts: Scope, budget: Budget | None = None, properties: tuple[str, ...] = ()) -> list[str]:
    named = {str(number): part for number, part in enumerate(parts)}
    return [part.reason for part in check("late-either", named, jobs=1, budget=budget, properties=properties).parts]


def test_what_follows_a_broken_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "STATES_AFTER_EARLIER_VIOLATION", 100)
    assert reasons(BROKEN, BROKEN) == ["complete", "max_states"]
    assert reasons(BROKEN, BROKEN, budget=Budget(max_states=1_000_000)) == ["complete", "complete"]
    assert reasons(BROKEN, BROKEN, properties=("coherent", "owned")) == ["complete", "complete"]
    assert reasons(BROKEN) == ["complete"]


def test_where_nobody_waits_no_graph_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def graph(*_: object) -> None:
        raise LookupError("the graph of those who wait")

    monkeypatch.setattr("pasidlab.checking.liveness.surely_served", lambda *_: False)
    monkeypatch.setattr("pasidlab.checking.liveness.waits_for_ever", graph)
    scope = Scope(tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "ipi", "bind"}))
    assert check("task-work", scope).verdict == "holds"
    with pytest.raises(LookupError):
        check("early-read", scope)  # whose tasks wait for the fix-up


def test_a_part_ends_once_all_that_is_asked_for_is_broken() -> None:
    asked = (("coherent",), ("coherent", "served"), ("coherent", "owned"))
    one, both, more = (check("late-either", RACE, properties=names) for names in asked)
    assert [(c.property, len(c.steps)) for c in one.counterexamples] == [("coherent", 12)]
    assert [(c.property, len(c.steps)) for c in both.counterexamples] == [("coherent", 12), ("served", 20)]
    assert [found.parts[0].depth_completed for found in (one, both)] == [12, 20]
    assert [found.parts[0].reason for found in (one, both, more)] == ["violation", "violation", "complete"]
    assert more.states == 66_990 and {p.name: p.holds for p in more.properties} == {"coherent": False, "owned": True}


def test_what_is_not_asked_for_does_not_end_the_search_with_local_steps_first() -> None:
    alone, every = check("late-either", RACE, properties=("owned",)), check("late-either", RACE, budget=Budget(after_violation=1 << 40))
    assert alone.holds and alone.parts[0].local_first and alone.parts[0].reason == "complete" and not alone.counterexamples
    assert not every.parts[0].local_first and {p.name: p.holds for p in every.properties}["owned"]
    assert 0 < alone.states < every.states == 66_990


@pytest.mark.parametrize("design", ["late-bare", "late-either-refs", "eager-ipi"])
@pytest.mark.parametrize("events", ["preempt,migrate,softirq", "preempt,ipi,bind,softirq"])
def test_a_property_alone_has_the_verdict_of_the_search_in_full(design: str, events: str) -> None:
    scope = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset(events.split(",")))
    whole = check(design, scope, budget=Budget(after_violation=1 << 40), reductions=EVERY_STEP)
    alone = [check(design, scope, properties=(p.name,)).properties[0] for p in whole.properties]
    assert whole.parts[0].reason == "complete"
    assert [(p.name, p.holds, p.steps) for p in alone] == [(p.name, p.holds, p.steps) for p in whole.properties]


def test_a_result_is_one_line_and_the_same_in_another_process_and_another_time():
    first, second = (check("late-either", RACE) for _ in range(2))
    assert repr(first) == "CheckResult('late-either', violated, 66,990 states, coherent in 12 steps, served in 20 steps)"
    assert list(map(repr, first.counterexamples)) == ["Counterexample('coherent', 12 steps)", "Counterexample('served', 20 steps)"]
    assert pickle.loads(pickle.dumps(first)) == first == second
