"""Instructions on registers: XSAVES, XRSTORS, and WRMSR and RDMSR of IA32_PASID."""

from __future__ import annotations

from pasidlab.lang.declare import check, instruction
from pasidlab.model.ambient import this_cpu
from pasidlab.model.state import INIT, MSR_IA32_PASID_VALID, PASID_NUMBERS, PASIDS, Task

MSR_IA32_PASID_MASK = (1 << 20) - 1  # the number
XFEATURE_MASK_PASID = 1 << 10
XFEATURE_MASK_USER = 1 << 0
XFEATURE_MASK_FPSTATE = XFEATURE_MASK_PASID | XFEATURE_MASK_USER


@instruction
def wrmsr_pasid(value: int) -> None:
    """WRMSR to IA32_PASID: bits 19:0 and 31 may be set, the others are reserved (SDM vol. 4, table 2-2; vol. 2, WRMSR).

    A number with more bits than those of this scope is that of nobody: the first such number stands for all.
    """
    number = value & MSR_IA32_PASID_MASK
    if value & ~(MSR_IA32_PASID_VALID | MSR_IA32_PASID_MASK) != 0:
        check("sound_kernel", False, "WRMSR sets reserved bits of IA32_PASID (#GP in the kernel)")
    else:
        this_cpu.msr_pasid = (value & MSR_IA32_PASID_VALID) | (number if number & ~PASID_NUMBERS == 0 else PASIDS + 1)


@instruction
def rdmsr_pasid() -> int:
    """RDMSR of IA32_PASID."""
    return this_cpu.msr_pasid


@instruction
def xsaves(task: Task, rfbm: int) -> None:
    """XSAVES to the task's fpstate: stores the components in use, rewrites XSTATE_BV (SDM vol. 2, XSAVES; init optimisation).

    A component in its INIT state is not stored: the bytes stay what they were, only its bit in XSTATE_BV is cleared.
    """
    if task.guest_fpstate:
        task.guest_bv_user = (rfbm & XFEATURE_MASK_USER) != 0 and this_cpu.user_regs != INIT
        if task.guest_bv_user:
            task.guest_user = this_cpu.user_regs
        task.guest_bv_pasid = (rfbm & XFEATURE_MASK_PASID) != 0 and this_cpu.msr_pasid != 0
        if task.guest_bv_pasid:
            task.guest_pasid = this_cpu.msr_pasid
        return
    task.bv_user = (rfbm & XFEATURE_MASK_USER) != 0 and this_cpu.user_regs != INIT
    if task.bv_user:
        task.image_user = this_cpu.user_regs
    task.bv_pasid = (rfbm & XFEATURE_MASK_PASID) != 0 and this_cpu.msr_pasid != 0
    if task.bv_pasid:
        task.image_pasid = this_cpu.msr_pasid


@instruction
def xrstors(task: Task, rfbm: int) -> None:
    """XRSTORS from the task's fpstate: components of RFBM are loaded, or set to INIT where XSTATE_BV is clear (SDM vol. 2)."""
    if task.guest_fpstate:
        if (rfbm & XFEATURE_MASK_USER) != 0:
            this_cpu.user_regs = task.guest_user if task.guest_bv_user else INIT
        if (rfbm & XFEATURE_MASK_PASID) != 0:
            this_cpu.msr_pasid = task.guest_pasid if task.guest_bv_pasid else 0
        return
    if (rfbm & XFEATURE_MASK_USER) != 0:
        this_cpu.user_regs = task.image_user if task.bv_user else INIT
    if (rfbm & XFEATURE_MASK_PASID) != 0:
        this_cpu.msr_pasid = task.image_pasid if task.bv_pasid else 0
