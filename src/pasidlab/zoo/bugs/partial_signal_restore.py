"""__fpu__restore_sig(): on some failures the FPU state was left as the failure had found it."""

from __future__ import annotations

from pasidlab.declare import choose
from pasidlab.kernel import (
    FAST_PATH,
    SLOW_PATH,
    force_sig_segv,
    fpu__clear_user_states,
    lose_frame,
    pop_frame,
    restore_fpregs_from_user,
    restore_slow_path,
)


def sys_rt_sigreturn() -> None:
    """The SIGSEGV's frame is written from registers that are half the old frame's."""
    restored = restore_fpregs_from_user() if choose(FAST_PATH, SLOW_PATH) == FAST_PATH else restore_slow_path()
    if restored:
        pop_frame()
    else:
        lose_frame()
        force_sig_segv()


def fixed_sys_rt_sigreturn() -> None:
    """Every failure resets the user components."""
    restored = restore_fpregs_from_user() if choose(FAST_PATH, SLOW_PATH) == FAST_PATH else restore_slow_path()
    if restored:
        pop_frame()
    else:
        fpu__clear_user_states()
        lose_frame()
        force_sig_segv()
