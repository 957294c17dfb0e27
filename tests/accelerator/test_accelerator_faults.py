"""Page faults: what was done before, what the completion record says, and that a continuation finishes the work."""

import random
import struct

import google_crc32c
import pytest
from dsa_descriptors import RECORD, describe, record
from dsa_memory import PAGE, FakeMemory, Region

from pasidlab.accelerator import GENCAP_1_0, Accelerator, Cap, Op, WqLimits, abi
from pasidlab.accelerator.transfer import CHUNK

A, B, C = 0x100000, 0x400000, 0x700000
SIZE = 0x200000
BOF = 2


@pytest.fixture
def memory():
    m = FakeMemory(Region(0x1000, bytearray(0x1000)), *(Region(base, bytearray(SIZE)) for base in (A, B, C)))
    m.put(A, random.Random(5).randbytes(SIZE))
    return m


def strict(memory, gencap=GENCAP_1_0, **fields):
    return Accelerator(gencap).execute(describe(**fields), memory, WqLimits(), strict_faults=True)


MOVE = {"opcode": Op.MEMORY_MOVE, "first": A + 100, "second": B + 50, "size": 20000}
CAST = {"opcode": Op.DUALCAST, "first": A, "second": B, "dest2": C, "size": 20000}
SEEDED = {"opcode": Op.CRC, "flags": 12 | 1 << 16, "first": A, "size": 20000, "seed_address": C}
DIX = {"opcode": Op.DIX_GENERATE, "first": A, "second": B + 0xF00, "size": 51200}
DIFF = {
    "opcode": Op.CREATE_DELTA,
    "first": A,
    "second": B,
    "size": 0x8000,
    "delta_address": C,
    "delta_maximum": 0x10000,
}
# operation, page that is absent, status byte, bytes completed, fault address, operand of the fault info field
CASES = [
    (MOVE, A + 0x2000, 0x03, 0x2000 - 100, None, 1),
    (MOVE, B + 0x3000, 0x83, 0x3000 - 50, None, 3),
    (MOVE, A, 0x03, 0, A + 100, 1),
    ({"opcode": Op.MEMORY_MOVE, "first": A, "second": B, "size": SIZE}, B + CHUNK + PAGE, 0x83, CHUNK + PAGE, None, 3),
    ({"opcode": Op.FILL, "first": 7, "second": B + 1, "size": SIZE - 1}, B + 0x90000, 0x83, 0x8FFFF, None, 3),
    ({"opcode": Op.COMPARE, "first": A, "second": A, "size": 20000}, A + 0x3000, 0x03, 0x3000, None, 1),
    ({"opcode": Op.COMPARE, "first": B, "second": C, "size": 20000}, C + 0x3000, 0x03, 0x3000, None, 2),
    ({"opcode": Op.COMPARE_PATTERN, "first": B, "second": 0, "size": 20000}, B + 0x1000, 0x03, 0x1000, None, 1),
    (CAST, A + 0x1000, 0x03, 0x1000, None, 1),
    (CAST, B + 0x2000, 0x83, 0x2000, None, 3),
    (CAST, C + 0x3000, 0x83, 0x3000, None, 4),
    ({"opcode": Op.CACHE_FLUSH, "second": B + 8, "size": 20000}, B + 0x2000, 0x03, 0x2000 - 8, None, 3),
    ({"opcode": Op.TRANSLATION_FETCH, "first": B, "size": 20000}, B + 0x2000, 0x03, 0, None, 1),
    ({"opcode": Op.CRC, "first": A + 1, "size": 20000}, A + 0x2000, 0x03, 0x1FFF, None, 1),
    (SEEDED, C, 0x03, 0, C, 2),
    ({"opcode": Op.COPY_CRC, "first": A, "second": B, "size": 20000}, B + 0x2000, 0x83, 0x2000, None, 3),
    ({"opcode": Op.DIF_INSERT, "first": A, "second": B, "size": 51200}, A + 0x2000, 0x03, 0x2000, None, 1),
    ({"opcode": Op.DIF_INSERT, "first": A, "second": B, "size": 51200}, B + 0x2000, 0x83, 15 * 512, None, 3),
    (DIX, B + 0x1000, 0x83, 32 * 512, None, 3),
    (DIFF, A + 0x2000, 0x03, 0x2000, None, 1),
    (DIFF, B + 0x4000, 0x03, 0x4000, None, 2),
    (DIFF, C + 0x1000, 0x83, 4096 // 10 * 8, None, 3),
]  # fmt: skip


@pytest.mark.parametrize("fields, absent, status, completed, fault, operand", CASES)
def test_strict_faults_stop_at_the_exact_byte(memory, fields, absent, status, completed, fault, operand):
    memory.absent = {absent // PAGE}
    outcome = strict(memory, GENCAP_1_0 | Cap.FAULT_INFO, **fields)
    cr = record(memory)
    assert (cr.status, cr.completed, cr.fault, cr.info) == (status, completed, fault or absent, operand << 1)
    assert (outcome.status_byte, outcome.fault_address) == (status, fault or absent)
    assert "page fault " + ("writing" if status & 0x80 else "reading") in outcome.reason


@pytest.mark.parametrize("fields, absent, status, completed, fault, operand", CASES)
def test_block_on_fault_brings_the_page_in(memory, fields, absent, status, completed, fault, operand):
    memory.absent = {absent // PAGE}
    assert strict(memory, **{**fields, "flags": fields.get("flags", 12) | BOF}).status in (1, 2)
    assert Accelerator().execute(describe(**fields), memory, WqLimits()).ok  # and without strict faults as well


@pytest.mark.parametrize("flags, code", [(12, 0x03), (14, 0x04)])
def test_unmapped_and_read_only_memory(memory, flags, code):
    end = A + SIZE
    device, wq = Accelerator(), WqLimits()
    device.execute(describe(Op.MEMORY_MOVE, flags=flags, first=end - 100, second=B, size=200), memory, wq)
    assert (record(memory).status, record(memory).completed, record(memory).fault) == (code, 100, end)
    assert memory.get(B, 101) == memory.get(end - 100, 100) + b"\0"
    memory.regions[2].writable = False
    device.execute(describe(Op.FILL, flags=flags, second=B + 5, size=200), memory, wq)
    assert (record(memory).status, record(memory).completed, record(memory).fault) == (code | 0x80, 0, B + 5)


def test_info_byte_stays_zero_on_a_device_without_it(memory):
    memory.absent = {A // PAGE}
    strict(memory, opcode=Op.CRC, first=A, size=8)
    assert record(memory).info == 0


def test_dualcast_leaves_both_destinations_alike(memory):
    memory.absent = {(C + 0x3000) // PAGE}
    memory.put(B, b"old!" * 0x2000)
    strict(memory, opcode=Op.DUALCAST, first=A, second=B, dest2=C, size=20000)
    source = memory.get(A, 0x3000)
    assert memory.get(B, 0x3004) == source + b"old!" and memory.get(C, 0x3001) == source + b"\0"


def test_a_difference_before_the_fault_wins(memory):
    memory.put(B, memory.get(A, 0x4000))
    memory.put(B + 0x2FFF, bytes([memory.get(A + 0x2FFF, 1)[0] ^ 1]))
    memory.absent = {(B + 0x3000) // PAGE}
    outcome = strict(memory, opcode=Op.COMPARE, first=A, second=B, size=0x4000)
    assert (outcome.status, outcome.result, outcome.bytes_completed) == (1, 1, 0x2FFF)


def resume(memory, fields, fix):
    """What idxd programs do: bring the page in, shrink the descriptor by what is done, submit again."""
    for _ in range(600):
        outcome = strict(memory, **fields)
        if outcome.status == 1:
            return
        assert outcome.status == 3
        memory.absent.discard(outcome.fault_address // PAGE)
        fix(fields, outcome)
    raise AssertionError("no end")


@pytest.mark.parametrize("shift", [-5000, 5000, 12288, 100, 0x100000])
def test_memory_move_goes_on_after_any_faults(memory, shift):
    """Forward with addresses raised, backward with the size lowered: result 0 and 1 of DSA spec 8.3.4."""
    size, source = CHUNK + 50000, A + 0x8000
    before = memory.get(source, size)
    pages = range(A // PAGE, (source + max(shift, 0) + size) // PAGE + 1)
    memory.absent = set(random.Random(shift).sample(pages, len(pages) // 3))

    def fix(fields, outcome):
        assert outcome.result == int(0 < shift < fields["size"])
        fields["size"] -= outcome.bytes_completed
        if not outcome.result:
            fields["first"] += outcome.bytes_completed
            fields["second"] += outcome.bytes_completed

    resume(memory, {"opcode": Op.MEMORY_MOVE, "first": source, "second": source + shift, "size": size}, fix)
    assert memory.get(source + shift, size) == before


def test_backward_move_stopped_by_read_only_memory_touches_nothing_below():
    m = FakeMemory(
        Region(0x1000, bytearray(0x1000)), Region(A, bytearray(range(256)) * 0x40),
        Region(A + 0x4000, bytearray(0x1000), writable=False), Region(A + 0x5000, bytearray(0x1000)),
    )  # fmt: skip
    before = m.get(A, 0x4000)
    outcome = Accelerator().execute(describe(Op.MEMORY_MOVE, first=A, second=A + 0x1800, size=0x4000), m, WqLimits())
    assert (outcome.status, outcome.result, outcome.bytes_completed, outcome.fault_address) == (3, 1, 0x800, A + 0x4000)
    assert outcome.write_fault and m.get(A, 0x4000) == before and m.get(A + 0x5000, 0x800) == before[0x3800:]


def test_crc_goes_on_with_its_partial_value(memory):
    whole = strict(memory, opcode=Op.CRC, first=A, size=100000).tail
    memory.absent = {A // PAGE + page for page in (2, 3, 17)}

    def fix(fields, outcome):
        fields["first"] += outcome.bytes_completed
        fields["size"] -= outcome.bytes_completed
        if outcome.bytes_completed:
            fields["seed"] = int.from_bytes(outcome.tail, "little")

    resume(memory, {"opcode": Op.CRC, "first": A, "size": 100000}, fix)
    assert record(memory).tail[:4] == whole


@pytest.mark.parametrize("opcode, taken, given", [(Op.DIF_INSERT, 512, 520), (Op.DIF_STRIP, 520, 512)])
def test_dif_goes_on_with_its_tags(memory, opcode, taken, given):
    insert = {"opcode": Op.DIF_INSERT, "first": A, "second": B, "size": 512 * 40}
    assert strict(memory, **insert).ok
    memory.put(C, memory.get(B, 520 * 40))
    source = A if opcode == Op.DIF_INSERT else C
    target = C if opcode == Op.DIF_INSERT else B + 0x80000
    prefix = "" if opcode == Op.DIF_INSERT else "source_"
    memory.absent = {source // PAGE + page for page in (1, 3)} | {target // PAGE + page for page in (0, 2, 4)}

    def fix(fields, outcome):
        blocks = outcome.bytes_completed // taken
        fields["first"] += blocks * taken
        fields["second"] += blocks * given
        fields["size"] -= blocks * taken
        fields[prefix + "reference"] = struct.unpack_from("<I", outcome.tail, 0 if prefix else 8)[0]

    resume(memory, {"opcode": opcode, "first": source, "second": target, "size": taken * 40}, fix)
    assert memory.get(target, given * 40) == memory.get(B if opcode == Op.DIF_INSERT else A, given * 40)


def test_apply_delta_faults(memory):
    offsets = [0, 1, 511, 512, 513, 1024]
    deltas = b"".join(struct.pack("<H", offset) + b"newbytes" for offset in offsets)
    memory.put(C + 0x1000 - 30, deltas)
    fields = {"opcode": Op.APPLY_DELTA, "first": C + 0x1000 - 30, "second": B, "size": 0x4000, "delta_size": 60}
    memory.absent = {(B + 0x1000) // PAGE}
    outcome = strict(memory, **fields)
    assert (outcome.status_byte, outcome.bytes_completed, outcome.fault_address) == (0x83, 30, B + 0x1000)
    memory.absent = {(C + 0x1000) // PAGE}
    outcome = strict(memory, **fields)
    assert (outcome.status_byte, outcome.bytes_completed, outcome.fault_address) == (0x03, 30, C + 0x1000)
    memory.absent = set()
    assert strict(memory, **fields).ok and record(memory).completed == 0
    assert all(memory.get(B + 8 * offset, 8) == b"newbytes" for offset in offsets) and memory.get(B + 16, 8) == bytes(8)


def test_apply_delta_through_one_scattered_write(memory):
    calls = []

    def scatter(addresses, data):
        calls.append(len(addresses))
        return sum(memory.write(address, data[8 * at : 8 * at + 8]) for at, address in enumerate(addresses))

    memory.scatter = scatter
    memory.put(C, b"".join(struct.pack("<H", offset) + b"newbytes" for offset in (3, 9)))
    descriptor = describe(Op.APPLY_DELTA, first=C, second=B, size=80, delta_size=20)
    assert Accelerator().execute(descriptor, memory, WqLimits()).ok
    assert calls == [2] and memory.get(B + 24, 8) == memory.get(B + 72, 8) == b"newbytes"


def test_create_delta_result_tells_whether_any_delta_was_written(memory):
    memory.absent = {B // PAGE}
    assert strict(memory, **DIFF).result == 0
    memory.absent = {B // PAGE + 1}
    assert strict(memory, **DIFF).result == 1
    assert struct.unpack_from("<I", record(memory).tail) == (512 * 10,)


def test_drain_readback_fault(memory):
    outcome = strict(memory, GENCAP_1_0 | Cap.DRAIN_READBACK, opcode=Op.DRAIN, flags=12 | 1 << 17, second=0x50)
    assert (outcome.status, outcome.fault_address, record(memory, RECORD).status) == (0x1F, 0x50, 0x1F)


def inside(memory, limit):
    """Copy and fill as a process would do them itself, stopping after ``limit`` bytes."""

    def copy(destination, source, length):
        return memory.write(destination, memory.get(source, min(limit, length)))

    def fill(destination, pattern, length):
        return memory.write(destination, (pattern * (length // 8 + 1))[: min(limit, length)])

    def equal(first, second, length):
        done = min(limit, length)
        return done if memory.get(first, done) == memory.get(second, done) else 0

    def equal_pattern(address, pattern, length):
        done = min(limit, length)
        return done if memory.get(address, done) == (pattern.to_bytes(8, "little") * (done // 8 + 1))[:done] else 0

    def crc32c(address, length, register):
        done = min(limit, length)
        return done, google_crc32c.extend(register ^ 0xFFFFFFFF, memory.get(address, done)) ^ 0xFFFFFFFF

    memory.copy, memory.fill, memory.equal, memory.equal_pattern, memory.crc32c = (
        copy, fill, equal, equal_pattern, crc32c,
    )  # fmt: skip


@pytest.mark.parametrize("limit", [0, 5, 0x12345, SIZE])
def test_bulk_work_inside_the_process_is_finished_by_the_device(memory, limit):
    inside(memory, limit)
    device, wq = Accelerator(), WqLimits()
    assert device.execute(describe(Op.MEMORY_MOVE, first=A, second=B + 3, size=SIZE - 3), memory, wq).ok
    assert memory.get(B + 3, SIZE - 3) == memory.get(A, SIZE - 3)
    outcome = device.execute(describe(Op.FILL, first=0x0102030405060708, second=C + 5, size=SIZE), memory, wq)
    assert (outcome.bytes_completed, outcome.fault_address) == (SIZE - 5, C + SIZE)
    assert memory.get(C + 5, SIZE - 5) == (struct.pack("<Q", 0x0102030405060708) * (SIZE // 8))[: SIZE - 5]


@pytest.mark.parametrize("limit", [0, 5, 0x12345, SIZE])
@pytest.mark.parametrize("flags", [0, abi.BYPASS_INVERSION])
def test_compares_and_checksums_inside_the_process_give_what_the_device_gives(memory, limit, flags):
    device, wq = Accelerator(), WqLimits()
    memory.put(B, memory.get(A, SIZE))
    memory.put(B + SIZE - 9, bytes([memory.get(B + SIZE - 9, 1)[0] ^ 1]))
    descriptors = [
        describe(Op.COMPARE, first=A, second=B, size=SIZE),
        describe(Op.COMPARE, first=A, second=B, size=SIZE - 9),
        describe(Op.COMPARE_PATTERN, first=A, second=0, size=SIZE),
        describe(Op.CRC, flags=12 | flags, first=A, size=SIZE, seed=77),
        describe(Op.COPY_CRC, flags=12 | flags, first=A, second=C, size=SIZE, seed=77),
    ]

    def results():
        outcomes = [device.execute(one, memory, wq) for one in descriptors]
        return [(o.status, o.result, o.bytes_completed, o.tail) for o in outcomes], memory.get(C, SIZE)

    expected = results()
    memory.put(C, bytes(SIZE))
    inside(memory, limit)
    assert results() == expected
