"""Idle CPUs and kernel threads in their place."""

from __future__ import annotations

from pasidlab.lang.declare import NULL, require, rule
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.mm import mmget, mmput
from pasidlab.model.state import Mm


def runs_no_task() -> bool:
    """This CPU runs the idle task or a kernel thread, and nothing above it."""
    return current is None and this_cpu.schedule_pc == 0 and this_cpu.softirq_pc == 0 and this_cpu.hardirq_pc == 0


@rule(event="idle")
def intel_idle() -> None:
    """intel_idle() with AMX in use: fpu_idle_fpregs() gives the registers up."""
    require(runs_no_task() and this_cpu.fpregs_owner is not None)
    this_cpu.fpregs_owner = NULL


@rule(event="kthread")
def kthread_use_mm(mm: Mm) -> None:
    """A kernel thread on this CPU borrows an address space (mmget)."""
    require(runs_no_task() and this_cpu.kthread_mm is None and mm.mm_users != 0)
    mmget(mm)
    this_cpu.kthread_mm = mm
    this_cpu.loaded_mm = mm


@rule(follows="kthread")
def kthread_unuse_mm() -> None:
    """And gives it back: mmput(), perhaps as the last user, in one step."""
    require(runs_no_task() and this_cpu.kthread_mm is not None)
    mm = this_cpu.kthread_mm
    this_cpu.kthread_mm = NULL
    mmput(mm)
