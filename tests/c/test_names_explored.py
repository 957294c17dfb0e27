"""What names of the kernel mean where others may come in between: small designs, each right or wrong by one name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness import some
from pasidlab.checking.api import CheckResult
from pasidlab.model.scope import Scope

SOFTIRQ = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq"}))
DESIGN = """
static bool %s(void)
{
	struct xstate_header *h = &current->thread.fpu.fpstate->regs.xsave.header;
	unsigned long flags;

	if (!mm_valid_pasid(current->mm) || current->pasid_activated)
		return false;
	%s
	current->pasid_activated = 1;
	return true;
}
"""
WRITE = "wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);"
LOADED = f"if (test_thread_flag(TIF_NEED_FPU_LOAD)) fpregs_restore_userregs(); {WRITE}"
LOCKED = f"fpregs_lock(); {LOADED} fpregs_unlock();"
UPDATE = "h->xfeatures |= XFEATURE_MASK_PASID; h->xfeatures &= ~XFEATURE_MASK_PASID;"

LATE = {  # after interrupts are enabled
    # a load, an or, a store: what XSAVES writes in between is lost
    f"{UPDATE} {LOCKED}": {"coherent", "preserved"},
    f"fpregs_lock(); {UPDATE} {LOADED} fpregs_unlock();": set(),
    "memcpy(h, &init_fpstate.regs.xsave.header, sizeof(*h)); " + LOCKED: {"coherent", "preserved"},
    f"local_irq_save(flags); {LOADED} local_irq_restore(flags); WARN_ON(irqs_disabled());": set(),
    f"guard(irq)(); local_bh_disable(); {LOADED} local_bh_enable();": {"sound_kernel"},
    f"fpregs_lock(); test_and_clear_thread_flag(TIF_NEED_FPU_LOAD); {WRITE} fpregs_unlock();": {"owned", "preserved", "sound_kernel"},
}
EARLY = {  # interrupts are off
    f"local_irq_save(flags); {WRITE} local_irq_restore(flags); WARN_ON(!irqs_disabled());": set(),
    f"{{ guard(irqsave)(); }} WARN_ON(!irqs_disabled()); {WRITE}": set(),
    f"{WRITE} os_xrstor(&init_fpstate, XFEATURE_MASK_PASID);": {"served"},
    f"{WRITE} restore_fpregs_from_init_fpstate(0);": set(),
    f"{WRITE} kernel_fpu_begin(); kernel_fpu_end();": set(),
    f"kernel_fpu_begin(); kernel_fpu_end(); {WRITE}": {"served"},
}


@pytest.mark.parametrize(
    ("name", "body"), some([*(("__fixup_pasid_exception", body) for body in LATE), *(("try_fixup_enqcmd_gp", body) for body in EARLY)], 4)
)
def test_one_name_decides(checked: Callable[..., CheckResult], name: str, body: str) -> None:
    result = checked(DESIGN % (name, body), SOFTIRQ)
    assert {c.property for c in result.counterexamples} == {**LATE, **EARLY}[body]
    assert result.holds == (not result.counterexamples)


@pytest.mark.parametrize("name", ["may_schedule", "boot"])
def test_a_helper_that_bears_a_name_of_the_model_is_the_file_s_own(checked: Callable[..., CheckResult], name: str) -> None:
    """Neither what decides whether a CPU may schedule nor how the story begins is a function of Linux."""
    helper = f"static bool {name}(void) {{ return false; }}"
    preempt = replace(SOFTIRQ, events=frozenset({"preempt"}))
    result = checked(helper + DESIGN % ("__fixup_pasid_exception", f"if ({name}()) return false; {LOADED}"), preempt)
    assert {c.property for c in result.counterexamples} == {"coherent"}
