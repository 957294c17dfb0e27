"""Random walks through designs: known bugs are found, and made again by the interpreter; nothing is ever proved."""

from __future__ import annotations

from dataclasses import replace

from pasidlab.checking.api import check, opening_of
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import Reductions
from pasidlab.checking.searched import Run
from pasidlab.checking.walks import groups_of
from pasidlab.lang.interpreter import Interpreter
from pasidlab.model.scope import Scope
from pasidlab.search.simulate import Walks
from pasidlab.trace.replay import Replayer

RACE = Scope(2, 1, 1, 1, frozenset({"preempt", "migrate", "softirq"}))
SHORTEST = {"coherent": 12, "served": 20}
"""What a search finds broken in late-either, and in how few steps."""


def test_a_known_bug_is_found_and_made_again_by_the_interpreter() -> None:
    found = check("late-either", RACE, jobs=1, walks=Walks(60, 3))
    assert found.verdict == "violated" and found.walked and found.states == 0
    assert {c.property: len(c.steps) for c in found.counterexamples} == SHORTEST
    assert found.parts[0].reason == "simulated" and found.parts[0].walks is not None and found.parts[0].walks.seed == 3
    model = design_model(opening_of("late-either").design(), RACE, reductions=Reductions(forgetting=False, local_first=False))
    for counterexample in found.counterexamples:
        assert not counterexample.shortest and counterexample.exact
        again = Replayer(Interpreter(model)).remade(counterexample.recipe())
        assert again is not None and again.steps[-1].state == counterexample.steps[-1].state and not again.shortest
        assert "counterexample, " in found.text() and "there may be shorter ones" in found.text()


def test_the_same_seed_finds_the_same_and_another_walks_elsewhere() -> None:
    first, again, other = (check("late-either", RACE, jobs=1, walks=Walks(60, seed)) for seed in (5, 5, 6))
    for part in (first, again):
        assert part.counterexamples
    assert replace(first.parts[0], seconds=0.0) == replace(again.parts[0], seconds=0.0)
    assert other.parts[0].walks != first.parts[0].walks and other.parts[0].depth > 0


def test_what_holds_is_not_proved() -> None:
    found = check("early-read", RACE, jobs=1, walks=Walks(0.5))
    assert found.verdict == "inconclusive" and not found.counterexamples and not found.interrupted
    assert all(p.holds is None for p in found.properties)
    assert any(p.reached for p in found.properties)
    assert "cannot" not in found.text() and "random walks prove nothing" in found.why_not_settled("served")


def test_every_part_is_walked() -> None:
    parts = {"one": RACE, "two": replace(RACE, events=frozenset({"preempt"}))}
    found = check("early-read", parts, jobs=1, walks=Walks(0.2))
    assert [(part.name, part.reason) for part in found.parts] == [("one", "simulated"), ("two", "simulated")]


def test_a_model_of_ones_own(tmp_path) -> None:
    found = check("examples/models/ticket_lock.py", jobs=1, walks=Walks(0.3))
    assert found.verdict == "inconclusive" and found.transitions > 0


def test_only_what_is_asked_for_is_told() -> None:
    found = check("late-either", RACE, properties=["served"], jobs=1, walks=Walks(60, 3))
    assert [c.property for c in found.counterexamples] == ["served"]


def test_steps_are_grouped_by_action_and_element() -> None:
    design = opening_of("early").design()
    run = Run(design.property_names, 1, None, None, None, Reductions(True, False, False, False), walks=Walks(1))
    built = run.build(design, "scope", replace(RACE, tasks=2))
    rows = groups_of(built.model, built.native)
    assert len(rows) == len(built.native.steps) and len({len(row) for row in rows}) == 1
    by_action = {built.native.steps[n][0]: row[0] for n, row in enumerate(rows)}
    assert len(set(by_action.values())) == len(by_action)
    assert len({tuple(row) for row in rows}) == len(rows)
