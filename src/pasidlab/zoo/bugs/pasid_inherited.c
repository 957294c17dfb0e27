/* fpu_clone(): the child of a fork has an address space of its own, and no PASID yet. */
int fpu_clone(struct task_struct *dst, unsigned long clone_flags)
{
	struct fpu *dst_fpu = &dst->thread.fpu;

	dst_fpu->last_cpu = -1;
	fpstate_reset(dst_fpu);
	set_tsk_thread_flag(dst, TIF_NEED_FPU_LOAD);

	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		fpregs_restore_userregs();
	save_fpregs_to_fpstate(dst_fpu);
	fpregs_unlock();

#ifdef CONFIG_FIXED
	dst_fpu->fpstate->regs.xsave.header.xfeatures &= ~XFEATURE_MASK_PASID;
#endif
	return 0;
}
