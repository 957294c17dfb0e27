/* fpu__pasid_write(): an edited memory image and a CPU that still holds the old one as a valid copy. */
static void fpu__pasid_write(u32 pasid)
{
	struct fpu *fpu = &current->thread.fpu;
	u64 msr = pasid | MSR_IA32_PASID_VALID;

	fpregs_lock();
	if (!test_thread_flag(TIF_NEED_FPU_LOAD)) {
		wrmsrl(MSR_IA32_PASID, msr);
	} else {
		struct ia32_pasid_state *state;

		fpu->fpstate->regs.xsave.header.xfeatures |= XFEATURE_MASK_PASID;
		state = get_xsave_addr(&fpu->fpstate->regs.xsave, XFEATURE_PASID);
		state->pasid = msr;
#ifdef CONFIG_FIXED
		__fpu_invalidate_fpregs_state(fpu);
#endif
	}
	fpregs_unlock();
}
