"""Behaviour that is gone is noticed: how each small part begins and what its steps execute is what was recorded (``reached.py``)."""

from __future__ import annotations

import pytest
from reached import TABLE, WHERE, place, reached_in, recorded, statements

from harness import LONG

RECORDED = recorded()
QUICK = ("interrupts", "kvm", "signals")
NOT_A_STEP = {"properties.py", "contents.py", "initial.py"}
"""What is asked of states, what is forgotten, how it all begins."""
NOT_CALLED = {
    "fpregs_lock_and_load": "designs that edit registers call it",
    "fpu_sync_fpstate": "designs that edit the image call it",
    "get_xsave_addr": "designs that edit the image call it",
    "fpu_idle_fpregs": "C designs call it; the rule intel_idle() has its one statement",
    "do_raw_spin_lock": "C designs call it",
    "do_raw_spin_trylock": "C designs call it",
    "do_raw_spin_unlock": "C designs call it",
    "rcu_read_lock": "C designs call it",
    "rcu_read_unlock": "C designs call it",
    "xsave_to_user": "C designs call it",
    "try_fixup_enqcmd_gp": "every design replaces it",
    "task_work_run": "nothing queues work but a design that replaces it",
    "xfeatures_mask_supervisor": "a constant",
}
"""Functions of the kernel model with no statement that is executed around these designs, and why."""


@pytest.mark.parametrize(("design", "part"), [where for where in WHERE if LONG or where[1] in QUICK])
def test_what_is_executed(design, part):
    known = {name for name, places in RECORDED.items() if place(design, part) in places}
    assert len(known) > 100
    assert reached_in(design, part) == known, f"look at the difference, then: python {TABLE.with_suffix('.py').name}"


def test_every_function_is_executed_somewhere():
    functions = {function_of(name) for name in statements() if name.split(": ")[0] not in NOT_A_STEP}
    executed = {function_of(name) for name in RECORDED if "(): " in name}
    assert functions - executed == NOT_CALLED.keys()


def function_of(name: str) -> str:
    """The function that a statement stands in."""
    return name.split(": ")[1].removesuffix("()")
