"""Which devices and work queues exist: the built-in default, ``--wq`` options, or a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pasidlab.errors import PasidlabError, Position

KINDS = ("dsa", "iax")
MODES = ("shared", "dedicated")
TYPES = ("user", "kernel", "none")
STATES = ("enabled", "disabled")
_WQ_NUMBERS = {"size", "threshold", "priority", "group_id", "max_batch_size", "max_transfer_size", "block_on_fault"}


@dataclass
class WqConfig:
    """One work queue ``wq<device>.<index>``. ``size`` and ``threshold`` count descriptors; sizes are bytes."""

    device: int = 0
    index: int = 0
    mode: str = "shared"
    type: str = "user"
    name: str = ""
    size: int = 16
    threshold: int = 0  # shared queues; 0 stands for the whole size
    priority: int = 10
    group_id: int = 0
    block_on_fault: int = 1
    max_batch_size: int = 1024
    max_transfer_size: int = 1 << 31
    state: str = "enabled"
    attributes: dict[str, str] = field(default_factory=dict)  # sysfs files set by the user

    @property
    def label(self) -> str:
        """The kernel's name, wqM.N."""
        return f"wq{self.device}.{self.index}"

    @property
    def limit(self) -> int:
        """Descriptors that may be outstanding before a submission is told to retry."""
        return self.threshold or self.size


@dataclass
class DeviceConfig:
    """One accelerator ``dsa<index>`` or ``iax<index>``."""

    index: int = 0
    kind: str = "dsa"
    wqs: list[WqConfig] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The kernel's name."""
        return f"{self.kind}{self.index}"


def default_devices() -> list[DeviceConfig]:
    """One DSA device with one shared and one dedicated work queue of type user."""
    return [DeviceConfig(0, "dsa", [WqConfig(0, 0, "shared", threshold=15), WqConfig(0, 1, "dedicated")])]


def devices_from(options: tuple[str, ...], file: str | None) -> list[DeviceConfig]:
    """The devices asked for on the command line; the default without any option."""
    devices = _from_toml(file) if file else []
    for option in options:
        add_wq(devices, option)
    return devices or default_devices()


def add_wq(devices: list[DeviceConfig], option: str) -> None:
    """Add the queue that one ``--wq MODE[,key=value ...]`` describes; the key ``device`` (dsa0, iax1) picks its
    device.
    """
    mode, *pairs = option.split(",")
    values: dict[str, Any] = {"mode": mode}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise PasidlabError(
                f"--wq {option}: '{pair}' is not key=value", hint="for example --wq shared,size=16,threshold=8,name=app"
            )
        values[key.strip()] = value.strip()
    label = str(values.pop("device", "dsa0"))
    device = next((d for d in devices if d.label == label), None)
    if device is None:
        device = _device(label, f"--wq {option}")
        devices.append(device)
    _append_wq(device, values, f"--wq {option}", None)


def _device(label: str, where: str) -> DeviceConfig:
    kind, number = label.rstrip("0123456789"), label[len(label.rstrip("0123456789")) :]
    if kind not in KINDS or not number:
        raise PasidlabError(f"{where}: no such device '{label}'", hint="dsa0, dsa1 ... or iax0, iax1 ...")
    return DeviceConfig(int(number), kind)


def _append_wq(device: DeviceConfig, values: Mapping[str, Any], where: str, position: Position | None) -> None:
    wq = WqConfig(device=device.index, index=len(device.wqs), name=f"{device.label}-wq{len(device.wqs)}")
    for key, value in values.items():
        if key in _WQ_NUMBERS:
            setattr(wq, key, _number(value, f"{where}: {key}", position))
        elif key in ("mode", "type", "name", "state"):
            setattr(wq, key, str(value))
        else:
            wq.attributes[key] = str(value)
    for key, value, choices in (("mode", wq.mode, MODES), ("type", wq.type, TYPES), ("state", wq.state, STATES)):
        if value not in choices:
            raise PasidlabError(f"{where}: {key} '{value}'", hint=f"one of {', '.join(choices)}", position=position)
    if not 1 <= wq.size <= 128 or not 0 <= wq.threshold <= wq.size:
        raise PasidlabError(
            f"{where}: size {wq.size}, threshold {wq.threshold}",
            position=position,
            hint="1 <= size <= 128, threshold <= size",
        )
    device.wqs.append(wq)


def _number(value: object, where: str, position: Position | None) -> int:
    try:
        return int(str(value), 0)
    except ValueError:
        raise PasidlabError(f"{where} = '{value}' is not a number", position=position) from None


def _from_toml(file: str) -> list[DeviceConfig]:
    """``[[device]]`` tables, each with ``name``, ``wq`` tables, and any sysfs attribute."""
    try:
        table = tomllib.loads(Path(file).read_text())
    except OSError as error:
        raise PasidlabError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PasidlabError(f"{file} is not TOML: {error}", hint="see docs/dsa-programmers.md for an example") from None
    position = Position(file, 1)
    entries = table.get("device")
    if not isinstance(entries, list) or set(table) != {"device"}:
        raise PasidlabError(
            "expected [[device]] tables and nothing else",
            position=position,
            hint="see docs/dsa-programmers.md for an example",
        )
    devices: list[DeviceConfig] = []
    for entry in entries:
        device = _device(str(entry.get("name", f"dsa{len(devices)}")), file)
        if any(d.index == device.index for d in devices):
            raise PasidlabError(f"two devices have the number {device.index}", position=position)
        wqs = entry.get("wq", [])
        if not isinstance(wqs, list) or not all(isinstance(wq, dict) for wq in wqs):
            raise PasidlabError(f"{device.label}: wq must be [[device.wq]] tables", position=position)
        for wq in wqs:
            _append_wq(device, wq, device.label, position)
        device.attributes = {key: str(value) for key, value in entry.items() if key not in ("name", "wq")}
        devices.append(device)
    return devices
