"""The files a program looks at to find a work queue: sysfs as the idxd driver makes it, and /dev.

Attributes after Documentation/ABI/stable/sysfs-driver-dma-idxd (v6.12) and drivers/dma/idxd/sysfs.c.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from pasidlab.live.config import DeviceConfig, WqConfig
from pasidlab.live.driver import CONFIGURED, DRIVERS, Device, Driver
from pasidlab.machine.accelerator import OPERATIONS_1_0, Op

PCI_ROOT = "/sys/devices/pci0000:6a"
CDEV_MAJOR = 237
# The capabilities of a first-generation Sapphire Rapids DSA: block on fault, overlapping copy, 2^31 bytes, 2^10 per
# batch.
GENCAP = {"dsa": "0x40915f0107", "iax": "0x71f10901f0105"}
_OPCAP_IAX = 1 << 0 | 1 << 2 | 1 << 3 | 0x7F << 0x42 | 0x7F << 0x4C | 0x7F << 0x50


@dataclass
class Attribute:
    """A sysfs file: text made when it is read, and what a write does (None: EACCES)."""

    read: Callable[[], str]
    write: Callable[[str], None] | None = None


@dataclass
class Link:
    """A symbolic link; ``lasting`` unless it comes and goes while the program runs."""

    target: str
    lasting: bool = True


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


def attribute(value: object) -> Attribute:
    """A file that holds one value and a newline."""
    return Attribute(lambda: f"{value}\n")


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


def op_caps(*, safe: bool) -> dict[str, str]:
    """Operations of each kind of device. Kernels that refuse mmap (INTEL-SA-01084) hide batch."""
    dsa = OPERATIONS_1_0 if safe else OPERATIONS_1_0 & ~(1 << Op.BATCH)
    return {"dsa": op_mask(dsa), "iax": op_mask(_OPCAP_IAX)}


def _files(values: dict[str, object]) -> dict[str, Node]:
    return {name: attribute(value) for name, value in values.items()}


def _device_files(device: Device, op_cap: str) -> dict[str, Node]:
    config, iax = device.config, device.config.kind == "iax"
    values: dict[str, object] = {
        "version": "0x100",
        "max_groups": len(device.groups),
        "max_work_queues": device.queues,
        "max_engines": len(device.engines),
        "max_work_queues_size": 128,
        "numa_node": here_numa_node(),
        "ims_size": 2048,
        "max_batch_size": 1 if iax else 1024,
        "max_transfer_size": 1 << 31,
        "gen_cap": GENCAP[config.kind],
        "configurable": 1,
        "pasid_enabled": 1,
        "max_read_buffers": 96,
        "max_tokens": 96,
        "event_log_size": 0,
        "cdev_major": CDEV_MAJOR,
        "op_cap": op_cap,
        "errors": "\n".join(["0x0000000000000000"] * 4),
    }
    if iax:
        values["iaa_cap"] = "0x0"
    files = _files(values | dict(config.attributes))
    files["state"] = Attribute(lambda: "enabled\n" if device.enabled else "disabled\n")
    files["cmd_status"] = Attribute(
        lambda: f"{device.command_status:#x}\n", lambda text: setattr(device, "command_status", 0)
    )
    return files


class Tree:
    """The whole tree, from ``root``; files come and go as ``driver`` says.

    ``counts`` tells (clients, occupancy) of a queue at the moment of reading.
    """

    def __init__(self, driver: Driver, counts: Callable[[WqConfig], tuple[int, int]]) -> None:
        self.root, self.driver, self.counts = Directory(), driver, counts
        self._bus = self.root.at("/sys/bus/dsa/devices")
        self._minors: dict[int, WqConfig] = {}
        driver.files = self
        for name in DRIVERS:
            bind, unbind = (self._action(act, name) for act in (driver.bind, driver.unbind))
            self.root.at(f"/sys/bus/dsa/drivers/{name}").entries.update(bind=bind, unbind=unbind)
        self.root.at("/sys/module/idxd/parameters").entries.update(sva=attribute("Y"), tc_override=attribute("N"))
        module = self.root.at("/sys/module/idxd").entries
        module.update(refcnt=attribute(len(driver.devices)), initstate=attribute("live"))
        self.root.at("/dev/char")
        for position, device in enumerate(driver.devices):
            self._add_device(device, f"0000:6a:{position + 1:02x}.0")

    @staticmethod
    def _action(act: Callable[[str, str], None], driver: str) -> Attribute:
        return Attribute(lambda: "", lambda text: act(driver, text))

    def _add_device(self, device: Device, address: str) -> None:
        config, driver = device.config, self.driver
        self.root.at(f"/dev/{config.kind}")
        home = self._home(config, address)
        home.entries.update(_device_files(device, driver.op_caps[config.kind]))
        limit = Attribute(
            lambda: f"{device.read_buffer_limit}\n", lambda text: driver.store_read_buffer_limit(device, text)
        )
        home.entries.update(read_buffer_limit=limit, token_limit=limit)
        if "clients" not in config.attributes:
            home.entries["clients"] = Attribute(lambda: f"{sum(self.counts(wq)[0] for wq in config.wqs)}\n")
        for group in range(len(device.groups)):
            home.at(f"group{config.index}.{group}").entries.update(self._group_files(device, group))
            self._link(config, f"group{config.index}.{group}")
        for engine in range(len(device.engines)):
            store = Attribute(
                lambda e=engine: f"{device.engines[e]}\n",  # type: ignore[misc]
                lambda text, e=engine: driver.store_engine(device, e, text),  # type: ignore[misc]
            )
            home.at(f"engine{config.index}.{engine}").entries["group_id"] = store
            self._link(config, f"engine{config.index}.{engine}")
        for wq in config.wqs:
            home.at(wq.label).entries.update(self._wq_files(device, wq))
            self._link(config, wq.label)
            if wq.state == "enabled":
                self.bound(config, wq, wq.attributes["driver_name"] if wq.type == "user" else "dmaengine")
        if device.enabled:
            self.bound(config, None, "idxd")

    def _home(self, config: DeviceConfig, address: str) -> Directory:
        self._bus.entries[config.label] = Link(f"../../../devices/pci0000:6a/{address}/{config.label}")
        return self.root.at(f"{PCI_ROOT}/{address}/{config.label}")

    def _directory(self, config: DeviceConfig, wq: WqConfig | None) -> Directory:
        link = self._bus.entries[config.label]
        assert isinstance(link, Link)
        home = self.root.at("/sys/" + link.target.removeprefix("../../../"))
        return home.at(wq.label) if wq else home

    def _link(self, config: DeviceConfig, name: str) -> None:
        link = self._bus.entries[config.label]
        assert isinstance(link, Link)
        self._bus.entries[name] = Link(f"{link.target}/{name}")

    def _group_files(self, device: Device, number: int) -> dict[str, Node]:
        group, config = device.groups[number], device.config

        def value(name: str) -> Attribute:
            return Attribute(
                lambda: f"{group[name]}\n", lambda text: self.driver.store_group(device, group, name, text)
            )

        files: dict[str, Node] = {name: value(name) for name in group}
        files |= {name.replace("read_buffer", "token"): files[name] for name in group if "read_buffer" in name}
        files["engines"] = _listing(
            lambda: [f"engine{config.index}.{at}" for at, where in enumerate(device.engines) if where == number]
        )
        files["work_queues"] = _listing(lambda: [wq.label for wq in config.wqs if wq.group_id == number])
        return files

    def _wq_files(self, device: Device, wq: WqConfig) -> dict[str, Node]:
        def value(name: str) -> Attribute:
            if name in CONFIGURED:
                return Attribute(lambda: f"{wq.attributes[name]}\n", lambda text: self._store(device, wq, name, text))
            return Attribute(lambda: f"{getattr(wq, name)}\n", lambda text: self._store(device, wq, name, text))

        names = ("group_id", "size", "priority", "block_on_fault", "mode", "type", "name", "threshold")
        files: dict[str, Node] = {
            name: value(name) for name in (*names, "max_batch_size", "max_transfer_size", *CONFIGURED)
        }
        files["state"] = Attribute(lambda: f"{wq.state}\n")
        files["cdev_minor"] = Attribute(lambda: f"{self._minor(wq)}\n")
        files["clients"] = Attribute(lambda: f"{self.counts(wq)[0]}\n")
        files["occupancy"] = Attribute(lambda: f"{self.counts(wq)[1]}\n")
        return files | _files({name: text for name, text in wq.attributes.items() if name not in CONFIGURED})

    def _store(self, device: Device, wq: WqConfig, name: str, text: str) -> None:
        self.driver.store_wq(device, wq, name, text)

    def _minor(self, wq: WqConfig) -> int:
        minor = next((number for number, one in self._minors.items() if one is wq), None)
        if minor is None:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return minor

    # As the driver says

    def bound(self, device: DeviceConfig, wq: WqConfig | None, driver: str) -> None:
        """The link to the driver, and for a user queue its character device (idxd_wq_add_cdev): the lowest free
        minor number.
        """
        up = "../" * (5 if wq else 4)
        self._directory(device, wq).entries["driver"] = Link(f"{up}bus/dsa/drivers/{driver}", lasting=False)
        if wq and wq.type == "user":
            minor = next(number for number in range(1 << 20) if number not in self._minors)
            self._minors[minor] = wq
            self.root.at(f"/dev/{device.kind}").entries[wq.label] = WqNode(wq, device)
            link = Link(f"../{device.kind}/{wq.label}", lasting=False)
            self.root.at("/dev/char").entries[f"{CDEV_MAJOR}:{minor}"] = link

    def unbound(self, device: DeviceConfig, wq: WqConfig | None) -> None:
        """They are gone."""
        self._directory(device, wq).entries.pop("driver", None)
        if wq and wq.type == "user":
            minor = self._minor(wq)
            del self._minors[minor], self.root.at(f"/dev/{device.kind}").entries[wq.label]
            del self.root.at("/dev/char").entries[f"{CDEV_MAJOR}:{minor}"]


def host_links(directory: str) -> dict[str, Node]:
    """The symbolic links that a directory of the host holds."""
    try:
        names = os.listdir(directory)
    except OSError:
        return {}
    return {name: Link(os.readlink(path)) for name in names if os.path.islink(path := f"{directory}/{name}")}


def _listing(names: Callable[[], list[str]]) -> Attribute:
    """Names in one line; nothing at all where there are none."""
    return Attribute(lambda: " ".join(found) + "\n" if (found := names()) else "")
