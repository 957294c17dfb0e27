"""Local steps first: for designs that hold and designs that do not, everything but lengths is what the full search says."""

import pytest
from local_first import SCOPES, compared, near

from harness import LONG
from pasidlab import designs

EACH = [(name, scope) for name in designs.BUILT_IN for scope in SCOPES]
SOME = [
    ("early-read", "interrupts"), ("late-either", "interrupts"), ("task-work", "threads"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "scope"), EACH if LONG else SOME)
def test_both_searches_say_the_same(name: str, scope: str) -> None:
    both = compared(designs.BUILT_IN[name], SCOPES[scope])
    if both is None and LONG:
        pytest.skip("more states than are compared")
    assert both is not None and both.full == both.local
    assert 2 * both.states[1] < both.states[0]


def test_the_number_of_states_it_takes() -> None:
    """Recorded: what the reduction is worth where every task, CPU and interrupt takes part."""
    both = compared(designs.BUILT_IN["early-read"], SCOPES["interrupts"])
    assert both is not None and both.states == (90552, 1548)


def test_designs_close_to_correct_ones() -> None:
    found = [both for _, both in (near(0, 40) if LONG else near(0, 4, ["interrupts"])) if both]
    assert len(found) >= 3
    assert all(both.full == both.local for both in found)
