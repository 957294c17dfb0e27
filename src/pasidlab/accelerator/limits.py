"""Sizes, alignments and overlaps that each operation admits (DSA spec 5.4 and the descriptions in 8.3)."""

from __future__ import annotations

from collections.abc import Callable

from pasidlab.accelerator import abi
from pasidlab.accelerator.abi import Cap, Descriptor, Op, Status
from pasidlab.accelerator.legality import Rejection, WqLimits

DIF_BLOCKS = (512, 520, 4096, 4104)  # bytes of data in a block, DIF flags 1:0, 8.3.17.1
DIF_SIZE = 8  # bytes: guard, application tag, reference tag
DELTA_SIZE = 10  # bytes of one delta: offset / 8 in two, data in eight, 8.3.8
DELTA_MAXIMUM = 0x80000  # bytes compared by one create delta record
DELTA_RECORD_MINIMUM = 80
_TOP = 1 << 64


def overlaps(a: int, a_size: int, b: int, b_size: int) -> bool:
    """Whether [a, a + a_size) and [b, b + b_size) share a byte."""
    return a < b + b_size and b < a + a_size


def block_size(d: Descriptor) -> int:
    """Bytes of data in one block of a DIF descriptor."""
    return DIF_BLOCKS[d.tail40 >> 16 & 3]


def _size(d: Descriptor, wq: WqLimits, what: str = "transfer size") -> Rejection | None:
    if d.size == 0:
        return Rejection(Status.BAD_SIZE, f"{what} is 0")
    if d.size > wq.max_transfer_size:
        return Rejection(Status.BAD_SIZE, f"{what} {d.size} is more than the work queue's {wq.max_transfer_size}")
    return None


def _apart(pairs: tuple[tuple[str, int, int, str, int, int], ...]) -> Rejection | None:
    for name_a, a, a_size, name_b, b, b_size in pairs:
        if overlaps(a, a_size, b, b_size):
            return Rejection(Status.OVERLAP, f"{name_a} [0x{a:x}, +{a_size}) overlaps {name_b} [0x{b:x}, +{b_size})")
    return None


def _aligned(fields: tuple[tuple[str, int, int], ...]) -> Rejection | None:
    for name, value, alignment in fields:
        if value % alignment:
            return Rejection(Status.MISALIGNED, f"{name} 0x{value:x} is not a multiple of {alignment}")
    return None


