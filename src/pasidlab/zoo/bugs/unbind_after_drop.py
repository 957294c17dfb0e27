"""iommu_sva_unbind_device(): freeing the domain may drop the last reference of the mm, whose iommu_mm is looked at afterwards."""

from __future__ import annotations

from pasidlab.lang.declare import check
from pasidlab.linux.locks import mutex_lock_sva, mutex_unlock_sva
from pasidlab.linux.mm import mmdrop
from pasidlab.linux.sva import detach_device_pasid
from pasidlab.linux.task import Mm
from pasidlab.machine.device import intel_iommu_drain_pasid_prq


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
