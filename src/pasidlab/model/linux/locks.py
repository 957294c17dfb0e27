"""Kernel locks and assertions, as far as the model needs them."""

from __future__ import annotations

from pasidlab.lang.declare import NULL, check, instruction, reached, wait_until
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.state import SpinLock, Task, locks


@instruction
def do_raw_spin_lock(lock: SpinLock) -> None:
    """do_raw_spin_lock(), with preemption off: a CPU that waits for itself waits for ever (CONFIG_DEBUG_SPINLOCK: "recursion")."""
    reached("sound_kernel")
    check("sound_kernel", lock.holder is not this_cpu, "a spin lock is taken twice on a CPU (self-deadlock)")
    wait_until(lock.holder is None, "spin")
    lock.holder = this_cpu


@instruction
def do_raw_spin_trylock(lock: SpinLock) -> bool:
    """do_raw_spin_trylock()."""
    if lock.holder is not None:
        return False
    lock.holder = this_cpu
    return True


@instruction
def do_raw_spin_unlock(lock: SpinLock) -> None:
    """do_raw_spin_unlock(): CONFIG_DEBUG_SPINLOCK complains where another CPU holds it, or none."""
    reached("sound_kernel")
    check("sound_kernel", lock.holder is this_cpu, "a spin lock is released by a CPU that does not hold it")
    lock.holder = NULL


@instruction
def mutex_lock_sva() -> None:
    """mutex_lock(&iommu_sva_lock): sleeps until nobody holds it."""
    rcu_sleep_check()
    check("sound_kernel", locks.iommu_sva_lock is not current, "iommu_sva_lock is taken twice by the same task (self-deadlock)")
    wait_until(locks.iommu_sva_lock is None)
    locks.iommu_sva_lock = current


@instruction
def mutex_unlock_sva() -> None:
    """mutex_unlock(&iommu_sva_lock)."""
    check("sound_kernel", locks.iommu_sva_lock is current, "iommu_sva_lock is released by a task that does not hold it")
    locks.iommu_sva_lock = NULL


def warn_on_once(condition: bool) -> None:
    """WARN_ON_ONCE()."""
    reached("sound_kernel")
    check("sound_kernel", not condition, "WARN_ON_ONCE() fires")


def lockdep_assert_irqs_disabled() -> None:
    """lockdep_assert_irqs_disabled()."""
    reached("sound_kernel")
    check("sound_kernel", this_cpu.irqs_off, "lockdep_assert_irqs_disabled() fails")


def lockdep_assert_irqs_enabled() -> None:
    """lockdep_assert_irqs_enabled()."""
    reached("sound_kernel")
    check("sound_kernel", not this_cpu.irqs_off, "lockdep_assert_irqs_enabled() fails")


def might_sleep() -> None:
    """might_sleep(): __might_resched() complains where in_atomic() or irqs_disabled()."""
    check("sound_kernel", not this_cpu.irqs_off, "sleeps in atomic context: interrupts disabled")
    check("sound_kernel", this_cpu.preempt_count == 0, "sleeps in atomic context: preemption disabled")
    check("sound_kernel", this_cpu.softirq_count == 0, "sleeps in atomic context: BH disabled")
    rcu_sleep_check()


def rcu_sleep_check() -> None:
    """What __might_resched() asks of rcu_preempt_depth() (kernel/sched/core.c, v6.12, resched_offsets_ok())."""
    check("sound_kernel", current is None or current.rcu_read_lock_nesting == 0, "sleeps in atomic context: inside rcu_read_lock()")


def rcu_read_lock() -> None:
    """rcu_read_lock() with CONFIG_PREEMPT_RCU: a count of the task (kernel/rcu/tree_plugin.h, v6.12). Grace periods are not modelled."""
    if current is not None:
        current.rcu_read_lock_nesting += 1


def rcu_read_unlock() -> None:
    """rcu_read_unlock(): lockdep complains where nothing is to be unlocked."""
    if current is not None:
        check("sound_kernel", current.rcu_read_lock_nesting != 0, "rcu_read_unlock() without rcu_read_lock()")
        if current.rcu_read_lock_nesting != 0:
            current.rcu_read_lock_nesting -= 1


def is_kthread(task: Task | None) -> bool:
    """task->flags & (PF_KTHREAD | PF_USER_WORKER). The idle task, and a kernel thread running in its place, is no Task here."""
    return task is None
