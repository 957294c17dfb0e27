"""Kernel functions with one mistake in each: what is wrong, the scope that shows it, the promise it breaks.

The source replaces kernel functions by name; it is appended to the design's own file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pasidlab.designs import BUILT_IN
from pasidlab.model.scope import Scope


@dataclass(frozen=True)
class Mutant:
    """One mistake."""

    name: str
    broken: str  # the property that must catch it
    scope: Scope
    source: str
    design: str = "early"

    def text(self) -> str:
        """The design with the mistake."""
        return BUILT_IN[self.design].path.read_text(encoding="utf-8") + "\n\n" + self.source


def scope(events: str, *, cpus: int = 1, tasks: int = 1, mms: int = 1) -> Scope:
    return Scope(cpus=cpus, tasks=tasks, mms=mms, pasids=mms, events=frozenset(events.split()))


SWITCH = scope("preempt migrate softirq", cpus=2)
INTERRUPTS = scope("preempt hardirq softirq")
FORK = scope("preempt fork exit", tasks=2, mms=2)
LIFE = scope("preempt migrate exec exit", cpus=2, mms=2)
SIGNAL = scope("preempt migrate softirq signal fault", cpus=2)
KVM = scope("preempt migrate softirq kvm", cpus=2)
TRACE = scope("preempt migrate ptrace", cpus=2, tasks=2)
BIND = scope("preempt bind unbind exit exec device", mms=2)
KIN = scope("fork unbind exit", tasks=2, mms=2)
HEIRS = scope("preempt fork write device", tasks=2, mms=2)

MUTANTS = (
    Mutant("fork_keeps_last_cpu", "coherent", scope("preempt migrate clone exit", cpus=2, tasks=2), '''
def fpu_clone(child: Task) -> None:
    """Without last_cpu = -1: the child's image passes for what the CPU still holds."""
    child.guest_fpstate = False
    child.need_fpu_load = True
    fpregs_lock()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    save_fpregs_to_fpstate(child)
    fpregs_unlock()
    child.bv_pasid = False
'''),
    Mutant("fork_keeps_pasid", "refused", FORK, '''
def fpu_clone(child: Task) -> None:
    """The child's image keeps the PASID component."""
    child.last_cpu = NULL
    child.guest_fpstate = False
    child.need_fpu_load = True
    fpregs_lock()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    save_fpregs_to_fpstate(child)
    fpregs_unlock()
'''),
    Mutant("fork_without_need_load", "owned", FORK, '''
def fpu_clone(child: Task) -> None:
    """The child starts with TIF_NEED_FPU_LOAD as the parent had it, and the switch does not set it."""
    child.last_cpu = NULL
    child.guest_fpstate = False
    child.need_fpu_load = False
    fpregs_lock()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    save_fpregs_to_fpstate(child)
    fpregs_unlock()
    child.bv_pasid = False


def switch_fpu_finish(task: Task) -> None:
    """Only a task that was switched out before."""
    if task.last_cpu is not None:
        task.need_fpu_load = True
'''),
    Mutant("kernel_fpu_begin_without_invalidation", "coherent", SWITCH, '''
def kernel_fpu_begin() -> None:
    """The owner stays."""
    preempt_disable()
    warn_on_once(not irq_fpu_usable())
    this_cpu.in_kernel_fpu = True
    if not is_kthread(current) and not test_need_fpu_load(current):
        current.need_fpu_load = True
        save_fpregs_to_fpstate(current)
    use_kernel_fpu()
'''),
    Mutant("kernel_fpu_begin_without_save", "preserved", SWITCH, '''
def kernel_fpu_begin() -> None:
    """The registers are lost."""
    preempt_disable()
    warn_on_once(not irq_fpu_usable())
    this_cpu.in_kernel_fpu = True
    if not is_kthread(current) and not test_need_fpu_load(current):
        current.need_fpu_load = True
    __cpu_invalidate_fpregs_state()
    use_kernel_fpu()
