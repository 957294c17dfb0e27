"""CRC and DIF against bit-by-bit references written here, and against published values."""

import random
import struct

import numpy as np
import pytest
from dsa_descriptors import describe, record
from dsa_memory import FakeMemory, Region
from hypothesis import given, settings
from hypothesis import strategies as st

from pasidlab.accelerator import GENCAP_1_0, Accelerator, Cap, Op, Status, WqLimits
from pasidlab.accelerator.checksums import crc32c, guard_tags, nvme_crc64
from pasidlab.accelerator.transfer import CHUNK

A, B = 0x10000, 0x400000
BLOCKS = (512, 520, 4096, 4104)
INCREMENTING_APPLICATION, FIXED_REFERENCE = 0x10, 0x80


def bits(data, reflected):
    for byte in data:
        for bit in range(8) if reflected else range(7, -1, -1):
            yield byte >> bit & 1


def remainder(data, polynomial, width, start, reflected):
    """Bit by bit: the register, most significant bit first."""
    for bit in bits(data, reflected):
        out = start >> (width - 1) ^ bit
        start = (start << 1 & (1 << width) - 1) ^ (polynomial if out else 0)
    return start


def backwards(value, width):
    return int(f"{value:0{width}b}"[::-1], 2)


def reference_crc(data, seed, width, bypass_inversion, bypass_reflection):
    polynomial = {32: 0x1EDC6F41, 64: 0xAD93D23594C93659}[width]
    ones = (1 << width) - 1
    start = seed if bypass_inversion else backwards(seed ^ ones, width)
    value = remainder(data, polynomial, width, start, not bypass_reflection)
    return value if bypass_inversion else backwards(value, width) ^ ones


def t10(block, seed=0):
    return remainder(block, 0x8BB7, 16, seed, False)


def memory_of(*contents):
    m = FakeMemory(Region(0x1000, bytearray(0x1000)), Region(A, bytearray(3 << 20)), Region(B, bytearray(3 << 20)))
    for address, data in contents:
        m.put(address, data)
    return m


def run(memory, opcode, gencap=GENCAP_1_0, **fields):
    return Accelerator(gencap).execute(describe(opcode, **fields), memory, WqLimits())


def test_the_references_give_the_published_values():
    text = b"123456789"
    assert reference_crc(text, 0, 32, False, False) == 0xE3069283  # RFC 3720 appendix B.4, the usual check value
    assert reference_crc(bytes(32), 0, 32, False, False) == 0x8A9136AA
    assert reference_crc(b"\xff" * 32, 0, 32, False, False) == 0x62A8AB43
    assert reference_crc(bytes(range(32)), 0, 32, False, False) == 0x46DD794E
    assert reference_crc(bytes(4096), 0, 64, False, False) == 0x6482D367EB22B64E  # NVM Express NVM Command Set
    assert reference_crc(b"\xff" * 4096, 0, 64, False, False) == 0xC0DDBA7302ECA3AC
    assert reference_crc(text, 0, 64, False, False) == 0xAE8B14860A799888
    assert t10(text) == 0xD0DB


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1), st.booleans(), st.booleans())
def test_crc_of_any_bytes_with_any_option(data, seed, inversion, reflection):
    array, short = np.frombuffer(data, np.uint8), seed & 0xFFFFFFFF
    assert crc32c(array, short, inversion, reflection) == reference_crc(data, short, 32, inversion, reflection)
    assert nvme_crc64(array, seed, inversion, reflection) == reference_crc(data, seed, 64, inversion, reflection)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=100), st.binary(max_size=100), st.booleans(), st.booleans())
def test_a_partial_crc_is_the_seed_of_the_rest(first, second, inversion, reflection):
    for function in (crc32c, nvme_crc64):
        part = function(np.frombuffer(first, np.uint8), 5, inversion, reflection)
        both = function(np.frombuffer(first + second, np.uint8), 5, inversion, reflection)
        assert function(np.frombuffer(second, np.uint8), part, inversion, reflection) == both


@pytest.mark.parametrize("flags", range(4))
def test_crc_generation(flags):
    memory = memory_of((A + 1, b"123456789"))
    outcome = run(memory, Op.CRC, flags=12 | flags << 17, first=A + 1, size=9, seed=0x12345678)
    expected = reference_crc(b"123456789", 0x12345678, 32, bool(flags & 1), bool(flags & 2))
    assert outcome.ok and struct.unpack_from("<Q", record(memory).tail) == (expected,)


