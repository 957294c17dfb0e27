"""The MCS lock: kernel/locking/mcs_spinlock.h of Linux v6.12, with the per-CPU nodes of kernel/locking/qspinlock.c.

A lock is a pointer to the last node of a queue. Each waiter spins on ``locked`` of its own node.

- mcs_spin_lock() makes its node ready, puts it at the end by xchg(), and links it behind the one that was there.
- mcs_spin_unlock() takes the lock out of the way by cmpxchg() if its node is still the last. Otherwise somebody has exchanged the pointer
  and not yet linked its node: it waits for ``next``, and hands the lock to it.
- Nodes are per CPU, one for each context that may nest (qnodes[], MAX_NODES is 4: task, softirq, hard interrupt, NMI). ``count`` of the
  first says how many are in use. queued_spin_lock_slowpath() increments it before it makes the node ready: "If the compiler is kind
  enough to reorder these stores, then an IRQ could overwrite our assignments."

Tasks take the lock with interrupts on; a hard interrupt's handler takes a lock that nobody else wants. So two nodes a CPU are enough.
Memory is sequentially consistent here: smp_store_release() and the barriers of the kernel are not put to the test.
"""

from __future__ import annotations

from typing import Annotated

from pasidlab.declare import (
    NULL, CpuContext, Range, TaskContext, at, check, context, each, enter, entry, event, exit_to_user, index, initial, instruction,
    local_irq_disable, model, pending, preempt_disable, preempt_enable, reached, singleton, size, struct, this_cpu, user, wait_until,
)  # fmt: skip

model(
    sizes={"cpus": 2},
    events={"hardirq": "an interrupt whose handler takes a lock of its own"},
    mistakes={
        "late_init": "mcs_spin_lock() clears node->next after the exchange",
        "no_cmpxchg": "mcs_spin_unlock() stores NULL where it saw nobody behind it",
        "no_wait": "mcs_spin_unlock() returns where the exchange fails, without waiting for node->next",
        "late_count": "the node is made ready before count says that it is in use",
    },
)

CPUS = size("cpus")
Nested = Annotated[int, Range(0, 2)]


@struct(count=CPUS, symmetric=True)
class Cpu(CpuContext):
    """A CPU with a task of its own, its nodes, and how many of them are in use."""

    current: Task = NULL
    node0: Node = NULL
    node1: Node = NULL
    count: Nested = 0


@struct(count=CPUS, symmetric=True)
class Task(TaskContext):
    """A thread that makes system calls."""


@struct(count=2 * CPUS, symmetric=True)
class Node:
    """struct mcs_spinlock; ``waits`` is for the property alone."""

    next: Node = NULL
    locked: bool = False
    waits: bool = False


@struct(count=1)
class Lock:
    """A pointer to the last node; ``holder`` is for the property alone."""

    tail: Node = NULL
    holder: Cpu = NULL


lock = singleton(Lock)


@initial
def boot() -> None:
    """Every CPU runs its task in user mode."""
    for cpu in each(Cpu):
        cpu.current = at(Task, index(cpu))
        cpu.current.on_cpu = True
        cpu.node0 = at(Node, 2 * index(cpu))
        cpu.node1 = at(Node, 2 * index(cpu) + 1)


def work_is_waiting() -> bool:
    """No CPU is ever idle."""
    return False


# ---- kernel/locking/qspinlock.c: nodes


@instruction
def grab_mcs_node(idx: Nested) -> Node:
    """&qnodes[idx].mcs of this CPU."""
    return this_cpu.node0 if idx == 0 else this_cpu.node1


@instruction
def count_inc() -> Nested:
    """node->count++: an interrupt in the middle of it leaves the number as it was."""
    idx = this_cpu.count
    this_cpu.count = idx + 1
    return idx


@instruction
def count_dec() -> None:
    """__this_cpu_dec(qnodes[0].mcs.count)."""
    this_cpu.count -= 1


# ---- kernel/locking/mcs_spinlock.h


@instruction
def xchg(node: Node) -> Node | None:
    """xchg(lock, node)."""
    prev = lock.tail
    lock.tail = node
    return prev


@instruction
def cmpxchg_release(node: Node) -> bool:
    """cmpxchg_release(lock, node, NULL) == node."""
    if lock.tail is not node:
        return False
    lock.tail = NULL
    return True


def mcs_spin_lock(node: Node) -> None:
    """Queue up, and wait for the lock to be handed over."""
    node.locked = False
    if not event("late_init"):
        node.next = NULL
    prev = xchg(node)
    if event("late_init"):
        node.next = NULL
    if prev is None:
        return
    node.waits = True
    prev.next = node
    wait_until(node.locked, "spin")
    node.waits = False


def mcs_spin_unlock(node: Node) -> None:
    """Hand the lock to the next in the queue, if there is one."""
    following = node.next
    if following is None:
        if event("no_cmpxchg"):
            lock.tail = NULL
            return
        if cmpxchg_release(node) or event("no_wait"):
            return
        node.waits = True
        wait_until(node.next is not None, "spin")
        node.waits = False
        following = node.next
    following.locked = True


# ---- who uses it


def locked_section() -> None:
    """A node, the lock, what it protects, and back."""
    if event("late_count"):
        node = grab_mcs_node(this_cpu.count)
        mcs_spin_lock(node)
        count_inc()
    else:
        node = grab_mcs_node(count_inc())
        mcs_spin_lock(node)
    reached("mutex")
    reached("progress")
    check("mutex", lock.holder is None, "two are in the critical section")
    lock.holder = this_cpu
    lock.holder = NULL
    mcs_spin_unlock(node)
    count_dec()


@user()
def sys_call() -> None:
    """A task goes into the kernel."""
    enter(do_work)


@entry("syscall")
def do_work() -> None:
    """spin_lock(), critical section, spin_unlock(): no handler takes this lock."""
    preempt_disable()
    locked_section()
    preempt_enable()


@exit_to_user
def leave() -> None:
    """Back to user mode, with interrupts off until there."""
    local_irq_disable()


@context("hardirq", event="hardirq")
def handler() -> None:
    """The handler's lock is free: of all that it does, only what it does to a node matters here. Interrupts are off in it."""
    node = grab_mcs_node(count_inc())
    node.locked = False
    node.next = NULL
    count_dec()


# ---- properties


@pending("progress")
def waits(node: Node) -> bool:
    """Whoever waits, for the lock or for the one behind, goes on some time."""
    return node.waits
