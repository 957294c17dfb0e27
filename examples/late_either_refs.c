// SPDX-License-Identifier: MIT
/*
 * late-either-refs: the series with its patch 5. A bind takes a reference of the PASID, and each thread's first fix-up another; they
 * are dropped by unbind, exit and exec, and the last one frees the number. __one_step stands for a lock the model leaves out.
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

static void __one_step iommu_pasid_get_task_ref(void)
{
	WARN_ON_ONCE(!refcount_read(&current->mm->pasid_refs));
	refcount_inc(&current->mm->pasid_refs);
	current->holds_pasid_ref = 1;
}

static void __one_step pasid_put(struct mm_struct *mm)
{
	if (refcount_dec_and_test(&mm->pasid_refs))
		mm_pasid_drop(mm);
}

/* The PASID, if the mm has none, and the reference of a bind, before anybody can see it. */
static void __one_step iommu_sva_alloc_pasid(struct mm_struct *mm)
{
	iommu_alloc_mm_data(mm);
	if (!refcount_inc_not_zero(&mm->pasid_refs))
		refcount_set(&mm->pasid_refs, 1);
}

static bool __fixup_pasid_exception(void)
{
	u32 pasid = current->mm->pasid;

	if (pasid == PASID_DISABLED)
		return false;

	if (current->holds_pasid_ref)
		return false;

	fpu__pasid_write(pasid);
	iommu_pasid_get_task_ref();
	return true;
}

static void deactivate_mm(struct task_struct *tsk, struct mm_struct *mm)
{
	if (tsk->holds_pasid_ref) {
		tsk->holds_pasid_ref = 0;
		pasid_put(mm);
	}
}

static void iommu_sva_bind_device(struct mm_struct *mm)
{
	mutex_lock(&iommu_sva_lock);
	iommu_sva_alloc_pasid(mm);
	attach_device_pasid(mm, mm->pasid);
	mutex_unlock(&iommu_sva_lock);
}

static void iommu_sva_unbind_device(struct mm_struct *mm, u32 pasid)
{
	mutex_lock(&iommu_sva_lock);
	if (detach_device_pasid(pasid)) {
		intel_iommu_drain_pasid_prq(pasid);
		pasid_put(mm);
		mmdrop(mm);
	} else {
		pasid_put(mm);
	}
	mutex_unlock(&iommu_sva_lock);
}
