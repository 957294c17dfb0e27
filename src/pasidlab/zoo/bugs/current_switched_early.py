"""__switch_to(): FPU switching that goes by current reads the wrong task's flags if current is switched first."""

from __future__ import annotations

from pasidlab.declare import context, release
from pasidlab.kernel import current, pick_next_task, set_current, switch_fpu_finish, switch_fpu_prepare, this_cpu


@context("schedule")
def schedule() -> None:
    """test_thread_flag() asks the incoming task."""
    prev = current
    task = pick_next_task()
    if task is not None:
        this_cpu.loaded_mm = task.mm
        task.cpu = this_cpu
    set_current(task)
    if prev is not None and (task is None or not task.need_fpu_load):
        switch_fpu_prepare(prev)
    if task is not None:
        switch_fpu_finish(task)
    if prev is not None:
        release(prev)


@context("schedule")
def fixed_schedule() -> None:
    """test_tsk_thread_flag() asks the outgoing task, whatever current is."""
    prev = current
    task = pick_next_task()
    if task is not None:
        this_cpu.loaded_mm = task.mm
        task.cpu = this_cpu
    set_current(task)
    if prev is not None and not prev.need_fpu_load:
        switch_fpu_prepare(prev)
    if task is not None:
        switch_fpu_finish(task)
    if prev is not None:
        release(prev)
