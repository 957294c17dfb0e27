"""The SWERROR register: where a device reports what no completion record may or can show (DSA spec 5.8.1, 9.2.12).

Bit positions are those of union sw_err_reg, drivers/dma/idxd/registers.h (v6.12).
"""

from __future__ import annotations

from collections.abc import Iterator

from pasidlab.accelerator.abi import Status
from pasidlab.accelerator.transfer import DescriptorOutcome

_VALID, _DESCRIPTOR_VALID, _QUEUE_VALID, _BATCH, _WRITE = 1 << 0, 1 << 2, 1 << 3, 1 << 4, 1 << 5


def lost(queue: int, error: int) -> int:
    """The register after a descriptor that queue number ``queue`` never took; ``error`` 0 where no code is public."""
    return _VALID | _QUEUE_VALID | error << 8 | queue << 16


def unreported(outcome: DescriptorOutcome, queue: int, pasid: int) -> Iterator[int]:
    """The register after each error of a descriptor and its batch members that went there, in order."""
    for index, member in enumerate(outcome.members):
        if member.software_error:
            yield _register(member, queue, pasid) | _BATCH | index << 64
    if outcome.software_error:
        yield _register(outcome, queue, pasid)


def _register(outcome: DescriptorOutcome, queue: int, pasid: int) -> int:
    bits = lost(queue, outcome.status) | _DESCRIPTOR_VALID | outcome.opcode << 32 | pasid << 40
    if outcome.write_fault:
        bits |= _WRITE
    invalid_flags = int.from_bytes(outcome.tail[:4], "little") if outcome.status == Status.BAD_FLAGS else 0
    return bits | invalid_flags << 96 | (outcome.fault_address & (1 << 64) - 1) << 128
