"""The mmu_notifier's release runs under a spinlock; draining page requests sleeps."""

from __future__ import annotations

from pasidlab.declare import preempt_disable, preempt_enable
from pasidlab.kernel import Mm, intel_iommu_drain_pasid_prq, intel_pasid_tear_down_entry, pasid_entry


def intel_mm_release(mm: Mm) -> None:
    """spin_lock(); the entry goes, page requests are drained; spin_unlock()."""
    preempt_disable()
    if mm.pasid != 0 and pasid_entry(mm.pasid).present:
        intel_pasid_tear_down_entry(mm.pasid, True)
        intel_iommu_drain_pasid_prq(mm.pasid)
    preempt_enable()


def fixed_intel_mm_release(mm: Mm) -> None:
    """The entry goes and its faults are ignored; unbinding drains."""
    preempt_disable()
    if mm.pasid != 0 and pasid_entry(mm.pasid).present:
        intel_pasid_tear_down_entry(mm.pasid, True)
    preempt_enable()
