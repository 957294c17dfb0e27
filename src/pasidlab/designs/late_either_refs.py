"""late-either-refs: the same series with its patch 5, where the PASID lives as long as somebody holds a reference.

Binding takes one, each thread's first fix-up takes one (holds_pasid_ref); they are dropped by unbinding, and by exit and exec in
deactivate_mm(). The last one frees the number. Thomas Gleixner, 30 September: why references at all, the PASID is tied to the mm.
"""

from __future__ import annotations

from pasidlab.declare import entry, instruction, local_irq_enable
from pasidlab.kernel import (
    MSR_IA32_PASID_VALID,
    Mm,
    attach_device_pasid,
    current,
    detach_device_pasid,
    fpregs_lock,
    fpregs_state_valid,
    fpregs_unlock,
    get_xsave_addr,
    gp_user_force_sig_segv,
    intel_iommu_drain_pasid_prq,
    iommu_alloc_mm_data,
    mm_pasid_drop,
    mmdrop,
    mutex_lock_sva,
    mutex_unlock_sva,
    this_cpu,
    warn_on_once,
    wrmsr_pasid,
)


@entry("exception")
def exc_general_protection() -> None:
    """cond_local_irq_enable() comes first."""
    local_irq_enable()
    if __fixup_pasid_exception():
        return
    gp_user_force_sig_segv()


def __fixup_pasid_exception() -> bool:
    """As in late-either, with a reference in place of the flag."""
    pasid = current.mm.pasid
    if pasid == 0:
        return False
    if current.holds_pasid_ref:
        return False
    fpu__pasid_write(pasid)
    iommu_pasid_get_task_ref()
    return True


def fpu__pasid_write(pasid: int) -> None:
    """The MSR if it is live or valid, else the image."""
    fpregs_lock()
    if not current.need_fpu_load or fpregs_state_valid(current, this_cpu):
        wrmsr_pasid(pasid | MSR_IA32_PASID_VALID)
    else:
        current.bv_pasid = True
        state = get_xsave_addr(current)
        state.image_pasid = pasid | MSR_IA32_PASID_VALID
    fpregs_unlock()


@instruction
def iommu_pasid_get_task_ref() -> None:
    """The task holds one reference of its mm's PASID. refcount_inc() from 0 warns."""
    warn_on_once(current.mm.pasid_refs == 0)
    current.mm.pasid_refs += 1
    current.holds_pasid_ref = True


@instruction
def pasid_put(mm: Mm) -> None:
    """Drops one reference; the last one frees the number."""
    mm.pasid_refs -= 1
    if mm.pasid_refs == 0:
        mm_pasid_drop(mm)


def deactivate_mm(mm: Mm) -> None:
    """exit(2) and exec give the task's reference back."""
    if current.holds_pasid_ref:
        current.holds_pasid_ref = False
        pasid_put(mm)


@instruction
def iommu_sva_alloc_pasid(mm: Mm) -> None:
    """The PASID, if the mm has none, and the reference of a bind, before anybody can see it."""
    iommu_alloc_mm_data(mm)
    mm.pasid_refs += 1


def iommu_sva_bind_device(mm: Mm) -> None:
    """Binding takes a reference."""
    mutex_lock_sva()
    iommu_sva_alloc_pasid(mm)
    attach_device_pasid(mm, mm.pasid)
    mutex_unlock_sva()


def iommu_sva_unbind_device(mm: Mm, pasid: int) -> None:
    """Unbinding drops it, after the table entry is gone."""
    mutex_lock_sva()
    if detach_device_pasid(pasid):
        intel_iommu_drain_pasid_prq(pasid)
        pasid_put(mm)
        mmdrop(mm)
    else:
        pasid_put(mm)
    mutex_unlock_sva()


def hold_bond_at_boot(mm: Mm) -> None:
    """A process bound from the start holds the reference of that bind."""
    mm.pasid_refs = 1
