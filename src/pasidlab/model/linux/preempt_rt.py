"""What CONFIG_PREEMPT_RT=y changes of the kernel around (v6.12): these functions take the place of those of the same name.

fpregs_lock() is preempt_disable(). Softirqs are served by threads: by ksoftirqd, and by a task that ends a BH-disabled section. Such a
section can be preempted (kernel/softirq.c). Spin locks sleep (kernel/locking/spinlock_rt.c). Interrupts stay on where a spin lock is
taken with spin_lock_irq(). Inter-processor interrupts, and interrupts marked IRQF_NO_THREAD, still come in hard interrupt context.
"""

from __future__ import annotations

from pasidlab.lang.declare import (
    NULL,
    check,
    context,
    each,
    enter,
    entry,
    event,
    instruction,
    maybe,
    never,
    preempt_disable,
    preempt_enable,
    reached,
    require,
    user,
    wait_until,
)
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.fpu import kernel_fpu_begin, kernel_fpu_end
from pasidlab.model.linux.random import blake2s_compress
from pasidlab.model.linux.signal import force_sig_segv
from pasidlab.model.properties import in_user_mode
from pasidlab.model.state import TASK_DEAD, Cpu, SpinLock, Task

SOFTIRQ_OFFSET = 1  # softirq_disable_cnt counts in units of 0x100 (include/linux/preempt.h)
SOFTIRQ_DISABLE_OFFSET = 2


def fpregs_lock() -> None:
    """PREEMPT_RT: preemption off (arch/x86/include/asm/fpu/api.h). Softirqs are served by threads, so none comes either."""
    preempt_disable()


def fpregs_unlock() -> None:
    """Undoes fpregs_lock()."""
    preempt_enable()


def rt_fpregs_unlock() -> None:
    """The same, with interrupts on or off: preempt_enable() does not ask."""
    preempt_enable()


def rt_softirq_count() -> int:
    """softirq_count(): of the task, not of the CPU. ksoftirqd is no task here."""
    return current.softirq_disable_cnt if current is not None else this_cpu.softirq_count


def irq_fpu_usable() -> bool:
    """irq_fpu_usable(): fpregs_lock() does not count in softirq_count(), so a hard interrupt inside it is told that the FPU is usable."""
    if this_cpu.in_kernel_fpu:
        return False
    if this_cpu.hardirq_pc == 0:
        return True
    return rt_softirq_count() == 0


def rcu_sleep_check() -> None:
    """might_sleep() of a task that has BH disabled, or is inside rcu_read_lock(): local_bh_disable() calls rcu_read_lock()."""
    check("sound_kernel", current is None or current.rcu_read_lock_nesting == 0, "sleeps in atomic context: inside rcu_read_lock()")
    check("sound_kernel", current is None or current.softirq_disable_cnt == 0, "sleeps in atomic context: BH disabled")


def rtlock_might_resched() -> None:
    """rtlock_might_resched(): a spin lock may be waited for inside rcu_read_lock() and with BH off, but not in atomic context."""
    reached("sound_kernel")
    check("sound_kernel", not this_cpu.irqs_off, "takes a sleeping spin lock in atomic context: interrupts disabled")
    check("sound_kernel", this_cpu.preempt_count == 0, "takes a sleeping spin lock in atomic context: preemption disabled")
    check("sound_kernel", this_cpu.hardirq_pc == 0, "takes a sleeping spin lock in a hard interrupt")


@instruction
def migrate_disable() -> None:
    """migrate_disable(): the task may lose its CPU, but goes on on this one."""
    current.migration_disabled += 1


@instruction
def migrate_enable() -> None:
    """Undoes migrate_disable()."""
    check("sound_kernel", current.migration_disabled != 0, "migrate_enable() without migrate_disable()")
    if current.migration_disabled != 0:
        current.migration_disabled -= 1


def may_run_here(task: Task, cpu: Cpu) -> bool:
    """A task that has migration disabled stays where it is."""
    return (event("migrate") and task.migration_disabled == 0) or task.cpu is None or task.cpu is cpu


# ---- bottom halves


def bh_is_free() -> bool:
    """softirq_ctrl.lock of this CPU: no other task has BH disabled here."""
    for task in each(Task):
        if task is not current and task.cpu is this_cpu and task.softirq_disable_cnt != 0:
            return False
    return True


@instruction
def first_bh_disable(preemptible: bool) -> None:
    """local_lock(&softirq_ctrl.lock), which may sleep; in atomic context the lock must be free (DEBUG_LOCKS_WARN_ON)."""
    if preemptible:
        wait_until(bh_is_free())
    check("sound_kernel", bh_is_free(), "local_bh_disable() in atomic context, while a preempted task has BH disabled")
    current.migration_disabled += 1
    current.softirq_disable_cnt = SOFTIRQ_DISABLE_OFFSET


def rt_local_bh_disable() -> None:
    """__local_bh_disable_ip(): the first one of a task takes a lock of the CPU, and the task stays there. Preemption stays on."""
    reached("sound_kernel")
    check("sound_kernel", this_cpu.hardirq_pc == 0, "local_bh_disable() in a hard interrupt")
    if current is not None:  # ksoftirqd has BH disabled anyway
        if current.softirq_disable_cnt == 0:
            first_bh_disable(not this_cpu.irqs_off and this_cpu.preempt_count == 0)
        else:
            current.softirq_disable_cnt += SOFTIRQ_DISABLE_OFFSET


