// SPDX-License-Identifier: MIT
/*
 * late-either: patches 3 and 4 of the series of 20 September 2021. Called after cond_local_irq_enable(); under fpregs_lock() the MSR
 * is written if the registers are live or merely hold a valid copy of the memory image, else the image.
 */
static void fpu__pasid_write(u32 pasid)
{
	u64 pasid_state = pasid | MSR_IA32_PASID_VALID;
	struct fpu *fpu = &current->thread.fpu;

	fpregs_lock();

	if (!test_thread_flag(TIF_NEED_FPU_LOAD) || fpregs_state_valid(fpu, smp_processor_id())) {
		wrmsrl(MSR_IA32_PASID, pasid_state);
	} else {
		struct xregs_state *xsave = &fpu->state.xsave;
		struct ia32_pasid_state *state;

		xsave->header.xfeatures |= XFEATURE_MASK_PASID;
		state = get_xsave_addr(xsave, XFEATURE_PASID);
		state->pasid = pasid_state;
	}

	fpregs_unlock();
}

static bool __fixup_pasid_exception(void)
{
	u32 pasid = current->mm->pasid;

	if (pasid == PASID_DISABLED)
		return false;

	if (current->has_valid_pasid)
		return false;

	fpu__pasid_write(pasid);
	current->has_valid_pasid = 1;
	return true;
}
