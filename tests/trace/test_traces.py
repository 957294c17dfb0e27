"""How traces are laid out: 80 columns whatever the number of CPUs, every step counted once."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pasidlab.checking.api import check
from pasidlab.model.scope import Scope
from pasidlab.trace.columns import trace_text
from pasidlab.trace.look import PAGE

SMALL = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))


@pytest.fixture(scope="module")
def served():
    return check("late-either", SMALL).counterexample("served")


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("cpus", [1, 2, 3])
def test_a_column_for_each_cpu(served, cpus, verbose):
    spread = replace(served, steps=tuple(replace(step, cpu=n // 3 % cpus) for n, step in enumerate(served.steps)))
    text = trace_text(spread, cpus, verbose=verbose)
    assert max(map(len, text.splitlines())) <= PAGE
    every = [f"CPU {n}" for n in range(cpus)]
    columns, headings = re.findall(r"CPU \d", text.splitlines()[2]), re.findall(r"^ *(CPU \d) -+$", text, re.MULTILINE)
    assert columns == every or (cpus == 3 and sorted(set(headings)) == every)  # too narrow for three columns: a heading for each turn


@pytest.mark.parametrize("verbose", [False, True])
def test_every_step_is_counted_once(served, verbose):
    numbers = re.findall(r"^(\d+)(?:-(\d+))? ", trace_text(served, 1, verbose=verbose), re.MULTILINE)
    counted = [n for first, last in numbers for n in range(int(first), int(last or first) + 1)]
    assert counted == list(range(1, len(served.steps) + 1))


def test_every_change_that_matters_is_told(served):
    text = trace_text(served, 1)
    for step in served.steps:
        for change in step.changes:
            if change.name.split(".")[1] in ("msr_pasid", "user_regs", "fpregs_owner", "last_cpu", "need_fpu_load", "has_valid_pasid"):
                assert f"{change.name}={change.new}" in text


def test_all_lines_are_there_if_asked_for(served):
    text = trace_text(served, 1, verbose=True)
    assert "that only look at" not in text and "that only look at" in trace_text(served, 1)
    assert len(text.splitlines()) > len(trace_text(served, 1).splitlines())
