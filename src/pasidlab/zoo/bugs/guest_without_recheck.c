/* vcpu_enter_guest(): with interrupts off, ask once more whether the guest's registers are still loaded. */
static void vcpu_enter_guest(void)
{
	local_irq_disable();
#ifdef CONFIG_FIXED
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
#endif
	guest_runs();
	local_irq_enable();
}
