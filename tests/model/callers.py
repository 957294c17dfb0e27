"""Designs that call what no built-in design does: C designs and patches find these functions in the kernel model."""

from __future__ import annotations

from pathlib import Path

from small_parts import scope

from pasidlab.designs import BUILT_IN, Design

LOCKS = """
from pasidlab.declare import at, preempt_disable, preempt_enable
from pasidlab.kernel import Mm, SpinLock, do_raw_spin_lock, do_raw_spin_trylock, do_raw_spin_unlock, rcu_read_lock, rcu_read_unlock


def pasid_bound(mm: Mm) -> None:
    preempt_disable()
    lock = at(SpinLock, 0)
    do_raw_spin_lock(lock)
    do_raw_spin_unlock(lock)
    if do_raw_spin_trylock(lock):
        do_raw_spin_unlock(lock)
    preempt_enable()


def pasid_unbound(mm: Mm) -> None:
    rcu_read_lock()
    rcu_read_unlock()
"""
FRAMES = """
from pasidlab.kernel import fault_in_user_page, fpregs_lock, fpregs_restore_userregs, fpregs_unlock, xsave_to_user


def copy_fpstate_to_sigframe() -> None:
    while True:
        fpregs_lock()
        if current.need_fpu_load:
            fpregs_restore_userregs()
        outcome = xsave_to_user()
        fpregs_unlock()
        if outcome == 0:
            return
        fault_in_user_page()
"""
LOADS = """
from pasidlab.declare import entry, local_irq_enable
from pasidlab.kernel import Task, fpregs_lock_and_load, fpregs_unlock, fpu_idle_fpregs, gp_user_force_sig_segv, save_fpregs_to_fpstate


@entry("exception")
def exc_general_protection() -> None:
    local_irq_enable()
    if current.mm.pasid == 0 or current.pasid_activated:
        gp_user_force_sig_segv()
        return
    fpregs_lock_and_load()
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    fpregs_unlock()
    current.pasid_activated = True


def switch_fpu_prepare(prev: Task) -> None:
    save_fpregs_to_fpstate(prev)
    fpu_idle_fpregs()
"""
IMAGES = """
from pasidlab.declare import entry, local_irq_enable
from pasidlab.kernel import __fpu_invalidate_fpregs_state, fpregs_lock, fpregs_unlock
from pasidlab.kernel import fpu_sync_fpstate, get_xsave_addr, gp_user_force_sig_segv


@entry("exception")
def exc_general_protection() -> None:
    local_irq_enable()
    if current.mm.pasid == 0 or current.pasid_activated:
        gp_user_force_sig_segv()
        return
    fpregs_lock()
    fpu_sync_fpstate()
    current.bv_pasid = True
    image = get_xsave_addr(current)
    image.image_pasid = current.mm.pasid | MSR_IA32_PASID_VALID
    current.need_fpu_load = True
    __fpu_invalidate_fpregs_state(current)
    fpregs_unlock()
    current.pasid_activated = True
"""


def _calling(name: str, text: str) -> Design:
    around = BUILT_IN["early-read"].path.read_text(encoding="utf-8")
    return Design(name, Path(f"{name}.py"), text=f"{around}\n{text}")


CALLERS = {name: _calling(name, text) for name, text in {"locks": LOCKS, "frames": FRAMES, "loads": LOADS, "images": IMAGES}.items()}
MORE_PARTS = {
    "meeting": scope("bind", cpus=2, tasks=2, mms=2),
    "clones": scope("clone exit", tasks=2),
    "resting": scope("preempt idle"),
    "switching": scope("preempt"),
    "faults": scope("preempt signal gp"),
    "successors": scope("preempt bind clone fork exit", tasks=2, mms=2),
    "born": scope("ipi bind exec clone", cpus=2, tasks=2, mms=2),
}
"""Two CPUs meet at a lock; a thread begins; nothing but an idle CPU takes registers away; faults in handlers; a process in the place
of a thread; threads of a new program on two CPUs."""
