"""The accelerator: descriptors in flight under a PASID, page requests, and the drain command."""

from __future__ import annotations

from pasidlab.lang.declare import check, instruction, require, rule, wait_until
from pasidlab.model.state import PasidEntry
from pasidlab.model.x86.iommu import pasid_entry


@instruction
def submit_work(pasid: int) -> None:
    """A command with this PASID enters the shared work queue."""
    entry = pasid_entry(pasid)
    entry.in_flight = True


@rule(follows="device")
def device_access(entry: PasidEntry) -> None:
    """A descriptor in flight reads or writes memory: the translation is cached, or a page request is sent."""
    require(entry.in_flight)
    check("no_stale", entry.allocated, "the device works for a PASID that was freed")
    require(entry.present and not entry.cached)
    entry.cached = True


@rule(follows="device")
def device_page_request(entry: PasidEntry) -> None:
    """A descriptor in flight meets a page that is not present (PRS)."""
    require(entry.in_flight and entry.present and not entry.page_request)
    entry.page_request = True


@rule(follows="device")
def prq_event_thread(entry: PasidEntry) -> None:
    """v6.12 drivers/iommu/intel/prq.c: the request is answered, valid or not."""
    require(entry.page_request)
    entry.page_request = False


@rule(follows="device")
def device_complete(entry: PasidEntry) -> None:
    """The last descriptor of this PASID writes its completion record."""
    require(entry.in_flight and not entry.page_request)
    entry.in_flight = False


def idxd_device_drain_pasid(pasid: int) -> None:
    """CMD_DRAIN_PASID: returns when no descriptor with this PASID is left in the device (v6.12 drivers/dma/idxd/device.c)."""
    entry = pasid_entry(pasid)
    wait_until(not entry.in_flight)


def intel_iommu_drain_pasid_prq(pasid: int) -> None:
    """Waits until no page request of this PASID is queued (v6.12 drivers/iommu/intel/prq.c); sleeps."""
    entry = pasid_entry(pasid)
    wait_until(not entry.page_request)
