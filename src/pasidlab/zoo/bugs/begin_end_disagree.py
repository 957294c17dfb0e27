"""kernel_fpu_begin() and kernel_fpu_end() ask irqs_disabled() each for itself; a caller may have turned them off in between."""

from __future__ import annotations

from pasidlab.declare import enter, entry, local_irq_disable, local_irq_enable, require, user
from pasidlab.kernel import (
    __cpu_invalidate_fpregs_state,
    current,
    fpregs_lock,
    fpregs_unlock,
    save_fpregs_to_fpstate,
    this_cpu,
    use_kernel_fpu,
)


@user()
def use_crypto() -> None:
    """A system call that computes with the FPU."""
    require(not current.at_enqcmd and this_cpu.softirq_count == 0)
    enter(sys_crypto)


@entry("syscall")
def sys_crypto() -> None:
    """The work ends with interrupts off."""
    kernel_fpu_begin_locked()
    local_irq_disable()
    kernel_fpu_end_locked()
    local_irq_enable()


@entry("syscall")
def fixed_sys_crypto() -> None:
    """Begin and end see the same."""
    kernel_fpu_begin_locked()
    kernel_fpu_end_locked()
    local_irq_disable()
    local_irq_enable()


def kernel_fpu_begin_locked() -> None:
    """kernel_fpu_begin() since v6.16: BH off, unless interrupts are."""
    if not this_cpu.irqs_off:
        fpregs_lock()
    this_cpu.in_kernel_fpu = True
    if not current.need_fpu_load:
        current.need_fpu_load = True
        save_fpregs_to_fpstate(current)
    __cpu_invalidate_fpregs_state()
    use_kernel_fpu()


def kernel_fpu_end_locked() -> None:
    """kernel_fpu_end() since v6.16."""
    this_cpu.in_kernel_fpu = False
    if not this_cpu.irqs_off:
        fpregs_unlock()
