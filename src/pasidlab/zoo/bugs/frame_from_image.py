"""copy_fpstate_to_sigframe(): when user memory faulted, the kernel's image was copied, bytes of components in INIT included."""

from __future__ import annotations

from pasidlab.declare import check, happens, instruction
from pasidlab.kernel import (
    current,
    fault_in_user_page,
    fpregs_lock,
    fpregs_restore_userregs,
    fpregs_unlock,
    save_fpregs_to_fpstate,
    xsave_to_user_sigframe,
)


def copy_fpstate_to_sigframe() -> None:
    """XSAVES to the image, then a copy that does not look at XSTATE_BV."""
    fpregs_lock()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    if happens("fault"):
        save_fpregs_to_fpstate(current)
        copy_image_to_frame()
        fpregs_unlock()
    else:
        xsave_to_user_sigframe()
        fpregs_unlock()
    frame_is_faithful()


def fixed_copy_fpstate_to_sigframe() -> None:
    """The page is faulted in and XSAVE tried again."""
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
            break
    frame_is_faithful()


@instruction
def copy_image_to_frame() -> None:
    """__copy_to_user() of the bytes."""
    current.frame_user = current.image_user


@instruction
def frame_is_faithful() -> None:
    """What sigreturn will restore is what the program had."""
    check("preserved", current.frame_user == current.expected_user, "the signal frame holds what the program never had in its registers")
