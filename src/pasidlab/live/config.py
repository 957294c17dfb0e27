"""Which devices and work queues exist: the built-in default, ``--wq`` options, or a TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pasidlab import reading
from pasidlab.errors import PasidlabError, Position
from pasidlab.live.capabilities import Capabilities, mask_bits, mask_text, operations_of
from pasidlab.live.stored import number_stored

KINDS = ("dsa", "iax")
_EXAMPLE = "see docs/dsa-programmers.md for an example"
_DEEPEST, _MOST_BITS, _MOST_VALUES = 50, 256, 1 << 14
_WQ_WORDS = {
    "mode": ("shared", "dedicated"),
    "type": ("user", "kernel", "none"),
    "state": ("enabled", "disabled"),
}
_WQ_NUMBERS = {  # from, to
    "size": (1, 128), "threshold": (0, 128), "priority": (0, 15), "group_id": (0, 63), "block_on_fault": (0, 1),
    "max_batch_size": (1, 1 << 15), "max_transfer_size": (1, 1 << 31),
}  # fmt: skip
_DEVICE_NUMBERS = {
    "max_groups": (1, 64), "max_engines": (1, 64), "max_work_queues": (1, 64), "max_work_queues_size": (1, 1 << 15),
    "max_batch_size": (1, 1 << 15), "max_transfer_size": (1, 1 << 31), "max_read_buffers": (0, 1 << 15),
    "configurable": (0, 1), "pasid_enabled": (0, 1), "numa_node": (-1, 1023), "version": (0x100, 0x2FF),
    "gen_cap": (0, (1 << 64) - 1), "iaa_cap": (0, (1 << 64) - 1), "event_log_size": (0, 1 << 15),
}  # fmt: skip
_REPORTED = ("errors", "cmd_status")
"""Attributes of a device that tell what happened: no file can say."""
_FILE_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_MOST_DEVICES = 256
_MOST_QUEUES, _MOST_IN_ALL = 64, 1024  # of a device; each has some thirty files, which redirection writes


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

    @property
    def capabilities(self) -> Capabilities:
        """The device's registers, as ``attributes`` has them."""
        return Capabilities.of(self.kind, self.attributes)


def default_devices() -> list[DeviceConfig]:
    """One DSA device with one shared and one dedicated work queue of type user."""
    return [DeviceConfig(0, "dsa", [WqConfig(0, 0, "shared", threshold=15), WqConfig(0, 1, "dedicated")])]


def devices_from(options: tuple[str, ...], file: str | None) -> list[DeviceConfig]:
    """The devices asked for on the command line; the default without any option."""
    devices = _from_toml(file) if file else []
    for option in options:
        add_wq(devices, option)
    if (queues := sum(len(device.wqs) for device in devices)) > _MOST_IN_ALL:
        raise PasidlabError(f"{queues} queues in all", hint=f"{_MOST_IN_ALL} are the most")
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
            raise PasidlabError(f"--wq {option}: '{pair}' is not key=value", hint="for example --wq shared,size=16,threshold=8,name=app")
        values[key.strip()] = value.strip()
    label = str(values.pop("device", "dsa0"))
    device = next((d for d in devices if d.label == label), None)
    if device is None:
        device = _device(label, f"--wq {option}")
        devices.append(device)
    _append_wq(device, values, f"--wq {option}", None)
    _check_wq(device, device.wqs[-1], values, None)


def file_name(text: str, where: str, position: Position | None = None) -> str:
    """``text``, fit to be the name of a file in the device tree. PasidlabError for anything else.

    Every name from an option or a device file that becomes part of a path passes through here.
    """
    if not _FILE_NAME.fullmatch(text):
        hint = "letters, digits and underscores, at most 64: it becomes the name of a file"
        raise PasidlabError(f"{where}: {text[:80]!r} cannot be a name in sysfs", hint=hint, position=position)
    return text


def _device(label: str, where: str, position: Position | None = None) -> DeviceConfig:
    name = file_name(label, where, position)
    kind = name.rstrip("0123456789")
    number = name.removeprefix(kind)
    if kind not in KINDS or not number or len(number) > 3 or int(number) >= _MOST_DEVICES:
        hint = f"dsa0, dsa1 ... or iax0, iax1 ... up to {_MOST_DEVICES - 1}"
        raise PasidlabError(f"{where}: no such device '{label}'", hint=hint, position=position)
    return DeviceConfig(int(number), kind)


