"""Merging steps nobody can tell apart changes no verdict: random models with contexts, merged against unmerged."""

import pytest
from hypothesis import HealthCheck, given, settings
from random_contexts import HEAD, models
from small_models import PROPERTIES

from harness import LONG
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds
from pasidlab.search.breadth_first import search
from pasidlab.search.result import Budget

BUDGET = Budget(max_states=400_000)


def explored(path, events: str, merged: bool):
    """States, and what can happen: properties broken, properties reached, model errors. None if it is too much to explore."""
    bounds = Bounds({"cpus": 2, "tasks": 2}, frozenset(events.split()))
    found = search(compile_model(build_model("model", [path], bounds, PROPERTIES, merged=merged)), budget=BUDGET)
    if found.reason != "complete":
        return None
    return found.states, ({PROPERTIES[bit].name for bit in found.violations}, found.reached, found.error is None)


def test_verdicts_are_the_same(tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "model.py"
    compared = []

    @settings(max_examples=100 if LONG else 36, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(models())
    def compare(model):
        text, events = model
        path.write_text(text, encoding="utf-8")
        merged, unmerged = explored(path, events, True), explored(path, events, False)
        if merged and unmerged:
            assert merged[1] == unmerged[1], f"events {events}:\n{text}"
            compared.append((merged[0] < unmerged[0], bool(merged[1][0]), merged[1][1] != 0))

    compare()
    assert len(compared) >= 10  # and not for want of anything happening:
    smaller, broken, reached = (sum(column) for column in zip(*compared, strict=True))
    assert smaller >= 8 and broken >= 1 and reached >= 2


SECTION = """
@entry("syscall")
def sys_call() -> None:
    preempt_disable()
    this_cpu.slot = 1
    check("q", this_cpu.slot == 1)
    preempt_enable()
"""
INSIDE = {
    "handler": '@context("softirq", event="softirq")\ndef softirq() -> None:\n    pause()\n    this_cpu.slot = 2\n',
    "rule": "@rule()\ndef meddle(cpu: Cpu) -> None:\n    pause()\n    cpu.slot = 2\n",
}


@pytest.mark.parametrize("where", INSIDE)
def test_what_stands_behind_a_boundary_counts_as_well(tmp_path, where):
    path = tmp_path / "model.py"
    path.write_text(HEAD + SECTION + INSIDE[where], encoding="utf-8")
    merged, unmerged = explored(path, "softirq", True), explored(path, "softirq", False)
    assert merged[1] == unmerged[1] and "q" in merged[1][0]
    assert merged[0] < unmerged[0]


MASKED = """
@rule()
def hold(cpu: Cpu) -> None:
    require(cpu.preempt_count == 0 and cpu.current is not None)
    cpu.preempt_count = 1
    cpu.busy = True

@rule()
def let_go(cpu: Cpu) -> None:
    require(cpu.preempt_count == 1 and cpu.busy)
    cpu.preempt_count = 0
    cpu.busy = False

@entry("syscall")
def sys_call() -> None:
"""
READS = {
    "the mask first": "    if this_cpu.preempt_count == 0:\n        check('q', not this_cpu.busy)\n",
    "the mask last": "    if this_cpu.busy:\n        check('q', this_cpu.preempt_count == 1)\n",
}


@pytest.mark.parametrize("order", READS)
def test_masks_that_a_rule_changes_under_a_program_are_read_in_a_step_of_their_own(tmp_path, order):
    path = tmp_path / "model.py"
    path.write_text(HEAD + MASKED + READS[order], encoding="utf-8")
    for merged in (True, False):
        assert "q" in explored(path, "none", merged)[1][0]
