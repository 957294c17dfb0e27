/* fpu_clone(): last_cpu comes with the copy of task_struct; no CPU holds the child's registers. */
int fpu_clone(struct task_struct *dst, unsigned long clone_flags)
{
	struct fpu *dst_fpu = &dst->thread.fpu;

#ifdef CONFIG_FIXED
	dst_fpu->last_cpu = -1;
#endif
	fpstate_reset(dst_fpu);
	set_tsk_thread_flag(dst, TIF_NEED_FPU_LOAD);

	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		fpregs_restore_userregs();
	save_fpregs_to_fpstate(dst_fpu);
	fpregs_unlock();

	dst_fpu->fpstate->regs.xsave.header.xfeatures &= ~XFEATURE_MASK_PASID;
	return 0;
}
