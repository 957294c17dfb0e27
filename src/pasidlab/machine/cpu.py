"""The CPU: IA32_PASID, one user component of xstate beside it, XSAVES/XRSTORS, WRMSR and ENQCMD.

Component 10 of xstate (PASID) is the MSR itself: its INIT value is 0 and XINUSE[10] is "MSR is not 0" (SDM vol. 1, 13.5.9, 13.6).
The user component stands for all of user xstate: INIT (0), what the program put there (1), or what kernel code left behind (2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pasidlab.lang.arrivals import CpuContext
from pasidlab.lang.declare import (
    NULL,
    Bits,
    Range,
    check,
    enter,
    happens,
    instruction,
    reached,
    repeated,
    size,
    struct,
    user,
)
from pasidlab.machine.ambient import current, this_cpu
from pasidlab.machine.iommu import PASIDS, pasid_entry_maps

if TYPE_CHECKING:
    from pasidlab.linux.task import Mm, Task
    from pasidlab.linux.traps import exc_general_protection

CPUS = size("cpus")
MSR_IA32_PASID_VALID = 1 << 31  # SDM vol. 4, table 2-2: IA32_PASID (D93H), bit 31
PASID_NUMBERS = size("pasid_mask")  # the bits PASIDs of this scope need, of the 20 the MSR has

PasidMsr = Annotated[int, Bits(MSR_IA32_PASID_VALID | PASID_NUMBERS)]
UserComponent = Annotated[int, Range(0, 2)]

INIT = 0
USER_DATA = 1
KERNEL_DATA = 2

XFEATURE_MASK_PASID = 1 << 10
XFEATURE_MASK_USER = 1 << 0
XFEATURE_MASK_FPSTATE = XFEATURE_MASK_PASID | XFEATURE_MASK_USER


@struct(count=CPUS, symmetric=True)
class Cpu(CpuContext):
    """A CPU, with the kernel's per-CPU variables about its registers."""

    current: Task = NULL
    msr_pasid: PasidMsr = 0
    user_regs: UserComponent = 0
    fpregs_owner: Task = NULL  # fpu_fpregs_owner_ctx
    in_kernel_fpu: bool = False
    loaded_mm: Mm = NULL  # this CPU is in mm_cpumask() of that mm, lazily too
    kthread_mm: Mm = NULL  # what a kernel thread on this CPU has borrowed with kthread_use_mm()


@instruction
def wrmsr_pasid(value: int) -> None:
    """WRMSR to IA32_PASID."""
    this_cpu.msr_pasid = value


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


def pasid_in_table(pasid: int) -> int:
    """The PASID if the IOMMU's table has an entry for it, else 0: the command goes nowhere."""
    return pasid if pasid <= PASIDS else 0


@user()
def enqcmd() -> None:
    """ENQCMD in user mode: #GP if IA32_PASID is not valid, else the command leaves with its PASID (SDM vol. 2, ENQCMD)."""
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


@user()
def use_fpu() -> None:
    """The program puts its user component to use, or back to INIT."""
    value = USER_DATA if current.expected_user == INIT else INIT
    this_cpu.user_regs = value
    current.expected_user = value


if TYPE_CHECKING:
    from pasidlab.machine.device import submit_work
