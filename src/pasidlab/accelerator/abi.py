"""What a program and an Intel DSA device agree on: operation codes, flags, status codes and the two record layouts.

Every number here is from the *Intel Data Streaming Accelerator Architecture Specification*, with its section or table. Order number
341204-006US, revision 3.0 (June 2025); "DSA spec" below.
"""

from __future__ import annotations

import struct
from enum import IntEnum

DESCRIPTOR_SIZE = 64  # bytes, DSA spec 8.1
RECORD_SIZE = 32  # bytes, DSA spec 8.2


class Op(IntEnum):
    """Operation codes (DSA spec table 8-2) that this device knows by name."""

    NOOP = 0x00
    BATCH = 0x01
    DRAIN = 0x02
    MEMORY_MOVE = 0x03
    FILL = 0x04
    COMPARE = 0x05
    COMPARE_PATTERN = 0x06
    CREATE_DELTA = 0x07
    APPLY_DELTA = 0x08
    DUALCAST = 0x09
    TRANSLATION_FETCH = 0x0A
    CRC = 0x10
    COPY_CRC = 0x11
    DIF_CHECK = 0x12
    DIF_INSERT = 0x13
    DIF_STRIP = 0x14
    DIF_UPDATE = 0x15
    DIX_GENERATE = 0x17
    CACHE_FLUSH = 0x20
    # From here on of IAX.
    DECRYPT = 0x40
    ENCRYPT = 0x41
    DECOMPRESS = 0x42
    COMPRESS = 0x43
    CRC64 = 0x44
    ZERO_DECOMPRESS_32 = 0x48
    ZERO_DECOMPRESS_16 = 0x49
    ZERO_DECOMPRESS_8 = 0x4A
    ZERO_COMPRESS_32 = 0x4C
    ZERO_COMPRESS_16 = 0x4D
    ZERO_COMPRESS_8 = 0x4E
    SCAN = 0x50
    SET_MEMBERSHIP = 0x51
    EXTRACT = 0x52
    SELECT = 0x53
    RLE_BURST = 0x54
    FIND_UNIQUE = 0x55
    EXPAND = 0x56


NAMES: dict[int, str] = {
    0x00: "no-op",
    0x01: "batch",
    0x02: "drain",
    0x03: "memory move",
    0x04: "fill",
    0x05: "compare",
    0x06: "compare pattern",
    0x07: "create delta record",
    0x08: "apply delta record",
    0x09: "dualcast",
    0x0A: "translation fetch",
    0x10: "CRC generation",
    0x11: "copy with CRC",
    0x12: "DIF check",
    0x13: "DIF insert",
    0x14: "DIF strip",
    0x15: "DIF update",
    0x17: "DIX generate",
    0x18: "type conversion",
    0x19: "reduce",
    0x1A: "reduce with dualcast",
    0x1B: "gather reduce",
    0x1C: "gather copy",
    0x1D: "scatter copy",
    0x1E: "scatter fill",
    0x20: "cache flush",
    0x21: "update window",
    0x23: "inter-domain copy",
    0x24: "inter-domain fill",
    0x25: "inter-domain compare",
    0x26: "inter-domain compare pattern",
    0x40: "decrypt",
    0x41: "encrypt",
    0x42: "decompress",
    0x43: "compress",
    0x44: "CRC64",
    0x48: "zero decompress 32",
    0x49: "zero decompress 16",
    0x4A: "zero decompress 8",
    0x4C: "zero compress 32",
    0x4D: "zero compress 16",
    0x4E: "zero compress 8",
    0x50: "scan",
    0x51: "set membership",
    0x52: "extract",
    0x53: "select",
    0x54: "RLE burst",
    0x55: "find unique",
    0x56: "expand",
}

# Bit n stands for operation code n, as in the OPCAP register (DSA spec 9.2.6).
OPERATIONS_1_0 = 0x1_003F_03FF  # the whole of DSA 1.0
# A first-generation IAX: 0, 2, 3, 0x42 to 0x44, 0x48, 0x49, 0x4c, 0x4d, 0x50 to 0x56 (op_cap of an AWS m7i, intel/qpl issue 50).
OPERATIONS_IAX_1 = 0x7F331C << 64 | 0xD
OPERATIONS_IAX_2 = OPERATIONS_IAX_1 | 1 << Op.TRANSLATION_FETCH | 1 << Op.ZERO_DECOMPRESS_8 | 1 << Op.ZERO_COMPRESS_8
OPERATIONS_2_0 = OPERATIONS_1_0 | 1 << Op.TRANSLATION_FETCH | 1 << Op.DIX_GENERATE  # 2.0, without a second process


