"""The promises, as predicates over states that must never be true. What a single step can break is a check at the step."""

from __future__ import annotations

from pasidlab.lang.arrivals import EXIT_TO_USER
from pasidlab.lang.declare import each, index, never, pending, stuck
from pasidlab.model.state import MSR_IA32_PASID_VALID, TASK_DEAD, TASK_RUNNING, Cpu, File, Mm, PasidEntry, Task, locks
from pasidlab.model.x86.iommu import pasid_entry


def in_user_mode(cpu: Cpu) -> bool:
    """The CPU executes user instructions."""
    return cpu.hardirq_pc == 0 and cpu.softirq_pc == 0 and cpu.schedule_pc == 0 and cpu.current is not None and cpu.current.pc == 0


def is_open(cpu: Cpu) -> bool:
    """Nothing on this CPU protects the registers: anything that may look at them may do so now."""
    return (
        not cpu.irqs_off and cpu.preempt_count == 0 and cpu.softirq_count == 0
        and cpu.hardirq_pc == 0 and cpu.softirq_pc == 0 and cpu.schedule_pc == 0
    )  # fmt: skip


def holds_copy(cpu: Cpu, task: Task) -> bool:
    """The protocol's rule, whatever fpregs_state_valid() of the kernel under test asks."""
    return cpu.fpregs_owner is task and task.last_cpu is cpu


def image_differs(cpu: Cpu, task: Task) -> bool:
    """Some component in the registers is not what the memory image says it is."""
    user = task.image_user if task.bv_user else 0
    pasid = task.image_pasid if task.bv_pasid else 0
    if task.guest_fpstate:
        user = task.guest_user if task.guest_bv_user else 0
        pasid = task.guest_pasid if task.guest_bv_pasid else 0
    return cpu.user_regs != user or cpu.msr_pasid != pasid


@never("coherent", "TIF_NEED_FPU_LOAD is set and the CPU's registers pass for a copy of the memory image, but differ from it")
def registers_differ_from_memory(cpu: Cpu, task: Task) -> bool:
    """Looked at where the CPU is open: inside fpregs_lock() and with interrupts off, kernel code may be half way."""
    return is_open(cpu) and task.need_fpu_load and holds_copy(cpu, task) and not busy_elsewhere(cpu, task) and image_differs(cpu, task)


def busy_elsewhere(cpu: Cpu, task: Task) -> bool:
    """The task is on another CPU, or being built or traced: what it is half way through there will be settled there."""
    return task.on_cpu and cpu.current is not task


@never("owned", "a task is in user mode but its registers are not its own")
def runs_on_foreign_registers(cpu: Cpu) -> bool:
    """In user mode: TIF_NEED_FPU_LOAD clear, the owner is the task, last_cpu is this CPU."""
    return in_user_mode(cpu) and (cpu.current.need_fpu_load or not holds_copy(cpu, cpu.current))


@never("preserved", "a task in user mode has lost what it had in its registers")
def lost_registers(cpu: Cpu) -> bool:
    """The user component is what the program left there; a PASID once used is still there."""
    return in_user_mode(cpu) and (
        cpu.user_regs != cpu.current.expected_user or (cpu.current.had_pasid and (cpu.msr_pasid & MSR_IA32_PASID_VALID) == 0)
    )


@never("no_leak", "nobody uses an address space any more, but it still has its PASID")
def number_left_behind(mm: Mm) -> bool:
    """Its number is free, or by now somebody else's: a free mm_struct may still say it (v6.3 to v6.7)."""
    if mm.pasid == 0 or not pasid_entry(mm.pasid).allocated or somebody_uses(mm) or somebody_in_kernel():
        return False
    for other in each(Mm):
        if other.pasid == mm.pasid and somebody_uses(other):
            return False
    return True


@never("no_leak", "nobody runs in an address space any more, but its table entry is still there")
def entry_left_behind(entry: PasidEntry) -> bool:
    """The IOMMU would translate through the page tables of nobody, be the device still open on their behalf."""
    return entry.present and not somebody_in_kernel() and not somebody_runs_in(entry.mm)


