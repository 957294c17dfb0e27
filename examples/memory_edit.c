// SPDX-License-Identifier: MIT
/* memory-edit: save the registers if they are live, edit the image, set TIF_NEED_FPU_LOAD, give up every copy. */
static void *begin_update_one_xsave_feature(struct task_struct *tsk, int xfeature)
{
	struct fpu *fpu = &tsk->thread.fpu;

	fpregs_lock();
	if (!test_thread_flag(TIF_NEED_FPU_LOAD))
		save_fpregs_to_fpstate(fpu);

	fpu->state.xsave.header.xfeatures |= XFEATURE_MASK_PASID;
	return __raw_xsave_addr(&fpu->state.xsave, XFEATURE_PASID);
}

static void finish_update_one_xsave_feature(struct task_struct *tsk)
{
	set_thread_flag(TIF_NEED_FPU_LOAD);
	__fpu_invalidate_fpregs_state(&tsk->thread.fpu);
	fpregs_unlock();
}

static bool fixup_pasid_exception(void)
{
	struct ia32_pasid_state *state;

	if (!mm_valid_pasid(current->mm))
		return false;

	if (current->pasid_activated)
		return false;

	state = begin_update_one_xsave_feature(current, XFEATURE_PASID);
	state->pasid = current->mm->pasid | MSR_IA32_PASID_VALID;
	finish_update_one_xsave_feature(current);

	current->pasid_activated = 1;
	return true;
}