class Flag:
    """Descriptor flags (DSA spec table 8-3), as plain masks; bits 16 to 23 mean something else for each operation."""

    FENCE = 1 << 0
    BLOCK_ON_FAULT = 1 << 1
    RECORD_ADDRESS_VALID = 1 << 2
    REQUEST_RECORD = 1 << 3
    REQUEST_INTERRUPT = 1 << 4
    CACHE_CONTROL_3 = 1 << 5
    CHECK_RESULT = 1 << 7
    CACHE_CONTROL_1 = 1 << 8
    ADDRESS_1_TC = 1 << 9
    ADDRESS_2_TC = 1 << 10
    ADDRESS_3_TC = 1 << 11
    RECORD_TC = 1 << 12
    STRICT_ORDERING = 1 << 13
    CACHE_CONTROL_2 = 1 << 14  # "destination readback" until revision 2.1


FLAG_NAMES: dict[int, str] = {
    0: "fence",
    1: "block on fault",
    2: "completion record address valid",
    3: "request completion record",
    4: "request completion interrupt",
    5: "cache control 3",
    7: "check result",
    8: "cache control 1",
    9: "address 1 TC selector",
    10: "address 2 TC selector",
    11: "address 3 TC selector",
    12: "completion record TC selector",
    13: "strict ordering",
    14: "destination readback",
}

# Operation-specific flags.
BATCH_ERROR = 1 << 16  # batch, table 8-14
READBACK_1, READBACK_2 = 1 << 16, 1 << 17  # drain, table 8-15
SUPPRESS_TC_A, SUPPRESS_TC_B = 1 << 18, 1 << 19
PATTERN_16 = 1 << 18  # fill, table 8-16
USE_STRIDE = 1 << 16  # translation fetch, table 8-18
READ_SEED = 1 << 16  # CRC, table 8-19
BYPASS_INVERSION = 1 << 17
BYPASS_DATA_REFLECTION = 1 << 18
CRC_64 = 1 << 19


class Cap:
    """The bits of the GENCAP register that change what a descriptor may say (DSA spec 9.2.2), as plain masks."""

    BLOCK_ON_FAULT = 1 << 0
    OVERLAPPING_COPY = 1 << 1
    CACHE_CONTROL = 1 << 2
    DURABLE_WRITE = 1 << 5
    TRANSLATION_STRIDE = 1 << 7
    DESTINATION_READBACK = 1 << 8
    DRAIN_READBACK = 1 << 9
    FILL_16 = 1 << 10
    CRC_64 = 1 << 11
    FAULT_INFO = 1 << 12
    BATCH_CONTINUATION = 1 << 15
    BATCH_1 = 1 << 52


GENCAP_1_0 = 0x40915F0107  # what a first-generation device reports: bits 0, 1, 2, 8; 2 GiB transfers; 1024 descriptors


class Status(IntEnum):
    """Operation status codes (DSA spec table 5-6), and the ones that only the SWERROR register shows (table 5-7)."""

    SUCCESS = 0x01
    FALSE_PREDICATE = 0x02
    PAGE_FAULT = 0x03
    PAGE_REQUEST_FAILED = 0x04
    BATCH_FAILED = 0x05
    BATCH_PAGE_FAULT = 0x06
    DELTA_OFFSETS_NOT_INCREASING = 0x07
    DELTA_OFFSET_RANGE = 0x08
    DIF_ERROR = 0x09
    ANALYTICS_ERROR = 0x0A  # this and the next of IAX
    OUTPUT_OVERFLOW = 0x0B
    BAD_OPERATION = 0x10
    BAD_FLAGS = 0x11
    RESERVED_FIELD = 0x12
    BAD_SIZE = 0x13
    BAD_COUNT = 0x14
    BAD_FIELD = 0x15
    OVERLAP = 0x16
    DUALCAST_BITS = 0x17
    LIST_MISALIGNED = 0x18
    BAD_INTERRUPT_HANDLE = 0x19
    RECORD_PAGE_FAULT = 0x1A
    RECORD_MISALIGNED = 0x1B
    MISALIGNED = 0x1C
    PRIVILEGE = 0x1D
    TRAFFIC_CLASS = 0x1E
    READBACK_PAGE_FAULT = 0x1F
    HARDWARE_ERROR = 0x20
    HARDWARE_WRITE_ERROR = 0x21
    TRANSLATION_ERROR = 0x22
    ANALYTICS_FLAGS = 0x30
    FILTER_FLAGS = 0x31
    BAD_INPUT_SIZE = 0x32
    BAD_ELEMENTS = 0x33
    BAD_WIDTH = 0x34
    BAD_INVERT = 0x35
    QUEUE_OVERFLOW = 0x53


