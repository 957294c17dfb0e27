"""What writing to sysfs does: the configuration half of the idxd driver.

After drivers/dma/idxd/sysfs.c, device.c, cdev.c, dma.c and drivers/base/bus.c (v6.19): the same checks in the same order,
the same errno, the same command status. Queues are configured while they are disabled, devices and queues are enabled
by binding them to a driver.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from pasidlab.accelerator import Op
from pasidlab.live.capabilities import mask_text
from pasidlab.live.config import DeviceConfig, WqConfig
from pasidlab.live.stored import boolean, fail, fail_unless, number_stored, op_bits, positive, power

DRIVERS = ("idxd", "user", "dmaengine")
CONFIGURED = frozenset(("driver_name", "ats_disable", "prs_disable", "enqcmds_retries", "op_config"))
"""Attributes of a queue that are kept as text; the others are fields of ``WqConfig``."""

# enum idxd_scmd_stat, include/uapi/linux/idxd.h
_NO_GROUP, _NO_NAME, _NO_SVM, _NO_THRESHOLD = 0x80030000, 0x80040000, 0x80050000, 0x80060000
_NO_SHARED, _NONE_CONFIGURED, _NO_IOMMU, _NO_DRIVER_NAME = 0x800C0000, 0x800D0000, 0x80110000, 0x80200000
_DEFAULT_SIZE, _DEFAULT_TRANSFER, _DEFAULT_BATCH, _DEFAULT_RETRIES, _MOST_RETRIES = 16, 2 << 20, 32, 32, 64  # idxd.h
_MOST_PRIORITY, _LONGEST_NAME, _LONGEST_DRIVER_NAME = 15, 1024, 128


class QueueHardware(Protocol):
    """The hardware behind the driver."""

    def enable(self, wq: WqConfig, device: DeviceConfig) -> None:
        """The queue accepts descriptors, as it is configured now."""

    def disable(self, wq: WqConfig) -> None:
        """The queue completes what it has and accepts no more."""


class DriverFiles(Protocol):
    """The files that come and go with a queue or a device."""

    def bound(self, device: DeviceConfig, wq: WqConfig | None, driver: str) -> None:
        """``wq``, or the device itself, has a driver."""

    def unbound(self, device: DeviceConfig, wq: WqConfig | None) -> None:
        """And has none any more."""


@dataclass(eq=False)
class Device:
    """A device as the driver knows it: ``engines`` gives each one's group, -1 for none."""

    config: DeviceConfig
    enabled: bool = True
    command_status: int = 0
    read_buffer_limit: int = 0
    engines: list[int] = field(default_factory=list)
    groups: list[dict[str, int]] = field(default_factory=list)

    def limit(self, name: str, default: int) -> int:
        """A capability: what the user set for the attribute, or the default."""
        text = self.config.attributes.get(name)
        return default if text is None else number_stored(text, any_base=True)

    @property
    def configurable(self) -> bool:
        """Whether groups and queues can be configured (IDXD_FLAG_CONFIGURABLE)."""
        return self.limit("configurable", int(self.config.capabilities.configurable)) == 1

    @property
    def queues(self) -> int:
        """How many queues the device has, configured or not."""
        return max(self.limit("max_work_queues", 8), len(self.config.wqs))