'''),
    Mutant("kernel_fpu_begin_without_need_load", "owned", SWITCH, '''
def kernel_fpu_begin() -> None:
    """Saved, but nothing says that they must be loaded again."""
    preempt_disable()
    warn_on_once(not irq_fpu_usable())
    this_cpu.in_kernel_fpu = True
    if not is_kthread(current) and not test_need_fpu_load(current):
        save_fpregs_to_fpstate(current)
    __cpu_invalidate_fpregs_state()
    use_kernel_fpu()
'''),
    Mutant("kernel_fpu_begin_without_flag", "sound_kernel", INTERRUPTS, '''
def kernel_fpu_begin() -> None:
    """in_kernel_fpu is not set."""
    preempt_disable()
    warn_on_once(not irq_fpu_usable())
    if not is_kthread(current) and not test_need_fpu_load(current):
        current.need_fpu_load = True
        save_fpregs_to_fpstate(current)
    __cpu_invalidate_fpregs_state()
    use_kernel_fpu()
'''),
    Mutant("kernel_fpu_end_without_preempt_enable", "sound_kernel", replace(SWITCH, bounds={"softirq": 3}), '''
def kernel_fpu_end() -> None:
    """preempt_count stays."""
    warn_on_once(not this_cpu.in_kernel_fpu)
    this_cpu.in_kernel_fpu = False
'''),
    Mutant("exec_keeps_registers_valid", "preserved", LIFE, '''
def fpu_reset_fpregs() -> None:
    """Without last_cpu = -1: the old program's registers pass for the new image."""
    fpregs_lock()
    reset_header(current)
    current.need_fpu_load = True
    fpregs_unlock()
'''),
    Mutant("exec_keeps_image", "preserved", LIFE, '''
def fpu_reset_fpregs() -> None:
    """The image of the old program stays."""
    fpregs_lock()
    __fpu_invalidate_fpregs_state(current)
    current.need_fpu_load = True
    fpregs_unlock()
'''),
    Mutant("exec_without_flush", "refused", scope("preempt exec bind", mms=2), '''
def flush_thread() -> None:
    """The new program starts with the registers of the old one."""
'''),
    Mutant("exec_resets_user_components_only", "refused", scope("preempt exec bind", mms=2), '''
def reset_header(task: Task) -> None:
    """XSTATE_BV keeps the PASID."""
    task.bv_user = False
'''),
    Mutant("switch_without_save", "preserved", SWITCH, '''
def switch_fpu_prepare(prev: Task) -> None:
    """The image stays old."""
    if not is_kthread(prev):
        prev.last_cpu = this_cpu
'''),
    Mutant("switch_without_need_load", "owned", SWITCH, '''
def switch_fpu_finish(task: Task) -> None:
    """TIF_NEED_FPU_LOAD stays clear."""
'''),
    Mutant("restore_without_owner", "sound_kernel", SWITCH, '''
def fpregs_restore_userregs() -> None:
    """The registers are loaded, but the CPU does not know whose they are."""
    warn_on_once(is_kthread(current))
    if not fpregs_state_valid(current, this_cpu):
        restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
        current.last_cpu = this_cpu
    current.need_fpu_load = False
'''),
    Mutant("restore_without_last_cpu", "sound_kernel", SWITCH, '''
def fpregs_restore_userregs() -> None:
    """last_cpu stays where the task was before."""
    warn_on_once(is_kthread(current))
    if not fpregs_state_valid(current, this_cpu):
        restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
        fpregs_activate(current)
    current.need_fpu_load = False
'''),
    Mutant("restore_without_clearing_need_load", "owned", SWITCH, '''
def fpregs_restore_userregs() -> None:
    """TIF_NEED_FPU_LOAD stays set."""
    warn_on_once(is_kthread(current))
    if not fpregs_state_valid(current, this_cpu):
        restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
        fpregs_activate(current)
        current.last_cpu = this_cpu
'''),
    Mutant("restore_without_load", "preserved", SWITCH, '''
