"""memory-edit: the helper Dave Hansen and Tony Luck proposed, begin/finish_update_one_xsave_feature(), September 2021.

Under fpregs_lock(): save the registers if they are live, edit the image, set TIF_NEED_FPU_LOAD, give up every copy.
"""

from __future__ import annotations

from pasidlab.declare import entry, local_irq_enable
from pasidlab.kernel import (
    MSR_IA32_PASID_VALID,
    __fpu_invalidate_fpregs_state,
    current,
    fpregs_lock,
    fpregs_unlock,
    gp_user_force_sig_segv,
    mm_valid_pasid,
    save_fpregs_to_fpstate,
)


@entry("exception")
def exc_general_protection() -> None:
    """cond_local_irq_enable() comes first."""
    local_irq_enable()
    if fixup_pasid_exception():
        return
    gp_user_force_sig_segv()


def fixup_pasid_exception() -> bool:
    """The image is edited between begin and finish."""
    if not mm_valid_pasid(current.mm):
        return False
    if current.pasid_activated:
        return False
    begin_update_one_xsave_feature()
    current.image_pasid = current.mm.pasid | MSR_IA32_PASID_VALID
    finish_update_one_xsave_feature()
    current.pasid_activated = True
    return True


def begin_update_one_xsave_feature() -> None:
    """Makes the image the truth and the component present in it."""
    fpregs_lock()
    if not current.need_fpu_load:
        save_fpregs_to_fpstate(current)
    current.bv_pasid = True


def finish_update_one_xsave_feature() -> None:
    """The registers will be loaded from it."""
    current.need_fpu_load = True
    __fpu_invalidate_fpregs_state(current)
    fpregs_unlock()
