"""The FPU ownership protocol: arch/x86/kernel/fpu/{core.c,context.h}, asm/fpu/{api,sched}.h of v6.12.

TIF_NEED_FPU_LOAD clear: the registers are the only truth. Set: the memory image is; the registers may hold an identical copy,
which is so if fpregs_state_valid().
"""

from __future__ import annotations

from pasidlab.lang.declare import (
    NULL,
    check,
    instruction,
    local_bh_disable,
    local_bh_enable,
    preempt_disable,
    preempt_enable,
    reached,
)
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.locks import is_kthread, lockdep_assert_irqs_enabled, warn_on_once
from pasidlab.model.linux.tracepoints import (
    trace_call_fpregs_lock_and_load,
    trace_call_fpregs_mark_activate,
    trace_call_fpu__clear_user_states,
    trace_call_fpu__drop,
    trace_call_fpu_clone,
    trace_call_fpu_flush_thread,
    trace_call_fpu_sync_fpstate,
    trace_call_kernel_fpu_begin_mask,
    trace_call_kernel_fpu_end,
    trace_call_switch_fpu_return,
    trace_x86_fpu_after_save,
    trace_x86_fpu_before_save,
    trace_x86_fpu_copy_dst,
    trace_x86_fpu_dropped,
    trace_x86_fpu_regs_activated,
    trace_x86_fpu_regs_deactivated,
)
from pasidlab.model.state import INIT, KERNEL_DATA, Cpu, Task
from pasidlab.model.x86.cpu import XFEATURE_MASK_FPSTATE, XFEATURE_MASK_PASID, xrstors, xsaves


def fpregs_lock() -> None:
    """!PREEMPT_RT: BH off, which also forbids preemption; interrupts stay enabled."""
    local_bh_disable()


def fpregs_unlock() -> None:
    """Undoes fpregs_lock(). __local_bh_enable_ip(): not with interrupts off, softirqs may run here."""
    lockdep_assert_irqs_enabled()
    local_bh_enable()


def test_need_fpu_load(task: Task | None) -> bool:
    """test_tsk_thread_flag(task, TIF_NEED_FPU_LOAD); always set for the idle task (switch_fpu_finish)."""
    return task is None or task.need_fpu_load


def fpregs_state_valid(task: Task, cpu: Cpu) -> bool:
    """Whether this CPU's registers still hold what the task's image holds."""
    return cpu.fpregs_owner is task and task.last_cpu is cpu


def fpregs_activate(task: Task) -> None:
    """This CPU's registers now belong to the task."""
    this_cpu.fpregs_owner = task
    trace_x86_fpu_regs_activated(task)


def fpregs_deactivate(task: Task) -> None:
    """This CPU's registers belong to nobody."""
    this_cpu.fpregs_owner = NULL
    trace_x86_fpu_regs_deactivated(task)


def __cpu_invalidate_fpregs_state() -> None:
    """The registers hold nobody's copy."""
    this_cpu.fpregs_owner = NULL


def __fpu_invalidate_fpregs_state(task: Task) -> None:
    """No CPU holds a copy of this task's image."""
    task.last_cpu = NULL


def fpregs_mark_activate() -> None:
    """fpregs_mark_activate(): the registers have become current's only truth; fpregs_lock() is held."""
    trace_call_fpregs_mark_activate()
    fpregs_activate(current)
    current.last_cpu = this_cpu
    current.need_fpu_load = False


def save_fpregs_to_fpstate(task: Task) -> None:
    """save_fpregs_to_fpstate(): XSAVES of everything; the registers keep their contents."""
    xsaves(task, XFEATURE_MASK_FPSTATE)


def restore_fpregs_from_fpstate(task: Task, mask: int) -> None:
    """restore_fpregs_from_fpstate(): XRSTORS of the components in the mask."""
    xrstors(task, mask)


def fpregs_restore_userregs() -> None:
    """fpregs_restore_userregs(): interrupts are off on the way to user mode, else fpregs_lock() is held."""
    warn_on_once(is_kthread(current))
    if not fpregs_state_valid(current, this_cpu):
        restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
        fpregs_activate(current)
        current.last_cpu = this_cpu
        reached("preserved")
    else:
        reached("coherent")
    current.need_fpu_load = False


def switch_fpu_return() -> None:
    """switch_fpu_return(): the last thing before user mode if TIF_NEED_FPU_LOAD is set."""
    trace_call_switch_fpu_return()
    fpregs_restore_userregs()


def fpregs_assert_state_consistent() -> None:
    """CONFIG_X86_DEBUG_FPU: with TIF_NEED_FPU_LOAD clear the registers must be the task's."""
    if not current.need_fpu_load:
        warn_on_once(not fpregs_state_valid(current, this_cpu))


def switch_fpu_prepare(prev: Task) -> None:
    """switch_fpu_prepare(): called from __switch_to() if TIF_NEED_FPU_LOAD is clear. The owner stays: the copy may be found valid later."""
    if not is_kthread(prev):
        save_fpregs_to_fpstate(prev)
        prev.last_cpu = this_cpu
        trace_x86_fpu_regs_deactivated(prev)


