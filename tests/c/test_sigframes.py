"""The sigreturn path in C: what a frame of a 32-bit program goes through, and what is left out of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pasidlab.checking.api import CheckResult
from pasidlab.model.scope import Scope

SCOPE = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "signal", "fault"}))
SLOW = """
static bool __fpu_restore_sig(void __user *buf, void __user *buf_fx, bool ia32_fxstate)
{
	struct fpu *fpu = &current->thread.fpu;
	struct _fpx_sw_bytes words;
	u64 mask;

	if (!check_xstate_in_sigframe(buf_fx, &words) || !words.magic1)
		return false;
	if (!ia32_fxstate)
		return restore_fpregs_from_user(buf_fx, words.xfeatures, false);
	fpregs_lock();
	if (!test_thread_flag(TIF_NEED_FPU_LOAD)) {
		%s;
		set_thread_flag(TIF_NEED_FPU_LOAD);
	}
	%s;
	fpregs_unlock();
	if (copy_sigframe_from_user_to_xstate(current, buf_fx))
		return false;
	fpregs_lock();
	mask = words.xfeatures | xfeatures_mask_supervisor();
	fpu->fpstate->regs.xsave.header.xfeatures &= mask;
	if (!os_xrstor_safe(fpu->fpstate, fpu_kernel_cfg.max_features))
		fpregs_mark_activate();
	fpregs_unlock();
	return true;
}
"""
SAVE, GIVE_UP = "os_xsave(fpu->fpstate)", "__fpu_invalidate_fpregs_state(fpu); __cpu_invalidate_fpregs_state()"


@pytest.mark.parametrize(("save", "give_up", "broken"), [
    (SAVE, GIVE_UP, ""), ("barrier()", GIVE_UP, "served"), (SAVE, "barrier()", "coherent"), (SAVE, "fpu->last_cpu = -1", ""),
])  # fmt: skip
def test_the_slow_path(checked: Callable[..., CheckResult], save: str, give_up: str, broken: str) -> None:
    result = checked(SLOW % (save, give_up), SCOPE)
    found = {c.property for c in result.counterexamples}
    assert broken in found if broken else not found
