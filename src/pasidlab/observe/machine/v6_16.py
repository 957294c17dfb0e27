"""v6.16: switch_fpu() in the place of switch_fpu_prepare() and switch_fpu_finish() (arch/x86/include/asm/fpu/sched.h)."""

from __future__ import annotations

from pasidlab.model.ambient import this_cpu
from pasidlab.model.linux.fpu import save_fpregs_to_fpstate
from pasidlab.model.linux.locks import is_kthread
from pasidlab.model.linux.tracepoints import trace_x86_fpu_regs_deactivated
from pasidlab.model.state import Task


def switch_fpu_prepare(prev: Task) -> None:
    """switch_fpu(): TIF_NEED_FPU_LOAD is set first, then the registers are saved; the event tells that it is set."""
    if not is_kthread(prev):
        prev.need_fpu_load = True
        save_fpregs_to_fpstate(prev)
        prev.last_cpu = this_cpu
        trace_x86_fpu_regs_deactivated(prev)


def switch_fpu_finish(task: Task) -> None:
    """Nothing is left to do for the task that comes: its flag is set since it was switched out, or made."""
