// SPDX-License-Identifier: MIT
/*
 * task-work: binding sends an IPI that only queues work for the running task; a task that does not run queues it for itself at its
 * next context switch. The work runs before the return to user mode: lock, make the registers the truth, write the MSR.
 */
static void queue_pasid_work(struct task_struct *tsk)
{
	if (tsk->mm && tsk->mm->pasid != PASID_DISABLED && !tsk->has_valid_pasid)
		tsk->pasid_work = 1;
}

static void switch_fpu_finish(struct task_struct *new)
{
	set_tsk_thread_flag(new, TIF_NEED_FPU_LOAD);
	queue_pasid_work(new);
}

static void task_work_run(void)
{
	current->pasid_work = 0;

	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		fpregs_restore_userregs();
	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	current->has_valid_pasid = 1;
	fpregs_unlock();
}

/* Every other CPU that has this mm loaded queues the work, the caller its own; waits for all. */
static void pasid_bound(struct mm_struct *mm)
{
	preempt_disable();
	send_ipis(mm);
	queue_pasid_work(current);
	wait_for_ipis();
	preempt_enable();
}

static void flush_thread(void)
{
	fpu_flush_thread();
	current->has_valid_pasid = 0;
	current->pasid_work = 0;
}
