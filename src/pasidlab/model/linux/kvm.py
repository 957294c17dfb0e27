"""KVM: fpu_swap_kvm_fpstate() around a guest's run (v6.12). The guest's PASID component is INIT: the MSR is 0 meanwhile."""

from __future__ import annotations

from pasidlab.lang.declare import (
    check,
    choose,
    enter,
    entry,
    instruction,
    local_irq_disable,
    local_irq_enable,
    maybe,
    reached,
    require,
    user,
)
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.linux.fpu import (
    fpregs_lock,
    fpregs_mark_activate,
    fpregs_unlock,
    restore_fpregs_from_fpstate,
    save_fpregs_to_fpstate,
    switch_fpu_return,
)
from pasidlab.model.linux.tracepoints import trace_call_fpu_swap_kvm_fpstate, trace_kvm_fpu
from pasidlab.model.state import INIT, USER_DATA
from pasidlab.model.x86.cpu import XFEATURE_MASK_FPSTATE


@user(event="kvm")
def kvm_run() -> None:
    """ioctl(KVM_RUN)."""
    require(not current.at_enqcmd)
    enter(kvm_arch_vcpu_ioctl_run)


@entry("syscall")
def kvm_arch_vcpu_ioctl_run() -> None:
    """kvm_load_guest_fpu(), vcpu_enter_guest() any number of times, kvm_put_guest_fpu()."""
    fpu_swap_kvm_fpstate(True)
    trace_kvm_fpu(True)
    while True:
        vcpu_enter_guest()
        if maybe():
            break
    fpu_swap_kvm_fpstate(False)
    trace_kvm_fpu(False)


def vcpu_enter_guest() -> None:
    """Interrupts off; if the registers were lost meanwhile they are loaded again; then the guest runs."""
    local_irq_disable()
    if current.need_fpu_load:
        switch_fpu_return()
    guest_runs()
    local_irq_enable()


@instruction
def guest_runs() -> None:
    """The guest finds its own registers, and no PASID of the host, and uses them."""
    reached("preserved")
    reached("isolated")
    check("preserved", this_cpu.user_regs == current.guest_expected_user, "a guest has lost what it had in its registers")
    check("isolated", this_cpu.msr_pasid == 0, "a guest runs with the PASID of its host in IA32_PASID")
    this_cpu.user_regs = choose(INIT, USER_DATA)
    current.guest_expected_user = this_cpu.user_regs


def fpu_swap_kvm_fpstate(enter_guest: bool) -> None:
    """fpu_swap_kvm_fpstate(): save what is live, exchange the fpstate, load the other one."""
    trace_call_fpu_swap_kvm_fpstate()
    fpregs_lock()
    if not current.need_fpu_load:
        save_fpregs_to_fpstate(current)
    current.guest_fpstate = enter_guest
    restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
    fpregs_mark_activate()
    fpregs_unlock()
