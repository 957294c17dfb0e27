"""Descriptors and completion records for tests, packed here independently of the product's own layout."""

from __future__ import annotations

import struct
from types import SimpleNamespace

RECORD = 0x1000  # where ``describe`` puts the completion record unless told otherwise
CRAV, RCR = 4, 8


def describe(opcode, *, flags=CRAV | RCR, record=RECORD, first=0, second=0, size=0, handle=0, trusted=0, **fields):
    """64 bytes. Further fields go to their place in the operation-specific part, by name."""
    raw = bytearray(struct.pack("<IIQQQIHH24x", trusted, flags | opcode << 24, record, first, second, size, handle, 0))
    for name, value in fields.items():
        at, form = PLACES[name]
        struct.pack_into(form, raw, at, value)
    return bytes(raw)


PLACES = {
    "expected": (40, "<B"),
    "delta_address": (40, "<Q"),
    "delta_maximum": (48, "<I"),
    "delta_mask": (56, "<B"),
    "delta_size": (40, "<I"),
    "dest2": (40, "<Q"),
    "seed": (40, "<I"),
    "seed64": (40, "<Q"),
    "seed_address": (48, "<Q"),
    "pattern_upper": (40, "<Q"),
    "stride": (48, "<I"),
    "source_dif": (40, "<B"),
    "dest_dif": (41, "<B"),
    "dif_flags": (42, "<B"),
    "source_reference": (48, "<I"),
    "source_mask": (52, "<H"),
    "source_application": (54, "<H"),
    "reference": (56, "<I"),
    "mask": (60, "<H"),
    "application": (62, "<H"),
}


def record(memory, address=RECORD):
    """The completion record at ``address``, taken apart."""
    names = ("status", "result", "info", "completed", "fault")
    raw = memory.get(address, 32)
    return SimpleNamespace(**dict(zip(names, struct.unpack_from("<BBBxIQ", raw), strict=True)), tail=raw[16:], raw=raw)
