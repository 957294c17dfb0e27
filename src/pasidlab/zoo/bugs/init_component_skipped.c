/* A component whose XSTATE_BV bit is clear is in its INIT state; it is not "nothing to restore". */
void restore_fpregs_from_fpstate(struct fpstate *fpstate, u64 mask)
{
#ifndef CONFIG_FIXED
	mask &= fpstate->regs.xsave.header.xfeatures;
#endif
	os_xrstor(fpstate, mask);
}