def _move(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    if not 0 < d.size <= wq.max_transfer_size:
        return _size(d, wq)
    if not gencap & Cap.OVERLAPPING_COPY:
        return _apart((("source", d.first, d.size, "destination", d.second, d.size),))
    return None


def _plain(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    return None if 0 < d.size <= wq.max_transfer_size else _size(d, wq)


def _batch(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    least = 1 if gencap & Cap.BATCH_1 else 2
    if not least <= d.size <= wq.max_batch_size:
        return Rejection(Status.BAD_COUNT, f"descriptor count {d.size}, allowed are {least} to {wq.max_batch_size}")
    if d.first % abi.DESCRIPTOR_SIZE:
        return Rejection(Status.LIST_MISALIGNED, f"descriptor list address 0x{d.first:x} is not a multiple of 64")
    return None


def _delta_size(d: Descriptor, wq: WqLimits) -> Rejection | None:
    wrong = _size(d, wq)
    if wrong is None and d.size > DELTA_MAXIMUM:
        return Rejection(Status.BAD_SIZE, f"transfer size {d.size} is beyond a delta record's 0x{DELTA_MAXIMUM:x}")
    return wrong


def _delta_record_size(size: int, least: int, wq: WqLimits) -> Rejection | None:
    if least <= size <= wq.max_transfer_size:
        return None
    return Rejection(Status.BAD_FIELD, f"delta record size {size}, allowed are {least} to {wq.max_transfer_size}")


def _create_delta(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    room = d.tail48 & 0xFFFFFFFF
    return (
        _delta_size(d, wq)
        or _aligned((("source 1", d.first, 8), ("source 2", d.second, 8), ("transfer size", d.size, 8)))
        or _delta_record_size(room, DELTA_RECORD_MINIMUM, wq)
        or _apart(
            (
                ("delta record", d.tail40, room, "source 1", d.first, d.size),
                ("delta record", d.tail40, room, "source 2", d.second, d.size),
            )
        )
    )


def _apply_delta(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    used = d.tail40 & 0xFFFFFFFF
    return (
        _delta_size(d, wq)
        or _aligned((("destination", d.second, 8), ("transfer size", d.size, 8)))
        or _delta_record_size(used, DELTA_SIZE, wq)
        or _apart((("delta record", d.first, used, "destination", d.second, d.size),))
    )


def _dualcast(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    wrong = _size(d, wq)
    if wrong is None and (d.second ^ d.tail40) & 0xFFF:
        return Rejection(Status.DUALCAST_BITS, f"destinations 0x{d.second:x} and 0x{d.tail40:x} differ in bits 11:0")
    return wrong or _apart(
        (
            ("source", d.first, d.size, "destination 1", d.second, d.size),
            ("source", d.first, d.size, "destination 2", d.tail40, d.size),
            ("destination 1", d.second, d.size, "destination 2", d.tail40, d.size),
        )
    )


def _crc(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    wrong = _plain(d, wq, gencap)
    if wrong is None and d.flags & abi.READ_SEED:
        return _aligned((("CRC seed address", d.tail48, 8 if d.flags & abi.CRC_64 else 4),))
    return wrong


def _copy_crc(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    return _crc(d, wq, gencap) or _apart((("source", d.first, d.size, "destination", d.second, d.size),))


def dif_destination_size(d: Descriptor) -> int:
    """Bytes that a DIF or DIX descriptor writes (DSA spec appendix B)."""
    block, size = block_size(d), d.size
    if d.opcode == Op.DIF_INSERT:
        return size + size // block * DIF_SIZE
    if d.opcode == Op.DIF_STRIP:
        return size - size // (block + DIF_SIZE) * DIF_SIZE
    return size if d.opcode == Op.DIF_UPDATE else size // block * DIF_SIZE


def _dif(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    wrong = _plain(d, wq, gencap)
    if wrong is None and d.opcode == Op.DIX_GENERATE:
        wrong = _aligned((("destination", d.second, 8),))
    return wrong or _apart((("source", d.first, d.size, "destination", d.second, dif_destination_size(d)),))


def _fetch(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    if d.size == 0 or d.first + d.size > _TOP:
        return Rejection(Status.BAD_SIZE, f"region of {d.size} bytes at 0x{d.first:x}")
    stride = d.tail48 & 0xFFFFFFFF
    if d.flags & abi.USE_STRIDE and (stride < 4096 or stride & stride - 1):
        return Rejection(Status.MISALIGNED, f"region stride {stride} is not a power of two from 4096")
    return None


Limit = Callable[[Descriptor, WqLimits, int], Rejection | None]
LIMITS: dict[int, Limit] = {
    Op.BATCH: _batch,
    Op.MEMORY_MOVE: _move,
    Op.FILL: _plain,
    Op.COMPARE: _plain,
    Op.COMPARE_PATTERN: _plain,
    Op.CREATE_DELTA: _create_delta,
    Op.APPLY_DELTA: _apply_delta,
    Op.DUALCAST: _dualcast,
    Op.TRANSLATION_FETCH: _fetch,
    Op.CRC: _crc,
    Op.COPY_CRC: _copy_crc,
    Op.DIF_CHECK: _plain,
    Op.DIF_INSERT: _dif,
    Op.DIF_STRIP: _dif,
    Op.DIF_UPDATE: _dif,
    Op.DIX_GENERATE: _dif,
    Op.CACHE_FLUSH: _plain,
}
