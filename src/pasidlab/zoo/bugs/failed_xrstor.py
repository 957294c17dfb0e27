"""restore_fpregs_from_user(): a failing XRSTOR may have changed registers that pass for another task's copy."""

from __future__ import annotations

from pasidlab.kernel import (
    BAD_FRAME,
    RESTORED,
    XFEATURE_MASK_PASID,
    __cpu_invalidate_fpregs_state,
    current,
    fault_in_user_page,
    fpregs_lock,
    fpregs_mark_activate,
    fpregs_unlock,
    restore_fpregs_from_fpstate,
    xrstor_from_user_sigframe,
)


def restore_fpregs_from_user() -> bool:
    """The owner stays."""
    while True:
        fpregs_lock()
        outcome = xrstor_from_user_sigframe()
        if outcome != RESTORED:
            fpregs_unlock()
            if outcome == BAD_FRAME:
                return False
            fault_in_user_page()
        else:
            if current.need_fpu_load:
                restore_fpregs_from_fpstate(current, XFEATURE_MASK_PASID)
            fpregs_mark_activate()
            fpregs_unlock()
            return True


def fixed_restore_fpregs_from_user() -> bool:
    """The registers are nobody's copy any more."""
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
            if current.need_fpu_load:
                restore_fpregs_from_fpstate(current, XFEATURE_MASK_PASID)
            fpregs_mark_activate()
            fpregs_unlock()
            return True