def test_crc_with_its_seed_in_memory_and_over_several_chunks():
    data = random.Random(3).randbytes(2 * CHUNK + 99)
    memory = memory_of((A, data), (B, struct.pack("<I", 77)))
    run(memory, Op.CRC, flags=12 | 1 << 16, first=A, size=len(data), seed_address=B)
    assert struct.unpack_from("<I", record(memory).tail) == (crc32c(np.frombuffer(data, np.uint8), 77, False, False),)


def test_copy_with_crc_and_crc64():
    data = random.Random(4).randbytes(1000)
    memory = memory_of((A, data))
    run(memory, Op.COPY_CRC, first=A, second=B, size=1000)
    assert memory.get(B, 1000) == data
    assert struct.unpack_from("<I", record(memory).tail) == (reference_crc(data, 0, 32, False, False),)
    run(memory, Op.CRC, GENCAP_1_0 | Cap.CRC_64, flags=12 | 1 << 19, first=A, size=1000, seed64=1 << 60)
    assert struct.unpack_from("<Q", record(memory).tail) == (reference_crc(data, 1 << 60, 64, False, False),)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_guard_tags(block, count):
    data = np.frombuffer(random.Random(block).randbytes(block * count), np.uint8).reshape(count, block)
    assert guard_tags(data, False, False).tolist() == [t10(bytes(row)) for row in data]
    assert guard_tags(data, True, True).tolist() == [t10(bytes(row), 0xFFFF) ^ 0xFFFF for row in data]


def dif(block, application, reference, seed=0, invert=0):
    return struct.pack(">HHI", t10(block, seed) ^ invert, application, reference)


def protected(data, size, tags):
    rows = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(row + dif(row, *tag) for row, tag in zip(rows, tags, strict=True))


@pytest.mark.parametrize("index, size", list(enumerate(BLOCKS)))
def test_dif_insert_of_every_block_size(index, size):
    data = random.Random(index).randbytes(3 * size)
    memory = memory_of((A, data))
    fields = {"dif_flags": index, "reference": 0xFFFFFFFF, "mask": 0xF000, "application": 0xABCD}
    outcome = run(memory, Op.DIF_INSERT, first=A, second=B, size=3 * size, **fields)
    tags = [(0x0BCD, 0xFFFFFFFF), (0x0BCD, 0), (0x0BCD, 1)]
    assert outcome.ok and memory.get(B, 3 * (size + 8)) == protected(data, size, tags)
    assert struct.unpack("<8xIHH", record(memory).tail) == (2, 0xF000, 0xABCD)


def test_dif_tags_fixed_and_incrementing_and_inverted_crc():
    data = random.Random(9).randbytes(1024)
    memory = memory_of((A, data))
    flags = {"dest_dif": FIXED_REFERENCE | INCREMENTING_APPLICATION, "dif_flags": 0x0C}
    run(memory, Op.DIF_INSERT, first=A, second=B, size=1024, reference=9, application=0xFFFF, **flags)
    first, second = data[:512], data[512:]
    fields = dif(first, 0xFFFF, 9, 0xFFFF, 0xFFFF), dif(second, 0, 9, 0xFFFF, 0xFFFF)
    assert memory.get(B, 1040) == first + fields[0] + second + fields[1]
    assert struct.unpack("<8xIHH", record(memory).tail) == (9, 0, 1)


def test_dix_generate_writes_only_the_fields():
    data = random.Random(9).randbytes(1024)
    memory = memory_of((A, data))
    assert run(memory, Op.DIX_GENERATE, first=A, second=B, size=1024, reference=7, application=3).ok
    assert memory.get(B, 24) == dif(data[:512], 3, 7) + dif(data[512:], 3, 8) + bytes(8)
    assert struct.unpack("<8xIHH", record(memory).tail) == (9, 0, 3)


def source(tags=((5, 7), (5, 8), (5, 9))):
    data = random.Random(2).randbytes(512 * len(tags))
    return data, protected(data, 512, tags)


SEEDS = {"source_reference": 7, "source_application": 5}


def test_dif_check_and_strip_of_right_blocks():
    data, blocks = source()
    memory = memory_of((A, blocks))
    assert run(memory, Op.DIF_CHECK, first=A, size=1560, **SEEDS).ok
    assert struct.unpack("<IHH8x", record(memory).tail) == (10, 0, 5)
    assert run(memory, Op.DIF_STRIP, first=A, second=B, size=1560, **SEEDS).ok
    assert memory.get(B, 1544) == data + bytes(8)