def _append_wq(device: DeviceConfig, values: Mapping[str, Any], where: str, text: DevicesText | None) -> None:
    if len(device.wqs) >= _MOST_QUEUES:
        raise PasidlabError(f"{where}: {device.label} has more than {_MOST_QUEUES} queues", position=text.position("wq") if text else None)
    wq = WqConfig(device=device.index, index=len(device.wqs), name=f"{device.label}-wq{len(device.wqs)}")
    for key, value in values.items():
        position = text.position(key, value) if text else None
        if key in _WQ_NUMBERS:
            setattr(wq, key, _number(value, f"{where}: {key}", _WQ_NUMBERS[key], position))
        elif key in _WQ_WORDS:
            if str(value) not in _WQ_WORDS[key]:
                hint = f"one of {', '.join(_WQ_WORDS[key])}"
                raise PasidlabError(f"{where}: {key} '{value}'", hint=hint, position=position)
            setattr(wq, key, str(value))
        elif key == "name":
            wq.name = str(value)
        elif key == "op_config":
            _mask(value, f"{where}: {key}", position)
            wq.attributes[key] = str(value)
        elif key == "driver_name":  # a link leads to the driver
            wq.attributes[key] = file_name(str(value), f"{where}: {key}", position)
        else:
            wq.attributes[file_name(key, where, position)] = str(value)
    if wq.threshold > wq.size:
        position = text.position("threshold", wq.threshold) if text else None
        what = f"{where}: threshold {wq.threshold} of a queue of size {wq.size}"
        raise PasidlabError(what, position=position, hint="threshold <= size")
    device.wqs.append(wq)


def _number(value: object, where: str, allowed: tuple[int, int], position: Position | None) -> int:
    try:
        number = int(str(value), 0)
    except ValueError:
        raise PasidlabError(f"{where} = '{value}' is not a number", position=position) from None
    if not allowed[0] <= number <= allowed[1]:
        hint = f"{allowed[0]} to {allowed[1]}"
        raise PasidlabError(f"{where} = {value} is out of range", hint=hint, position=position)
    try:
        number_stored(str(value), any_base=True)
    except OSError:
        hint = "decimal digits, or hexadecimal ones after 0x, as in sysfs"
        raise PasidlabError(f"{where} = '{value}' is no number for sysfs", hint=hint, position=position) from None
    return number


def _mask(value: object, where: str, position: Position | None) -> int:
    try:
        return mask_bits(str(value))
    except (ValueError, OverflowError):
        hint = "up to eight 32-bit hexadecimal words, commas between them, as sysfs shows them"
        raise PasidlabError(f"{where} '{value}' is no mask of operations", hint=hint, position=position) from None


@dataclass(frozen=True)
class DevicesText:
    """A TOML file, to point into."""

    file: str
    lines: list[str]

    def position(self, key: str, value: object = "") -> Position:
        """The first line that gives ``key`` this value, or names it at all."""
        return Position(self.file, self._given.get((key, str(value)), self._given.get((key, ""), 1)))

    @cached_property
    def _given(self) -> dict[tuple[str, str], int]:
        """Lines by key and value; by the key alone the first that has it."""
        found: dict[tuple[str, str], int] = {}
        for number, line in enumerate(self.lines, 1):
            key, equals, rest = line.partition("=")
            if equals:
                value = rest.strip()
                for text in (value, value.partition("#")[0].strip().strip("\"'"), ""):
                    found.setdefault((key.strip().strip("\"'"), text), number)
        return found


def _must_be_small(document: dict[str, Any], file: str) -> None:
    """Raises PasidlabError for numbers and depths that no device has, and that could not even be named in a message; and where there
    are so many values that a tree of them would take minutes.
    """
    work: list[tuple[Any, int]] = [(document, 0)]
    values = 0
    while work:
        value, depth = work.pop()
        values += 1
        if values > _MOST_VALUES:
            raise PasidlabError(f"{file} has more than {_MOST_VALUES} values", hint=_EXAMPLE)
        if depth > _DEEPEST:
            raise PasidlabError(f"{file} is nested too deeply", hint=_EXAMPLE)
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise PasidlabError(f"{file} has a number of {value.bit_length()} bits", hint=f"{_MOST_BITS} bits are the most; {_EXAMPLE}")
        if isinstance(value, dict | list):
            work += [(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value)]


