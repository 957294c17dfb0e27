"""The PCI functions behind the devices: what lspci, setpci and programs that look under /sys/bus/pci find.

Capabilities and values are those that ``lspci -vvv`` shows of the DSA of a Sapphire Rapids with shared virtual addressing;
registers after PCI Express Base Specification 6.0, chapter 7, and linux/pci_regs.h.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pasidlab.live.config import DeviceConfig
from pasidlab.live.descriptors import text_file
from pasidlab.live.nodes import Attribute, Binary, Link, Node, attribute

_SIZE = 4096  # bytes of a PCI Express function's configuration space
_VENDOR, _IDS = 0x8086, {"dsa": 0x0B25, "iax": 0x0CFE}  # linux/pci_ids.h, drivers/dma/idxd/registers.h
_CLASS = 0x088000  # base system peripheral
_BUSES = (0x6A, 0x6F, 0x74, 0x79, 0xE7, 0xEC, 0xF1, 0xF6)  # of a machine with two sockets, four of each kind on each
_SLOTS = {"dsa": 1, "iax": 2}
_REGISTERS, _PORTALS = 0x206F_FFF4_0000, 0x206F_FFF0_0000  # BAR 0 and BAR 2 of the first function
_REGISTERS_SIZE, _PORTALS_SIZE = 0x10000, 0x20000
_SPACING = 0x100000  # between the BARs of two functions
_PREFETCHABLE_64 = 0xC
_RESOURCE_FLAGS = 0x14220C  # IORESOURCE_MEM_64, MEM, SIZEALIGN and PREFETCH, and the type of the BAR: linux/ioport.h

_HEADER: tuple[tuple[int, str, int], ...] = (  # offset, struct format, value
    (0x04, "H", 0x0146),  # command: memory, bus master, parity, SERR#
    (0x06, "H", 0x0010),  # status: has capabilities
    (0x2C, "H", _VENDOR),  # subsystem
    (0x34, "B", 0x40),
    # PCI Express, version 2, Root Complex Integrated Endpoint
    (0x40, "I", 0x0092_8010),
    (0x44, "I", 0x1000_8020),  # FLReset, RBE, ExtTag
    (0x48, "H", 0x5917),  # errors reported, relaxed order, extended tags, no snoop, 4096 bytes a read
    (0x64, "I", 0x0073_0810),  # 10-bit tags, LTR, one end-to-end prefix
    # MSI-X, enabled: one vector for the device and one for each queue
    (0x80, "I", 0x8008_9011),
    (0x84, "I", 0x2000),
    (0x88, "I", 0x3000),
    # power management, version 3
    (0x90, "I", 0x0003_0001),
    (0x94, "I", 0x0008),  # no soft reset
    # the extended capabilities: advanced error reporting
    (0x100, "I", 0x1502_0001),
    (0x108, "I", 1 << 20),
    (0x10C, "I", 1 << 18),
    (0x150, "I", 0x1601_0018),  # latency tolerance reporting
    # processing hints for transactions: device specific mode, two steering tags
    (0x160, "I", 0x1701_0017),
    (0x164, "I", 0x0001_0204),
    # virtual channel, with one besides VC0
    (0x170, "I", 0x2001_0002),
    (0x174, "I", 0x11),
    (0x178, "I", 1),
    (0x184, "I", 0x8000_00FD),
    (0x190, "I", 0x8100_0002),
    # designated vendor-specific
    (0x200, "I", 0x2201_0023),
    (0x204, "I", 0x0180_8086),
    (0x208, "I", 5),
    (0x220, "I", 0x2301_000F),  # address translation service
    (0x230, "I", 0x2401_001B),  # PASID: privileged mode, 20 bits
    (0x234, "H", 0x1404),
    (0x240, "I", 0x0001_0013),  # page requests, 512 at a time
    (0x246, "H", 0x0100),
    (0x248, "I", 0x200),
    (0x24C, "I", 0x200),
)
_SHARED_VIRTUAL_ADDRESSING = ((0x226, "H", 0x8000), (0x236, "H", 0x0005), (0x244, "H", 0x0001))  # ATS, PASID, PRI: enabled
_WRITABLE: tuple[tuple[int, str, int], ...] = (  # offset, struct format, the bits that a write changes
    (0x04, "H", 0x0547),
    (0x48, "H", 0xFFFF),
    (0x68, "H", 0xFFFF),
    (0x82, "H", 0xC000),
    (0x108, "I", 0xFFFFFFFF),
    (0x10C, "I", 0xFFFFFFFF),
    (0x114, "I", 0xFFFFFFFF),
    (0x154, "I", 0x1FFF_1FFF),
    (0x168, "I", 0x0307),  # TPH: mode and enable
    (0x16C, "I", 0xFFFFFFFF),
    (0x226, "H", 0x801F),
    (0x236, "H", 0x0007),
    (0x244, "H", 0x0003),
    (0x24C, "I", 0xFFFFFFFF),
)


@dataclass(frozen=True)
class PciFunction:
    """One PCI function: ``number`` counts those of its kind from 0."""

    device: DeviceConfig
    number: int

    @property
    def _place(self) -> tuple[int, int, int]:
        """Bus, device and function; past eight of a kind the buses are used again."""
        row, bus = divmod(self.number, len(_BUSES))
        function, pair = divmod(row, 15)
        return _BUSES[bus], _SLOTS[self.device.kind] + 2 * pair, function

    @property
    def address(self) -> str:
        """The name under /sys/bus/pci/devices."""
        bus, device, function = self._place
        return f"0000:{bus:02x}:{device:02x}.{function}"

    @property
    def path(self) -> str:
        """Below /sys/devices."""
        return f"pci0000:{self._place[0]:02x}/{self.address}"

    @property
    def bars(self) -> tuple[tuple[int, int, int], ...]:
        """(register, address, size) of registers and portals."""
        offset = _SPACING * (2 * self.number + _SLOTS[self.device.kind] - 1)
        return (0x10, _REGISTERS - offset, _REGISTERS_SIZE), (0x18, _PORTALS - offset, _PORTALS_SIZE)

    def config(self) -> Binary:
        """The configuration space. A write changes what is read back, and nothing else."""
        space, writable = bytearray(_SIZE), bytearray(_SIZE)
        struct.pack_into("<HH", space, 0, _VENDOR, _IDS[self.device.kind])
        struct.pack_into("<I", space, 8, _CLASS << 8)
        enabled = _SHARED_VIRTUAL_ADDRESSING if self.device.capabilities.pasid else ()
        for offset, kind, value in (*_HEADER, *enabled):
            struct.pack_into("<" + kind, space, offset, value)
        for offset, kind, value in _WRITABLE:
            struct.pack_into("<" + kind, writable, offset, value)
        for register, address, size in self.bars:
            struct.pack_into("<Q", space, register, address | _PREFETCHABLE_64)
            struct.pack_into("<Q", writable, register, -size & (1 << 64) - 1)
        return Binary(space, bytes(writable))

    def files(self, numa_node: str) -> dict[str, Node]:
        """The files of the function's directory (drivers/pci/pci-sysfs.c, v6.12)."""
        kind = _IDS[self.device.kind]
        cpus = _cpus(numa_node)
        alias = f"pci:v{_VENDOR:08X}d{kind:08X}sv{_VENDOR:08X}sd00000000bc08sc80i00"
        uevent = f"DRIVER=idxd\nPCI_CLASS={_CLASS:X}\nPCI_ID={_VENDOR:04X}:{kind:04X}\nPCI_SUBSYS_ID={_VENDOR:04X}:0000\n"
        uevent += f"PCI_SLOT_NAME={self.address}\nMODALIAS={alias}"
        values: dict[str, object] = {
            "vendor": f"{_VENDOR:#06x}", "device": f"{kind:#06x}", "class": f"{_CLASS:#08x}", "revision": "0x00",
            "subsystem_vendor": f"{_VENDOR:#06x}", "subsystem_device": "0x0000", "irq": 0, "numa_node": numa_node,
            "local_cpulist": cpus, "modalias": alias, "uevent": uevent, "resource": "\n".join(self._resources()),
            "enable": 1, "msi_bus": 1, "dma_mask_bits": 64, "consistent_dma_mask_bits": 64, "broken_parity_status": 0,
            "d3cold_allowed": 0, "ari_enabled": 0, "power_state": "D0", "driver_override": "(null)",
        }  # fmt: skip
        found: dict[str, Node] = {name: attribute(value) for name, value in values.items()}
        found.update(driver=Link("../../../bus/pci/drivers/idxd"), subsystem=Link("../../../bus/pci"), config=self.config())
        return found

    def _resources(self) -> Iterator[str]:
        """A line for each of six BARs, the ROM, and six windows that only bridges have."""
        lines = {register: f"{at:#018x} {at + size - 1:#018x} {_RESOURCE_FLAGS:#018x}" for register, at, size in self.bars}
        for index in range(13):
            yield lines.get(0x10 + 4 * index, f"{0:#018x} {0:#018x} {0:#018x}")


def functions(devices: Iterable[DeviceConfig]) -> Iterator[PciFunction]:
    """The PCI function of each device, in their order."""
    counts = dict.fromkeys(_IDS, 0)
    for device in devices:
        yield PciFunction(device, counts[device.kind])
        counts[device.kind] += 1


def driver_files(found: Iterable[PciFunction]) -> dict[str, Node]:
    """The directory of the PCI driver idxd. Its binding is fixed: idxd stays bound to every device."""
    links: dict[str, Node] = {one.address: Link(f"../../../../devices/{one.path}") for one in found}
    fixed = Attribute(lambda: "", _refuse)
    return links | {"bind": fixed, "unbind": fixed, "module": Link("../../../../module/idxd")}


def _refuse(text: str) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def _cpus(numa_node: str) -> str:
    """The CPUs of a node as a list; all of them where the host has no such node."""
    for place in (f"/sys/devices/system/node/node{numa_node}/cpulist", "/sys/devices/system/cpu/online"):
        try:
            with text_file(place) as file:
                return file.read().strip()
        except OSError:
            continue
    return "0"