def rt_local_bh_enable() -> None:
    """__local_bh_enable_ip(). What softirqs do here, the task's next system call may do as well (sys_sendmsg)."""
    reached("sound_kernel")
    check("sound_kernel", not this_cpu.irqs_off, "local_bh_enable() with interrupts off")
    if current is not None:
        check("sound_kernel", current.softirq_disable_cnt >= SOFTIRQ_DISABLE_OFFSET, "local_bh_enable() without local_bh_disable()")
        if current.softirq_disable_cnt >= SOFTIRQ_DISABLE_OFFSET:
            current.softirq_disable_cnt -= SOFTIRQ_DISABLE_OFFSET
        if current.softirq_disable_cnt == 0:
            migrate_enable()


@context("softirq", event="softirq")
def softirq_uses_fpu() -> None:
    """A kernel thread in the place of the idle task: ksoftirqd, a threaded interrupt, any other. What comes above a task only wakes it."""
    if current is None and irq_fpu_usable():
        kernel_fpu_begin()
        kernel_fpu_end()


@user(event="softirq")
def send_message() -> None:
    """A system call that has BH disabled for a while, and serves softirqs where that ends: sendmsg(2), say."""
    require(not current.at_enqcmd)
    enter(sys_sendmsg)


@entry("syscall")
def sys_sendmsg() -> None:
    """local_bh_disable(), local_bh_enable() and in it __do_softirq(): in the task's context, preemptible."""
    rt_local_bh_disable()
    current.softirq_disable_cnt = SOFTIRQ_OFFSET
    if irq_fpu_usable():
        kernel_fpu_begin()
        kernel_fpu_end()
    current.softirq_disable_cnt = SOFTIRQ_DISABLE_OFFSET
    rt_local_bh_enable()


# ---- spin locks


@instruction
def rt_mutex_lock(lock: SpinLock) -> None:
    """rtlock_lock(): the task sleeps until nobody holds it."""
    check("sound_kernel", lock.owner is not current, "a spin lock is taken twice by the same task (self-deadlock)")
    wait_until(lock.owner is None and lock.holder is None)
    lock.owner = current


@instruction
def rt_mutex_lock_by_kthread(lock: SpinLock) -> None:
    """rtlock_lock() of ksoftirqd."""
    wait_until(lock.owner is None and lock.holder is None, "spin")
    lock.holder = this_cpu


def rt_spin_lock(lock: SpinLock) -> None:
    """rt_spin_lock(): rcu_read_lock() and migrate_disable() are part of it."""
    rtlock_might_resched()
    if current is None:
        rt_mutex_lock_by_kthread(lock)
    else:
        rt_mutex_lock(lock)
        current.rcu_read_lock_nesting += 1
        migrate_disable()


@instruction
def rt_spin_trylock(lock: SpinLock) -> bool:
    """rt_spin_trylock(): never waits."""
    if lock.owner is not None or lock.holder is not None:
        return False
    if current is None:
        lock.holder = this_cpu
    else:
        lock.owner = current
        current.rcu_read_lock_nesting += 1
        current.migration_disabled += 1
    return True


@instruction
def rt_spin_unlock(lock: SpinLock) -> None:
    """rt_spin_unlock()."""
    reached("sound_kernel")
    if current is None:
        check("sound_kernel", lock.holder is this_cpu, "a spin lock is released by a thread that does not hold it")
        lock.holder = NULL
    else:
        check("sound_kernel", lock.owner is current, "a spin lock is released by a task that does not hold it")
        lock.owner = NULL
        if current.rcu_read_lock_nesting != 0:
            current.rcu_read_lock_nesting -= 1
        if current.migration_disabled != 0:
            current.migration_disabled -= 1


def rt_spin_is_held(lock: SpinLock) -> bool:
    """lockdep_assert_held() of a spin lock."""
    return lock.holder is this_cpu if current is None else lock.owner is current


# ---- code of the kernel around that takes spin locks


def add_device_randomness() -> None:
    """add_device_randomness(): spin_lock_irqsave() leaves interrupts and preemption on, so the hash can be preempted."""
    rtlock_might_resched()
    migrate_disable()
    if maybe():
        blake2s_compress()
    migrate_enable()


def release_task() -> None:
    """release_task(): write_lock_irq(&tasklist_lock) sleeps, and leaves interrupts on."""
    rtlock_might_resched()
    add_device_randomness()


def gp_user_force_sig_segv() -> None:
    """gp_user_force_sig_segv(): force_sig() takes siglock, which sleeps."""
    check("served", not current.entitled, "ENQCMD ends in SIGSEGV although the process is bound")
    rtlock_might_resched()
    force_sig_segv()


@never("sound_kernel", "a task is in user mode, or dead, with BH or migration disabled")
def thread_count_left_over(cpu: Cpu, task: Task) -> bool:
    """The task's counters are balanced when it leaves the kernel."""
    if task.softirq_disable_cnt == 0 and task.migration_disabled == 0:
        return False
    return task.state == TASK_DEAD or (in_user_mode(cpu) and cpu.current is task)
