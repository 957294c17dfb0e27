/* fpu__pasid_write() of the 2021 series: with TIF_NEED_FPU_LOAD set the registers are a copy, not the truth. */
static void fpu__pasid_write(u32 pasid)
{
	struct fpu *fpu = &current->thread.fpu;
	u64 msr = pasid | MSR_IA32_PASID_VALID;

	fpregs_lock();
#ifdef CONFIG_FIXED
	if (!test_thread_flag(TIF_NEED_FPU_LOAD)) {
#else
	if (!test_thread_flag(TIF_NEED_FPU_LOAD) || fpregs_state_valid(fpu, smp_processor_id())) {
#endif
		wrmsrl(MSR_IA32_PASID, msr);
	} else {
		struct ia32_pasid_state *state;

		fpu->fpstate->regs.xsave.header.xfeatures |= XFEATURE_MASK_PASID;
		state = get_xsave_addr(&fpu->fpstate->regs.xsave, XFEATURE_PASID);
		state->pasid = msr;
		__fpu_invalidate_fpregs_state(fpu);
	}
	fpregs_unlock();
}
