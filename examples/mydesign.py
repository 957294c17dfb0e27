"""Ask the MSR, and write the PASID if it is not there. (One thing is forgotten.)"""

from pasidlab.kernel import MSR_IA32_PASID_VALID, current, rdmsr_pasid, wrmsr_pasid


def try_fixup_enqcmd_gp() -> bool:
    if current.mm.pasid == 0 or (rdmsr_pasid() & MSR_IA32_PASID_VALID) != 0:
        return False
    wrmsr_pasid(current.mm.pasid)
    return True
