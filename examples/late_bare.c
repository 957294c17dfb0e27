// SPDX-License-Identifier: MIT
/*
 * late-bare: three tests, the write, the flag, as first sketched on 29 September 2021. It is called after cond_local_irq_enable():
 * preemption or a bottom half between the last test and the write, and the MSR is no longer this task's to write.
 */
static bool fixup_pasid_exception(void)
{
	if (!mm_valid_pasid(current->mm))
		return false;

	if (current->pasid_activated)
		return false;

	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	current->pasid_activated = 1;
	return true;
}