def switch_fpu_finish(task: Task) -> None:
    """switch_fpu_finish(): the incoming task loads its registers on the way to user mode."""
    task.need_fpu_load = True


def irq_fpu_usable() -> bool:
    """irq_fpu_usable() since 59f5ede3bc0f (v5.18): in a hard interrupt only outside BH-disabled sections."""
    if this_cpu.in_kernel_fpu:
        return False
    if this_cpu.hardirq_pc == 0:
        return True
    return this_cpu.softirq_count == 0


def kernel_fpu_begin() -> None:
    """kernel_fpu_begin_mask() of v5.13 to v6.15: the flag is set first, then the registers are saved."""
    trace_call_kernel_fpu_begin_mask()
    preempt_disable()
    warn_on_once(not irq_fpu_usable())
    this_cpu.in_kernel_fpu = True
    if not is_kthread(current) and not test_need_fpu_load(current):
        current.need_fpu_load = True
        save_fpregs_to_fpstate(current)
    __cpu_invalidate_fpregs_state()
    use_kernel_fpu()


@instruction
def use_kernel_fpu() -> None:
    """What the kernel computes with the registers; the PASID component is not among them."""
    inside = current is not None and current.computing
    check("preserved", not inside, "kernel code uses the registers in an interrupt, while a system call computes with them")
    this_cpu.user_regs = KERNEL_DATA


def kernel_fpu_end() -> None:
    """kernel_fpu_end()."""
    trace_call_kernel_fpu_end()
    warn_on_once(not this_cpu.in_kernel_fpu)
    this_cpu.in_kernel_fpu = False
    preempt_enable()


def fpregs_lock_and_load() -> None:
    """fpregs_lock_and_load() since v6.6 (user shadow stacks): the registers are the truth, and stay so until fpregs_unlock()."""
    trace_call_fpregs_lock_and_load()
    fpregs_lock()
    if test_need_fpu_load(current):
        fpregs_restore_userregs()


def fpu_sync_fpstate() -> None:
    """fpu_sync_fpstate(): the image of current is brought up to date; the registers stay the truth."""
    trace_call_fpu_sync_fpstate()
    fpregs_lock()
    trace_x86_fpu_before_save(current)
    if not current.need_fpu_load:
        save_fpregs_to_fpstate(current)
    trace_x86_fpu_after_save(current)
    fpregs_unlock()


def fpstate_reset(task: Task) -> None:
    """fpstate_reset(): back to the fpstate inside struct fpu, with default sizes and features."""
    task.guest_fpstate = False


def fpu_clone(child: Task) -> None:
    """fpu_clone(), v6.12: the child gets the parent's registers, without the PASID (dc7507ddce59)."""
    trace_call_fpu_clone()
    child.last_cpu = NULL
    fpstate_reset(child)
    child.need_fpu_load = True
    fpregs_lock()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    save_fpregs_to_fpstate(child)
    fpregs_unlock()
    child.bv_pasid = False
    trace_x86_fpu_copy_dst(child)


def fpu_reset_fpregs() -> None:
    """fpu_reset_fpregs(): the image becomes init_fpstate (legacy area and header only), the registers nobody's copy."""
    fpregs_lock()
    __fpu_invalidate_fpregs_state(current)
    reset_header(current)
    current.need_fpu_load = True
    fpregs_unlock()


@instruction
def reset_header(task: Task) -> None:
    """memcpy() of the init_fpstate header: XSTATE_BV becomes 0, the bytes behind it stay."""
    task.bv_user = False
    task.bv_pasid = False


def fpu_flush_thread() -> None:
    """fpu_flush_thread(): exec."""
    trace_call_fpu_flush_thread()
    fpstate_reset(current)
    fpu_reset_fpregs()


def fpu__drop() -> None:
    """Exit of current."""
    trace_call_fpu__drop()
    preempt_disable()
    fpregs_deactivate(current)
    trace_x86_fpu_dropped(current)
    preempt_enable()


def xfeatures_mask_supervisor() -> int:
    """xfeatures_mask_supervisor(): the supervisor components of this machine. PASID is there, or there were no ENQCMD."""
    return XFEATURE_MASK_PASID


def fpu__clear_user_states() -> None:
    """User components to INIT, PASID kept; for a signal handler, and after a failed restore."""
    trace_call_fpu__clear_user_states()
    fpregs_lock()
    if xfeatures_mask_supervisor() != 0 and not fpregs_state_valid(current, this_cpu):
        restore_fpregs_from_fpstate(current, xfeatures_mask_supervisor())
    init_user_regs()
    fpregs_mark_activate()
    fpregs_unlock()


@instruction
def init_user_regs() -> None:
    """os_xrstor(&init_fpstate, XFEATURE_MASK_USER_RESTORE)."""
    this_cpu.user_regs = INIT


def fpu_idle_fpregs() -> None:
    """fpu_idle_fpregs(): with AMX in use idle gives the registers up."""
    this_cpu.fpregs_owner = NULL


def get_xsave_addr(task: Task) -> Task:
    """get_xsave_addr(xsave, XFEATURE_PASID): where the component lies in the image, NULL while XSTATE_BV says that it is INIT."""
    return task if task.bv_pasid else NULL
