/* irq_fpu_usable() before v5.18: in a hard interrupt that hits an fpregs_lock() section the answer must be no. */
bool irq_fpu_usable(void)
{
#ifdef CONFIG_FIXED
	if (this_cpu_read(in_kernel_fpu))
		return false;
	if (!in_hardirq())
		return true;
	return !softirq_count();
#else
	return !in_interrupt() || interrupted_user_mode() || !this_cpu_read(in_kernel_fpu);
#endif
}
