"""Designs that once were, or easily could be, said to hold: the events that show it, what they break, the source."""

from __future__ import annotations

IMPORTS = """
from pasidlab.declare import context, entry, instruction, local_irq_enable, preempt_disable, preempt_enable, release, require, rule
from pasidlab.kernel import (
    MSR_IA32_PASID_VALID, XFEATURE_MASK_FPSTATE, XFEATURE_MASK_PASID, __fpu_invalidate_fpregs_state, current, fpregs_lock,
    fpregs_restore_userregs, fpregs_state_valid, fpregs_unlock, get_xsave_addr, gp_user_force_sig_segv, pick_next_task, rdmsr_pasid,
    restore_fpregs_from_fpstate, save_fpregs_to_fpstate, set_current, switch_fpu_finish, switch_fpu_prepare, this_cpu, warn_on_once,
    wrmsr_pasid, xsaves,
)
"""
LATE = """
@entry("exception")
def exc_general_protection() -> None:
    local_irq_enable()
    if populate():
        return
    gp_user_force_sig_segv()
"""
READ = """
def try_fixup_enqcmd_gp() -> bool:
    if current.mm.pasid == 0 or (rdmsr_pasid() & MSR_IA32_PASID_VALID) != 0:
        return False
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    return True
"""
DESIGNS = {
    # a per-CPU flag is set while the task may still move: on the CPU it moves to, the flag is clear
    "flag of the CPU before": ("preempt migrate softirq", {"owned", "preserved", "sound_kernel"}, LATE + """
def populate() -> bool:
    this_cpu.in_kernel_fpu = True
    preempt_disable()
    if current.need_fpu_load:
        fpregs_restore_userregs()
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    preempt_enable()
    return True
"""),
    # the outgoing task is free for other CPUs before its registers are saved
    "task given up too early": ("preempt migrate", {"coherent", "preserved", "owned", "sound_kernel"}, READ + """
@context("schedule")
def schedule() -> None:
    before = current
    task = pick_next_task()
    if task is not None:
        this_cpu.loaded_mm = task.mm
        task.cpu = this_cpu
    set_current(task)
    if before is not None:
        release(before)
        if not before.need_fpu_load:
            switch_fpu_prepare(before)
    if task is not None:
        switch_fpu_finish(task)
"""),
    # the CPU is looked up before the lock that keeps the task on it
    "CPU of a moment ago": ("preempt migrate softirq", {"owned", "preserved", "sound_kernel", "coherent"}, LATE + """
def populate() -> bool:
    if current.mm.pasid == 0 or current.has_valid_pasid:
        return False
    here = this_cpu
    fpregs_lock()
    if current.need_fpu_load:
        if not fpregs_state_valid(current, here):
            fpregs_restore_userregs()
        current.need_fpu_load = False
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    fpregs_unlock()
    current.has_valid_pasid = True
    return True
"""),
    # a decision on XSTATE_BV of contents nobody may rely on
    "a bit that stands for nothing": ("preempt migrate softirq", {"served"}, LATE + """
@instruction
def store_pasid_component() -> None:
    user = current.bv_user
    xsaves(current, XFEATURE_MASK_PASID)
    current.bv_user = user


def populate() -> bool:
    fpregs_lock()
    if not current.need_fpu_load or fpregs_state_valid(current, this_cpu):
        current.need_fpu_load = False
        wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    else:
        store_pasid_component()
        if get_xsave_addr(current) is None:
            fpregs_unlock()
            return False
        current.image_pasid = current.mm.pasid | MSR_IA32_PASID_VALID
        __fpu_invalidate_fpregs_state(current)
    fpregs_unlock()
    return True
"""),
    # waits in the kernel for a flag that only the way out of it clears
    "waits for itself": ("preempt migrate softirq", {"served"}, LATE + """
def populate() -> bool:
    if current.mm.pasid == 0 or current.has_valid_pasid:
        return False
    while current.need_fpu_load:
        fpregs_lock()
        fpregs_unlock()
    fpregs_lock()
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    fpregs_unlock()
    current.has_valid_pasid = True
    return True
"""),
    # loads the registers, but not as their owner: a switch between a softirq in user mode and the restore finds the old copy valid
    "not the owner": ("preempt migrate softirq", {"preserved"}, """
@entry("exception")
def exc_general_protection() -> None:
    if not fixup():
        gp_user_force_sig_segv()


def fixup() -> bool:
    pasid = current.mm.pasid
    local_irq_enable()
    if (rdmsr_pasid() & MSR_IA32_PASID_VALID) != 0:
        return False
    fpregs_lock()
    if not current.need_fpu_load:
        save_fpregs_to_fpstate(current)
    wrmsr_pasid(pasid | MSR_IA32_PASID_VALID)
    current.need_fpu_load = False
    restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
    wrmsr_pasid(pasid | MSR_IA32_PASID_VALID)
    fpregs_unlock()
    return True
"""),
    # the environment changes a field of the current task at any time
    "event of the current task": ("preempt signal", {"sound_kernel"}, """
@rule(event="signal")
def something_happens() -> None:
    require(current is not None)
    current.holds_pasid_ref = True


@entry("exception")
def exc_general_protection() -> None:
    local_irq_enable()
    current.holds_pasid_ref = False
    warn_on_once(current.holds_pasid_ref)
    gp_user_force_sig_segv()
"""),
}  # fmt: skip
WAITING = LATE + """
def populate() -> bool:
    WAITS
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    return True
"""
NEVER_ENDS = {  # an event of the scope, and a design whose task waits for ever
    # a choice would end the loop, but is never made
    "a choice not made": ("kvm", WAITING.replace("WAITS", "while not (current.guest_fpstate and maybe()):\n        pass")),
    # a choice would end the loop, but what comes after it can never be done
    "a choice in vain": ("kvm", WAITING.replace("WAITS", """while True:
        if maybe():
            require(current.guest_fpstate)
            break""")),
    # the step can never be taken
    "a step that is none": ("kvm", WAITING.replace("WAITS", "require(current.guest_fpstate)")),
    # work on the way to user mode queues itself; the kernel's own choice, a signal, comes only where no work is queued
    "work without end": ("signal", WAITING.replace("WAITS", "current.pasid_work = True") + """
def task_work_run() -> None:
    current.pasid_work = True
"""),
    # the scope ends the faults, not the kernel
    "a fault too few": ("gp:2", """
def try_fixup_enqcmd_gp() -> bool:
    if current.at_privileged == 0:
        wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    return True
"""),
    # a process without a PASID asks again and again; nothing says that it may
    "no PASID, no signal": ("gp,bind,unbind", """
def try_fixup_enqcmd_gp() -> bool:
    if current.mm.pasid == 0:
        return True
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    return not current.at_privileged
"""),
}
