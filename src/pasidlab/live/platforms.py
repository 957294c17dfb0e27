"""Machines to choose by name: which accelerators they have and what those can do.

Two sockets with four DSA and four IAX devices each, numbered as the driver does: dsa0, iax1, dsa2, iax3 ... Sources: logs
of public issues (intel/qpl 50, intel/idxd-config 68) for the registers of Sapphire Rapids; Emerald Rapids has the same
devices. Of Granite Rapids only the version and the operations are public.
"""

from __future__ import annotations

from dataclasses import dataclass

from pasidlab.errors import PasidlabError
from pasidlab.live.capabilities import VERSION_2
from pasidlab.live.config import DeviceConfig, add_wq

_SOCKETS, _EACH = 2, 4


@dataclass(frozen=True)
class Platform:
    """``version`` is that of both kinds of device; operations and GENCAP follow from it."""

    name: str
    version: int


PLATFORMS = {
    "spr": Platform("Sapphire Rapids", 0x100),
    "emr": Platform("Emerald Rapids", 0x100),
    "gnr": Platform("Granite Rapids", VERSION_2),
}
QUEUES = ("shared,device=dsa0,threshold=15", "dedicated,device=dsa0", "shared,device=iax1,threshold=15")
"""Configured where nobody asks for other queues; on the machine itself all devices are disabled after boot."""


def devices_of(platform: Platform, here: int, queues: tuple[str, ...]) -> list[DeviceConfig]:
    """All devices, those of the first socket on NUMA node ``here``, with these queues (``--wq`` options)."""
    devices = []
    for index in range(2 * _SOCKETS * _EACH):
        other = 0 if here else 1
        node = here if index < 2 * _EACH else other
        attributes = {"version": f"{platform.version:#x}", "numa_node": str(node)}
        devices.append(DeviceConfig(index, "iax" if index & 1 else "dsa", attributes=attributes))
    for queue in queues or QUEUES:
        add_wq(devices, queue)
    if len(devices) > 2 * _SOCKETS * _EACH:
        hint = f"{devices[0].label}, {devices[1].label}, {devices[2].label} ... {devices[2 * _SOCKETS * _EACH - 1].label}"
        raise PasidlabError(f"{platform.name} has no {devices[-1].label}", hint=hint)
    for device in devices:
        if not device.wqs:
            device.attributes["state"] = "disabled"
    return devices
