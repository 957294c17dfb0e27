"""v6.17: fpu__drop() returns early if TIF_NEED_FPU_LOAD is set (arch/x86/kernel/fpu/core.c); the owner pointer stays."""

from __future__ import annotations

from pasidlab.lang.declare import preempt_disable, preempt_enable, release
from pasidlab.model.ambient import current
from pasidlab.model.linux.fpu import fpregs_deactivate
from pasidlab.model.linux.tracepoints import trace_call_fpu__drop, trace_x86_fpu_dropped
from pasidlab.model.state import Task


def fpu__drop() -> None:
    """fpu__drop(tsk): a task whose registers are not loaded has nothing to drop."""
    trace_call_fpu__drop()
    if current.need_fpu_load:
        return
    preempt_disable()
    fpregs_deactivate(current)
    trace_x86_fpu_dropped(current)
    preempt_enable()


def fork_failed(child: Task) -> None:
    """fpu__drop() of the child returns early as well: fpu_clone() has set its flag."""
    trace_call_fpu__drop()
    release(child)
