"""late-either: the series "Re-enable ENQCMD and PASID MSR" of 20 September 2021 (patches 3 and 4 of 8).

The handler runs after interrupts are enabled. Under fpregs_lock() it writes the MSR if the registers are live or merely hold a
valid copy of the memory image, and the image otherwise. Andy Lutomirski objected on 23 September: if both hold a copy,
neither may be changed alone; and an image may be edited only if every copy in some CPU's registers is given up.
"""

from __future__ import annotations

from pasidlab.declare import entry, local_irq_enable
from pasidlab.kernel import (
    MSR_IA32_PASID_VALID,
    current,
    fpregs_lock,
    fpregs_state_valid,
    fpregs_unlock,
    get_xsave_addr,
    gp_user_force_sig_segv,
    this_cpu,
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
    """Is there a PASID to propagate to the thread that took the fault?"""
    pasid = current.mm.pasid
    if pasid == 0:
        return False
    if current.has_valid_pasid:
        return False
    fpu__pasid_write(pasid)
    current.has_valid_pasid = True
    return True


def fpu__pasid_write(pasid: int) -> None:
    """The MSR if it is live or valid, else the image."""
    fpregs_lock()
    if not current.need_fpu_load or fpregs_state_valid(current, this_cpu):
        wrmsr_pasid(pasid | MSR_IA32_PASID_VALID)
    else:
        current.bv_pasid = True
        state = get_xsave_addr(current)
        state.image_pasid = pasid | MSR_IA32_PASID_VALID
    fpregs_unlock()
