"""Lifetime of address spaces: kernel/fork.c of v6.12. mm_users counts who runs in it, mm_count who needs the struct."""

from __future__ import annotations

from pasidlab.lang.declare import each, instruction, pick, require
from pasidlab.model.ambient import current
from pasidlab.model.linux.locks import might_sleep, warn_on_once
from pasidlab.model.state import Mm
from pasidlab.model.x86.iommu import intel_pasid_tear_down_entry, iommu_free_global_pasid, pasid_entry


def mm_is_free() -> bool:
    """There is room for one more mm_struct."""
    for mm in each(Mm):
        if mm.mm_count == 0:
            return True
    return False


@instruction
def mm_init() -> Mm | None:
    """mm_init(): any free mm_struct; one user, one reference, no PASID (mm_pasid_init, a6cbd44093ef). None: -ENOMEM."""
    if not mm_is_free():
        return None
    mm = pick(Mm)
    require(mm.mm_count == 0)
    mm.mm_users = 1
    mm.mm_count = 1
    mm.pasid = 0
    mm.portal = False
    return mm


@instruction
def mmget(mm: Mm) -> None:
    """mmget(): one user more."""
    mm.mm_users += 1


@instruction
def mmgrab(mm: Mm) -> None:
    """mmgrab(): one reference more."""
    mm.mm_count += 1


@instruction
def atomic_dec_and_test_mm_users(mm: Mm) -> bool:
    """atomic_dec_and_test(&mm->mm_users)."""
    mm.mm_users -= 1
    return mm.mm_users == 0


def mmput(mm: Mm) -> None:
    """mmput(): the last user runs exit_mmap(), which calls the notifiers' release, and drops its reference."""
    might_sleep()
    if atomic_dec_and_test_mm_users(mm):
        mm.portal = False
        intel_mm_release(mm)
        mmdrop(mm)


@instruction
def intel_mm_release(mm: Mm) -> None:
    """The mmu_notifier's release, from exit_mmap() (v6.12 drivers/iommu/intel/svm.c), a spinlock held: the entry goes at once.

    Its faults are ignored from here on; nothing is drained.
    """
    if mm.pasid != 0 and pasid_entry(mm.pasid).present:
        intel_pasid_tear_down_entry(mm.pasid, True)


@instruction
def mmdrop(mm: Mm) -> None:
    """mmdrop(): the last reference runs __mmdrop(), and that mm_pasid_drop() (2667ed10d9f0). Nobody may run in it any more."""
    if mm.mm_count == 1:
        warn_on_once(current is not None and mm is current.mm)
        mm_pasid_drop(mm)
    mm.mm_count -= 1


@instruction
def mm_pasid_drop(mm: Mm) -> None:
    """mm_pasid_drop(): the mm gives its PASID back, if it has one."""
    if mm.pasid != 0:
        iommu_free_global_pasid(mm.pasid)
        mm.pasid = 0
