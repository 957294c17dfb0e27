"""What a device can do: its capability registers, from the kind, and from what the user set for the attributes that show them.

The registers are those of drivers/dma/idxd/registers.h (v6.12). A device carries out what ``operations`` says, no more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pasidlab.accelerator import GENCAP_1_0, IAX, OPERATIONS_1_0, OPERATIONS_2_0, OPERATIONS_IAX_1, OPERATIONS_IAX_2, Op

VERSION_2 = 0x200  # DEVICE_VERSION_2
_GENCAP_IAX = 0x71F10901F0105  # a first-generation IAX: 2^31 bytes, no batch
_OPERATIONS_IAX = sum(1 << code for code in IAX.operations)
_IAACAP_CFB = 1 << 10  # union iaa_cap_reg: crypto_cfb
_SIZE = 256  # bits of OPCAP
_MASK = re.compile(r"[0-9a-fA-F]{1,8}(,[0-9a-fA-F]{1,8})*")


def mask_text(bits: int) -> str:
    """A 256-bit mask as ``%*pb`` prints it: eight comma-separated 32-bit words, most significant first."""
    return ",".join(f"{bits >> shift & 0xFFFFFFFF:08x}" for shift in range(_SIZE - 32, -1, -32))


def mask_bits(text: str) -> int:
    """The number behind such words (bitmap_parse). ValueError for what is none, OverflowError for more than 256 bits."""
    if not _MASK.fullmatch(text.strip()):
        raise ValueError(text)
    value = 0
    for word in text.strip().split(","):
        value = value << 32 | int(word, 16)
    if value >> _SIZE:
        raise OverflowError(text)
    return value


def operations_of(kind: str) -> int:
    """The operations that are carried out here, as a mask."""
    return _OPERATIONS_IAX if kind == "iax" else OPERATIONS_2_0


@dataclass(frozen=True)
class Capabilities:
    """The registers of one device. ``pasid`` says whether user queues have PASIDs (shared virtual addressing)."""

    version: int
    gencap: int
    operations: int
    iaa_cap: int
    pasid: bool

    @classmethod
    def of(cls, kind: str, attributes: Mapping[str, str]) -> Capabilities:
        """A device with these attributes, which are well-formed."""
        version = _number(attributes, "version", 0x100)
        gencap = _number(attributes, "gen_cap", _GENCAP_IAX if kind == "iax" else GENCAP_1_0)
        first = OPERATIONS_1_0 if kind == "dsa" else OPERATIONS_IAX_1
        second = OPERATIONS_2_0 if kind == "dsa" else OPERATIONS_IAX_2
        default = first if version < VERSION_2 else second
        operations = mask_bits(attributes["op_cap"]) if "op_cap" in attributes else default
        ciphers = _IAACAP_CFB if operations & (1 << Op.ENCRYPT | 1 << Op.DECRYPT) else 0
        iaa_cap, pasid = _number(attributes, "iaa_cap", ciphers), _number(attributes, "pasid_enabled", 1)
        return cls(version, gencap, operations, iaa_cap, bool(pasid))

    @property
    def max_transfer_size(self) -> int:
        """Bytes, GENCAP 20:16."""
        return 1 << (self.gencap >> 16 & 0x1F)

    @property
    def max_batch_size(self) -> int:
        """Descriptors, GENCAP 24:21."""
        return 1 << (self.gencap >> 21 & 0xF)

    @property
    def configurable(self) -> bool:
        """Whether groups and queues can be configured, GENCAP 31."""
        return bool(self.gencap >> 31 & 1)

    @property
    def event_log(self) -> bool:
        """Whether the device can keep an event log, GENCAP 14:13."""
        return bool(self.gencap >> 13 & 3)


def _number(attributes: Mapping[str, str], name: str, default: int) -> int:
    return int(attributes[name], 0) if name in attributes else default
