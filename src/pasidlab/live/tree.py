"""The files a program looks at to find a work queue: sysfs as the idxd driver makes it, and /dev.

Attributes after Documentation/ABI/stable/sysfs-driver-dma-idxd (v6.12) and drivers/dma/idxd/sysfs.c.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from pasidlab.live.config import DeviceConfig, WqConfig

PCI_ROOT = "/sys/devices/pci0000:6a"
CDEV_MAJOR = 237
# The capabilities of a first-generation Sapphire Rapids DSA: block on fault, overlapping copy, 2^31 bytes, 2^10 per
# batch.
GENCAP = {"dsa": "0x40915f0107", "iax": "0x71f10901f0105"}
_OPCAP_DSA = (1 << 0 | 1 << 1 | 1 << 2) | 0x3F8 | 1 << 0x10 | 0x3F << 0x11 | 1 << 0x20
_OPCAP_IAX = 1 << 0 | 1 << 2 | 0x7F << 0x42 | 0x7F << 0x4C | 0x7F << 0x50


@dataclass
class Attribute:
    """A sysfs file: text made when it is read, and what a write does (None: EACCES)."""

    read: Callable[[], str]
    write: Callable[[str], None] | None = None


@dataclass
class Link:
    """A symbolic link."""

    target: str


@dataclass
class WqNode:
    """The character device of one work queue."""

    wq: WqConfig
    device: DeviceConfig


@dataclass
class Directory:
    """A directory; the tree's root stands for /."""

    entries: dict[str, Node] = field(default_factory=dict)

    def at(self, path: str) -> Directory:
        """The directory at ``path`` below this one, made where it is missing."""
        here = self
        for part in path.strip("/").split("/"):
            entry = here.entries.setdefault(part, Directory())
            assert isinstance(entry, Directory)
            here = entry
        return here


Node = Attribute | Link | WqNode | Directory


def attribute(value: object, *, writable: bool = False) -> Attribute:
    """A file that holds one value and a newline; if writable, what is written is read back."""
    box = [str(value)]

    def store(text: str) -> None:
        box[0] = text.strip()

    return Attribute(lambda: box[0] + "\n", store if writable else None)


def op_mask(bits: int) -> str:
    """A 256-bit mask as sysfs prints it: eight comma-separated 32-bit words, most significant first."""
    return ",".join(f"{bits >> shift & 0xFFFFFFFF:08x}" for shift in range(224, -1, -32))


def here_numa_node() -> int:
    """The NUMA node of the CPU we run on: programs compare it with TSC_AUX."""
    try:
        names = os.listdir(f"/sys/devices/system/cpu/cpu{min(os.sched_getaffinity(0))}")
    except OSError:
        return 0
    return next((int(name[4:]) for name in names if name.startswith("node") and name[4:].isdigit()), 0)


WRITABLE = frozenset(
    [
        "cmd_status",
        "read_buffer_limit",
        "token_limit",
        "event_log_size",
        "group_id",
        "size",
        "priority",
        "block_on_fault",
        "mode",
        "type",
        "name",
        "driver_name",
        "threshold",
        "max_batch_size",
        "max_transfer_size",
        "ats_disable",
        "prs_disable",
        "enqcmds_retries",
        "op_config",
        "traffic_class_a",
        "traffic_class_b",
        "read_buffers_reserved",
        "read_buffers_allowed",
        "use_read_buffer_limit",
        "tokens_reserved",
        "tokens_allowed",
        "use_token_limit",
        "desc_progress_limit",
        "batch_progress_limit",
    ]
)


def _files(values: dict[str, object]) -> dict[str, Node]:
    return {name: attribute(value, writable=name in WRITABLE) for name, value in values.items()}


def _device_files(device: DeviceConfig) -> dict[str, Node]:
    iax = device.kind == "iax"
    values: dict[str, object] = {
        "version": "0x100",
        "max_groups": 4,
        "max_work_queues": 8,
        "max_engines": 8 if iax else 4,
        "max_work_queues_size": 128,
        "numa_node": here_numa_node(),
        "ims_size": 2048,
        "max_batch_size": 1 if iax else 1024,
        "max_transfer_size": 1 << 31,
        "gen_cap": GENCAP[device.kind],
        "configurable": 1,
        "pasid_enabled": 1,
        "max_read_buffers": 96,
        "max_tokens": 96,
        "read_buffer_limit": 0,
        "token_limit": 0,
        "event_log_size": 0,
        "cdev_major": CDEV_MAJOR,
        "state": "enabled",
        "op_cap": op_mask(_OPCAP_IAX if iax else _OPCAP_DSA),
        "errors": "\n".join(["0x0000000000000000"] * 4),
        "clients": 0,
    }
    if iax:
        values["iaa_cap"] = "0x0"
    files = _files(values | dict(device.attributes))
    files["cmd_status"] = Attribute(lambda: "0x0\n", lambda text: None)
    return files


