// SPDX-License-Identifier: MIT
/*
 * eager-ipi: v5.10 (20f0afd1fb3d). Binding runs update_pasid() on every CPU of mm_cpumask(), and so does unbinding; the scheduler
 * runs it for every incoming task. fpregs_lock() does not keep the IPI out.
 */
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
		/* (v5.10 did not ask: it edited the image of a kernel thread as well, which nobody ever loads.) */
		struct fpu *fpu = &current->thread.fpu;
		struct ia32_pasid_state *state;

		fpu->state.xsave.header.xfeatures |= XFEATURE_MASK_PASID;
		state = get_xsave_addr(&fpu->state.xsave, XFEATURE_PASID);
		if (state->pasid != pasid_state) {
			__fpu_invalidate_fpregs_state(fpu);
			state->pasid = pasid_state;
		}
	}
}

static void switch_fpu_finish(struct task_struct *new)
{
	set_tsk_thread_flag(new, TIF_NEED_FPU_LOAD);
	update_pasid(NULL);
}

static void load_pasid(struct mm_struct *mm, u32 pasid)
{
	on_each_cpu_mask(mm_cpumask(mm), update_pasid, NULL, 1);
}

static void iommu_sva_bind_device(struct mm_struct *mm)
{
	mutex_lock(&pasid_mutex);
	if (mm->pasid == PASID_DISABLED) {
		u32 pasid = iommu_alloc_global_pasid();

		attach_device_pasid(mm, pasid);
		WRITE_ONCE(mm->pasid, pasid);
		load_pasid(mm, pasid);
	} else {
		attach_device_pasid(mm, mm->pasid);
	}
	mutex_unlock(&pasid_mutex);
}

static void iommu_sva_unbind_device(struct mm_struct *mm, u32 pasid)
{
	mutex_lock(&pasid_mutex);
	if (detach_device_pasid(pasid)) {
		intel_iommu_drain_pasid_prq(pasid);
		unpublish(mm);
		load_pasid(mm, PASID_DISABLED);
		ioasid_free(pasid);
		mmdrop(mm);
	}
	mutex_unlock(&pasid_mutex);
}
