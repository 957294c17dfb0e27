"""The IOMMU: one PASID table, an entry per PASID, and what it caches of them (VT-d specification 4.1, 3.4.3, 6.5, 9.6)."""

from __future__ import annotations

from pasidlab.lang.declare import NULL, at, check, instruction, reached, unreachable
from pasidlab.model.state import PASIDS, Mm, PasidEntry


def pasid_entry(pasid: int) -> PasidEntry:
    """The entry of a PASID (from 1)."""
    return at(PasidEntry, pasid - 1)


@instruction
def iommu_alloc_global_pasid() -> int:
    """ida_alloc_range(&iommu_global_pasid_ida) (v6.12 drivers/iommu/iommu.c): the lowest free number."""
    for pasid in range(1, PASIDS + 1):
        if not pasid_entry(pasid).allocated:
            pasid_entry(pasid).allocated = True
            return pasid
    unreachable()


@instruction
def iommu_free_global_pasid(pasid: int) -> None:
    """ida_free(): the number is free for the next process."""
    reached("no_leak")
    reached("no_stale")
    check("sound_kernel", pasid_entry(pasid).allocated, "ida_free() of a PASID that is not allocated (WARN)")
    pasid_entry(pasid).allocated = False


@instruction
def pasid_entry_maps(pasid: int, mm: Mm) -> bool:
    """Whether translation with this PASID goes through the page tables of this mm."""
    entry = pasid_entry(pasid)
    return entry.allocated and entry.present and entry.mm is mm


@instruction
def intel_pasid_setup_first_level(pasid: int, mm: Mm) -> None:
    """Under iommu->lock (v6.12 drivers/iommu/intel/pasid.c): FLPTR, then Present."""
    entry = pasid_entry(pasid)
    entry.mm = mm
    entry.present = True
    entry.fault_disabled = False


@instruction
def intel_pasid_tear_down_entry(pasid: int, fault_ignore: bool) -> None:
    """Under iommu->lock: clear Present, flush the PASID cache, IOTLB and device TLB; FPD as asked."""
    entry = pasid_entry(pasid)
    entry.present = False
    entry.mm = NULL
    entry.cached = False
    entry.fault_disabled = fault_ignore
