"""The files a program looks at to find a work queue: sysfs as the idxd driver makes it, and /dev.

Attributes after Documentation/ABI/stable/sysfs-driver-dma-idxd (v6.12) and drivers/dma/idxd/sysfs.c.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from functools import partial
from heapq import heappop, heappush

from pasidlab.live import cpuinfo
from pasidlab.live.capabilities import VERSION_2, mask_text
from pasidlab.live.config import DeviceConfig, WqConfig
from pasidlab.live.descriptors import names_in
from pasidlab.live.driver import CONFIGURED, DRIVERS, Device, Driver
from pasidlab.live.nodes import Attribute, Directory, Link, Node, Unfolding, WqNode, attribute
from pasidlab.live.pci import PciFunction, driver_files, functions

CDEV_MAJOR = 237
_BUFFERS = ("read_buffer", "token")  # an attribute with one of these in its name is about read buffers
_CANONICAL = ("version", "gen_cap", "iaa_cap", "pasid_enabled")  # shown as the driver prints them, however a file writes them
_WQ_FIELDS = ("group_id", "size", "priority", "block_on_fault", "mode", "type", "name", "threshold")


def here_numa_node() -> int:
    """The NUMA node of the CPU we run on: programs compare it with TSC_AUX."""
    try:
        names = names_in(f"/sys/devices/system/cpu/cpu{min(os.sched_getaffinity(0))}")
    except OSError:
        return 0
    return next((int(name[4:]) for name in names if name.startswith("node") and name[4:].isdigit()), 0)


def _files(values: dict[str, object]) -> dict[str, Node]:
    return {name: attribute(value) for name, value in values.items()}


def _device_files(device: Device, op_cap: str) -> dict[str, Node]:
    config, can = device.config, device.config.capabilities
    values: dict[str, object] = {
        "version": f"{can.version:#x}",
        "max_groups": len(device.groups),
        "max_work_queues": device.queues,
        "max_engines": len(device.engines),
        "max_work_queues_size": 128,
        "numa_node": here_numa_node(),
        "max_batch_size": can.max_batch_size,
        "max_transfer_size": can.max_transfer_size,
        "gen_cap": f"{can.gencap:#x}",
        "configurable": int(can.configurable),
        "pasid_enabled": int(can.pasid),
        "max_read_buffers": 96,
        "max_tokens": 96,
        "event_log_size": 0,
        "cdev_major": CDEV_MAJOR,
        "iaa_cap": f"{can.iaa_cap:#x}",
    }
    visible = {name: value for name, value in values.items() if _shown(name, config)}
    files = _files(visible | config.attributes | {name: values[name] for name in _CANONICAL if name in visible})
    files["op_cap"] = attribute(op_cap)
    files["state"] = Attribute(lambda: "enabled\n" if device.enabled else "disabled\n")
    files["cmd_status"] = Attribute(lambda: f"{device.command_status:#x}\n", lambda text: setattr(device, "command_status", 0))
    return files


def _shown(name: str, device: DeviceConfig) -> bool:
    """The rules of idxd_device_attr_visible(), idxd_group_attr_visible() and idxd_wq_attr_visible(), sysfs.c."""
    iax = device.kind == "iax"
    if name == "iaa_cap":
        return iax and device.capabilities.version >= VERSION_2
    if name == "event_log_size":
        return device.capabilities.event_log
    return not (iax and (name == "max_batch_size" or any(word in name for word in _BUFFERS)))


class Tree:
    """The whole tree, from ``root``; files come and go as ``driver`` says.

    ``counts`` tells (clients, occupancy) of a queue at the moment of reading. ``software_errors`` tells the register of a device that has
    recorded an error.
    """

    def __init__(self, driver: Driver, counts: Callable[[WqConfig], tuple[int, int]], software_errors: Mapping[str, int]) -> None:
        self.root, self.driver, self.counts, self._errors = Directory(), driver, counts, software_errors
        self._bus = self.root.at("/sys/bus/dsa/devices")
        self._minors: dict[str, int] = {}  # of character devices, by their queue
        self._free: list[int] = []  # those below the largest
        driver.files = self
        for name in DRIVERS:
            bind, unbind = (self._action(act, name) for act in (driver.bind, driver.unbind))
            self.root.at(f"/sys/bus/dsa/drivers/{name}").entries.update(bind=bind, unbind=unbind)
        self.root.at("/sys/module/idxd/parameters").entries.update(sva=attribute("Y"), tc_override=attribute("N"))
        module = self.root.at("/sys/module/idxd").entries
        module.update(refcnt=attribute(len(driver.devices)), initstate=attribute("live"))
        self.root.at("/dev/char")
        self.root.at("/proc").entries.update(cpuinfo.files())
        found = list(functions(device.config for device in driver.devices))
        for device, function in zip(driver.devices, found, strict=True):
            self._add_device(device, function)
        self.root.at("/sys/bus/pci/drivers/idxd").entries.update(driver_files(found))
        self.root.at("/sys/module/idxd/drivers").entries["pci:idxd"] = Link("../../../bus/pci/drivers/idxd")

    @staticmethod
    def _action(act: Callable[[str, str], None], driver: str) -> Attribute:
        return Attribute(lambda: "", lambda text: act(driver, text))

    def _add_device(self, device: Device, function: PciFunction) -> None:
        config, driver = device.config, self.driver
        self.root.at(f"/dev/{config.kind}")
        home = self._home(config, function)
        home.entries.update(_device_files(device, driver.op_cap(config)))
        home.entries["errors"] = Attribute(lambda: f"{mask_text(self._errors.get(config.label, 0))}\n")
        limit = Attribute(lambda: f"{device.read_buffer_limit}\n", lambda text: driver.store_read_buffer_limit(device, text))
        if _shown("read_buffer_limit", config):
            home.entries.update(read_buffer_limit=limit, token_limit=limit)
        if "clients" not in config.attributes:
            home.entries["clients"] = Attribute(lambda: f"{sum(self.counts(wq)[0] for wq in config.wqs)}\n")
        for group in range(len(device.groups)):
            home.entries[f"group{config.index}.{group}"] = Unfolding(partial(self._group_files, device, group))
            self._link(config, f"group{config.index}.{group}")
        for engine in range(len(device.engines)):
            store = Attribute(
                lambda e=engine: f"{device.engines[e]}\n",  # type: ignore[misc]
                lambda text, e=engine: driver.store_engine(device, e, text),  # type: ignore[misc]
            )
            home.at(f"engine{config.index}.{engine}").entries["group_id"] = store
            self._link(config, f"engine{config.index}.{engine}")
        for wq in config.wqs:
            home.entries[wq.label] = Unfolding(partial(self._wq_files, device, wq))
            self._link(config, wq.label)
            if wq.state == "enabled":
                self.bound(config, wq, wq.attributes["driver_name"] if wq.type == "user" else "dmaengine")
        if device.enabled:
            self.bound(config, None, "idxd")

    def _home(self, config: DeviceConfig, function: PciFunction) -> Directory:
        """The device's directory, inside that of its PCI function."""
        link = Link(f"../../../devices/{function.path}")
        self.root.at("/sys/bus/pci/devices").entries[function.address] = link
        self._bus.entries[config.label] = Link(f"{link.target}/{config.label}")
        parent = self.root.at(f"/sys/devices/{function.path}")
        parent.entries.update(function.files(config.attributes.get("numa_node", str(here_numa_node()))))
        return parent.at(config.label)

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
            return Attribute(lambda: f"{group[name]}\n", lambda text: self.driver.store_group(device, group, name, text))

        files: dict[str, Node] = {name: value(name) for name in group}
        files |= {name.replace("read_buffer", "token"): files[name] for name in group if "read_buffer" in name}
        files["engines"] = _listing(lambda: [f"engine{config.index}.{at}" for at, where in enumerate(device.engines) if where == number])
        files["work_queues"] = _listing(lambda: [wq.label for wq in config.wqs if wq.group_id == number])
        return {name: file for name, file in files.items() if _shown(name, config)}

    def _wq_files(self, device: Device, wq: WqConfig) -> dict[str, Node]:
        def value(name: str) -> Attribute:
            if name in CONFIGURED:
                return Attribute(lambda: f"{wq.attributes[name]}\n", lambda text: self._store(device, wq, name, text))
            return Attribute(lambda: f"{getattr(wq, name)}\n", lambda text: self._store(device, wq, name, text))

        names = (*_WQ_FIELDS, "max_batch_size", "max_transfer_size", *CONFIGURED)
        files: dict[str, Node] = {name: value(name) for name in names if _shown(name, device.config)}
        files["state"] = Attribute(lambda: f"{wq.state}\n")
        files["cdev_minor"] = Attribute(lambda: f"{self._minor(wq)}\n")
        files["clients"] = Attribute(lambda: f"{self.counts(wq)[0]}\n")
        files["occupancy"] = Attribute(lambda: f"{self.counts(wq)[1]}\n")
        return files | _files({name: text for name, text in wq.attributes.items() if name not in CONFIGURED})

    def _store(self, device: Device, wq: WqConfig, name: str, text: str) -> None:
        self.driver.store_wq(device, wq, name, text)

    def _minor(self, wq: WqConfig) -> int:
        minor = self._minors.get(wq.label)
        if minor is None:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return minor

    # As the driver says

    def bound(self, device: DeviceConfig, wq: WqConfig | None, driver: str) -> None:
        """The link to the driver, and for a user queue its character device (idxd_wq_add_cdev): the lowest free
        minor number.
        """
        up = "../" * (5 if wq else 4)
        link, where = Link(f"{up}bus/dsa/drivers/{driver}", lasting=False), self._directory(device, wq)
        if isinstance(where, Unfolding):
            where.put("driver", link)
        else:
            where.entries["driver"] = link
        if wq and wq.type == "user":
            minor = heappop(self._free) if self._free else len(self._minors)
            self._minors[wq.label] = minor
            self.root.at(f"/dev/{device.kind}").entries[wq.label] = WqNode(wq, device)
            link = Link(f"../{device.kind}/{wq.label}", lasting=False)
            self.root.at("/dev/char").entries[f"{CDEV_MAJOR}:{minor}"] = link

    def unbound(self, device: DeviceConfig, wq: WqConfig | None) -> None:
        """Takes away what binding to the driver made: the link, and a queue's device files."""
        self._directory(device, wq).entries.pop("driver", None)
        if wq and wq.type == "user":
            minor = self._minor(wq)
            heappush(self._free, self._minors.pop(wq.label))
            del self.root.at(f"/dev/{device.kind}").entries[wq.label]
            del self.root.at("/dev/char").entries[f"{CDEV_MAJOR}:{minor}"]


def _listing(names: Callable[[], list[str]]) -> Attribute:
    """Names in one line; nothing at all where there are none."""
    return Attribute(lambda: " ".join(found) + "\n" if (found := names()) else "")