def _wq_files(wq: WqConfig, device: DeviceConfig, minor: int) -> dict[str, Node]:
    values: dict[str, object] = {
        "group_id": wq.group_id,
        "size": wq.size,
        "priority": wq.priority,
        "block_on_fault": wq.block_on_fault,
        "mode": wq.mode,
        "state": "enabled",
        "cdev_minor": minor,
        "type": wq.type,
        "name": wq.name or f"{device.label}-wq{wq.index}",
        "driver_name": "user",
        "threshold": wq.threshold if wq.mode == "shared" else 0,
        "max_batch_size": wq.max_batch_size,
        "max_transfer_size": wq.max_transfer_size,
        "ats_disable": 0,
        "prs_disable": 0,
        "clients": 0,
        "occupancy": 0,
        "enqcmds_retries": 64,
        "op_config": op_mask((_OPCAP_IAX if device.kind == "iax" else _OPCAP_DSA) & ~2),
    }
    return _files(values | dict(wq.attributes))


def _group_files(device: DeviceConfig, group: int) -> dict[str, Node]:
    wqs = " ".join(wq.label for wq in device.wqs if wq.group_id == group)
    values: dict[str, object] = {
        "engines": f"engine{device.index}.{group}",
        "work_queues": wqs,
        "read_buffers_reserved": 0,
        "read_buffers_allowed": 96,
        "use_read_buffer_limit": 0,
        "tokens_reserved": 0,
        "tokens_allowed": 96,
        "use_token_limit": 0,
        "traffic_class_a": 1,
        "traffic_class_b": 1,
        "desc_progress_limit": 0,
        "batch_progress_limit": 0,
    }
    return _files(values)


def build(devices: list[DeviceConfig], counts: Callable[[WqConfig], tuple[int, int]]) -> Directory:
    """The whole tree. ``counts`` tells (clients, occupancy) of a queue at the moment of reading."""
    root = Directory()
    bus = root.at("/sys/bus/dsa/devices")
    for driver in ("idxd", "user", "dmaengine"):
        root.at(f"/sys/bus/dsa/drivers/{driver}").entries.update(bind=_sink(), unbind=_sink())
    root.at("/sys/module/idxd/parameters").entries.update(sva=attribute("Y"), tc_override=attribute("N"))
    root.at("/sys/module/idxd").entries.update(refcnt=attribute(len(devices)), initstate=attribute("live"))
    root.at("/dev/char")
    minor = 0
    for position, device in enumerate(devices):
        address = f"0000:6a:{position + 1:02x}.0"
        relative = f"../../../devices/pci0000:6a/{address}/{device.label}"
        home = root.at(f"{PCI_ROOT}/{address}/{device.label}")
        home.entries.update(_device_files(device))
        bus.entries[device.label] = Link(relative)
        root.at(f"/dev/{device.kind}")
        for group in range(4):
            home.at(f"group{device.index}.{group}").entries.update(_group_files(device, group))
            home.at(f"engine{device.index}.{group}").entries.update(_files({"group_id": group}))
            for name in (f"group{device.index}.{group}", f"engine{device.index}.{group}"):
                bus.entries[name] = Link(f"{relative}/{name}")
        for wq in device.wqs:
            _add_wq(root, home, wq, device, minor, counts)
            bus.entries[wq.label] = Link(f"{relative}/{wq.label}")
            minor += 1
        if "clients" not in device.attributes:
            home.entries["clients"] = Attribute(lambda d=device: f"{sum(counts(wq)[0] for wq in d.wqs)}\n")  # type: ignore[misc]
    return root


def _sink() -> Attribute:
    return Attribute(lambda: "", lambda text: None)


def _add_wq(
    root: Directory,
    home: Directory,
    wq: WqConfig,
    device: DeviceConfig,
    minor: int,
    counts: Callable[[WqConfig], tuple[int, int]],
) -> None:
    """The queue's sysfs directory, its device file and the /dev/char link."""
    directory = home.at(wq.label)
    directory.entries.update(_wq_files(wq, device, minor))
    if "clients" not in wq.attributes:
        directory.entries["clients"] = Attribute(lambda: f"{counts(wq)[0]}\n")
    if "occupancy" not in wq.attributes:
        directory.entries["occupancy"] = Attribute(lambda: f"{counts(wq)[1]}\n")
    if wq.type == "user":
        root.at(f"/dev/{device.kind}").entries[wq.label] = WqNode(wq, device)
        root.at("/dev/char").entries[f"{CDEV_MAJOR}:{minor}"] = Link(f"../{device.kind}/{wq.label}")