def restore_fpregs_from_fpstate(task: Task, mask: int) -> None:
    """Nothing is loaded."""
'''),
    Mutant("valid_by_owner_alone", "preserved", SWITCH, '''
def fpregs_state_valid(task: Task, cpu: Cpu) -> bool:
    """last_cpu is not asked: the task may have run elsewhere since."""
    return cpu.fpregs_owner is task
'''),
    Mutant("valid_by_last_cpu_alone", "preserved", SWITCH, '''
def fpregs_state_valid(task: Task, cpu: Cpu) -> bool:
    """The owner is not asked: somebody else may have used the registers since."""
    return task.last_cpu is cpu
'''),
    Mutant("return_without_restore", "owned", SWITCH, '''
def switch_fpu_return() -> None:
    """To user mode with whatever the registers hold."""
'''),
    Mutant("irq_fpu_usable_of_v5_17", "preserved", scope("preempt hardirq signal"), '''
def irq_fpu_usable() -> bool:
    """Before 59f5ede3bc0f: a hard interrupt did not ask whether it had come into fpregs_lock()."""
    return not this_cpu.in_kernel_fpu
'''),
    Mutant("irq_fpu_always_usable", "preserved", INTERRUPTS, '''
def irq_fpu_usable() -> bool:
    """in_kernel_fpu is not asked."""
    return True
'''),
    Mutant("fpregs_lock_is_nothing", "preserved", scope("preempt softirq signal"), '''
def fpregs_lock() -> None:
    """Neither BH nor preemption is disabled."""


def fpregs_unlock() -> None:
    """Likewise."""
'''),
    Mutant("fpregs_unlock_missing", "sound_kernel", FORK, '''
def fpregs_unlock() -> None:
    """BH stays disabled."""
'''),
    Mutant("sigframe_without_restore", "preserved", scope("preempt migrate signal", cpus=2), '''
def copy_fpstate_to_sigframe() -> None:
    """TIF_NEED_FPU_LOAD is not asked: after a preemption the registers are somebody else's."""
    fpregs_lock()
    xsave_to_user_sigframe()
    fpregs_unlock()
'''),
    Mutant("sigframe_of_old_image", "preserved", scope("preempt softirq signal"), '''
def xsave_to_user_sigframe() -> None:
    """The frame is copied from the image, which is old while the registers are the truth."""
    frame_user = current.image_user if current.bv_user else INIT
    check("preserved", frame_user == current.expected_user, "a signal frame is given registers the task did not have")
    current.frame_user = frame_user
'''),
    Mutant("sigreturn_fast_path_keeps_owner", "coherent", SIGNAL, '''
def restore_fpregs_from_user() -> bool:
    """A faulting XRSTOR may have changed the registers, but they still pass for the image's copy."""
    while True:
        fpregs_lock()
        outcome = xrstor_from_user_sigframe()
        if outcome != RESTORED:
            fpregs_unlock()
            if outcome == BAD_FRAME:
                return False
            fault_in_user_page()
        else:
            if current.need_fpu_load:
                restore_fpregs_from_fpstate(current, XFEATURE_MASK_PASID)
            fpregs_mark_activate()
            fpregs_unlock()
            return True
'''),
    Mutant("sigreturn_slow_path_keeps_owner", "coherent", SIGNAL, '''
def restore_slow_path() -> bool:
    """The image is edited while the registers pass for its copy."""
    fpregs_lock()
    if not current.need_fpu_load:
        xsaves(current, XFEATURE_MASK_FPSTATE)
        current.need_fpu_load = True
    fpregs_unlock()
    if event("fault") and maybe():
        return False
    copy_uabi_to_xstate(current, current.frame_user)
    fpregs_lock()
    restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
    fpregs_mark_activate()
    fpregs_unlock()
    return True
'''),
    Mutant("sigreturn_slow_path_without_restore_of_pasid", "preserved", SIGNAL, '''
def copy_uabi_to_xstate(task: Task, value: int) -> None:
    """XSTATE_BV of the frame replaces the image's: the PASID is lost."""
    task.bv_user = value != INIT
    task.bv_pasid = False
    if value != INIT:
        task.image_user = value
