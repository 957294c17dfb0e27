// SPDX-License-Identifier: MIT
/* late-locked: the shape AMX took for XFD in v5.16. Lock, make the registers the truth, then edit them. */
static bool fixup_pasid_exception(void)
{
	if (!mm_valid_pasid(current->mm))
		return false;

	if (current->pasid_activated)
		return false;

	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		fpregs_restore_userregs();
	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	fpregs_unlock();

	current->pasid_activated = 1;
	return true;
}