@pytest.mark.parametrize("at, wrong", [(512, 1), (514, 2), (517, 4), (100, 1)])
@pytest.mark.parametrize("block", [0, 2])
def test_dif_error_stops_at_its_block(at, wrong, block):
    data, blocks = source()
    memory = memory_of((A, blocks))
    memory.put(A + 520 * block + at, bytes([blocks[520 * block + at] ^ 0x40]))
    outcome = run(memory, Op.DIF_STRIP, first=A, second=B, size=1560, **SEEDS)
    cr = record(memory)
    assert (outcome.status, cr.status, cr.result, cr.completed) == (Status.DIF_ERROR, 9, wrong, 520 * block)
    assert memory.get(B, 1536) == data[: 512 * block] + bytes(1536 - 512 * block)
    assert f"DIF status 0x{wrong:02x} in block {block}" in outcome.reason


def test_dif_errors_of_one_block_add_up_and_can_be_switched_off():
    _, blocks = source()
    memory = memory_of((A, blocks))
    assert run(memory, Op.DIF_CHECK, first=A + 1, size=520, **SEEDS).result == 7
    switched_off = {"source_dif": 0x60, "source_mask": 0xFFFF}
    assert run(memory, Op.DIF_CHECK, first=A + 1, size=520, **switched_off).ok


@pytest.mark.parametrize(
    "flags, tuple8, result",
    [
        (0x00, b"\xff" * 8, 7),
        (0x02, b"\xff" * 8, 0),  # all F detect
        (0x03, b"\xff" * 8, 8),  # and its error
        (0x01, b"\xff" * 8, 7),  # error flag ignored without detect
        (0x02, b"\0\0" + b"\xff" * 6, 7),
        (0x08, b"\0\0" + b"\xff" * 6, 0),  # application and reference tag
        (0x08, b"\0\0\xff\xff" + bytes(4), 7),
        (0x04, b"\0\0\xff\xff" + bytes(4), 0),  # application tag
        (0x04, b"\0\0\xff\xfe" + bytes(4), 7),
    ],
)
def test_f_detect(flags, tuple8, result):
    memory = memory_of((A, b"\x5a" * 512 + tuple8))
    outcome = run(memory, Op.DIF_CHECK, first=A, size=520, source_dif=flags, source_reference=1, source_application=1)
    assert (outcome.result, outcome.ok) == (result, result == 0)


def test_dif_update_replaces_or_passes_through():
    data, blocks = source()
    memory = memory_of((A, blocks))
    fields = {"first": A, "second": B, "size": 1560, "reference": 100, "application": 200, **SEEDS}
    assert run(memory, Op.DIF_UPDATE, dest_dif=INCREMENTING_APPLICATION, **fields).ok
    assert memory.get(B, 1560) == protected(data, 512, [(200, 100), (201, 101), (202, 102)])
    assert struct.unpack("<IHHIHH", record(memory).tail) == (10, 0, 5, 103, 0, 203)
    assert run(memory, Op.DIF_UPDATE, dest_dif=0x68, **fields).ok  # guard, application and reference tag pass through
    assert memory.get(B, 1560) == blocks


def test_dif_over_several_chunks_keeps_counting():
    count = CHUNK // 512 + 50
    data = random.Random(6).randbytes(512 * count)
    memory = memory_of((A, data))
    assert run(memory, Op.DIF_INSERT, first=A, second=B, size=512 * count, reference=1).ok
    last = struct.unpack_from(">HHI", memory.get(B + 520 * (count - 1) + 512, 8))
    assert last == (t10(data[-512:]), 0, count)
    assert run(memory, Op.DIF_CHECK, first=B, size=520 * count, source_reference=1).ok


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 3), st.integers(1, 5), st.integers(0, 3), st.integers(0, 15), st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.randoms(use_true_random=False),
)  # fmt: skip
def test_dif_insert_then_strip_restores(index, count, inversions, kinds, reference, mask, application, chance):
    size = BLOCKS[index]
    data, flags = chance.randbytes(size * count), index | inversions << 2
    memory = memory_of((A, data))
    kind = (kinds & 1) << 4 | (kinds & 2) << 6
    run(memory, Op.DIF_INSERT, first=A, second=B, size=size * count, dif_flags=flags, dest_dif=kind,
        reference=reference, mask=mask, application=application)  # fmt: skip
    fields = {"source_reference": reference, "source_mask": mask, "source_application": application}
    fields |= {"first": B, "size": (size + 8) * count, "dif_flags": flags, "source_dif": kind}
    checked = run(memory, Op.DIF_CHECK, **fields)
    stripped = run(memory, Op.DIF_STRIP, second=A, **fields)
    assert checked.ok and stripped.ok and memory.get(A, size * count) == data
