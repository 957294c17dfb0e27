"""The kernel's tracepoints that stand in functions of the model, at the lines where v6.12 has them.

To a check they are nothing: no step, no state. ``pasidlab observe`` puts functions in their place that note what happened, and so learns
from the model itself which events a step shows.
"""

from __future__ import annotations

from pasidlab.model.state import Task


def trace_call_kernel_fpu_begin_mask() -> None:
    """The function tracer, at the entry of kernel_fpu_begin_mask()."""


def trace_call_switch_fpu_return() -> None:
    """The function tracer, at the entry of switch_fpu_return()."""


def trace_call_fpu_flush_thread() -> None:
    """The function tracer, at the entry of fpu_flush_thread()."""


def trace_call_kernel_fpu_end() -> None:
    """The function tracer, at the entry of kernel_fpu_end()."""


def trace_call_fpu_clone() -> None:
    """The function tracer, at the entry of fpu_clone()."""


def trace_call_fpu__drop() -> None:
    """The function tracer, at the entry of fpu__drop()."""


def trace_call_fpregs_mark_activate() -> None:
    """The function tracer, at the entry of fpregs_mark_activate()."""


def trace_call_fpu__clear_user_states() -> None:
    """The function tracer, at the entry of fpu__clear_user_states()."""


def trace_call_copy_fpstate_to_sigframe() -> None:
    """The function tracer, at the entry of copy_fpstate_to_sigframe()."""


def trace_call_fpu__restore_sig() -> None:
    """The function tracer, at the entry of fpu__restore_sig()."""


def trace_call_fpu_sync_fpstate() -> None:
    """The function tracer, at the entry of fpu_sync_fpstate()."""


def trace_call_fpregs_lock_and_load() -> None:
    """The function tracer, at the entry of fpregs_lock_and_load()."""


def trace_call_fpu_swap_kvm_fpstate() -> None:
    """The function tracer, at the entry of fpu_swap_kvm_fpstate()."""


def trace_x86_fpu_regs_activated(fpu: Task) -> None:
    """asm/trace/fpu.h: like all of x86_fpu, the event tells the fpu and TIF_NEED_FPU_LOAD of current."""


def trace_x86_fpu_regs_deactivated(fpu: Task) -> None:
    """At a switch, and at the end of a task."""


def trace_x86_fpu_dropped(fpu: Task) -> None:
    """fpu__drop()."""


def trace_x86_fpu_copy_dst(fpu: Task) -> None:
    """fpu_clone(): the child's."""


def trace_x86_fpu_before_save(fpu: Task) -> None:
    """fpu_sync_fpstate()."""


def trace_x86_fpu_after_save(fpu: Task) -> None:
    """fpu_sync_fpstate()."""


def trace_sched_switch() -> None:
    """__schedule(), before the switch."""


def trace_sched_process_fork() -> None:
    """kernel_clone(), before the child may run."""


def trace_sched_process_exec() -> None:
    """exec_binprm(): the new program is there."""


def trace_sched_process_exit() -> None:
    """do_exit(), after exit_mm()."""


def trace_sched_process_wait() -> None:
    """do_wait(), before it looks for a child."""


def trace_sys_enter_rt_sigreturn() -> None:
    """syscall_trace_enter(), kernel/entry/common.c."""


def trace_signal_deliver(handled: bool, segv: bool) -> None:
    """get_signal(): whether the program has a handler (sa_handler is neither SIG_DFL nor SIG_IGN); whether it is SIGSEGV."""


def trace_kvm_fpu(load: bool) -> None:
    """kvm_load_guest_fpu(), kvm_put_guest_fpu(): behind fpu_swap_kvm_fpstate()."""
