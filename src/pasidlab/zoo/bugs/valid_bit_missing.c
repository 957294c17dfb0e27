/* The drafts of September 2021 wrote the number without the Valid bit. */
static bool try_fixup_enqcmd_gp(void)
{
	u32 pasid = current->mm->pasid;

	if (!pasid_valid(pasid) || current->pasid_activated)
		return false;
#ifdef CONFIG_FIXED
	pasid |= MSR_IA32_PASID_VALID;
#endif
	wrmsrl(MSR_IA32_PASID, pasid);
	current->pasid_activated = 1;
	return true;
}
