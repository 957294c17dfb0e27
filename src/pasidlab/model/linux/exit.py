"""Exit: kernel/exit.c do_exit() of v6.12; exit_mm() comes before exit_files()."""

from __future__ import annotations

from pasidlab.lang.declare import (
    NULL,
    each,
    enter,
    entry,
    instruction,
    local_irq_disable,
    local_irq_enable,
    require,
    unreachable,
    user,
    wait_until,
)
from pasidlab.model.ambient import current
from pasidlab.model.linux.fpu import fpu__drop
from pasidlab.model.linux.mm import mmput
from pasidlab.model.linux.random import add_device_randomness
from pasidlab.model.linux.sva import drop_file, idxd_cdev_release
from pasidlab.model.linux.tracepoints import trace_sched_process_exit, trace_sched_process_wait
from pasidlab.model.state import TASK_DEAD, Mm, Task


@user(event="exit")
def exit_program() -> None:
    """The thread calls exit(2)."""
    require(not current.at_enqcmd)
    enter(sys_exit)


@entry("syscall")
def sys_exit() -> None:
    """exit(2)."""
    do_exit()


@instruction
def forget_program() -> None:
    """What the program was doing is over."""
    current.at_enqcmd = False
    current.at_privileged = 0
    current.in_handler = False
    current.frame_at_enqcmd = False
    current.frame_user = 0
    current.expected_user = 0
    current.had_pasid = False
    current.entitled = False


def do_exit() -> None:
    """do_exit(): the address space, then the files, then the FPU; the task is never scheduled again."""
    forget_program()
    exit_mm()
    trace_sched_process_exit()
    exit_files()
    exit_thread()
    exit_notify()
    do_task_dead()


def exit_mm() -> None:
    """exit_mm()."""
    mm = current.mm
    deactivate_mm(mm)
    current.mm = NULL
    mmput(mm)


def deactivate_mm(mm: Mm) -> None:
    """deactivate_mm(), from exit and exec: where a design may drop what the task holds of its old mm."""


def exit_files() -> None:
    """exit_files(): the last holder releases the device."""
    file = drop_file()
    if file is not None:
        idxd_cdev_release(file)


def exit_thread() -> None:
    """exit_thread(): drops the FPU registers."""
    fpu__drop()


def exit_notify() -> None:
    """exit_notify(): nobody waits for a thread, nor for the child of a parent that ignores SIGCHLD: the task releases itself."""
    release_task()


def release_task() -> None:
    """release_task(): __exit_signal() feeds the random driver under write_lock_irq(&tasklist_lock)."""
    local_irq_disable()
    add_device_randomness()
    local_irq_enable()


@user(follows="exit")
def wait_for_child() -> None:
    """wait4(2) where some task is dead. (Which one, and that it is there only once, makes no difference to what is modelled.)"""
    require(not current.at_enqcmd and somebody_is_dead())
    enter(sys_wait4)


def somebody_is_dead() -> bool:
    """There may be a child to reap: a zombie since exit_notify(), before its last __schedule()."""
    for task in each(Task):
        if task.state == TASK_DEAD:
            return True
    return False


@entry("syscall")
def sys_wait4() -> None:
    """do_wait(), wait_task_zombie()."""
    trace_sched_process_wait()
    release_task()


def do_task_dead() -> None:
    """do_task_dead(): the last __schedule() of this task. It saves the registers once more: fpu__drop() left TIF_NEED_FPU_LOAD clear."""
    current.state = TASK_DEAD
    wait_until(False)
    unreachable()