class Driver:
    """All devices. ``files`` is set by the tree that shows them.

    Kernels that refuse mmap (INTEL-SA-01084) are not ``safe``: they show no batch operation (op_cap_show_common()).
    """

    def __init__(self, devices: list[DeviceConfig], queues: QueueHardware, *, safe: bool = True) -> None:
        self.queues, self.safe = queues, safe
        self.files: DriverFiles
        self.devices = [self._device(config) for config in devices]

    def op_cap(self, config: DeviceConfig) -> str:
        """The operations of a device, as sysfs shows them."""
        hidden = 0 if self.safe else 1 << Op.BATCH
        return mask_text(config.capabilities.operations & ~hidden)

    def _device(self, config: DeviceConfig) -> Device:
        device = Device(config, enabled=config.attributes.get("state", "enabled") == "enabled")
        groups = device.limit("max_groups", 4)
        as_after_reset = not device.enabled and not config.wqs
        engines = range(device.limit("max_engines", 8 if config.kind == "iax" else 4))
        device.engines = [-1 if as_after_reset else at % groups for at in engines]
        device.groups = [{} for _ in range(groups)]
        for group in device.groups:
            self._clear_group(device, group)
        for wq in config.wqs:
            if wq.mode == "shared" and not wq.threshold:
                wq.threshold = wq.size
            wq.name = wq.name or f"{config.label}-wq{wq.index}"
            wq.attributes = self._texts(config) | {"driver_name": "user"} | wq.attributes
        for index in range(len(config.wqs), device.queues):
            wq = WqConfig(config.index, index, size=0, group_id=-1)
            self._clear(device, wq)
            config.wqs.append(wq)
        if not config.capabilities.pasid:
            self._disable_without_pasid(device)
        for wq in config.wqs:
            if wq.state == "enabled":
                self.queues.enable(wq, config)
        return device

    @staticmethod
    def _disable_without_pasid(device: Device) -> None:
        """What enabling has come to on a machine without PASIDs: see ``_configure`` and ``_probe``."""
        shared = any(wq.group_id >= 0 and wq.mode == "shared" for wq in device.config.wqs)
        for wq in device.config.wqs:
            if shared or (wq.type == "user" and wq.state == "enabled"):
                wq.state = "disabled"
                device.command_status = _NO_SHARED if shared else _NO_IOMMU
        device.enabled = device.enabled and not shared

    def _texts(self, config: DeviceConfig) -> dict[str, str]:
        retries = str(_DEFAULT_RETRIES)
        return {"ats_disable": "0", "prs_disable": "0", "enqcmds_retries": retries, "op_config": self.op_cap(config)}

    def _clear(self, device: Device, wq: WqConfig) -> None:
        """idxd_wq_disable_cleanup(): size, group and driver name stay."""
        wq.state, wq.type, wq.mode, wq.name = "disabled", "none", "shared", ""
        wq.threshold = wq.priority = wq.block_on_fault = 0
        wq.max_transfer_size, wq.max_batch_size = _DEFAULT_TRANSFER, _DEFAULT_BATCH
        wq.attributes = {"driver_name": ""} | wq.attributes | self._texts(device.config)

    def _clear_group(self, device: Device, group: dict[str, int]) -> None:
        """idxd_groups_clear_state()."""
        group.update(read_buffers_reserved=0, read_buffers_allowed=device.limit("max_read_buffers", 96))
        group.update(use_read_buffer_limit=0, traffic_class_a=1, traffic_class_b=1)
        group.update(desc_progress_limit=0, batch_progress_limit=0)

    # Attributes of a queue

    def store_wq(self, device: Device, wq: WqConfig, name: str, text: str) -> None:
        """wq_*_store(). OSError with the driver's errno."""
        if name == "enqcmds_retries":
            fail_unless(wq.mode == "shared", errno.EOPNOTSUPP)
            wq.attributes[name] = str(min(positive(text), _MOST_RETRIES))
            return
        checks: dict[str, Callable[[Device, WqConfig, str], object]] = {
            "group_id": self._group_id, "size": self._size, "priority": self._priority,
            "block_on_fault": self._block_on_fault, "threshold": self._threshold, "mode": self._mode, "type": self._type,
            "max_transfer_size": lambda d, w, t: self._most(d, t, name),
            "max_batch_size": lambda d, w, t: self._most(d, t, name),
        }  # fmt: skip
        fail_unless(device.configurable or name in ("type", "name", "driver_name"), errno.EPERM)
        if name != "size":
            fail_unless(wq.state == "disabled", errno.ENXIO if name in ("block_on_fault", "threshold") else errno.EPERM)
        if name in checks:
            setattr(wq, name, checks[name](device, wq, text))
        elif name == "name":
            fail_unless(0 < len(text) <= _LONGEST_NAME, errno.EINVAL)
            wq.name = text.strip()
        else:
            wq.attributes[name] = self._text(device, wq, name, text)

    def _text(self, device: Device, wq: WqConfig, name: str, text: str) -> str:
        if name == "driver_name":
            fail_unless(0 < len(text) <= _LONGEST_DRIVER_NAME, errno.EINVAL)
            return text.strip()
        if name == "op_config":
            fail_unless(not op_bits(text) & ~device.config.capabilities.operations, errno.EINVAL)
            return text.strip()
        value = boolean(text)
        if name == "prs_disable" and value:
            wq.block_on_fault = 0
        return str(value)

    def _group_id(self, device: Device, wq: WqConfig, text: str) -> int:
        value = number_stored(text)
        fail_unless(-1 <= value < len(device.groups), errno.EINVAL)
        return value

    def _size(self, device: Device, wq: WqConfig, text: str) -> int:
        value = number_stored(text)
        fail_unless(not device.enabled, errno.EPERM)
        claimed = sum(other.size for other in device.config.wqs if other is not wq)
        fail_unless(0 <= value <= device.limit("max_work_queues_size", 128) - claimed, errno.EINVAL)
        return value

    def _priority(self, device: Device, wq: WqConfig, text: str) -> int:
        value = number_stored(text)
        fail_unless(0 <= value <= _MOST_PRIORITY, errno.EINVAL)
        return value

    def _block_on_fault(self, device: Device, wq: WqConfig, text: str) -> int:
        value = boolean(text)
        fail_unless(not value or wq.attributes["prs_disable"] == "0", errno.EOPNOTSUPP)
        return value

    def _threshold(self, device: Device, wq: WqConfig, text: str) -> int:
        value = positive(text)
        fail_unless(0 < value <= wq.size and wq.mode == "shared", errno.EINVAL)
        return value

    def _mode(self, device: Device, wq: WqConfig, text: str) -> str:
        word = text.removesuffix("\n")
        fail_unless(word in ("shared", "dedicated"), errno.EINVAL)
        if word == "dedicated":
            wq.threshold = 0
        return word

    def _type(self, device: Device, wq: WqConfig, text: str) -> str:
        word = text.removesuffix("\n")
        fail_unless(word in ("none", "kernel", "user"), errno.EINVAL)
        if word != wq.type:
            wq.name = ""
        return word

    def _most(self, device: Device, text: str, name: str) -> int:
        value = power(text)
        fail_unless(value <= device.limit(name, getattr(device.config.capabilities, name)), errno.EINVAL)
        return value

    # Attributes of groups, engines and devices

    def store_group(self, device: Device, group: dict[str, int], name: str, text: str) -> None:
        """group_*_store()."""
        value = number_stored(text)
        if name.endswith("progress_limit"):
            fail_unless(0 <= value <= 3, errno.EINVAL)
        else:
            buffers = name.startswith(("read_buffers", "use_read_buffer"))
            fail_unless(not buffers or device.config.kind == "dsa", errno.EOPNOTSUPP)
            fail_unless(device.configurable and not device.enabled, errno.EPERM)
            fail_unless(buffers, errno.EPERM)  # traffic classes: only with tc_override on these versions
            fail_unless(name != "use_read_buffer_limit" or device.read_buffer_limit > 0, errno.EPERM)
            total = device.limit("max_read_buffers", 96)
            free = total - sum(one["read_buffers_reserved"] for one in device.groups if one is not group)
            least = 4 * device.engines.count(device.groups.index(group)) if name == "read_buffers_allowed" else 0
            fail_unless(least <= value <= (1 if name == "use_read_buffer_limit" else free), errno.EINVAL)
        group[name] = value

    def store_engine(self, device: Device, engine: int, text: str) -> None:
        """engine_group_id_store()."""
        value = number_stored(text)
        fail_unless(device.configurable, errno.EPERM)
        fail_unless(-1 <= value < len(device.groups), errno.EINVAL)
        device.engines[engine] = value

    def store_read_buffer_limit(self, device: Device, text: str) -> None:
        """read_buffer_limit_store()."""
        value = number_stored(text)
        fail_unless(not device.enabled and device.configurable, errno.EPERM)
        fail_unless(0 <= value <= device.limit("max_read_buffers", 96), errno.EINVAL)
        device.read_buffer_limit = value

    # Binding

    def _find(self, name: str, driver: str) -> tuple[Device, WqConfig | None]:
        name = name.removesuffix("\n")
        for device in self.devices:
            if driver == "idxd" and device.config.label == name:
                return device, None
            for wq in device.config.wqs:
                if driver != "idxd" and wq.label == name:
                    return device, wq
        fail(errno.ENODEV)

    def bind(self, driver: str, name: str) -> None:
        """bind_store() of drivers/base/bus.c, then the driver's probe."""
        device, wq = self._find(name, driver)
        if wq is None:
            fail_unless(not device.enabled, errno.EBUSY)
            self._configure(device)
            device.enabled, device.command_status = True, 0
        else:
            fail_unless(wq.state == "disabled", errno.EBUSY)
            self._probe(device, wq, driver)
            device.command_status = 0
        self.files.bound(device.config, wq, driver)

    def _refuse(self, device: Device, status: int, code: int) -> NoReturn:
        device.command_status = status
        fail(code)

    def _configure(self, device: Device) -> None:
        """idxd_device_config()."""
        configured = [wq for wq in device.config.wqs if wq.group_id >= 0]
        if any(wq.mode == "shared" and not self._shared_supported(device, wq) for wq in configured):
            self._refuse(device, _NO_SHARED, errno.ENXIO)
        if not configured:
            self._refuse(device, _NONE_CONFIGURED, errno.ENXIO)
        fail_unless(any(group >= 0 for group in device.engines), errno.ENXIO)

    @staticmethod
    def _shared_supported(device: Device, wq: WqConfig) -> bool:
        """wq_shared_supported(): a queue of type none has no PASID either."""
        return device.config.capabilities.pasid and wq.type in ("user", "kernel")

    def _probe(self, device: Device, wq: WqConfig, driver: str) -> None:
        """idxd_user_drv_probe() or idxd_dmaengine_drv_probe(), and idxd_drv_enable_wq()."""
        fail_unless(device.enabled, errno.ENXIO)
        if not wq.attributes["driver_name"].startswith(driver):  # idxd_wq_driver_name_match()
            self._refuse(device, _NO_DRIVER_NAME, errno.ENODEV)
        if driver == "user" and not device.config.capabilities.pasid:
            self._refuse(device, _NO_IOMMU, errno.EOPNOTSUPP)
        wq.type = "user" if driver == "user" else "kernel"
        try:
            if wq.group_id < 0:
                self._refuse(device, _NO_GROUP, errno.ENXIO)
            if not wq.name:
                self._refuse(device, _NO_NAME, errno.ENXIO)
            if wq.mode == "shared" and not self._shared_supported(device, wq):
                self._refuse(device, _NO_SVM, errno.ENXIO)
            if wq.mode == "shared" and not wq.threshold:
                self._refuse(device, _NO_THRESHOLD, errno.ENXIO)
            self._configure(device)
        except OSError:
            wq.type = "none"
            raise
        wq.size = wq.size or _DEFAULT_SIZE
        wq.state = "enabled"
        self.queues.enable(wq, device.config)

    def unbind(self, driver: str, name: str) -> None:
        """unbind_store(), then the driver's remove. A device takes its queues with it, and is reset."""
        device, wq = self._find(name, driver)
        if wq is not None:
            fail_unless(wq.state == "enabled" and wq.type == ("user" if driver == "user" else "kernel"), errno.ENODEV)
            self._disable(device, wq)
            return
        fail_unless(device.enabled, errno.ENODEV)
        for one in device.config.wqs:
            if one.state == "enabled":
                self._disable(device, one)
            self._clear(device, one)
            one.size, one.group_id = 0, -1
        for group in device.groups:
            self._clear_group(device, group)
        device.engines = [-1] * len(device.engines)
        device.enabled = False
        self.files.unbound(device.config, None)

    def _disable(self, device: Device, wq: WqConfig) -> None:
        """idxd_user_drv_remove(), idxd_drv_disable_wq()."""
        self.files.unbound(device.config, wq)
        self.queues.disable(wq)
        self._clear(device, wq)
