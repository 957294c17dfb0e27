"""The function tracer's notes: these functions take the place of the model's empty ones where a recording has calls."""

from __future__ import annotations

from pasidlab.lang.declare import instruction
from pasidlab.observe.machine.recorder import note

KERNEL_FPU_BEGIN_MASK = 27
SWITCH_FPU_RETURN = 28
FPU_FLUSH_THREAD = 29
KERNEL_FPU_END = 30
FPU_CLONE = 31
FPU__DROP = 32
FPREGS_MARK_ACTIVATE = 33
FPU__CLEAR_USER_STATES = 34
COPY_FPSTATE_TO_SIGFRAME = 35
FPU__RESTORE_SIG = 36
FPU_SYNC_FPSTATE = 37
FPREGS_LOCK_AND_LOAD = 38
FPU_SWAP_KVM_FPSTATE = 39


@instruction
def trace_call_kernel_fpu_begin_mask() -> None:
    note(KERNEL_FPU_BEGIN_MASK, True)


@instruction
def trace_call_switch_fpu_return() -> None:
    note(SWITCH_FPU_RETURN, True)


@instruction
def trace_call_fpu_flush_thread() -> None:
    note(FPU_FLUSH_THREAD, True)


@instruction
def trace_call_kernel_fpu_end() -> None:
    note(KERNEL_FPU_END, True)


@instruction
def trace_call_fpu_clone() -> None:
    note(FPU_CLONE, True)


@instruction
def trace_call_fpu__drop() -> None:
    note(FPU__DROP, True)


@instruction
def trace_call_fpregs_mark_activate() -> None:
    note(FPREGS_MARK_ACTIVATE, True)


@instruction
def trace_call_fpu__clear_user_states() -> None:
    note(FPU__CLEAR_USER_STATES, True)


@instruction
def trace_call_copy_fpstate_to_sigframe() -> None:
    note(COPY_FPSTATE_TO_SIGFRAME, True)


@instruction
def trace_call_fpu__restore_sig() -> None:
    note(FPU__RESTORE_SIG, True)


@instruction
def trace_call_fpu_sync_fpstate() -> None:
    note(FPU_SYNC_FPSTATE, True)


@instruction
def trace_call_fpregs_lock_and_load() -> None:
    note(FPREGS_LOCK_AND_LOAD, True)


@instruction
def trace_call_fpu_swap_kvm_fpstate() -> None:
    note(FPU_SWAP_KVM_FPSTATE, True)
