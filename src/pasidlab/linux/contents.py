"""Contents nobody may rely on, by the FPU ownership protocol: they are forgotten, so that states do not differ in them alone.

What code that breaks the protocol reads there is not what any task expects, as it would be in some run of the real machine.
"""

from __future__ import annotations

from pasidlab.lang.declare import each, forget
from pasidlab.linux.properties import holds_copy, is_open
from pasidlab.linux.task import Task
from pasidlab.machine.cpu import KERNEL_DATA, STALE_PASID, Cpu


@forget
def forget_dead_contents() -> None:
    """Looked at where a CPU is open: inside fpregs_lock() and with interrupts off, code may be about to lay claim to them."""
    for cpu in each(Cpu):
        if is_open(cpu):
            forget_registers(cpu)
            if cpu.current is not None:
                if cpu.current.need_fpu_load:
                    forget_absent_components(cpu.current)
                else:
                    forget_image(cpu.current)
    for task in each(Task):
        if not task.on_cpu:
            forget_absent_components(task)


def forget_registers(cpu: Cpu) -> None:
    """Registers that are not current's only truth and pass for nobody's copy."""
    if cpu.current is not None and not cpu.current.need_fpu_load:
        return
    for task in each(Task):
        if holds_copy(cpu, task):
            return
    cpu.user_regs = KERNEL_DATA
    cpu.msr_pasid = STALE_PASID


def forget_image(task: Task) -> None:
    """TIF_NEED_FPU_LOAD is clear: the registers are the truth, the image will be written before it is read."""
    if task.guest_fpstate:
        task.guest_bv_user = True
        task.guest_user = KERNEL_DATA
        task.guest_bv_pasid = True
        task.guest_pasid = STALE_PASID
        return
    task.bv_user = True
    task.image_user = KERNEL_DATA
    task.bv_pasid = True
    task.image_pasid = STALE_PASID


def forget_absent_components(task: Task) -> None:
    """Bytes behind a clear bit of XSTATE_BV."""
    if not task.bv_user:
        task.image_user = KERNEL_DATA
    if not task.bv_pasid:
        task.image_pasid = STALE_PASID
