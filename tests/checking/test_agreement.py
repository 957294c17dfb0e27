"""SPIN explores designs and finds what the search finds. `pasidlab export --compare` does so for all of them."""

from __future__ import annotations

import pytest

from harness import LONG
from pasidlab.checking.agreement import compare_engines
from pasidlab.checking.spin import spin_is_there
from pasidlab.designs import BUILT_IN
from pasidlab.model.scope import Scope
from pasidlab.zoo.specimen import buggy, find_bug

pytestmark = pytest.mark.skipif(not spin_is_there(), reason="spin or a C compiler is not installed")
RACE = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq"}))


@pytest.mark.skipif(not LONG, reason="PASIDLAB_LONG=1 runs it")
def test_a_design_that_holds() -> None:
    found = compare_engines(BUILT_IN["task-work"], RACE)
    assert found.equal
    assert found.states > 1_000
    assert all(here and spin and reduced for _, here, spin, reduced in found.verdicts())


def test_a_bug() -> None:
    bug = find_bug("valid-bit-missing")
    found = compare_engines(buggy(bug), bug.scope)
    assert found.equal
    assert found.other.broken == {"served"}