'''),
    Mutant("clear_user_states_clears_supervisor", "preserved", SIGNAL, '''
def init_user_regs() -> None:
    """The PASID goes too."""
    this_cpu.user_regs = INIT
    this_cpu.msr_pasid = 0
'''),
    Mutant("clear_user_states_without_restore_of_pasid", "preserved", SIGNAL, '''
def fpu__clear_user_states() -> None:
    """Supervisor components stay whatever the registers hold."""
    fpregs_lock()
    init_user_regs()
    fpregs_mark_activate()
    fpregs_unlock()
'''),
    Mutant("mark_activate_without_owner", "sound_kernel", SIGNAL, '''
def fpregs_mark_activate() -> None:
    """The CPU does not know whose registers it holds."""
    current.last_cpu = this_cpu
    current.need_fpu_load = False
'''),
    Mutant("kvm_swap_without_save", "preserved", KVM, '''
def fpu_swap_kvm_fpstate(enter_guest: bool) -> None:
    """What was live is lost."""
    fpregs_lock()
    current.guest_fpstate = enter_guest
    restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
    fpregs_mark_activate()
    fpregs_unlock()
'''),
    Mutant("kvm_swap_without_restore", "preserved", KVM, '''
def fpu_swap_kvm_fpstate(enter_guest: bool) -> None:
    """The guest's registers stay."""
    fpregs_lock()
    if not current.need_fpu_load:
        save_fpregs_to_fpstate(current)
    current.guest_fpstate = enter_guest
    fpregs_mark_activate()
    fpregs_unlock()
'''),
    Mutant("kvm_swap_without_mark", "coherent", KVM, '''
def fpu_swap_kvm_fpstate(enter_guest: bool) -> None:
    """TIF_NEED_FPU_LOAD and the owner stay as they were."""
    fpregs_lock()
    if not current.need_fpu_load:
        save_fpregs_to_fpstate(current)
    current.guest_fpstate = enter_guest
    restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
    fpregs_unlock()
'''),
    Mutant("kvm_run_without_reload", "coherent", KVM, '''
def vcpu_enter_guest() -> None:
    """The guest runs on registers that may be somebody else's."""
    local_irq_disable()
    guest_runs()
    local_irq_enable()
'''),
    Mutant("ptrace_without_force_restore", "preserved", TRACE, '''
def fpu_force_restore(target: Task) -> None:
    """A CPU that still holds the old registers will not load the new ones."""
'''),
    Mutant("pasid_dropped_at_mmput", "no_stale", BIND, '''
def mmput(mm: Mm) -> None:
    """mm_pasid_drop() in __mmput(): the device still works for the number."""
    if atomic_dec_and_test_mm_users(mm):
        mm.portal = False
        intel_mm_release(mm)
        if mm.pasid != 0:
            mm_pasid_drop(mm)
        mmdrop(mm)
'''),
    Mutant("pasid_never_dropped", "no_leak", BIND, '''
def mm_pasid_drop(mm: Mm) -> None:
    """The number stays taken."""
'''),
    Mutant("pasid_dropped_at_unbind", "no_stale", BIND, '''
def iommu_sva_unbind_device(mm: Mm, pasid: int) -> None:
    """Before v5.18: the last unbind frees the number, the MSR still has it."""
    mutex_lock_sva()
    pasid_unbound(mm)
    if detach_device_pasid(pasid):
        intel_iommu_drain_pasid_prq(pasid)
        mm_pasid_drop(mm)
        mmdrop(mm)
    mutex_unlock_sva()
'''),
    Mutant("release_without_drain", "no_stale", BIND, '''
def idxd_device_drain_pasid(pasid: int) -> None:
    """Descriptors stay in the device."""
'''),
    Mutant("unbind_without_tear_down", "no_stale", BIND, '''
