"""The generic ticket lock: include/asm-generic/spinlock.h of Linux v6.12, taken by tasks and by a hard interrupt.

A 32-bit word holds two 16-bit numbers: ``next``, the ticket that the next to come draws, and ``owner``, the one that is served.

- arch_spin_lock() draws by atomic_fetch_add(1<<16) on the whole word: a carry out of ``next`` is lost. Then it waits until ``owner`` is
  its ticket.
- arch_spin_unlock() reads the word, and stores owner + 1 into the low half alone (smp_store_release() of a u16). ``owner`` wraps without
  a carry into ``next``.
- arch_spin_trylock() reads the word, and replaces it by atomic_try_cmpxchg() only if it is still the same.
- spin_lock_irqsave() disables interrupts around it (include/linux/spinlock_api_smp.h, __raw_spin_lock_irqsave()). Documentation/locking/
  spinlocks.rst, "Lesson 3", says why: a handler that spins for a lock which its own CPU holds never gets it.

``tickets`` is how many tickets there are, 65,536 in the kernel. As many may wait as there are CPUs, which wait with interrupts off.
Memory is sequentially consistent here, so the acquire and release of the kernel's accesses are not put to the test.
"""

from __future__ import annotations

from typing import Annotated

from pasidlab.declare import (
    NULL, CpuContext, Range, TaskContext, at, check, context, each, enter, entry, event, exit_to_user, happens, index, initial,
    instruction, local_irq_disable, local_irq_enable, model, pending, preempt_disable, preempt_enable, reached, singleton, size, struct,
    this_cpu, user, wait_until,
)  # fmt: skip

model(
    sizes={"cpus": 2, "tickets": 4},
    events={
        "hardirq": "an interrupt whose handler takes the lock",
        "trylock": "tasks also try spin_trylock()",
    },
    mistakes={
        "no_irqsave": "tasks take the lock with interrupts on",
        "carry": "arch_spin_unlock() adds 1 to the whole word",
        "no_cmpxchg": "arch_spin_trylock() stores what it has computed from the word it read",
    },
)

CPUS = size("cpus")
TICKETS = size("tickets")
Ticket = Annotated[int, Range(0, TICKETS - 1)]
Word = Annotated[int, Range(0, TICKETS)]
LOCKED = TICKETS


@struct(count=CPUS, symmetric=True)
class Cpu(CpuContext):
    """A CPU, with a task of its own."""

    current: Task = NULL
    spins: bool = False


@struct(count=CPUS, symmetric=True)
class Task(TaskContext):
    """A thread that makes system calls."""


@struct(count=1)
class Lock:
    """arch_spinlock_t, and what only the properties know: the CPU in the critical section."""

    owner: Ticket = 0
    next: Ticket = 0
    holder: Cpu = NULL


lock = singleton(Lock)


@initial
def boot() -> None:
    """Every CPU runs its task in user mode."""
    for cpu in each(Cpu):
        cpu.current = at(Task, index(cpu))
        cpu.current.on_cpu = True


def work_is_waiting() -> bool:
    """No CPU is ever idle."""
    return False


# ---- include/asm-generic/spinlock.h


@instruction
def atomic_fetch_add_next() -> Ticket:
    """atomic_fetch_add(1<<16, lock) >> 16."""
    ticket = lock.next
    lock.next = (ticket + 1) % TICKETS
    return ticket


@instruction
def atomic_inc_word() -> None:
    """atomic_inc(lock): a carry out of ``owner`` goes into ``next``."""
    if lock.owner == TICKETS - 1:
        lock.next = (lock.next + 1) % TICKETS
    lock.owner = (lock.owner + 1) % TICKETS


@instruction
def atomic_read_unlocked() -> Word:
    """One atomic_read(lock): the number in both halves, or LOCKED where they differ."""
    return lock.owner if lock.owner == lock.next else LOCKED


@instruction
def atomic_try_cmpxchg(old: Ticket) -> bool:
    """atomic_try_cmpxchg(lock, &old, old + (1<<16)) of a word with the same number in both halves."""
    if lock.owner != old or lock.next != old:
        return False
    lock.next = (old + 1) % TICKETS
    return True


def arch_spin_lock() -> None:
    """Draw a ticket and wait for it."""
    ticket = atomic_fetch_add_next()
    this_cpu.spins = True
    wait_until(lock.owner == ticket, "spin")
    this_cpu.spins = False


def arch_spin_trylock() -> bool:
    """Take the lock if nobody has it."""
    old = atomic_read_unlocked()
    if old == LOCKED:
        return False
    if event("no_cmpxchg"):
        lock.next = (old + 1) % TICKETS
        return True
    return atomic_try_cmpxchg(old)


def arch_spin_unlock() -> None:
    """Serve the next ticket."""
    if event("carry"):
        atomic_inc_word()
    else:
        val = lock.owner
        lock.owner = (val + 1) % TICKETS


# ---- who uses it


def critical_section() -> None:
    """What the lock protects."""
    reached("mutex")
    check("mutex", lock.holder is None, "two are in the critical section")
    lock.holder = this_cpu
    lock.holder = NULL


@user()
def sys_call() -> None:
    """A task goes into the kernel."""
    enter(do_work)


@entry("syscall")
def do_work() -> None:
    """spin_lock_irqsave(), critical section, spin_unlock_irqrestore()."""
    if not event("no_irqsave"):
        local_irq_disable()
    preempt_disable()
    if happens("trylock"):
        if arch_spin_trylock():
            critical_section()
            arch_spin_unlock()
    else:
        arch_spin_lock()
        reached("progress")
        critical_section()
        arch_spin_unlock()
    preempt_enable()
    if not event("no_irqsave"):
        local_irq_enable()


@exit_to_user
def leave() -> None:
    """Back to user mode, with interrupts off until there."""
    local_irq_disable()


@context("hardirq", event="hardirq")
def handler() -> None:
    """spin_lock() of an interrupt handler: interrupts are off in it."""
    arch_spin_lock()
    critical_section()
    arch_spin_unlock()


# ---- properties


@pending("progress")
def spins(cpu: Cpu) -> bool:
    """Whoever draws a ticket is served some time."""
    return cpu.spins
