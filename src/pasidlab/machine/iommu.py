"""The IOMMU: one PASID table, an entry per PASID, and what it caches of them (VT-d specification 4.1, 3.4.3, 6.5, 9.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pasidlab.lang.declare import NULL, Range, at, instruction, reached, size, struct, unreachable

if TYPE_CHECKING:
    from pasidlab.linux.task import Mm

PASIDS = size("pasids")
MMS = size("mms")
PasidNumber = Annotated[int, Range(0, PASIDS)]  # 0: none; the kernel's first PASID is 1 (IOMMU_FIRST_GLOBAL_PASID)
BondCount = Annotated[int, Range(0, MMS)]


@struct(count=PASIDS)
class PasidEntry:
    """The entry of PASID ``index + 1``, with what software and the device hold for that number."""

    allocated: bool = False  # in iommu_global_pasid_ida
    mm: Mm = NULL  # FLPTR: whose page tables; meaningful while present
    present: bool = False
    fault_disabled: bool = False  # FPD: left behind by a release that could not drain
    cached: bool = False  # in the IOTLB or PASID cache
    in_flight: bool = False  # the device holds descriptors with this PASID
    page_request: bool = False  # a page request of this PASID is queued
    users: BondCount = 0  # of the attach handle


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
