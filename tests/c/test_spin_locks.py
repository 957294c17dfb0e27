"""Spin locks between CPUs and tasks: what they keep apart, and what is told of those that are not given back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pasidlab.checking.api import CheckResult
from pasidlab.model.scope import Scope

Checked = Callable[..., CheckResult]

TWO = Scope(cpus=2, tasks=2, mms=1, pasids=1, events=frozenset({"softirq"}))
ALONE = """
static DEFINE_SPINLOCK(mine);
static bool try_fixup_enqcmd_gp(void)
{
	if (!mm_valid_pasid(current->mm))
		return false;
	%s;
	WARN_ON_ONCE(refcount_read(&current->mm->pasid_refs) != 0);
	refcount_set(&current->mm->pasid_refs, 1);
	refcount_set(&current->mm->pasid_refs, 0);
	%s;
	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	current->pasid_activated = 1;
	return true;
}
"""


def broken(result: CheckResult) -> set[str]:
    """The properties that do not hold."""
    return {c.property for c in result.counterexamples}


@pytest.mark.parametrize(("take", "give", "apart"), [
    ("barrier()", "barrier()", False), ("preempt_disable()", "preempt_enable()", False), ("spin_lock(&mine)", "spin_unlock(&mine)", True),
    ("guard(spinlock)(&mine)", "barrier()", True),
])  # fmt: skip
def test_a_spin_lock_keeps_cpus_apart(checked: Checked, take: str, give: str, apart: bool) -> None:
    assert ("sound_kernel" not in broken(checked(ALONE % (take, give), TWO))) == apart


def test_two_locks_in_two_orders_are_a_deadlock(checked: Checked) -> None:
    order = "if (smp_processor_id()) { spin_lock(&%s); spin_lock(&%s); } else { spin_lock(&mine); spin_lock(&other); }"
    give = "spin_unlock(&other); spin_unlock(&mine)"
    assert broken(checked(ALONE % (order % ("other", "mine"), give), TWO))
    assert not broken(checked(ALONE % (order % ("mine", "other"), give), TWO))


@pytest.mark.parametrize(("take", "give"), [
    ("spin_lock(&mine)", "barrier()"), ("barrier()", "spin_unlock(&mine)"), ("spin_lock(&mine); spin_lock(&mine)", "spin_unlock(&mine)"),
    ("spin_lock(&mine); mmap_read_lock(current->mm)", "spin_unlock(&mine)"),
])  # fmt: skip
def test_misuse_is_told(checked: Checked, take: str, give: str) -> None:
    assert "sound_kernel" in broken(checked(ALONE % (take, give)))


def test_a_trylock_of_the_mmap_lock_may_fail(checked: Checked) -> None:
    """Who holds it for writing is not in the model: a design that gives up then loses an ENQCMD."""
    gives_up = ALONE % ("if (!mmap_read_trylock(current->mm)) return false", "mmap_read_unlock(current->mm)")
    goes_on = ALONE % ("if (mmap_read_trylock(current->mm)) mmap_read_unlock(current->mm)", "barrier()")
    one = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt"}))
    assert broken(checked(gives_up, one)) == {"served"} and not broken(checked(goes_on, one))
