/* fpu__clear_user_states(): the user components go to INIT, the PASID stays. */
void fpu__clear_user_states(struct fpu *fpu)
{
	fpregs_lock();
#ifdef CONFIG_FIXED
	if (!fpregs_state_valid(fpu, smp_processor_id()))
		os_xrstor_supervisor(fpu->fpstate);
	restore_fpregs_from_init_fpstate(XFEATURE_MASK_USER_RESTORE);
#else
	restore_fpregs_from_init_fpstate(XFEATURE_MASK_FPSTATE);
#endif
	fpregs_mark_activate();
	fpregs_unlock();
}
