"""How far a part is explored once another one is broken, and what a result is as an object."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise

import pytest

from pasidlab.checking import searched
from pasidlab.checking.api import check, opening_of
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import EVERY_STEP, Reductions
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.interpreter import Interpreter
from pasidlab.model.scope import Scope
from pasidlab.search.breadth_first import search
from pasidlab.search.result import Budget, Progress, Walked
from pasidlab.trace.replay import Replayer

RACE = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))
BINDING = frozenset({"preempt", "softirq", "ipi", "bind"})
STATES = 1_298  # of late-either there, local steps first
BROKEN = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq"}))


def reasons(*parts: Scope, budget: Budget | None = None, properties: tuple[str, ...] = ()) -> list[str]:
    named = {str(number): part for number, part in enumerate(parts)}
    return [part.reason for part in check("late-either", named, jobs=1, budget=budget, properties=properties).parts]


def test_what_follows_a_broken_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searched, "STATES_AFTER_EARLIER_VIOLATION", 100)
    assert reasons(BROKEN, BROKEN) == ["complete", "max_states"]
    assert reasons(BROKEN, BROKEN, budget=Budget(max_states=1_000_000)) == ["complete", "complete"]
    assert reasons(BROKEN, BROKEN, properties=("coherent", "owned")) == ["complete", "complete"]
    assert reasons(BROKEN) == ["complete"]


def test_a_part_tells_nothing_longer_than_an_earlier_one() -> None:
    twice = check("late-either", {"first": RACE, "second": RACE})
    first, second = twice.parts
    assert [(c.property, len(c.steps), c.shortest) for c in first.counterexamples] == [("coherent", 12, True), ("served", 20, True)]
    assert second.counterexamples == () and [p.holds for p in first.properties] == [p.holds for p in second.properties]
    assert [(p.name, p.steps) for p in twice.properties if p.holds is False] == [("coherent", 12), ("served", 20)]
    assert [(p.name, p.steps) for p in second.properties if p.holds is False] == [("coherent", None), ("served", None)]
    before = check("late-either", {"first": replace(RACE, events=BINDING), "second": RACE})
    lengths = [{c.property: len(c.steps) for c in part.counterexamples} for part in before.parts]
    assert lengths == [{"coherent": 25, "served": 33}, {"coherent": 12, "served": 20}]


@pytest.mark.parametrize("limits", [Budget(), Budget(max_memory=1 << 28)])
def test_what_the_full_graph_does_not_show_in_time_is_shown_by_local_steps(monkeypatch: pytest.MonkeyPatch, limits: Budget) -> None:
    monkeypatch.setattr(searched, "STATES_TO_THE_SHORTEST", 5_000)
    found = check("late-either", RACE, budget=limits)
    assert found.parts[0].reason == "complete" and all(p.holds is not None for p in found.properties)
    told = {c.property: c for c in found.counterexamples}
    assert told["coherent"].shortest and len(told["coherent"].steps) == 12
    assert not told["served"].shortest and len(told["served"].steps) >= 20
    assert "served: counterexample, " in found.text() and "there may be shorter ones" in found.text()
    model = design_model(opening_of("late-either").design(), RACE, reductions=Reductions(forgetting=False, local_first=False))
    again = Replayer(Interpreter(model)).remade(told["served"].recipe())
    assert again is not None and again.steps[-1].state == told["served"].steps[-1].state


@pytest.mark.parametrize("searches", [1, 2])
def test_ctrl_c_keeps_what_local_steps_have_found(monkeypatch: pytest.MonkeyPatch, searches: int) -> None:
    """In the search with local steps first (1), and in the one for shortest counterexamples (2)."""
    monkeypatch.setattr("pasidlab.search.breadth_first._PROGRESS", 0.0)
    levels: list[int] = []

    def progress(_part: str, now: Progress | Walked) -> None:
        assert isinstance(now, Progress)
        levels.append(now.depth)
        if sum(a > b for a, b in pairwise(levels)) + 1 == searches and now.depth > (15 if searches == 1 else 5):
            raise KeyboardInterrupt

    found = check("late-either", RACE, progress=progress)
    assert found.interrupted and found.verdict == "violated"
    assert {c.property for c in found.counterexamples} >= {"coherent", "served"} and not any(c.shortest for c in found.counterexamples)
    assert ({p.holds for p in found.properties} == {False, True}) == (searches == 2)


def test_what_was_found_behind_a_look_at_dead_contents_is_not_told() -> None:
    design = opening_of("late-either").design()
    native = compile_model(design_model(design, RACE, reductions=EVERY_STEP), symmetric=True)
    found = search(native, jobs=1)
    steps = {native.properties[bit]: violation.steps for bit, violation in found.nearer_than(20).violations.items()}
    assert steps == {"coherent": 12} and found.nearer_than(12).violations == {}
    assert {violation.steps for violation in found.nearer_than(21).violations.values()} == {12, 20}


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
    assert [found.parts[0].reason for found in (one, both, more)] == ["violation", "violation", "complete"]
    assert one.states < both.states < more.states == STATES
    assert {p.name: p.holds for p in more.properties} == {"coherent": False, "owned": True}


def test_what_is_not_asked_for_does_not_end_the_search_with_local_steps_first() -> None:
    alone, every = check("late-either", RACE, properties=("owned",)), check("late-either", RACE, budget=Budget(after_violation=1 << 40))
    assert alone.holds and alone.parts[0].local_first and alone.parts[0].reason == "complete" and not alone.counterexamples
    assert every.parts[0].local_first and {p.name: p.holds for p in every.properties}["owned"]
    assert alone.states == every.states == STATES


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
    assert repr(first) == f"CheckResult('late-either', violated, {STATES:,} states, coherent in 12 steps, served in 20 steps)"
    assert list(map(repr, first.counterexamples)) == ["Counterexample('coherent', 12 steps)", "Counterexample('served', 20 steps)"]
    assert pickle.loads(pickle.dumps(first)) == first == second
