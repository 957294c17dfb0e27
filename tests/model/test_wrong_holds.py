"""What was once said to hold (``wrong_holds.py``): each breaks what its row says, reduced as well as unreduced."""

from __future__ import annotations

from pathlib import Path

import pytest
from wrong_holds import DESIGNS, IMPORTS, LATE, NEVER_ENDS

from harness import LONG
from pasidlab.checking.api import check
from pasidlab.checking.reductions import Reductions
from pasidlab.model.scope import Scope
from pasidlab.search.result import Budget

EACH = [(name, reductions) for name in DESIGNS for reductions in ({}, {"merging": False}, {"forgetting": False}, {"symmetry": False})]
LARGE = "task given up too early"  # half a minute each
CHOSEN = [(name, left_out) for name, left_out in EACH if LONG or (not left_out and name != LARGE)]


@pytest.mark.parametrize(("name", "reductions"), CHOSEN, ids=lambda o: o if isinstance(o, str) else str(*o) or "all")
def test_what_is_broken_is_found(tmp_path: Path, name: str, reductions: dict[str, bool]) -> None:
    events, expected, text = DESIGNS[name]
    path = tmp_path / "mine.py"
    path.write_text(IMPORTS + text)
    scope = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset(events.split()))
    result = check(str(path), scope, reductions=Reductions(**reductions))
    broken = {c.property for c in result.counterexamples}
    assert broken >= expected
    assert result.parts[0].reason == "complete" and all(p.holds is not None for p in result.properties)


def test_what_is_cut_is_not_settled(tmp_path: Path) -> None:
    """A fault that repeats for ever only in the end: a search that ends before says nothing about it."""
    path = tmp_path / "mine.py"
    path.write_text(IMPORTS + DESIGNS["waits for itself"][2])
    scope = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))
    cut = check(str(path), scope, properties=["served"], budget=Budget(max_states=100))
    assert (cut.verdict, cut.properties[0].holds, cut.parts[0].reason) == ("inconclusive", None, "max_states")
    late = check(str(path), scope, properties=["served"], budget=Budget(timeout=0.0))
    assert (late.verdict, late.properties[0].holds, late.parts[0].reason) == ("inconclusive", None, "timeout")


def test_what_nothing_can_break_in_a_scope_is_not_proved_there() -> None:
    quiet = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt"}))
    alone = check("early-read", quiet, properties=["no_stale"])
    assert (alone.verdict, alone.properties[0].reached) == ("inconclusive", False)
    assert check("early-read", quiet, properties=["served"]).verdict == "holds"


def test_a_design_that_gives_a_running_task_away_is_not_merged_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(IMPORTS + LATE + """
def populate() -> bool:
    release(current)
    return False
""")
    scope = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt"}))
    result = check(str(path), scope, budget=Budget(max_states=20_000))
    (note,) = result.parts[0].notes
    assert note.startswith("steps are not merged: releases a task that may still be somebody's (") and "mine.py:" in note
    assert "".join(note.split()) in "".join(result.text().split())  # wherever the lines are broken


@pytest.mark.parametrize("name", NEVER_ENDS)
def test_who_waits_for_ever_is_found(tmp_path: Path, name: str) -> None:
    event, text = NEVER_ENDS[name]
    path = tmp_path / "mine.py"
    path.write_text(IMPORTS + "from pasidlab.lang.declare import maybe\n" + text)
    result = check(str(path), Scope(cpus=1, tasks=1, mms=1, pasids=1).with_events(event.split(",")), properties=["served"])
    assert (result.verdict, result.parts[0].reason) == ("violated", "complete")