@never("no_leak", "a PASID is taken, but no address space has it")
def number_without_owner(entry: PasidEntry) -> bool:
    """Nobody can give the number back any more."""
    if not entry.allocated or somebody_in_kernel():
        return False
    for mm in each(Mm):
        if mm.pasid == pasid_number(entry):
            return False
    return True


def somebody_uses(mm: Mm | None) -> bool:
    """Somebody runs in it, or has a device open on its behalf: whatever its counters say."""
    for file in each(File):
        if file.mm is mm and somebody_has(file):
            return True
    return somebody_runs_in(mm)


def somebody_has(file: File) -> bool:
    """A task has it in its file table."""
    for task in each(Task):
        if task.file is file:
            return True
    return False


def somebody_runs_in(mm: Mm | None) -> bool:
    """A task does, or a kernel thread that has borrowed it: its page tables are there."""
    for task in each(Task):
        if task.mm is mm:
            return True
    for cpu in each(Cpu):
        if cpu.kthread_mm is mm:
            return True
    return False


def somebody_in_kernel() -> bool:
    """A task is half way through something that may give up its last use: it is neither dead nor at the gate to user mode."""
    for task in each(Task):
        if task.pc > EXIT_TO_USER and (task.state != TASK_DEAD or task.on_cpu):
            return True
    return False


@never("no_stale", "a PASID that was freed is still in the PASID table, in the IOMMU or in the device")
def freed_but_in_use(entry: PasidEntry) -> bool:
    """A free number is nowhere: not in the table nor cached from it, nor in a descriptor or page request under way."""
    return not entry.allocated and (entry.present or entry.cached or entry.in_flight or entry.page_request)


@never("no_stale", "a PASID that was freed is still in the MSR of a CPU in user mode")
def freed_but_in_msr(cpu: Cpu, entry: PasidEntry) -> bool:
    """Nor may a program be able to use it."""
    return in_user_mode(cpu) and not entry.allocated and cpu.msr_pasid == (MSR_IA32_PASID_VALID | pasid_number(entry))


def pasid_number(entry: PasidEntry) -> int:
    """The PASID of an entry."""
    return index(entry) + 1


@pending("served")
def waits_for_enqcmd(task: Task) -> bool:
    """The task stands at an ENQCMD that faulted although its process was bound, or at an instruction that faulted twice for another reason.

    A task stopped by a tracer waits for that.
    """
    return task.at_enqcmd and (task.entitled or task.at_privileged == 2) and task.state == TASK_RUNNING


@never("sound_kernel", "a task is in user mode, or dead, but still holds iommu_sva_lock")
def lock_left_held(cpu: Cpu) -> bool:
    """lockdep_sys_exit(): nothing is held when a task leaves the kernel."""
    return locks.iommu_sva_lock is not None and (
        locks.iommu_sva_lock.state == TASK_DEAD or (in_user_mode(cpu) and locks.iommu_sva_lock is cpu.current)
    )


@never("sound_kernel", "a task is in user mode with preemption or BH disabled")
def count_left_over(cpu: Cpu) -> bool:
    """The counters are balanced when a task leaves the kernel."""
    return in_user_mode(cpu) and (cpu.preempt_count != 0 or cpu.softirq_count != 0)


@never("sound_kernel", "a task is in user mode inside rcu_read_lock()")
def rcu_left_held(cpu: Cpu) -> bool:
    """lockdep_sys_exit(): nothing is held when a task leaves the kernel, and rcu_read_lock() holds rcu_lock_map."""
    return in_user_mode(cpu) and cpu.current is not None and cpu.current.rcu_read_lock_nesting != 0


@stuck("sound_kernel", "nothing must happen any more, but a task still waits in the kernel (deadlock)")
def deadlock(task: Task) -> bool:
    """A task has a CPU and is in the kernel, but cannot go on; nor must anything else. One stopped for a tracer may wait for ever."""
    for other in each(Task):
        if waits_for_enqcmd(other):
            return False  # an instruction that faulted is repeated
    return task.state == TASK_RUNNING and task.on_cpu and task.pc != 0
