"""The scheduler: __schedule() of v6.12 with the x86 context switch, reduced to what the FPU code and mm_cpumask() see of it."""

from __future__ import annotations

from pasidlab.lang.declare import NULL, context, each, event, instruction, maybe, pick, release, require, take
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.fpu import switch_fpu_finish, switch_fpu_prepare
from pasidlab.model.linux.tracepoints import trace_sched_switch
from pasidlab.model.state import TASK_RUNNING, Cpu, Task


def may_run_here(task: Task, cpu: Cpu) -> bool:
    """Without the event ``migrate`` a task stays on the CPU where it first ran."""
    return event("migrate") or task.cpu is None or task.cpu is cpu


def work_is_waiting() -> bool:
    """Some task waits for an idle CPU."""
    for task in each(Task):
        if task.state == TASK_RUNNING and not task.on_cpu and may_run_here(task, this_cpu):
            return True
    return False


@instruction
def pick_next_task() -> Task | None:
    """Any task that may run; or idle, as a task may wait on another run queue."""
    if maybe():
        return None
    task = take(pick(Task))
    require(task.state == TASK_RUNNING and may_run_here(task, this_cpu))
    return task


def set_current(task: Task | None) -> None:
    """raw_cpu_write(pcpu_hot.current_task, task)."""
    this_cpu.current = task if task is not None else NULL


@context("schedule")
def schedule() -> None:
    """__schedule(), context_switch(), __switch_to(); interrupts are off throughout."""
    prev = current
    task = pick_next_task()
    trace_sched_switch()
    if task is not None:
        this_cpu.loaded_mm = task.mm  # switch_mm_irqs_off(); idle keeps the mm lazily
        task.cpu = this_cpu
    if prev is not None and not prev.need_fpu_load:
        switch_fpu_prepare(prev)
    set_current(task)
    if task is not None:
        switch_fpu_finish(task)
    if prev is not None:
        release(prev)  # finish_task(): on_cpu = 0
