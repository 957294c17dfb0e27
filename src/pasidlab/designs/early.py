"""early: what was merged in v5.18 (fa6af69f38d3, tip x86/pasid, February 2022).

The fault comes straight from user mode, so TIF_NEED_FPU_LOAD is clear and the registers are the only truth; interrupts have been
off since the gate, so nothing can change that before the MSR is written. Andy Lutomirski on the list: "it has to run in the
early portion of #GP". The flag pasid_activated tells a fault that was fixed once from one that cannot be.
"""

from __future__ import annotations

from pasidlab.kernel import MSR_IA32_PASID_VALID, current, lockdep_assert_irqs_disabled, mm_valid_pasid, wrmsr_pasid


def try_fixup_enqcmd_gp() -> bool:
    """arch/x86/kernel/traps.c: called with interrupts disabled, before cond_local_irq_enable()."""
    lockdep_assert_irqs_disabled()
    if not mm_valid_pasid(current.mm):
        return False
    if current.pasid_activated:
        return False
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    current.pasid_activated = True
    return True
