/* The three-line fix-up, before or after interrupts are enabled. */
static bool try_fixup_enqcmd_gp(void)
{
	u32 pasid = current->mm->pasid;

	if (!pasid_valid(pasid) || current->pasid_activated)
		return false;
	wrmsrl(MSR_IA32_PASID, pasid | MSR_IA32_PASID_VALID);
	current->pasid_activated = 1;
	return true;
}

DEFINE_IDTENTRY_ERRORCODE(exc_general_protection)
{
#ifdef CONFIG_FIXED
	if (user_mode(regs) && try_fixup_enqcmd_gp())
		return;
	cond_local_irq_enable(regs);
#else
	cond_local_irq_enable(regs);
	if (user_mode(regs) && try_fixup_enqcmd_gp())
		goto exit;
#endif
	gp_user_force_sig_segv(regs, X86_TRAP_GP, error_code, "");
exit:
	cond_local_irq_disable(regs);
}
