"""CRC64 and completion records of IAX, against published values and a reference that goes bit by bit."""

import random
import struct
import zlib

import pytest
from dsa_memory import FakeMemory, Region

from pasidlab.accelerator import GENCAP_1_0, IAX, Accelerator, WqLimits

SOURCE, RECORD = 0x10000, 0x2000
ECMA, ORDER, INVERT = 0x42F0E1EBA9EA3693, 0x8000, 0x4000
WQ = WqLimits(operations=1 | 1 << 2 | 1 << 3 | 1 << 0x44)


def execute(data, *, opcode=0x44, flags=0x0C, polynomial=ECMA, crc_flags=0, record=RECORD, size=None, absent=(), **options):
    """(outcome, memory) of one descriptor on ``data``; the 64 bytes of the record begin as 0xEE."""
    memory = FakeMemory(Region(SOURCE, bytearray(data)), Region(RECORD & ~0xFFF, bytearray(b"\xee" * 4096)))
    memory.absent = set(absent)
    size = len(data) if size is None else size
    first = SOURCE if opcode else 0
    raw = struct.pack("<IIQQQIHHQQQ", 0, opcode << 24 | flags, record, first, 0, size, 0, crc_flags, 0, 0, polynomial)
    return Accelerator(GENCAP_1_0, IAX).execute(raw, memory, WQ, **options), memory


def crc(data, polynomial, crc_flags=0):
    outcome, memory = execute(data, polynomial=polynomial, crc_flags=crc_flags)
    record = bytes(memory.regions[0].data[:64])
    assert outcome.ok and record[:40] == b"\x01" + bytes(39) and record[48:] == bytes(16)
    return int.from_bytes(record[40:48], "little")


def reference(data, polynomial, crc_flags):
    """The register, one bit at a time."""
    mask = 0
    if crc_flags & INVERT:
        lowest = polynomial & -polynomial
        mask = sum(1 << bit for bit in range(64) if lowest and 1 << bit >= lowest)
    register = mask
    for byte in data:
        register ^= (int(f"{byte:08b}"[::-1], 2) if crc_flags & ORDER else byte) << 56
        for _ in range(8):
            register = (register << 1 & (1 << 64) - 1) ^ (polynomial if register >> 63 else 0)
    register ^= mask
    return int(f"{register:064b}"[::-1], 2) if crc_flags & ORDER else register


@pytest.mark.parametrize(
    ("crc_flags", "expected"),
    [(0, 0x6C40DF5F0B497347), (ORDER, 0x2B9C7EE4E2780C8A), (INVERT, 0x62EC59E3F1A4F00A), (ORDER | INVERT, 0x995DC9BBDF1939FA)],
)
def test_check_values_of_ecma_182(crc_flags, expected):
    assert crc(b"123456789", ECMA, crc_flags) == expected


def test_published_results_of_other_programs():
    """intel/qpl's CRC64 example; iaa_test's data of intel/idxd-config."""
    assert crc(bytes(i % 256 for i in range(1000)), 0x04C11DB700000000) == 6467333940108591104
    data = struct.pack("<Q", 0x98765432ABCDEF01) * 512
    assert crc(data[:1], ECMA, ORDER) == 0xB32E4CBE03A75F6F and crc(data[:1], ECMA, INVERT) == 0xD80C07CD676F836B
    assert crc(data, ECMA, ORDER) == 0x92AAB09FBA4B251B and crc(data, ECMA, INVERT) == 0xE8D489308DC6F10C


def test_narrower_polynomials_give_the_usual_checksums():
    data = random.Random(1).randbytes(5000)
    assert crc(data, 0x04C11DB700000000, ORDER | INVERT) == zlib.crc32(data)
    assert crc(b"123456789", 0x8BB7 << 48) >> 48 == 0xD0DB  # CRC-16/T10-DIF
    assert crc(b"123456789", 0x1021 << 48, ORDER | INVERT) == 0x906E  # CRC-16/X-25


def test_any_polynomial_length_and_flags():
    rng = random.Random(7)
    for length in (1, 2, 7, 8, 9, 63, 64, 65, 1000):
        for crc_flags in (0, ORDER, INVERT, ORDER | INVERT):
            polynomial, data = rng.getrandbits(64), rng.randbytes(length)
            polynomial = polynomial >> rng.randrange(64) << rng.randrange(32) & (1 << 64) - 1
            assert crc(data, polynomial, crc_flags) == reference(data, polynomial, crc_flags), (length, hex(polynomial))
    assert crc(b"abc", 0, ORDER | INVERT) == reference(b"abc", 0, ORDER | INVERT) == 0


def test_a_checksum_goes_on_over_the_devices_buffer():
    """More than one chunk: the CRC of zeros in front is 0, so they change nothing."""
    assert crc(bytes(600_001) + b"123456789", ECMA) == 0x6C40DF5F0B497347


@pytest.mark.parametrize(
    ("descriptor", "status", "words"),
    [
        ({"crc_flags": 0x2000}, 0x30, "only bits 14 and 15"),
        ({"size": 0}, 0x13, "source size 0"),
        ({"flags": 0x10C}, 0x11, "cache control 1"),
        ({"flags": 0x4}, 0x11, "request completion record"),
        ({"opcode": 0x42}, 0x10, "opcode 0x42 (decompress)"),
        ({"opcode": 0x05}, 0x10, "opcode 0x05 (compare)"),
    ],
)
def test_what_iax_refuses(descriptor, status, words):
    outcome, memory = execute(b"123456789", **descriptor)
    assert outcome.status == status and words in outcome.reason
    assert memory.regions[0].data[0] == status


def test_completion_records_have_64_bytes_at_64():
    outcome, memory = execute(b"", opcode=0, size=0, polynomial=0)
    assert outcome.ok and bytes(memory.regions[0].data[:65]) == b"\x01" + bytes(63) + b"\xee"
    outcome, memory = execute(b"", opcode=0, size=0, polynomial=0, record=RECORD + 32)
    assert outcome.status == 0x1B and outcome.software_error and set(memory.regions[0].data) == {0xEE}
    assert "not 64-byte aligned" in outcome.reason


def test_a_fault_has_no_result():
    outcome, memory = execute(b"x" * 8192, absent={0x11}, strict_faults=True)
    record = bytes(memory.regions[0].data[:64])
    assert (outcome.status, outcome.fault_address) == (3, 0x11000)
    assert record == struct.pack("<BBHIQ", 3, 0, 0, 4096, 0x11000) + bytes(48)
    outcome, _ = execute(b"x" * 8192, flags=0x0E, absent={0x11}, strict_faults=True)
    assert outcome.ok
