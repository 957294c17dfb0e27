"""Signal frames: arch/x86/kernel/fpu/signal.c of v6.12. The PASID is never written to user memory nor read from it."""

from __future__ import annotations

from pasidlab.lang.declare import check, choose, enter, entry, happens, instruction, maybe, pause, require, user
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.exit import do_exit
from pasidlab.model.linux.fpu import (
    __cpu_invalidate_fpregs_state,
    __fpu_invalidate_fpregs_state,
    fpregs_lock,
    fpregs_mark_activate,
    fpregs_restore_userregs,
    fpregs_unlock,
    fpu__clear_user_states,
    restore_fpregs_from_fpstate,
    xfeatures_mask_supervisor,
)
from pasidlab.model.linux.locks import might_sleep
from pasidlab.model.linux.tracepoints import (
    trace_call_copy_fpstate_to_sigframe,
    trace_call_fpu__restore_sig,
    trace_signal_deliver,
    trace_sys_enter_rt_sigreturn,
)
from pasidlab.model.state import INIT, USER_DATA, Task
from pasidlab.model.x86.cpu import XFEATURE_MASK_FPSTATE, xsaves

FAST_PATH = 0
SLOW_PATH = 1


def arch_do_signal_or_restart() -> None:
    """handle_signal(): the frame is written, then the handler starts with user components in INIT. get_signal() may sleep."""
    might_sleep()
    trace_signal_deliver(True, False)
    copy_fpstate_to_sigframe()
    push_frame()
    fpu__clear_user_states()
    current.expected_user = INIT


@instruction
def push_frame() -> None:
    """The interrupted instruction pointer goes into the frame; the handler is next."""
    current.frame_at_enqcmd = current.at_enqcmd and current.at_privileged == 0
    current.at_privileged = 0
    current.at_enqcmd = False
    current.in_handler = True


def copy_fpstate_to_sigframe() -> None:
    """copy_fpstate_to_sigframe(): XSAVE of user components to the user stack with page faults off; faults are taken outside the lock."""
    trace_call_copy_fpstate_to_sigframe()
    while True:
        fpregs_lock()
        if current.need_fpu_load:
            fpregs_restore_userregs()
        if happens("fault"):
            fpregs_unlock()
            fault_in_user_page()
        else:
            xsave_to_user_sigframe()
            fpregs_unlock()
            return


def xsave_to_user() -> int:
    """xsave_to_user_sigframe() of a C function: not 0 where the page is not there."""
    if happens("fault"):
        return PAGE_FAULT
    xsave_to_user_sigframe()
    return 0


@instruction
def xsave_to_user_sigframe() -> None:
    """XSAVE with the user mask. What stands in the frame is what the program gets back: it must be the program's own."""
    check("preserved", this_cpu.user_regs == current.expected_user, "a signal frame is given registers the task did not have")
    current.frame_user = this_cpu.user_regs


def fault_in_user_page() -> None:
    """A page of user memory is faulted in: sleeps."""
    might_sleep()
    pause()


@user(follows="signal")
def rt_sigreturn() -> None:
    """The handler returns."""
    require(current.in_handler and not current.at_enqcmd)
    enter(sys_rt_sigreturn)


@entry("syscall")
def sys_rt_sigreturn() -> None:
    """rt_sigreturn(2)."""
    trace_sys_enter_rt_sigreturn()
    restore_sigcontext()


def restore_sigcontext() -> None:
    """fpu__restore_sig(): fast path from user memory, slow path through the kernel's image; either may fail on a bad frame."""
    trace_call_fpu__restore_sig()
    if __fpu_restore_sig(choose(FAST_PATH, SLOW_PATH) == SLOW_PATH):
        pop_frame()
    else:
        fpu__clear_user_states()
        lose_frame()
        force_sig_segv()


def __fpu_restore_sig(ia32_fxstate: bool) -> bool:
    """__fpu_restore_sig(): only the frame of a 32-bit program takes the slow path."""
    return restore_slow_path() if ia32_fxstate else restore_fpregs_from_user()


@instruction
def pop_frame() -> None:
    """The frame's instruction pointer is back; what it held of user components is what the task has."""
    current.expected_user = current.frame_user
    current.frame_user = INIT
    current.at_enqcmd = current.frame_at_enqcmd
    current.frame_at_enqcmd = False
    current.in_handler = False


@instruction
def lose_frame() -> None:
    """signal_fault(): what the frame held is lost; user components are in INIT."""
    current.expected_user = INIT
    current.frame_user = INIT
    current.frame_at_enqcmd = False
    current.in_handler = False


def force_sig_segv() -> None:
    """force_sig(SIGSEGV): its handler is next if the task has one and does not block the signal; else the task dies of it."""
    if not current.in_handler and happens("signal"):
        arch_do_signal_or_restart()
    else:
        do_exit()


def restore_fpregs_from_user() -> bool:
    """restore_fpregs_from_user(): XRSTOR of user components from the frame, PASID kept."""
    while True:
        fpregs_lock()
        outcome = xrstor_from_user_sigframe()
        if outcome != RESTORED:
            if current.need_fpu_load:
                __cpu_invalidate_fpregs_state()
            fpregs_unlock()
            if outcome == BAD_FRAME:
                return False
            fault_in_user_page()
        else:
            if current.need_fpu_load and xfeatures_mask_supervisor() != 0:
                restore_fpregs_from_fpstate(current, xfeatures_mask_supervisor())
            fpregs_mark_activate()
            fpregs_unlock()
            return True


RESTORED = 0
BAD_FRAME = 13  # X86_TRAP_GP: what a user access gives back is the vector of its fault (arch/x86/kernel/fpu/xstate.h, XSTATE_OP)
PAGE_FAULT = 14  # X86_TRAP_PF


@instruction
def xrstor_from_user_sigframe() -> int:
    """XRSTOR from user memory: a fault may have changed the registers already (SDM vol. 2, XRSTOR)."""
    outcome = choose(BAD_FRAME, PAGE_FAULT) if happens("fault") else RESTORED
    if outcome == RESTORED:
        this_cpu.user_regs = current.frame_user
    elif maybe():
        this_cpu.user_regs = choose(INIT, USER_DATA)
    return outcome


def restore_slow_path() -> bool:
    """The ia32 frame: state goes through the kernel's image."""
    fpregs_lock()
    if not current.need_fpu_load:
        if xfeatures_mask_supervisor() != 0:
            xsaves(current, XFEATURE_MASK_FPSTATE)
        current.need_fpu_load = True
    __fpu_invalidate_fpregs_state(current)
    __cpu_invalidate_fpregs_state()
    fpregs_unlock()
    if copy_sigframe_from_user_to_xstate() != 0:
        return False
    fpregs_lock()
    restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
    fpregs_mark_activate()
    fpregs_unlock()
    return True


def copy_sigframe_from_user_to_xstate() -> int:
    """copy_sigframe_from_user_to_xstate(): user components from the frame into the image; not 0 where the frame is bad."""
    if copy_from_user_sigframe() != 0:
        return PAGE_FAULT
    copy_uabi_to_xstate(current, current.frame_user)
    return 0


def copy_from_user_sigframe() -> int:
    """__copy_from_user() of a part of the frame: sleeps; not 0 where the page is not there."""
    might_sleep()
    return PAGE_FAULT if happens("fault") else 0


@instruction
def copy_uabi_to_xstate(task: Task, value: int) -> None:
    """copy_uabi_to_xstate(): user components are replaced, XSTATE_BV keeps its supervisor bits."""
    task.bv_user = value != INIT
    if value != INIT:
        task.image_user = value
