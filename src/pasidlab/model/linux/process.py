"""fork, clone and exec: kernel/fork.c, fs/exec.c of v6.12."""

from __future__ import annotations

from pasidlab.lang.declare import (
    NULL,
    each,
    enter,
    entry,
    instruction,
    local_irq_disable,
    local_irq_enable,
    maybe,
    pick,
    release,
    require,
    start,
    take,
    user,
)
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.exit import deactivate_mm, do_exit
from pasidlab.model.linux.fpu import fpu_clone, fpu_flush_thread
from pasidlab.model.linux.mm import mm_init, mmget, mmput
from pasidlab.model.linux.random import add_latent_entropy
from pasidlab.model.linux.sva import idxd_cdev_release, uninstall_file
from pasidlab.model.linux.tracepoints import trace_sched_process_exec, trace_sched_process_fork
from pasidlab.model.state import TASK_DEAD, TASK_RUNNING, Mm, Task


@user(event="fork")
def fork_process() -> None:
    """fork(2)."""
    require(not current.at_enqcmd)
    enter(sys_fork)


@user(event="clone")
def clone_thread() -> None:
    """pthread_create()."""
    require(not current.at_enqcmd)
    enter(sys_clone)


@user(event="exec")
def exec_program() -> None:
    """execve(2); de_thread() has already killed the other threads."""
    require(not current.at_enqcmd and not current.in_handler and is_last_thread())
    enter(sys_execve)


def is_last_thread() -> bool:
    """No other task runs in this address space. (A kernel thread may have borrowed it.)"""
    for task in each(Task):
        if task is not current and task.mm is current.mm:
            return False
    return True


@entry("syscall")
def sys_fork() -> None:
    """A new process with a copy of the address space."""
    kernel_clone(copy_to_new_process())


@entry("syscall")
def sys_clone() -> None:
    """A new thread of the same process."""
    kernel_clone(copy_to_new_thread())


def kernel_clone(child: Task | None) -> None:
    """kernel_clone() once copy_process() is done, also where it has failed."""
    add_latent_entropy()
    if child is not None:
        trace_sched_process_fork()
        wake_up_new_task(child)


def copy_to_new_process() -> Task | None:
    """copy_process() without CLONE_VM."""
    child = alloc_task()
    if child is None:
        return None
    mm = dup_mm()
    if mm is None:
        release(child)
        return None
    copy_process(child)
    child.mm = mm
    return child


def copy_to_new_thread() -> Task | None:
    """copy_process() with CLONE_VM."""
    child = alloc_task()
    if child is None:
        return None
    copy_process(child)
    mmget(current.mm)
    child.mm = current.mm
    return child


def dup_mm() -> Mm | None:
    """dup_mm(): the portal's mapping is VM_DONTCOPY."""
    return mm_init()


@instruction
def alloc_task() -> Task | None:
    """Any free task slot; ``struct fpu`` may lie where a dead task's lay. None where fork(2) fails, as it always may (-EAGAIN)."""
    if maybe():
        return None
    chosen = take(pick(Task))
    require(chosen.state == TASK_DEAD)
    return chosen


def copy_process(child: Task) -> None:
    """copy_process(): dup_task_struct(), copy_files(), copy_thread()."""
    dup_task_struct(child)
    copy_files(child)
    fpu_clone(child)


@instruction
def dup_task_struct(child: Task) -> None:
    """arch_dup_task_struct() copies the parent's task_struct, and with it last_cpu and flags; pasid_activated is reset."""
    child.last_cpu = current.last_cpu
    child.need_fpu_load = current.need_fpu_load
    child.pasid_activated = False
    child.has_valid_pasid = False
    child.holds_pasid_ref = False
    child.pasid_work = False
    child.in_handler = current.in_handler
    child.frame_user = current.frame_user
    child.frame_at_enqcmd = current.frame_at_enqcmd
    child.expected_user = current.expected_user
    child.had_pasid = False
    child.at_enqcmd = False
    child.image_user = 0
    child.image_pasid = 0
    child.cpu = NULL


@instruction
def copy_files(child: Task) -> None:
    """A thread shares the file table, a new process inherits its open files: either way one holder more."""
    child.file = current.file
    if current.file is not None:
        current.file.refs += 1


@instruction
def wake_up_new_task(child: Task) -> None:
    """wake_up_new_task(): from here the child may run."""
    child.state = TASK_RUNNING
    start(child, ret_from_fork)
    release(child)


@entry("fork")
def ret_from_fork() -> None:
    """ret_from_fork(): schedule_tail(), then to user mode."""


@entry("syscall")
def sys_execve() -> None:
    """begin_new_exec(): a new address space, then the registers are reset; in between the task runs with the old PASID.

    What fails after exec_mmap(), unshare_sighand() say, is the end of the task.
    """
    if current.file is not None and maybe():
        do_close_on_exec()
    if exec_mmap():
        if maybe():
            do_exit()
        flush_thread()
        new_program()
        trace_sched_process_exec()


def do_close_on_exec() -> None:
    """do_close_on_exec(): v6.12 closes before exec_mmap()."""
    file = uninstall_file()
    if file is not None and file.refs == 0:
        idxd_cdev_release(file)


def exec_mmap() -> bool:
    """exec_mmap(): interrupts are off while the mm is exchanged. False if there is no room for a new one (-ENOMEM)."""
    old = current.mm
    mm = mm_init()
    if mm is None:
        return False
    deactivate_mm(old)
    local_irq_disable()
    current.mm = mm
    this_cpu.loaded_mm = mm
    local_irq_enable()
    mmput(old)
    return True


def flush_thread() -> None:
    """flush_thread(): the FPU starts afresh. Nothing here touches pasid_activated."""
    fpu_flush_thread()


@instruction
def new_program() -> None:
    """The new program begins with registers in INIT; it has been promised nothing yet."""
    current.expected_user = 0
    current.had_pasid = False
