// SPDX-License-Identifier: MIT
/*
 * early: what was merged in v5.18 (fa6af69f38d3). Called before cond_local_irq_enable(): straight from user mode the registers
 * are the only truth, and with interrupts off nothing can change that.
 */
static bool try_fixup_enqcmd_gp(void)
{
#ifdef CONFIG_IOMMU_SVA
	lockdep_assert_irqs_disabled();

	if (!cpu_feature_enabled(X86_FEATURE_ENQCMD))
		return false;

	/* If the mm has not been allocated a PASID, the #GP cannot be fixed up. */
	if (!mm_valid_pasid(current->mm))
		return false;

	/* Did this thread already fix up its #GP? */
	if (current->pasid_activated)
		return false;

	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	current->pasid_activated = 1;

	return true;
#else
	return false;
#endif
}
