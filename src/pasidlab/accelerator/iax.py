"""What IAX, the In-Memory Analytics Accelerator, takes: rules and limits of its own operations. The others are DSA's.

Layouts after linux/idxd.h (struct iax_hw_desc), flags and status codes after intel/qpl (own_hw_definitions.h, hw_status.h).
The specification is not public. What no public source says a device refuses is taken here.
"""

from __future__ import annotations

from pasidlab.accelerator import aecs, analytics, cipher, crc64, decompress, deflate, filters, zeros
from pasidlab.accelerator.abi import Descriptor, Flag, Op, Status, operation_name
from pasidlab.accelerator.legality import RULES, Rejection, Rule, WqLimits
from pasidlab.accelerator.limits import LIMITS, Limit, overlaps

RECORD_SIZE = 64  # bytes, and the alignment of a completion record
_TCS = Flag.ADDRESS_1_TC | Flag.ADDRESS_2_TC | Flag.ADDRESS_3_TC
_WRITES = Flag.BLOCK_ON_FAULT | Flag.CACHE_CONTROL_1 | Flag.CACHE_CONTROL_2 | Flag.STRICT_ORDERING | _TCS
_SOURCE_2 = analytics.READ_SOURCE_2 | analytics.WRITE_SOURCE_2 | 1 << 20 | analytics.CRC_32C | analytics.SELECT

FILTERS = tuple(Op(code) for code in range(Op.SCAN, Op.EXPAND + 1))

IAX_RULES: dict[int, Rule] = {
    **{code: RULES[code] for code in (Op.NOOP, Op.DRAIN, Op.MEMORY_MOVE, Op.TRANSLATION_FETCH)},
    **dict.fromkeys((Op.DECRYPT, Op.ENCRYPT), Rule(_WRITES | _SOURCE_2 & ~analytics.CRC_32C, ((56, 63),))),
    Op.DECOMPRESS: Rule(_WRITES | _SOURCE_2, ()),
    Op.COMPRESS: Rule(_WRITES | _SOURCE_2, ((60, 63),)),
    Op.CRC64: Rule(Flag.BLOCK_ON_FAULT | Flag.ADDRESS_1_TC, ((24, 31), (40, 55)), Flag.RECORD_ADDRESS_VALID | Flag.REQUEST_RECORD),
    **{code: Rule(_WRITES | analytics.CRC_32C, ((38, 47), (52, 63))) for code in zeros.WORDS},
    **{code: Rule(_WRITES | _SOURCE_2, ()) for code in FILTERS},
}


def _size(name: str, size: int, least: int, wq: WqLimits) -> Rejection | None:
    if least <= size <= wq.max_transfer_size:
        return None
    return Rejection(Status.BAD_SIZE, f"{name} {size}, from {least} to the work queue's {wq.max_transfer_size}")