def detach_device_pasid(pasid: int) -> bool:
    """The table entry stays present."""
    pasid_entry(pasid).users -= 1
    return pasid_entry(pasid).users == 0


def intel_mm_release(mm: Mm) -> None:
    """Nor does the notifier clear it."""
'''),
    Mutant("fork_child_inherits_pasid_number", "isolated", scope("preempt fork", tasks=2, mms=2), '''
def dup_mm() -> Mm | None:
    """Before a6cbd44093ef: the copy of the mm has the number of the original, and no bond of its own."""
    mm = mm_init()
    if mm is not None:
        mm.pasid = current.mm.pasid
        mm.portal = current.mm.portal
    return mm
'''),
    Mutant("unbind_keeps_the_mm", "no_leak", BIND, '''
def iommu_sva_unbind_device(mm: Mm, pasid: int) -> None:
    """mmdrop() is missing: nobody uses the mm any more, but it never ends."""
    mutex_lock_sva()
    pasid_unbound(mm)
    if detach_device_pasid(pasid):
        intel_iommu_drain_pasid_prq(pasid)
    mutex_unlock_sva()
'''),
    Mutant("exit_keeps_the_mm", "no_leak", BIND, '''
def exit_mm() -> None:
    """mmput() is missing."""
    deactivate_mm(current.mm)
    current.mm = NULL
'''),
    Mutant("tear_down_without_flush", "no_stale", BIND, '''
def intel_pasid_tear_down_entry(pasid: int, fault_ignore: bool) -> None:
    """The PASID cache and the IOTLB keep what they hold."""
    entry = pasid_entry(pasid)
    entry.present = False
    entry.mm = NULL
    entry.fault_disabled = fault_ignore
'''),
    Mutant("sva_lock_not_released", "sound_kernel", BIND, '''
def mutex_unlock_sva() -> None:
    """Nobody gets it any more."""
'''),
    Mutant("sva_lock_under_fpregs_lock", "sound_kernel", BIND, '''
def iommu_sva_bind_device(mm: Mm) -> None:
    """A mutex is taken with BH disabled."""
    fpregs_lock()
    mutex_lock_sva()
    iommu_alloc_mm_data(mm)
    attach_device_pasid(mm, mm.pasid)
    mutex_unlock_sva()
    fpregs_unlock()
'''),
    Mutant("number_forgotten_not_freed", "no_leak", scope("bind unbind exit"), '''
def mm_pasid_drop(mm: Mm) -> None:
    """The mm has no number any more, but the number stays taken."""
    mm.pasid = 0
'''),
    Mutant("release_keeps_the_entry", "no_leak", KIN, '''
def intel_mm_release(mm: Mm) -> None:
    """A child has inherited the open device: the entry still maps the page tables of the parent, who is gone."""
'''),
    Mutant("sva_lock_taken_twice", "sound_kernel", BIND, '''
def iommu_alloc_mm_data(mm: Mm) -> None:
    """Takes the lock its caller holds."""
    mutex_lock_sva()
    if mm.pasid == 0:
        mm.pasid = iommu_alloc_global_pasid()
    mutex_unlock_sva()
'''),
    Mutant("sva_lock_released_twice", "sound_kernel", BIND, '''
def pasid_bound(mm: Mm) -> None:
    """The lock is no longer held."""
    mutex_unlock_sva()
'''),
    Mutant("sva_lock_held_to_user_mode", "sound_kernel", scope("bind"), '''
def iommu_sva_bind_device(mm: Mm) -> None:
    """mutex_unlock() is missing on the way out."""
    mutex_lock_sva()
    iommu_alloc_mm_data(mm)
    attach_device_pasid(mm, mm.pasid)
'''),
    Mutant("a_child_writes_to_the_file", "isolated", HEIRS, '''
def write_descriptor() -> None:
    """Without the comparison of current->mm with ctx->mm."""
    if current.file is not None:
        idxd_submit_user_descriptor(current.file)
'''),
    Mutant("a_child_maps_the_portal", "isolated", HEIRS, '''