STATUS_TEXT: dict[int, str] = {
    0x01: "success",
    0x02: "success with false predicate",
    0x03: "page fault, block on fault clear",
    0x04: "page request refused",
    0x05: "a descriptor of the batch failed",
    0x06: "page fault on the descriptor list",
    0x07: "delta offsets not increasing",
    0x08: "delta offset beyond the transfer size",
    0x09: "DIF error",
    0x0A: "analytics error",
    0x0B: "output buffer overflow",
    0x10: "unsupported operation code",
    0x11: "invalid flags",
    0x12: "non-zero reserved field",
    0x13: "invalid transfer size",
    0x14: "descriptor count out of range",
    0x15: "unsupported field value",
    0x16: "overlapping buffers",
    0x17: "dualcast destinations differ in bits 11:0",
    0x18: "misaligned descriptor list",
    0x19: "invalid completion interrupt handle",
    0x1A: "page fault on the completion record",
    0x1B: "completion record misaligned",
    0x1C: "misaligned address or size",
    0x1D: "privileged descriptor from user mode",
    0x1E: "traffic class not configured",
    0x1F: "page fault on a readback address",
    0x20: "hardware error",
    0x21: "hardware error on a write",
    0x22: "address translation error",
    0x30: "invalid compression, decompression or CRC64 flags",
    0x31: "invalid filter flags",
    0x32: "invalid input size",
    0x33: "invalid number of elements",
    0x34: "invalid width of source 1",
    0x35: "inverted output that is no bit vector",
    0x53: "dedicated work queue overflow",
}
# No record unless requested, table 8-3 bit 3; and those that only SWERROR shows, 5.8.1.
QUIET = frozenset({Status.SUCCESS, Status.FALSE_PREDICATE, Status.BATCH_FAILED})
NEVER_IN_RECORD = frozenset({Status.RECORD_PAGE_FAULT, Status.RECORD_MISALIGNED, Status.PRIVILEGE})
FAULTS = frozenset({0x03, 0x04, 0x06, 0x1A, 0x1F})  # bit 7 of the status byte tells a write from a read, table 8-10
WRITE_FAULT = 0x80

RECORD_HEAD = struct.Struct("<BBBxIQ")  # status, result, fault info, bytes completed, fault address; the rest depends
_DESCRIPTOR = struct.Struct("<IIQQQIHHQQQ")


class Descriptor:
    """One decoded 64-byte descriptor (DSA spec 8.1). ``first`` and ``second`` are the fields at bytes 16 and 24."""

    __slots__ = (
        *("bits", "first", "flags", "handle", "opcode", "record", "second", "size"),
        *("tail40", "tail48", "tail56", "trusted"),
    )

    bits: int
    trusted: int
    record: int
    first: int
    second: int
    size: int
    handle: int
    tail40: int
    tail48: int
    tail56: int

    def __init__(self, raw: bytes) -> None:
        fields = _DESCRIPTOR.unpack(raw)
        self.trusted, word, self.record, self.first, self.second, self.size, self.handle = fields[:7]
        self.tail40, self.tail48, self.tail56 = fields[8:]
        self.opcode: int = word >> 24
        self.flags: int = word & 0xFFFFFF
        self.bits = int.from_bytes(raw, "little")

    @property
    def pasid(self) -> int:
        """The address space that the descriptor names (bits 19:0)."""
        return int(self.trusted & 0xFFFFF)

    @property
    def privileged(self) -> bool:
        """Priv, bit 31."""
        return bool(self.trusted >> 31)

    def field(self, byte: int, size: int) -> int:
        """The little-endian field of ``size`` bytes at ``byte``."""
        return self.bits >> 8 * byte & (1 << 8 * size) - 1


def operation_name(opcode: int) -> str:
    """What the specification calls ``opcode``."""
    return NAMES.get(opcode, f"operation 0x{opcode:02x}")


def status_text(status: int) -> str:
    """A status code in words, whichever way bit 7 stands."""
    return STATUS_TEXT.get(status & 0x7F, f"status 0x{status:02x}")
