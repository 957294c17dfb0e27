/* fpu_reset_fpregs(): exec empties the image; a CPU that still holds the old one must not pass for its copy. */
static void fpu_reset_fpregs(void)
{
	struct fpu *fpu = &current->thread.fpu;

	fpregs_lock();
#ifdef CONFIG_FIXED
	__fpu_invalidate_fpregs_state(fpu);
#else
	fpu__drop(fpu);
#endif
	memcpy(&fpu->fpstate->regs, &init_fpstate.regs, init_fpstate_copy_size());
	set_thread_flag(TIF_NEED_FPU_LOAD);
	fpregs_unlock();
}
