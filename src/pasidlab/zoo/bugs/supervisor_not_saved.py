"""__fpu_restore_sig(), slow path: TIF_NEED_FPU_LOAD says that memory is the truth; then the registers must have been saved."""

from __future__ import annotations

from pasidlab.declare import happens
from pasidlab.kernel import (
    XFEATURE_MASK_FPSTATE,
    __fpu_invalidate_fpregs_state,
    copy_uabi_to_xstate,
    current,
    fpregs_deactivate,
    fpregs_lock,
    fpregs_mark_activate,
    fpregs_unlock,
    restore_fpregs_from_fpstate,
    xsaves,
)


def restore_slow_path() -> bool:
    """The flag alone."""
    fpregs_lock()
    current.need_fpu_load = True
    return finish_slow_path()


def fixed_restore_slow_path() -> bool:
    """Supervisor states are saved first."""
    fpregs_lock()
    if not current.need_fpu_load:
        xsaves(current, XFEATURE_MASK_FPSTATE)
        current.need_fpu_load = True
    return finish_slow_path()


def finish_slow_path() -> bool:
    """The rest is the same."""
    __fpu_invalidate_fpregs_state(current)
    fpregs_deactivate(current)
    fpregs_unlock()
    if happens("fault"):
        return False
    copy_uabi_to_xstate(current, current.frame_user)
    fpregs_lock()
    restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
    fpregs_mark_activate()
    fpregs_unlock()
    return True
