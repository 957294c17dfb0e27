"""late-locked: the shape AMX took for XFD (v5.16): lock, make the registers the truth, then edit them.

handle_xfd_event() enables interrupts early as well; under fpregs_lock() it restores the registers if need be and writes the MSR.
"""

from __future__ import annotations

from pasidlab.declare import entry, local_irq_enable
from pasidlab.kernel import (
    MSR_IA32_PASID_VALID,
    current,
    fpregs_lock,
    fpregs_restore_userregs,
    fpregs_unlock,
    gp_user_force_sig_segv,
    mm_valid_pasid,
    wrmsr_pasid,
)


@entry("exception")
def exc_general_protection() -> None:
    """cond_local_irq_enable() comes first."""
    local_irq_enable()
    if fixup_pasid_exception():
        return
    gp_user_force_sig_segv()


def fixup_pasid_exception() -> bool:
    """With the lock held TIF_NEED_FPU_LOAD stays clear until the MSR is written."""
    if not mm_valid_pasid(current.mm):
        return False
    if current.pasid_activated:
        return False
    fpregs_lock()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    fpregs_unlock()
    current.pasid_activated = True
    return True