def idxd_cdev_mmap(ctx: File) -> None:
    """Without the comparison of current->mm with ctx->mm."""
    check("isolated", current.mm is ctx.mm, "the portal of a queue is mapped into another process than the one whose PASID it has")
    current.mm.portal = True
'''),
    Mutant("preemption_left_disabled", "sound_kernel", scope("exec", mms=2), '''
def fpu_flush_thread() -> None:
    """preempt_enable() is missing."""
    preempt_disable()
    fpu_reset_fpregs()
'''),
    Mutant("preemption_enabled_too_often", "sound_kernel", scope("exit"), '''
def fpu__drop() -> None:
    """preempt_disable() is missing."""
    fpregs_deactivate(current)
    preempt_enable()
'''),
    Mutant("close_leaves_the_bond", "no_leak", scope("bind unbind"), '''
def detach_device_pasid(pasid: int) -> bool:
    """The attach handle keeps its user: the next open finds one too many."""
    return False
'''),
    Mutant("softirq_sleeps", "sound_kernel", scope("softirq"), '''
def softirq_uses_fpu() -> None:
    """BH is disabled."""
    might_sleep()
'''),
    Mutant("hard_interrupt_sleeps", "sound_kernel", scope("hardirq"), '''
def hardirq_uses_fpu() -> None:
    """Interrupts are disabled."""
    might_sleep()
'''),
    Mutant("fpregs_lock_in_an_ipi", "sound_kernel", scope("ipi bind", cpus=2, tasks=2), '''
def queue_pasid_work_ipi() -> None:
    """local_bh_enable() is not for hard interrupts."""
    fpregs_lock()
    fpregs_unlock()
    this_cpu.ipi_pending = False
''', "task-work"),
    Mutant("system_call_leaves_interrupts_off", "sound_kernel", scope("clone", tasks=2), '''
def add_device_randomness() -> None:
    """spin_unlock_irqrestore() is missing."""
    local_irq_disable()
'''),
    Mutant("page_fault_in_the_exit_loop_with_interrupts_off", "sound_kernel", scope("signal fault"), '''
def exit_to_user_mode_prepare() -> None:
    """exit_to_user_mode_loop() without local_irq_enable_exit_to_user()."""
    local_irq_disable()
    while exit_to_user_mode_work():
        exit_to_user_mode_loop()
    arch_exit_to_user_mode_prepare()
'''),
    Mutant("page_fault_under_fpregs_lock", "sound_kernel", scope("signal fault"), '''
def copy_fpstate_to_sigframe() -> None:
    """The page is faulted in before the lock is given up."""
    fpregs_lock()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    if happens("fault"):
        fault_in_user_page()
    xsave_to_user_sigframe()
    fpregs_unlock()
'''),
    Mutant("fpregs_unlock_with_interrupts_off", "sound_kernel", scope("preempt"), '''
def try_fixup_enqcmd_gp() -> bool:
    """fpregs_lock() is not for the early portion of #GP: local_bh_enable() runs softirqs."""
    if not mm_valid_pasid(current.mm) or (rdmsr_pasid() & MSR_IA32_PASID_VALID) != 0:
        return False
    fpregs_lock()
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    fpregs_unlock()
    return True
''', "early-read"),
    Mutant("restored_without_a_claim", "preserved", replace(SWITCH, bounds={"softirq": 1}), '''
def exc_general_protection() -> None:
    """Whoever lost the registers before loads them, but does not say that they are there."""
    local_irq_enable()
    if not mm_valid_pasid(current.mm) or (rdmsr_pasid() & MSR_IA32_PASID_VALID) != 0:
        gp_user_force_sig_segv()
        return
    fpregs_lock()
    if current.need_fpu_load:
        restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
        current.need_fpu_load = False
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    fpregs_unlock()
'''),
    Mutant("random_driver_does_not_ask", "preserved", scope("preempt clone hardirq", tasks=2), '''
