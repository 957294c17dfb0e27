"""late-bare: Thomas Gleixner's first sketch, 29 September 2021: straight from user mode the registers are the truth, so test and write.

But interrupts are already enabled there. Andy Lutomirski pointed between the test and the write: preemption and BH come in there.
(The sketch also forgot the Valid bit; that bug is told on its own, here it is set.)
"""

from __future__ import annotations

from pasidlab.declare import entry, local_irq_enable
from pasidlab.kernel import MSR_IA32_PASID_VALID, current, gp_user_force_sig_segv, mm_valid_pasid, wrmsr_pasid


@entry("exception")
def exc_general_protection() -> None:
    """cond_local_irq_enable() comes first."""
    local_irq_enable()
    if fixup_pasid_exception():
        return
    gp_user_force_sig_segv()


def fixup_pasid_exception() -> bool:
    """Three tests, the write, the flag; no lock."""
    if not mm_valid_pasid(current.mm):
        return False
    if current.pasid_activated:
        return False
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    current.pasid_activated = True
    return True