def _crc64_limits(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    flags = d.field(38, 2)
    if flags & ~(crc64.BIT_ORDER | crc64.INVERT):
        return Rejection(Status.ANALYTICS_FLAGS, f"CRC64 flags 0x{flags:04x}: only bits 14 and 15 mean something")
    return _size("source size", d.size, 1, wq)


def _room(d: Descriptor) -> int:
    """The maximum destination size."""
    return d.tail48 & 0xFFFFFFFF


def _apart(d: Descriptor) -> Rejection | None:
    if d.size and _room(d) and overlaps(d.first, d.size, d.second, _room(d)):
        what = f"source 1 [0x{d.first:x}, +{d.size}) overlaps the destination [0x{d.second:x}, +{_room(d)})"
        return Rejection(Status.OVERLAP, what)
    return None


def _state(d: Descriptor, wq: WqLimits, written: int) -> Rejection | None:
    """An AECS as source 2; ``written`` is the highest way in which the operation may write it."""
    read, write = d.flags >> 16 & 3, d.flags >> 18 & 3
    if read > analytics.READ_AECS or write > written:
        bits = (analytics.READ_SOURCE_2 if read > analytics.READ_AECS else analytics.WRITE_SOURCE_2) & d.flags
        return Rejection(Status.BAD_FLAGS, f"source 2 is read in way {read}, written in way {write}: not for this operation", bits)
    if not (read or write):
        return None
    for name, value in (("address", d.tail40), ("size", d.tail48 >> 32)):
        if value % aecs.ALIGNMENT:
            return Rejection(Status.MISALIGNED, f"AECS {name} 0x{value:x} is not a multiple of {aecs.ALIGNMENT}")
    return _size("AECS size", d.tail48 >> 32, aecs.ALIGNMENT, wq)


def _source(d: Descriptor, wq: WqLimits) -> Rejection | None:
    """An AECS may hold input, and take output: only no source and no destination at once is nothing to do."""
    return _size("source 1 size", d.size, 0 if _room(d) else 1, wq) or _size("maximum destination size", _room(d), 0, wq)


def _decompress(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    flags = d.field(38, 2)
    if flags & ~decompress.KNOWN or not flags & decompress.ENABLE:
        return Rejection(Status.ANALYTICS_FLAGS, f"decompression flags 0x{flags:04x}: bit 0 is set, bits 13 to 15 are not")
    indexes = decompress.mini_block(flags >> 10 & 7)
    if indexes and not flags & decompress.SUPPRESS:
        return Rejection(Status.ANALYTICS_FLAGS, f"decompression flags 0x{flags:04x}: an index needs suppressed output")
    if flags & decompress.BIG_ENDIAN and d.size & 1:
        return Rejection(Status.BAD_INPUT_SIZE, f"source 1 size {d.size} is odd, in big-endian 16-bit mode")
    writes = indexes or not flags & decompress.SUPPRESS
    wrong = _source(d, wq) or _state(d, wq, analytics.WRITE_ON_OVERFLOW)
    return wrong or (_apart(d) if writes else None)


def _compress(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    flags, more = d.field(38, 2), d.field(56, 4)
    if flags & ~deflate.KNOWN or more:
        what = f"compression flags 0x{flags:04x} and 0x{more:x}: bits 8 to 0 of the first are what this device knows"
        return Rejection(Status.ANALYTICS_FLAGS, what)
    return _source(d, wq) or _state(d, wq, analytics.WRITE_ALWAYS) or _apart(d)


def _zeros(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    word = zeros.WORDS[Op(d.opcode)]
    if d.opcode >= Op.ZERO_COMPRESS_32 and d.size % word:
        return Rejection(Status.BAD_INPUT_SIZE, f"source 1 size {d.size} is not a multiple of {word}")
    return _size("source 1 size", d.size, 1, wq) or _size("maximum destination size", _room(d), 0, wq) or _apart(d)


def _cipher(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    flags = d.field(38, 2)
    if flags & ~cipher.FLUSH:
        return Rejection(Status.ANALYTICS_FLAGS, f"cipher flags 0x{flags:04x}: bit 1 is the one that is known")
    read, write = d.flags >> 16 & 3, d.flags >> 18 & 3
    if read != analytics.READ_AECS or write:
        what = f"source 2 is read in way {read}, written in way {write}: the key comes from an AECS (way 1), which is not written here"
        return Rejection(Status.BAD_FLAGS, what, d.flags & (analytics.READ_SOURCE_2 | analytics.WRITE_SOURCE_2))
    sizes = _source(d, wq) or _size("AECS size", d.tail48 >> 32, cipher.AECS_SIZE, wq)
    return sizes or _state(d, wq, analytics.WRITE_NEVER) or _apart(d)


def _filter(d: Descriptor, wq: WqLimits, gencap: int) -> Rejection | None:
    flags, word = filters.Flags(d.tail56 & 0xFFFFFFFF), d.tail56 & 0xFFFFFFFF
    wrong = _filter_flags(d, flags) or (_inflating(d) if d.field(38, 2) else None)
    if wrong:
        return wrong
    if flags.parser == filters.PARQUET and flags.width > 1:
        return Rejection(Status.BAD_WIDTH, f"filter flags 0x{word:x}: Parquet runs tell their width themselves")
    if d.opcode == Op.RLE_BURST and flags.parser != filters.PARQUET and flags.width not in (8, 16, 32):
        return Rejection(Status.BAD_WIDTH, f"counts of {flags.width} bits: 8, 16 or 32")
    if d.opcode in filters.SETS and flags.parser != filters.PARQUET:
        most = filters.set_width(gencap, bool(d.field(38, 2) & decompress.ENABLE))
        if not 0 < flags.width - flags.drop_low - flags.drop_high <= most:
            return Rejection(Status.BAD_WIDTH, f"{flags.width} bits, {flags.drop_low} + {flags.drop_high} dropped: 1 to {most} left")
    if not d.tail56 >> 32:
        return Rejection(Status.BAD_ELEMENTS, "number of input elements is 0")
    sizes = _size("source 1 size", d.size, 1, wq) or _size("maximum destination size", _room(d), 0, wq)
    return sizes or _second(d, wq) or _apart(d)


def _filter_flags(d: Descriptor, flags: filters.Flags) -> Rejection | None:
    if flags.word & ~filters.KNOWN or flags.parser > filters.PARQUET:
        return Rejection(Status.FILTER_FLAGS, f"filter flags 0x{flags.word:x}: bits 26 to 0 are what this device knows, parser 0 to 2")
    if d.opcode in filters.BITWISE and flags.width_2 > 1:
        return Rejection(Status.FILTER_FLAGS, f"filter flags 0x{flags.word:x}: source 2 has one bit an element")
    if flags.invert and d.opcode not in filters.VECTORS:
        return Rejection(Status.BAD_INVERT, f"filter flags 0x{flags.word:x}: {operation_name(d.opcode)} yields no bit vector")
    return None


def _inflating(d: Descriptor) -> Rejection | None:
    flags = d.field(38, 2)
    known = decompress.KNOWN & ~(decompress.SUPPRESS | 7 << 10)
    if flags & ~known or not flags & decompress.ENABLE:
        what = f"decompression flags 0x{flags:04x}: for a filter bit 0 is set, or none; bits 9 to 15 are not"
        return Rejection(Status.ANALYTICS_FLAGS, what)
    if flags & decompress.BIG_ENDIAN and d.size & 1:
        return Rejection(Status.BAD_INPUT_SIZE, f"source 1 size {d.size} is odd, in big-endian 16-bit mode")
    return None


def _second(d: Descriptor, wq: WqLimits) -> Rejection | None:
    """Source 2 of a filter: data, or an AECS that is read."""
    if d.opcode not in filters.TWO_SOURCES:
        return _state(d, wq, analytics.WRITE_NEVER)
    read, write = d.flags >> 16 & 3, d.flags >> 18 & 3
    if read != analytics.READ_INPUT or write:
        bits = d.flags & (analytics.READ_SOURCE_2 | analytics.WRITE_SOURCE_2)
        what = f"source 2 is read in way {read}, written in way {write}: {operation_name(d.opcode)} reads it in way 2"
        return Rejection(Status.BAD_FLAGS, what, bits)
    return _size("source 2 size", d.tail48 >> 32, 1, wq)


IAX_LIMITS: dict[int, Limit] = {
    Op.MEMORY_MOVE: LIMITS[Op.MEMORY_MOVE],
    Op.TRANSLATION_FETCH: LIMITS[Op.TRANSLATION_FETCH],
    **dict.fromkeys(zeros.WORDS, _zeros),
    **dict.fromkeys(FILTERS, _filter),
    Op.DECRYPT: _cipher,
    Op.ENCRYPT: _cipher,
    Op.DECOMPRESS: _decompress,
    Op.COMPRESS: _compress,
    Op.CRC64: _crc64_limits,
}
