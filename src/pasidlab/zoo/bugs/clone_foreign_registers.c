/* fpu_clone(): the parent's registers may be another task's by now; its own are in memory then. */
int fpu_clone(struct task_struct *dst, unsigned long clone_flags)
{
	struct fpu *dst_fpu = &dst->thread.fpu;

	dst_fpu->last_cpu = -1;
	fpstate_reset(dst_fpu);
	set_tsk_thread_flag(dst, TIF_NEED_FPU_LOAD);

	fpregs_lock();
#ifdef CONFIG_FIXED
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		fpregs_restore_userregs();
#endif
	save_fpregs_to_fpstate(dst_fpu);
	fpregs_unlock();

	dst_fpu->fpstate->regs.xsave.header.xfeatures &= ~XFEATURE_MASK_PASID;
	return 0;
}
