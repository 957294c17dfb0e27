"""late-exclusive: the rule Andy Lutomirski stated in reply, in the same place as late-either.

"Either you modify it in CPU regs (if the kernel knows that the CPU regs are the one and only source of truth) OR you modify it in
memory and invalidate any preserved copies (by zapping last_cpu)."
"""

from __future__ import annotations

from pasidlab.declare import entry, local_irq_enable
from pasidlab.kernel import (
    MSR_IA32_PASID_VALID,
    __fpu_invalidate_fpregs_state,
    current,
    fpregs_lock,
    fpregs_unlock,
    get_xsave_addr,
    gp_user_force_sig_segv,
    wrmsr_pasid,
)


@entry("exception")
def exc_general_protection() -> None:
    """cond_local_irq_enable() comes first."""
    local_irq_enable()
    if __fixup_pasid_exception():
        return
    gp_user_force_sig_segv()


def __fixup_pasid_exception() -> bool:
    """As in late-either."""
    pasid = current.mm.pasid
    if pasid == 0:
        return False
    if current.has_valid_pasid:
        return False
    fpu__pasid_write(pasid)
    current.has_valid_pasid = True
    return True


def fpu__pasid_write(pasid: int) -> None:
    """The registers when they are the only truth; else the image, and no copy of it remains."""
    fpregs_lock()
    if not current.need_fpu_load:
        wrmsr_pasid(pasid | MSR_IA32_PASID_VALID)
    else:
        current.bv_pasid = True
        state = get_xsave_addr(current)
        state.image_pasid = pasid | MSR_IA32_PASID_VALID
        __fpu_invalidate_fpregs_state(current)
    fpregs_unlock()
