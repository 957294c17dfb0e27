/* Unbinding of v5.15: the IPI reads mm->pasid again, so the number must be gone from there before it is sent. */
static void iommu_sva_unbind_device(struct mm_struct *mm, u32 pasid)
{
	mutex_lock(&pasid_mutex);
	if (detach_device_pasid(pasid)) {
		intel_iommu_drain_pasid_prq(pasid);
#ifdef CONFIG_FIXED
		unpublish(mm);
		load_pasid(mm);
#else
		load_pasid(mm);
		unpublish(mm);
#endif
		ioasid_free(pasid);
		mmdrop(mm);
	}
	mutex_unlock(&pasid_mutex);
}

/* Not of this bug: the image is written whatever stands in it (see dead_bytes_compared.c). */
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
		__fpu_invalidate_fpregs_state(fpu);
		state->pasid = pasid_state;
	}
}
