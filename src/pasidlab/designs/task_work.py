"""task-work: what Andy Lutomirski called perfect, 24 September 2021: resynchronise on the way back to user mode.

Binding sends an IPI that does not touch the FPU: it only queues task_work for the running task. A task that does not run finds at
its next context switch that it lacks its process's PASID and queues the work for itself. The work runs before the return to user
mode, as late-locked does. There is no fix-up in #GP. (No code was posted; this is the idea made code.)
"""

from __future__ import annotations

from pasidlab.declare import context, each, event, instruction, preempt_disable, preempt_enable, wait_until
from pasidlab.kernel import (
    MSR_IA32_PASID_VALID,
    Cpu,
    Mm,
    Task,
    current,
    fpregs_lock,
    fpregs_restore_userregs,
    fpregs_unlock,
    fpu_flush_thread,
    this_cpu,
    wrmsr_pasid,
)


def queue_pasid_work(task: Task) -> None:
    """task_work_add() if the task lacks what its process has."""
    if task.mm is not None and task.mm.pasid != 0 and not task.has_valid_pasid:
        task.pasid_work = True


@context("ipi", event="ipi")
def queue_pasid_work_ipi() -> None:
    """The IPI must not touch the FPU."""
    if current is not None:
        queue_pasid_work(current)
    this_cpu.ipi_pending = False


def switch_fpu_finish(task: Task) -> None:
    """The incoming task checks for itself."""
    task.need_fpu_load = True
    queue_pasid_work(task)


def task_work_run() -> None:
    """Before user mode: lock, make the registers the truth, write the MSR."""
    current.pasid_work = False
    fpregs_lock()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    current.has_valid_pasid = True
    fpregs_unlock()


def pasid_bound(mm: Mm) -> None:
    """Every CPU that runs a thread of this process queues the work; the caller's own included. Waits for all."""
    preempt_disable()
    send_ipis(mm)
    queue_pasid_work(current)
    wait_until(all_ipis_done(), "spin")
    preempt_enable()


@instruction
def send_ipis(mm: Mm) -> None:
    """To every other CPU that has this mm loaded."""
    if event("ipi"):
        for cpu in each(Cpu):
            if cpu.loaded_mm is mm and cpu is not this_cpu:
                cpu.ipi_pending = True


@instruction
def all_ipis_done() -> bool:
    """Every CPU has queued what it had to."""
    for cpu in each(Cpu):
        if cpu.ipi_pending:
            return False
    return True


def flush_thread() -> None:
    """exec: the new address space has nothing yet."""
    fpu_flush_thread()
    current.has_valid_pasid = False
    current.pasid_work = False


def populate_at_boot(task: Task, number: int) -> None:
    """A process bound from the start has done its work."""
    value = task.mm.pasid | MSR_IA32_PASID_VALID
    task.has_valid_pasid = True
    if task.on_cpu:
        for cpu in each(Cpu):
            if cpu.current is task:
                cpu.msr_pasid = value
    else:
        task.bv_pasid = True
        task.image_pasid = value