def _parse(file: str) -> tuple[dict[str, Any], DevicesText]:
    document, content = reading.toml(file, _EXAMPLE)
    _must_be_small(document, file)
    return document, DevicesText(file, content.split("\n"))


def _from_toml(file: str) -> list[DeviceConfig]:
    """``[[device]]`` tables, each with ``name``, ``wq`` tables, and any sysfs attribute."""
    table, text = _parse(file)
    entries = table.get("device")
    if not isinstance(entries, list) or set(table) != {"device"} or not all(isinstance(one, dict) for one in entries):
        what = "expected [[device]] tables and nothing else"
        raise PasidlabError(what, position=Position(file, 1), hint=_EXAMPLE)
    devices: list[DeviceConfig] = []
    for entry in entries:
        position = text.position("name", entry.get("name", ""))
        device = _device(str(entry.get("name", f"dsa{len(devices)}")), file, position)
        if any(d.index == device.index for d in devices):
            raise PasidlabError(f"two devices have the number {device.index}", position=position)
        wqs = entry.get("wq", [])
        if not isinstance(wqs, list) or not all(isinstance(wq, dict) for wq in wqs):
            raise PasidlabError(f"{device.label}: wq must be [[device.wq]] tables", position=text.position("wq"))
        for wq in wqs:
            _append_wq(device, wq, device.label, text)
        given = {key: value for key, value in entry.items() if key not in ("name", "wq")}
        names = {key: file_name(key, device.label, text.position(key, value)) for key, value in given.items()}
        device.attributes = {names[key]: str(value) for key, value in given.items()}
        _check_device(device, text)
        for wq, said in zip(device.wqs, wqs, strict=True):
            _check_wq(device, wq, said, text)
        devices.append(device)
    return devices


def _check_device(device: DeviceConfig, text: DevicesText) -> None:
    for key, value in device.attributes.items():
        position = text.position(key, value)
        if key in _DEVICE_NUMBERS:
            _number(value, f"{device.label}: {key}", _DEVICE_NUMBERS[key], position)
        elif key in _REPORTED:
            raise PasidlabError(f"{device.label}: {key} tells what happened, it cannot be set", position=position)
        elif key == "op_cap":
            _check_operations(device, _mask(value, f"{device.label}: {key}", position), position)


def _check_operations(device: DeviceConfig, asked: int, position: Position) -> None:
    """The operations of ``op_cap`` must be ones that are carried out."""
    known = operations_of(device.kind)
    if asked & ~known:
        what = f"{device.label}: op_cap names operations that are not carried out: {_codes(asked & ~known)}"
        raise PasidlabError(what, position=position, hint=f"at most {mask_text(known).lstrip('0,')}")


def _check_wq(device: DeviceConfig, wq: WqConfig, given: Mapping[str, Any], text: DevicesText | None) -> None:
    """What one table, or one option, says of a queue, held against its device."""

    def wrong(key: str, what: str, hint: str = "") -> PasidlabError:
        position = text.position(key, given.get(key, "")) if text else None
        return PasidlabError(f"{wq.label}: {what}", position=position, hint=hint)

    groups = int(device.attributes.get("max_groups", "4"), 0)
    if wq.group_id >= groups:
        raise wrong("group_id", f"{device.label} has {groups} groups, from 0")
    for key in ("max_transfer_size", "max_batch_size"):
        most = int(device.attributes.get(key, str(getattr(device.capabilities, key))), 0)
        if key in given and getattr(wq, key) > most:
            raise wrong(key, f"{key} {given[key]}: {device.label} has {most}")
        setattr(wq, key, min(getattr(wq, key), most))
    extra = mask_bits(wq.attributes.get("op_config", "0")) & ~device.capabilities.operations
    if extra:
        raise wrong("op_config", f"op_config has operations that op_cap lacks: {_codes(extra)}")
    if wq.type == "user" and not device.capabilities.pasid and given.get("state") == "enabled":
        hint = "idxd_user_drv_probe() refuses it: EOPNOTSUPP, command status 0x80110000"
        raise wrong("state", "a user queue cannot be enabled with pasid_enabled = 0", hint)
    if device.attributes.get("state") == "disabled":
        wq.state = "disabled"


def _codes(operations: int) -> str:
    return ", ".join(f"{code:#04x}" for code in range(256) if operations >> code & 1)
