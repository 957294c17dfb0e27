"""ptrace: arch/x86/kernel/fpu/regset.c of v6.12. A tracer replaces the user components of a stopped task; the PASID is out of its reach."""

from __future__ import annotations

from pasidlab.lang.declare import check, choose, each, enter, entry, instruction, pick, reached, release, require, take, user, wait_until
from pasidlab.model.ambient import current
from pasidlab.model.linux.fpu import __fpu_invalidate_fpregs_state
from pasidlab.model.linux.signal import copy_uabi_to_xstate
from pasidlab.model.state import INIT, TASK_RUNNING, TASK_TRACED, USER_DATA, Task


@user(event="ptrace")
def stop_for_tracer() -> None:
    """A tracer stops the task, wherever it is (PTRACE_INTERRUPT)."""
    enter(ptrace_stop)


@entry("syscall")
def ptrace_stop() -> None:
    """ptrace_stop(): the task sleeps until its tracer lets it go on."""
    current.state = TASK_TRACED
    wait_until(current.state == TASK_RUNNING)
    reached("preserved")


@user(event="ptrace")
def ptrace_setregset() -> None:
    """PTRACE_GETREGSET, PTRACE_SETREGSET and PTRACE_CONT by another task."""
    require(not current.at_enqcmd)
    enter(sys_ptrace)


@entry("syscall")
def sys_ptrace() -> None:
    """ptrace_freeze_traced(), wait_task_inactive(), xstateregs_get(), xstateregs_set(), and the target goes on."""
    if not somebody_is_traced():
        return
    target = freeze_traced()
    xstateregs_get(target)
    fpu_force_restore(target)
    set_user_components(target, choose(INIT, USER_DATA))
    unfreeze_traced(target)


@instruction
def somebody_is_traced() -> bool:
    """Else -ESRCH."""
    for task in each(Task):
        if task.state == TASK_TRACED:
            return True
    return False


@instruction
def freeze_traced() -> Task:
    """The target is stopped, on no CPU, and will not be woken."""
    target = take(pick(Task))
    require(target.state == TASK_TRACED)
    return target


@instruction
def xstateregs_get(target: Task) -> None:
    """copy_xstate_to_uabi_buf() of the image; sync_fpstate() has nothing to do, the target is not current."""
    shown = target.image_user if target.bv_user else INIT
    check("preserved", shown == target.expected_user, "a tracer is shown registers the task did not have")


def fpu_force_restore(target: Task) -> None:
    """fpu_force_restore(): the image will be loaded whatever some CPU still holds."""
    __fpu_invalidate_fpregs_state(target)


@instruction
def set_user_components(target: Task, value: int) -> None:
    """copy_uabi_from_kernel_to_xstate(); what the task has is now what the tracer gave it."""
    copy_uabi_to_xstate(target, value)
    target.expected_user = value


@instruction
def unfreeze_traced(target: Task) -> None:
    """PTRACE_CONT."""
    target.state = TASK_RUNNING
    release(target)
