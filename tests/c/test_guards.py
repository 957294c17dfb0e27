"""guard() of linux/cleanup.h: what it takes is given back at every way out of its scope."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from c_machine import Machine

from harness import some
from pasidlab.checking.api import CheckResult
from pasidlab.errors import PasidlabError

Checked = Callable[..., CheckResult]

LATE = """
static int steps(void)
{
	u8 i, n = 0;
%s
	return n;
}

static bool __fixup_pasid_exception(void)
{
	if (current->has_valid_pasid || steps() != 2)
		return false;
	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	current->has_valid_pasid = 1;
	return true;
}
"""

SAME = {
    "return": (
        "guard(preempt)(); if (current->mm->pasid) return 2;",
        "preempt_disable(); if (current->mm->pasid) { preempt_enable(); return 2; } preempt_enable();",
    ),
    "end of a block": (
        "{ guard(preempt)(); n = READ_ONCE(current->mm->pasid) + 1; } n += current->has_valid_pasid;",
        "preempt_disable(); n = READ_ONCE(current->mm->pasid) + 1; preempt_enable(); n += current->has_valid_pasid;",
    ),
    "the last one first": (
        "{ guard(mutex)(&iommu_sva_lock); guard(preempt)(); n = current->mm->pasid + 1; }",
        "mutex_lock(&iommu_sva_lock); preempt_disable(); n = current->mm->pasid + 1; preempt_enable(); mutex_unlock(&iommu_sva_lock);",
    ),
    "break and continue": (
        "for (i = 0; i < 4; i++) { guard(preempt)(); if (i == 0) continue; n++; if (i == 2) break; }",
        "for (i = 0; i < 4; i++) { preempt_disable(); if (i == 0) { preempt_enable(); continue; } n++;\n"
        "\t\tif (i == 2) { preempt_enable(); break; } preempt_enable(); }",
    ),
    "goto out of it": (
        "{ guard(preempt)(); n = READ_ONCE(current->mm->pasid) + 1; if (n) goto out; n = 7; }\nout: n += current->has_valid_pasid;",
        "preempt_disable(); n = READ_ONCE(current->mm->pasid) + 1; if (n) { preempt_enable(); goto out; } n = 7; preempt_enable();\n"
        "out: n += current->has_valid_pasid;",
    ),
    "goto inside it": (
        "{ guard(preempt)(); again: n++; if (n < 2) goto again; } n += current->has_valid_pasid;",
        "preempt_disable(); again: n++; if (n < 2) goto again; preempt_enable(); n += current->has_valid_pasid;",
    ),
    "two in one": (
        "{ guard(spinlock_irq)(&mine); n = current->mm->pasid + 1; }",
        "spin_lock_irq(&mine); n = current->mm->pasid + 1; spin_unlock_irq(&mine);",
    ),
    "outside a loop it stays": (
        "{ guard(irqsave)(); for (i = 0; i < 2; i++) { guard(rcu)(); n++; } n += current->has_valid_pasid; }",
        "local_irq_disable(); for (i = 0; i < 2; i++) { n++; } n += current->has_valid_pasid; local_irq_enable();",
    ),
}


@pytest.mark.parametrize("name", some(SAME, 4))
def test_it_is_what_one_would_write_by_hand(checked: Checked, name: str) -> None:
    guarded, by_hand = (checked(LATE % f"\t{text}") for text in SAME[name])
    assert (guarded.states, guarded.transitions, guarded.depth) == (by_hand.states, by_hand.transitions, by_hand.depth)
    assert [(c.property, len(c.steps)) for c in guarded.counterexamples] == [(c.property, len(c.steps)) for c in by_hand.counterexamples]
    assert "sound_kernel" not in {c.property for c in guarded.counterexamples}


def test_sleeping_under_a_guard_is_told(checked: Checked) -> None:
    found = checked(LATE % "\tguard(preempt)(); { guard(mutex)(&iommu_sva_lock); n = 2; }")
    assert "sound_kernel" in {c.property for c in found.counterexamples}


@pytest.mark.parametrize(("text", "what"), [
    ("guard(rwsem_read)(&sem);", r"fix.c:5:2: guard\(rwsem_read\) is none the model knows\n  hint: preempt, .*mutex, rcu, .*; or call"),
    ("goto in; { guard(preempt)(); in: n = 2; }", r"fix.c:5:2: goto in leads into the scope of a guard\n  hint: call"),
])  # fmt: skip
def test_what_cannot_be_guarded(checked: Checked, text: str, what: str) -> None:
    with pytest.raises(PasidlabError, match=what):
        checked(LATE % f"\t{text}")


OWN = """
DEFINE_LOCK_GUARD_0(fpregs, fpregs_lock(), fpregs_unlock())
DEFINE_GUARD(reload, struct task_struct *, set_tsk_thread_flag(_T, TIF_NEED_FPU_LOAD), clear_tsk_thread_flag(_T, TIF_NEED_FPU_LOAD))
static long f(void)
{
	%s
}
"""


@pytest.mark.parametrize("body", [
    "{ guard(fpregs)(); if (!softirq_count()) return 1; } return softirq_count() ? 2 : 3;",
    "scoped_guard(fpregs) { if (current->mm) break; return 2; } return softirq_count() ? 1 : 3;",
    "{ guard(reload)(current); if (!test_thread_flag(TIF_NEED_FPU_LOAD)) return 1; } return test_thread_flag(TIF_NEED_FPU_LOAD) ? 2 : 3;",
])  # fmt: skip
def test_guards_that_a_file_defines(body: str) -> None:
    one = Machine(OWN % body)
    assert (one.call("f"), one.failed) == (3, [])
