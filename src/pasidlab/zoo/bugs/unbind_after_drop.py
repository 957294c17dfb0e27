"""iommu_sva_unbind_device(): freeing the domain may drop the last reference of the mm, whose iommu_mm is looked at afterwards."""

from __future__ import annotations

from pasidlab.declare import check
from pasidlab.kernel import Mm, detach_device_pasid, intel_iommu_drain_pasid_prq, mmdrop, mutex_lock_sva, mutex_unlock_sva


def iommu_sva_unbind_device(mm: Mm, pasid: int) -> None:
    """The list is looked at last."""
    mutex_lock_sva()
    if detach_device_pasid(pasid):
        intel_iommu_drain_pasid_prq(pasid)
        mmdrop(mm)
    list_empty_sva_domains(mm)
    mutex_unlock_sva()


def fixed_iommu_sva_unbind_device(mm: Mm, pasid: int) -> None:
    """The domain is freed last."""
    mutex_lock_sva()
    list_empty_sva_domains(mm)
    if detach_device_pasid(pasid):
        intel_iommu_drain_pasid_prq(pasid)
        mmdrop(mm)
    mutex_unlock_sva()


def list_empty_sva_domains(mm: Mm) -> None:
    """list_empty(&mm->iommu_mm->sva_domains)."""
    check("sound_kernel", mm.mm_count != 0, "mm->iommu_mm is used after it was freed")
