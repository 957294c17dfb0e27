"""What a program does in user mode: ENQCMD, and the use of its registers."""

from __future__ import annotations

from pasidlab.lang.declare import check, enter, happens, reached, repeated, require, user
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.traps import exc_general_protection
from pasidlab.model.state import INIT, MSR_IA32_PASID_VALID, PASID_NUMBERS, PASIDS, USER_DATA
from pasidlab.model.x86.device import submit_work
from pasidlab.model.x86.iommu import pasid_entry_maps


def pasid_in_table(pasid: int) -> int:
    """The PASID if the IOMMU's table has an entry for it, else 0: the command goes nowhere."""
    return pasid if pasid <= PASIDS else 0


@user()
def enqcmd() -> None:
    """ENQCMD in user mode: #GP if IA32_PASID is not valid, else the command leaves with its PASID (SDM vol. 2, ENQCMD)."""
    require(current.at_privileged == 0)
    if (this_cpu.msr_pasid & MSR_IA32_PASID_VALID) == 0:
        if current.at_enqcmd and current.entitled:
            repeated("served")
        if current.mm.pasid == 0:
            reached("refused")
        current.at_enqcmd = True
        current.entitled = current.mm.portal
        enter(exc_general_protection)
        return
    if current.entitled or current.mm.portal:
        reached("served")
    current.at_enqcmd = False
    current.entitled = False
    current.had_pasid = True
    pasid = this_cpu.msr_pasid & PASID_NUMBERS
    check("refused", current.mm.pasid != 0, "ENQCMD left the CPU although the process has no PASID")
    check("isolated", current.mm.pasid == 0 or pasid == current.mm.pasid, "ENQCMD left the CPU with the PASID of another process")
    reached("isolated")
    if current.mm.portal and pasid_in_table(pasid) != 0:
        check("isolated", pasid_entry_maps(pasid, current.mm), "ENQCMD was accepted with a PASID the IOMMU does not map to this process")
        if happens("device"):
            submit_work(pasid)


@user(event="gp")
def privileged_instruction() -> None:
    """An instruction that is not for user mode, HLT say: #GP (SDM vol. 2, HLT). Without a SIGSEGV it is executed again."""
    require(not current.at_enqcmd or current.at_privileged != 0)
    if current.at_privileged == 2:
        repeated("served")
    else:
        current.at_privileged += 1
    current.at_enqcmd = True
    current.entitled = False
    enter(exc_general_protection)


@user()
def use_fpu() -> None:
    """The program puts its user component to use, or back to INIT."""
    value = USER_DATA if current.expected_user == INIT else INIT
    this_cpu.user_regs = value
    current.expected_user = value
