"""copy_fpstate_to_sigframe(): fpu_fpregs_owner_ctx was read with this_cpu_read_stable(), which the compiler may do once for all retries."""

from __future__ import annotations

from pasidlab.declare import happens
from pasidlab.kernel import (
    XFEATURE_MASK_FPSTATE,
    current,
    fault_in_user_page,
    fpregs_lock,
    fpregs_mark_activate,
    fpregs_unlock,
    restore_fpregs_from_fpstate,
    this_cpu,
    xsave_to_user_sigframe,
)


def copy_fpstate_to_sigframe() -> None:
    """The owner is asked before the loop."""
    owner = this_cpu.fpregs_owner
    while True:
        fpregs_lock()
        if current.need_fpu_load:
            if not (owner is current and current.last_cpu is this_cpu):
                restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
            fpregs_mark_activate()
        if happens("fault"):
            fpregs_unlock()
            fault_in_user_page()
        else:
            xsave_to_user_sigframe()
            fpregs_unlock()
            return


def fixed_copy_fpstate_to_sigframe() -> None:
    """The owner is asked each time, with the lock held."""
    while True:
        fpregs_lock()
        if current.need_fpu_load:
            if not (this_cpu.fpregs_owner is current and current.last_cpu is this_cpu):
                restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
            fpregs_mark_activate()
        if happens("fault"):
            fpregs_unlock()
            fault_in_user_page()
        else:
            xsave_to_user_sigframe()
            fpregs_unlock()
            return
