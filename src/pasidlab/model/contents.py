"""Contents nobody may rely on, by the FPU ownership protocol: they are forgotten, so that states do not differ in them alone.

Code that breaks the protocol looks at them all the same. That is noticed, and the design is explored without forgetting.
"""

from __future__ import annotations

from pasidlab.lang.declare import FORGOTTEN, each, forget
from pasidlab.model.properties import holds_copy, is_open
from pasidlab.model.state import Cpu, Task


@forget
def forget_dead_contents() -> None:
    """Looked at where a CPU is open: inside fpregs_lock() and with interrupts off, code may be about to lay claim to them."""
    for cpu in each(Cpu):
        if is_open(cpu):
            forget_registers(cpu)
    for task in each(Task):
        if runs_open(task) and not task.need_fpu_load:
            forget_image(task)
        elif runs_open(task) or not task.on_cpu:
            forget_absent_components(task)


def runs_open(task: Task) -> bool:
    """The task is current on a CPU that is open."""
    for cpu in each(Cpu):
        if cpu.current is task and is_open(cpu):
            return True
    return False


def forget_registers(cpu: Cpu) -> None:
    """Registers that are not current's only truth and pass for nobody's copy."""
    if cpu.current is not None and not cpu.current.need_fpu_load:
        return
    for task in each(Task):
        if holds_copy(cpu, task):
            return
    cpu.user_regs = FORGOTTEN
    cpu.msr_pasid = FORGOTTEN


def forget_image(task: Task) -> None:
    """TIF_NEED_FPU_LOAD is clear: the registers are the truth, the image will be written before it is read."""
    if task.guest_fpstate:
        task.guest_bv_user = FORGOTTEN
        task.guest_user = FORGOTTEN
        task.guest_bv_pasid = FORGOTTEN
        task.guest_pasid = FORGOTTEN
        return
    task.bv_user = FORGOTTEN
    task.image_user = FORGOTTEN
    task.bv_pasid = FORGOTTEN
    task.image_pasid = FORGOTTEN


def forget_absent_components(task: Task) -> None:
    """Bytes behind a clear bit of XSTATE_BV."""
    if not task.bv_user:
        task.image_user = FORGOTTEN
    if not task.bv_pasid:
        task.image_pasid = FORGOTTEN
