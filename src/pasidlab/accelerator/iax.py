"""What IAX, the In-Memory Analytics Accelerator, has of its own: CRC64. No-op, drain and memory move are those of DSA.

Layouts after linux/idxd.h (struct iax_hw_desc, iax_completion_record) and intel/idxd-config's iaa_test.
"""

from __future__ import annotations

from pasidlab.accelerator.abi import Descriptor, Flag, Op, Status
from pasidlab.accelerator.checksums import crc64_register, reverse_bits, reversed_bytes
from pasidlab.accelerator.legality import RULES, Rejection, Rule, WqLimits
from pasidlab.accelerator.limits import LIMITS, Limit
from pasidlab.accelerator.transfer import CHUNK, SOURCE, Access, DescriptorOutcome

RECORD_SIZE = 64  # bytes, and the alignment of a completion record
_BIT_ORDER, _INVERT = 1 << 15, 1 << 14  # the CRC64 flags at byte 38
_RESULT_AT = 40  # byte of the completion record
_TAIL_AT = 16

IAX_RULES: dict[int, Rule] = {
    **{code: RULES[code] for code in (Op.NOOP, Op.DRAIN, Op.MEMORY_MOVE)},
    Op.CRC64: Rule(
        Flag.BLOCK_ON_FAULT | Flag.ADDRESS_1_TC, ((24, 31), (40, 55)), Flag.RECORD_ADDRESS_VALID | Flag.REQUEST_RECORD
    ),
}


def _crc64_limits(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    flags = d.field(38, 2)
    if flags & ~(_BIT_ORDER | _INVERT):
        return Rejection(Status.ANALYTICS_FLAGS, f"CRC64 flags 0x{flags:04x}: only bits 14 and 15 mean something")
    if not 0 < d.size <= wq.max_transfer_size:
        return Rejection(Status.BAD_SIZE, f"source size {d.size}, from 1 to the work queue's {wq.max_transfer_size}")
    return None


IAX_LIMITS: dict[int, Limit] = {Op.MEMORY_MOVE: LIMITS[Op.MEMORY_MOVE], Op.CRC64: _crc64_limits}


def crc64(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """A CRC of up to 64 bits by the polynomial at byte 56, whose highest bit stands for x^63 and whose x^64 is implied.

    With the invert flag the register begins, and the result ends, complemented over the width of the polynomial.
    """
    flags, polynomial, done = d.field(38, 2), d.tail56 | 1 << 64, 0
    mask = _width_mask(d.tail56) if flags & _INVERT else 0
    register = mask
    while done < d.size:
        length = min(CHUNK, d.size - done)
        got = m.read(d.first + done, m.bench.view_a[:length])
        data = m.bench.a[:got]
        register = crc64_register(reversed_bytes(data) if flags & _BIT_ORDER else data, register, polynomial)
        done += got
        if got < length:
            return m.fault(o, d.first + done, done, SOURCE)
    value = register ^ mask
    if flags & _BIT_ORDER:
        value = reverse_bits(value, 64)
    o.tail, o.moved = bytes(_RESULT_AT - _TAIL_AT) + value.to_bytes(8, "little"), done
    return o


def _width_mask(polynomial: int) -> int:
    """All bits from the lowest of the left-aligned polynomial upwards: as many as it has degrees."""
    return (1 << 64) - (polynomial & -polynomial) if polynomial else 0
