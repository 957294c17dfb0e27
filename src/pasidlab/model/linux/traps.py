"""Exceptions and the way back to user mode: arch/x86/kernel/traps.c, kernel/entry/common.c of v6.12."""

from __future__ import annotations

from pasidlab.lang.declare import check, entry, event, exit_to_user, happens, local_irq_disable, local_irq_enable, maybe, reached
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.fpu import fpregs_assert_state_consistent, switch_fpu_return
from pasidlab.model.linux.signal import arch_do_signal_or_restart, force_sig_segv
from pasidlab.model.state import Mm


def mm_valid_pasid(mm: Mm) -> bool:
    """mm_valid_pasid(): the process has a PASID."""
    return mm.pasid != 0


def try_fixup_enqcmd_gp() -> bool:
    """Before v5.18 nothing was fixed up; designs replace this."""
    return False


@entry("exception")
def exc_general_protection() -> None:
    """DEFINE_IDTENTRY_ERRORCODE(exc_general_protection): the fix-up comes before interrupts are enabled."""
    if try_fixup_enqcmd_gp():
        return
    local_irq_enable()
    gp_user_force_sig_segv()


def gp_user_force_sig_segv() -> None:
    """gp_user_force_sig_segv(): nothing fixed the fault, the task gets SIGSEGV."""
    check("served", not current.entitled, "ENQCMD ends in SIGSEGV although the process is bound")
    force_sig_segv()


def return_from_syscall() -> None:
    """syscall_exit_to_user_mode_prepare() with CONFIG_PROVE_LOCKING: "syscall left IRQs disabled"."""
    check("sound_kernel", not this_cpu.irqs_off, "a system call left interrupts disabled (WARN)")


@exit_to_user
def exit_to_user_mode_prepare() -> None:
    """exit_to_user_mode_prepare(): pending work with interrupts on, then, interrupts off, the last restore."""
    while this_cpu.irqs_off and need_resched():
        local_irq_enable()
    local_irq_disable()
    while exit_to_user_mode_work():
        local_irq_enable()
        exit_to_user_mode_loop()
        local_irq_disable()
    arch_exit_to_user_mode_prepare()


def need_resched() -> bool:
    """ti_work & _TIF_NEED_RESCHED: the first round of exit_to_user_mode_loop() enables interrupts, and schedule() comes there.

    That schedule() is the rule ``preempt``, which is what a limit counts. Where interrupts are on, it can come without being asked for.
    """
    return event("preempt") and maybe()


def exit_to_user_mode_work() -> bool:
    """ti_work & EXIT_TO_USER_MODE_WORK but for _TIF_NEED_RESCHED: a signal or task_work is pending."""
    if current.pasid_work:
        return True
    return not current.in_handler and happens("signal")


def exit_to_user_mode_loop() -> None:
    """One round of exit_to_user_mode_loop()."""
    if current.pasid_work:
        task_work_run()
    else:
        arch_do_signal_or_restart()


def task_work_run() -> None:
    """task_work_run(): nothing queues work but a design that says so."""
    current.pasid_work = False


def arch_exit_to_user_mode_prepare() -> None:
    """arch_exit_to_user_mode_prepare(): interrupts are off from here to IRET."""
    fpregs_assert_state_consistent()
    if current.need_fpu_load:
        switch_fpu_return()
    reached("owned")
