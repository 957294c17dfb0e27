"""early-read: as merged, but without a flag: the handler asks the MSR itself whether it is already valid.

Andy Lutomirski, September 2021: "or just read the field out of FPU state". Nothing can then disagree with the register.
"""

from __future__ import annotations

from pasidlab.kernel import MSR_IA32_PASID_VALID, current, lockdep_assert_irqs_disabled, mm_valid_pasid, rdmsr_pasid, wrmsr_pasid


def try_fixup_enqcmd_gp() -> bool:
    """A fault with a valid MSR was not about the PASID."""
    lockdep_assert_irqs_disabled()
    if not mm_valid_pasid(current.mm):
        return False
    if (rdmsr_pasid() & MSR_IA32_PASID_VALID) != 0:
        return False
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    return True