def kernel_fpu_begin() -> None:
    """kernel_clone() and release_task() get here through the random driver: the registers are lost."""
    preempt_disable()
    this_cpu.in_kernel_fpu = True
    if not is_kthread(current):
        current.need_fpu_load = True
    __cpu_invalidate_fpregs_state()
    use_kernel_fpu()
'''),
    Mutant("early_without_valid_bit", "served", SWITCH, '''
def try_fixup_enqcmd_gp() -> bool:
    """The number alone."""
    if not mm_valid_pasid(current.mm) or current.pasid_activated:
        return False
    wrmsr_pasid(current.mm.pasid)
    current.pasid_activated = True
    return True
'''),
    Mutant("early_read_without_valid_bit", "served", SWITCH, '''
def try_fixup_enqcmd_gp() -> bool:
    """The number alone: it is never found valid, so every fault is fixed up again."""
    if not mm_valid_pasid(current.mm):
        return False
    wrmsr_pasid(current.mm.pasid)
    return True
''', "early-read"),
    Mutant("early_never_asks_whether_it_was_fixed_up", "served", scope("preempt gp"), '''
def try_fixup_enqcmd_gp() -> bool:
    """A fault that no PASID mends is fixed up for ever."""
    if not mm_valid_pasid(current.mm):
        return False
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    return True
'''),
    Mutant("no_signal_for_a_fault", "served", scope("preempt gp"), '''
def gp_user_force_sig_segv() -> None:
    """What is not fixed up is executed again."""
    check("served", not current.entitled, "ENQCMD ends in SIGSEGV although the process is bound")
'''),
    Mutant("early_after_interrupts_are_enabled", "served", SWITCH, '''
def lockdep_assert_irqs_disabled() -> None:
    """Silent here."""


def exc_general_protection() -> None:
    """The fix-up comes after cond_local_irq_enable()."""
    local_irq_enable()
    if try_fixup_enqcmd_gp():
        return
    gp_user_force_sig_segv()
'''),
    Mutant("early_after_interrupts_are_enabled_with_lockdep", "sound_kernel", SWITCH, '''
def exc_general_protection() -> None:
    """The fix-up comes after cond_local_irq_enable(): lockdep says so."""
    local_irq_enable()
    if try_fixup_enqcmd_gp():
        return
    gp_user_force_sig_segv()
'''),
    Mutant("early_without_flag_reset_at_fork", "served", scope("preempt clone", tasks=2), '''
def dup_task_struct(child: Task) -> None:
    """The thread inherits pasid_activated, but not the register."""
    child.last_cpu = current.last_cpu
    child.need_fpu_load = current.need_fpu_load
    child.pasid_activated = current.pasid_activated
    child.expected_user = current.expected_user
    child.had_pasid = False
    child.at_enqcmd = False
    child.image_user = 0
    child.image_pasid = 0
    child.cpu = NULL
'''),
    Mutant("early_for_processes_without_pasid", "refused", scope("preempt bind"), '''
def try_fixup_enqcmd_gp() -> bool:
    """Nobody asks whether the process has a PASID."""
    if current.pasid_activated:
        return False
    wrmsr_pasid(1 | MSR_IA32_PASID_VALID)
    current.pasid_activated = True
    return True
'''),
    Mutant("switch_without_release", "sound_kernel", scope("preempt"), '''
def schedule() -> None:
    """finish_task() is missing: on_cpu stays set, nobody can run the task again."""
    prev = current
    task = pick_next_task()
    if prev is not None and not prev.need_fpu_load:
        switch_fpu_prepare(prev)
    set_current(task)
    if task is not None:
        switch_fpu_finish(task)
'''),
)  # fmt: skip

HARMLESS = (
    Mutant("switch_without_last_cpu", "", SWITCH, '''
def switch_fpu_prepare(prev: Task) -> None:
    """Whatever made the registers live has set last_cpu to this CPU already."""
    if not is_kthread(prev):
        save_fpregs_to_fpstate(prev)
'''),
)  # fmt: skip
"""Changes that break nothing: the line is redundant in this protocol, or the model sees too little of it."""
