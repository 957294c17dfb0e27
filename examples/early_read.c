// SPDX-License-Identifier: MIT
/* early-read: as merged, but the handler asks the MSR itself whether it is valid already; there is no flag to disagree with it. */
static bool try_fixup_enqcmd_gp(void)
{
	u64 msr;

	lockdep_assert_irqs_disabled();

	if (!mm_valid_pasid(current->mm))
		return false;

	rdmsrl(MSR_IA32_PASID, msr);
	if (msr & MSR_IA32_PASID_VALID)
		return false;

	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	return true;
}
