/* v5.10: setting the bit in XSTATE_BV brings to life bytes that may happen to be the right ones. */
static void update_pasid(void *info)
{
	struct mm_struct *mm = current->mm;
	u64 pasid_state;
	u32 pasid;

	if (!mm)
		return;

	pasid = READ_ONCE(mm->pasid);
	pasid_state = pasid == PASID_DISABLED ? 0 : pasid | MSR_IA32_PASID_VALID;

	if (!test_thread_flag(TIF_NEED_FPU_LOAD)) {
		wrmsrl(MSR_IA32_PASID, pasid_state);
	} else if (!(current->flags & PF_KTHREAD)) {
		struct fpu *fpu = &current->thread.fpu;
		struct ia32_pasid_state *state;

		fpu->state.xsave.header.xfeatures |= XFEATURE_MASK_PASID;
		state = get_xsave_addr(&fpu->state.xsave, XFEATURE_PASID);
#ifdef CONFIG_FIXED
		__fpu_invalidate_fpregs_state(fpu);
		state->pasid = pasid_state;
#else
		if (state->pasid != pasid_state) {
			__fpu_invalidate_fpregs_state(fpu);
			state->pasid = pasid_state;
		}
#endif
	}
}
