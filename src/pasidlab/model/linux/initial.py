"""How it all begins: one program on CPU 0, and whatever else the scope has room for."""

from __future__ import annotations

from pasidlab.lang.declare import at, choose, event, initial
from pasidlab.model.state import CPUS, MMS, TASK_RUNNING, TASKS, Cpu, File, Mm, Task
from pasidlab.model.x86.iommu import pasid_entry

NOT_THERE = 0
THREAD = 1
OTHER_PROCESS = 2


@initial
def boot() -> None:
    """Task 0 runs in user mode. Each other task is a thread of its process, a process of its own, or not there yet."""
    new_process(at(Task, 0), at(Mm, 0))
    run_in_user_mode(0)
    for number in range(1, TASKS):
        kind = choose(NOT_THERE if event("fork") or event("clone") else THREAD, OTHER_PROCESS if number < MMS else THREAD)
        task = at(Task, number)
        if kind == THREAD:
            join(task, at(Task, 0))
        elif kind == OTHER_PROCESS:
            new_process(task, at(Mm, number))
        if kind != NOT_THERE and number < CPUS:
            run_in_user_mode(number)
        elif kind != NOT_THERE:
            task.need_fpu_load = True
            task.pc = 1
    for number in range(TASKS):
        if at(Task, number).state == TASK_RUNNING and not event("bind"):
            populate_at_boot(at(Task, number), number)


def populate_at_boot(task: Task, number: int) -> None:
    """A design that pushes the PASID at bind time has done so before the story begins."""


def new_process(task: Task, mm: Mm) -> None:
    """A process of one task; bound from the start in a scope where nobody binds."""
    task.state = TASK_RUNNING
    task.mm = mm
    mm.mm_users = 1
    mm.mm_count = 1
    if not event("bind"):
        bind_from_the_start(task, mm)


def bind_from_the_start(task: Task, mm: Mm) -> None:
    """As idxd_cdev_open() would leave it: no running thread has the PASID yet."""
    number = 0
    for pasid in range(1, MMS + 1):
        if at(Mm, pasid - 1) is mm:
            number = pasid
    mm.pasid = number
    mm.portal = True
    mm.mm_count = 2
    entry = pasid_entry(number)
    entry.allocated = True
    entry.present = True
    entry.mm = mm
    entry.users = 1
    file = at(File, number - 1)
    file.mm = mm
    file.pasid = number
    file.refs = 1
    task.file = file
    hold_bond_at_boot(mm)


def hold_bond_at_boot(mm: Mm) -> None:
    """What a design keeps for the bond."""


def join(task: Task, first: Task) -> None:
    """A thread of the same process."""
    task.state = TASK_RUNNING
    task.mm = first.mm
    first.mm.mm_users += 1
    task.file = first.file
    if first.file is not None:
        first.file.refs += 1


def run_in_user_mode(number: int) -> None:
    """The task runs on the CPU of its number, and its registers are there."""
    cpu = at(Cpu, number)
    task = at(Task, number)
    cpu.current = task
    cpu.loaded_mm = task.mm
    cpu.fpregs_owner = task
    task.last_cpu = cpu
    task.cpu = cpu
    task.on_cpu = True
