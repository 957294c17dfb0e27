"""Every operation's effect on memory, its result and its completion record, where nothing goes wrong."""

import random
import struct

import numpy as np
import pytest
from dsa_descriptors import RECORD, describe, record
from dsa_memory import FakeMemory, Region
from hypothesis import given, settings
from hypothesis import strategies as st

from pasidlab.accelerator import GENCAP_1_0, Accelerator, Cap, Op, Status, WqLimits
from pasidlab.accelerator.transfer import CHUNK

A, B, C = 0x10000, 0x400000, 0x800000
ALL = Cap.FILL_16 | Cap.CRC_64 | Cap.FAULT_INFO | Cap.TRANSLATION_STRIDE | Cap.DRAIN_READBACK | Cap.BATCH_CONTINUATION
CHECK = 4 | 8 | 0x80


@pytest.fixture
def memory():
    m = FakeMemory(Region(0x1000, bytearray(0x2000)), *(Region(base, bytearray(3 << 20)) for base in (A, B, C)))
    m.put(A, random.Random(1).randbytes(3 << 20))
    return m


def run(memory, opcode, wq=None, gencap=GENCAP_1_0, **fields):
    outcome = Accelerator(gencap).execute(describe(opcode, **fields), memory, wq or WqLimits())
    assert outcome.ok, outcome
    return outcome


def test_no_op_writes_its_record(memory):
    outcome = run(memory, Op.NOOP)
    assert record(memory).raw == b"\x01" + bytes(31) and outcome.wrote_completion and outcome.operation == "no-op"


@pytest.mark.parametrize("size", [1, 64, 4097, CHUNK, CHUNK + 1, 2 * CHUNK + 777])
def test_memory_move(memory, size):
    outcome = run(memory, Op.MEMORY_MOVE, first=A + 3, second=B + 1, size=size)
    assert memory.get(B + 1, size) == memory.get(A + 3, size)
    assert memory.get(B, 1) == b"\0" and memory.get(B + 1 + size, 64) == bytes(64)
    assert (outcome.moved, outcome.bytes_completed, record(memory).result) == (size, 0, 0)


@pytest.mark.parametrize("size", [100, CHUNK + 5000, 2 * CHUNK])
@pytest.mark.parametrize("shift", [-7, 1, 5000, -5000])
def test_memory_move_of_overlapping_regions_is_as_through_a_third(memory, size, shift):
    source = A + 10000
    before = memory.get(source, size)
    run(memory, Op.MEMORY_MOVE, first=source, second=source + shift, size=size)
    assert memory.get(source + shift, size) == before


@pytest.mark.parametrize("size", [1, 7, 8, 1000, CHUNK + 13])
def test_fill_need_not_be_a_multiple_of_the_pattern(memory, size):
    run(memory, Op.FILL, first=0x1122334455667788, second=B + 5, size=size)
    assert memory.get(B, 5) == bytes(5) and memory.get(B + 5 + size, 8) == bytes(8)
    assert memory.get(B + 5, size) == (struct.pack("<Q", 0x1122334455667788) * (size // 8 + 1))[:size]


def test_fill_with_sixteen_bytes_where_the_device_has_it(memory):
    run(memory, Op.FILL, gencap=GENCAP_1_0 | ALL, flags=12 | 1 << 18, first=1, pattern_upper=2, second=B, size=40)
    assert memory.get(B, 48) == struct.pack("<6Q", 1, 2, 1, 2, 1, 0)


@pytest.mark.parametrize("at", [0, 7, 8, 4095, CHUNK - 1, CHUNK, CHUNK + 9, None])
def test_compare_tells_the_first_difference(memory, at):
    size = CHUNK + 10
    memory.put(B, memory.get(A, size))
    if at is not None:
        memory.put(B + at, bytes([memory.get(B + at, 1)[0] ^ 1]))
    outcome = run(memory, Op.COMPARE, first=A, second=B, size=size)
    cr = record(memory)
    assert (outcome.result, cr.result, cr.completed) == (int(at is not None), int(at is not None), at or 0)


@pytest.mark.parametrize("at", [0, 11, CHUNK + 3, None])
def test_compare_pattern(memory, at):
    size = CHUNK + 5
    memory.put(B, (b"abcdefgh" * (size // 8 + 1))[:size])
    if at is not None:
        memory.put(B + at, b"#")
    outcome = run(memory, Op.COMPARE_PATTERN, first=B, second=int.from_bytes(b"abcdefgh", "little"), size=size)
    assert (outcome.result, outcome.bytes_completed) == (int(at is not None), at or 0)


@pytest.mark.parametrize(
    "expected, equal, status", [(0, True, 1), (0, False, 2), (1, True, 2), (1, False, 1), (3, False, 1)]
)
def test_check_result_of_compare(memory, expected, equal, status):
    descriptor = describe(Op.COMPARE, flags=CHECK, first=A, second=A if equal else A + 1, size=64, expected=expected)
    assert Accelerator().execute(descriptor, memory, WqLimits()).status == status == record(memory).status


def test_delta_record_has_the_words_that_differ(memory):
    memory.put(B, memory.get(A, 4096))
    for word, text in ((0, b"first..."), (511, b"...last.")):
        memory.put(B + 8 * word, text)
    outcome = run(memory, Op.CREATE_DELTA, first=A, second=B, size=4096, delta_address=C, delta_maximum=80)
    assert memory.get(C, 20) == b"\0\0first..." + b"\xff\x01...last."
    assert (outcome.result, record(memory).tail[:4]) == (1, struct.pack("<I", 20))
    run(memory, Op.APPLY_DELTA, first=C, second=A, size=4096, delta_size=20)
    assert memory.get(A, 4096) == memory.get(B, 4096)


def test_delta_record_of_equal_regions_and_of_too_many_differences(memory):
    same = run(memory, Op.CREATE_DELTA, first=A, second=A, size=4096, delta_address=C, delta_maximum=80)
    assert (same.result, same.bytes_completed, same.tail) == (0, 0, bytes(4))
    full = run(memory, Op.CREATE_DELTA, first=A, second=B, size=4096, delta_address=C, delta_maximum=85)
    assert (full.result, full.bytes_completed, full.tail) == (2, 64, struct.pack("<I", 80))
    assert memory.get(C + 80, 8) == bytes(8)


@pytest.mark.parametrize("mask, status", [(0b010, 1), (0b101, 2)])
def test_check_result_of_create_delta(memory, mask, status):
    fields = {"first": A, "second": B, "size": 8, "delta_address": C, "delta_maximum": 80, "delta_mask": mask}
    assert Accelerator().execute(describe(Op.CREATE_DELTA, flags=CHECK, **fields), memory, WqLimits()).status == status


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 600), st.lists(st.tuples(st.integers(0, 599), st.binary(min_size=8, max_size=8)), max_size=40))
def test_create_delta_then_apply_delta_restores(words, changes):
    m = FakeMemory(*(Region(base, bytearray(8192)) for base in (0x1000, A, B, C)))
    m.put(A, random.Random(words).randbytes(8 * words))
    m.put(B, m.get(A, 8 * words))
    for at, data in changes:
        m.put(B + 8 * (at % words), data)
    fields = {"size": 8 * words, "delta_address": C, "delta_maximum": 6000}
    made = run(m, Op.CREATE_DELTA, first=A, second=B, **fields)
    used = int.from_bytes(made.tail[:4], "little")
    if used:
        run(m, Op.APPLY_DELTA, first=C, second=A, size=8 * words, delta_size=used)
    assert m.get(A, 8 * words) == m.get(B, 8 * words) and (made.result == 0) == (used == 0)


def test_dualcast(memory):
    size = CHUNK + 100
    run(memory, Op.DUALCAST, first=A, second=B + 8, dest2=C + 8, size=size)
    assert memory.get(B + 8, size) == memory.get(C + 8, size) == memory.get(A, size)


def test_cache_flush_and_translation_fetch_touch_nothing(memory):
    memory.log = True
    run(memory, Op.CACHE_FLUSH, second=A, size=10000)
    run(memory, Op.TRANSLATION_FETCH, first=A, size=10000)
    run(memory, Op.TRANSLATION_FETCH, gencap=GENCAP_1_0 | ALL, flags=12 | 1 << 16, first=A, size=1 << 20, stride=65536)
    assert {address for address, _ in memory.writes} == {RECORD, RECORD + 1}


def test_drain_reads_back_where_the_device_can(memory):
    run(memory, Op.DRAIN)
    run(memory, Op.DRAIN, gencap=GENCAP_1_0 | ALL, flags=12 | 3 << 16 | 3 << 9, first=A, second=B)


def test_record_is_written_body_first_and_status_last(memory):
    memory.log = True
    run(memory, Op.NOOP)
    assert memory.writes == [(RECORD + 1, bytes(31)), (RECORD, b"\x01")]


def test_record_through_the_memory_s_own_call(memory):
    calls = []
    memory.write_record = lambda address, data: calls.append((address, data)) or 32
    assert run(memory, Op.NOOP).wrote_completion and calls == [(RECORD, b"\x01" + bytes(31))]


def test_success_without_request_writes_no_record(memory):
    outcome = run(memory, Op.MEMORY_MOVE, flags=4, first=A, second=B, size=8)
    assert not outcome.wrote_completion and not outcome.software_error and record(memory).raw == bytes(32)
    assert not run(memory, Op.NOOP, flags=0, record=0).software_error


def test_a_compare_of_numpy_sees_every_byte():
    from pasidlab.accelerator.comparing import first_difference

    for size in range(40):
        a = np.arange(size, dtype=np.uint8)
        assert first_difference(a, a.copy()) == -1
        for at in range(size):
            b = a.copy()
            b[at] ^= 0x80
            assert first_difference(a, b) == at


class Batch:
    """A list of descriptors at ``C``, each with its record in the second page."""

    def __init__(self, memory, *members):
        self.memory = memory
        memory.put(C, b"".join(members))
        self.count = len(members)

    def run(self, wq=None, gencap=GENCAP_1_0, **fields):
        descriptor = describe(Op.BATCH, first=C, size=self.count, **fields)
        return Accelerator(gencap).execute(descriptor, self.memory, wq or WqLimits())


def member(index, opcode, flags=12, **fields):
    return describe(opcode, flags=flags, record=0x2000 + 32 * index, **fields)


def test_batch(memory):
    batch = Batch(memory, *(member(i, Op.FILL, first=i, second=B + 8 * i, size=8) for i in range(5)))
    outcome = batch.run()
    assert outcome.ok and outcome.moved == 40 and record(memory).completed == 5
    assert memory.get(B, 40) == struct.pack("<5Q", *range(5))
    assert [record(memory, 0x2000 + 32 * i).status for i in range(5)] == [1] * 5


def test_batch_members_keep_the_order_of_a_fence_in_any_shuffle(memory):
    for seed in range(20):
        members = [member(i, Op.FILL, first=7, second=B + 8 * i, size=8) for i in range(4)]
        members.append(member(4, Op.MEMORY_MOVE, flags=13, first=B, second=B + 100, size=32))
        memory.put(B, bytes(200))
        Batch(memory, *members)
        batch, rng = describe(Op.BATCH, first=C, size=5), random.Random(seed)
        outcome = Accelerator().execute(batch, memory, WqLimits(), rng=rng)
        assert outcome.ok and memory.get(B + 100, 32) == struct.pack("<4Q", 7, 7, 7, 7)


def test_fence_after_a_failure_abandons_the_rest(memory):
    bad = member(1, Op.COMPARE, flags=12 | 0x80, first=A, second=B, size=8)  # a false predicate counts as failure
    rest = member(2, Op.NOOP), member(3, Op.NOOP, flags=13), member(4, Op.NOOP)
    outcome = Batch(memory, member(0, Op.NOOP), bad, *rest).run()
    assert (outcome.status, outcome.bytes_completed, outcome.abandoned) == (Status.BATCH_FAILED, 3, 2)
    assert "1 of 5 descriptors failed, 2 abandoned at a fence" in outcome.reason
    assert [record(memory, 0x2000 + 32 * i).status for i in range(5)] == [1, 2, 1, 0, 0]
    assert record(memory).status == 5 and record(memory).result == 0


def test_a_failure_without_fence_stops_nothing(memory):
    outcome = Batch(memory, member(0, Op.FILL), member(1, Op.NOOP)).run(gencap=GENCAP_1_0 | ALL)
    assert (outcome.status, outcome.bytes_completed, outcome.result) == (Status.BATCH_FAILED, 2, 1)
    assert [one.status for one in outcome.members] == [Status.BAD_SIZE, Status.SUCCESS]


def test_a_failed_batch_writes_a_record_only_on_request(memory):
    outcome = Batch(memory, member(0, Op.FILL), member(1, Op.NOOP)).run(flags=4)
    assert outcome.status == 5 and not outcome.wrote_completion and not outcome.software_error


def test_a_member_s_record_may_lie_on_its_own_descriptor(memory):
    members = [describe(Op.FILL, record=C + 64 * i, first=9, second=B + 8 * i, size=8) for i in range(3)]
    assert Batch(memory, *members).run().ok
    assert memory.get(B, 24) == struct.pack("<3Q", 9, 9, 9)
    assert [memory.get(C + 64 * i, 1) for i in range(3)] == [b"\x01"] * 3


def test_a_member_s_record_may_lie_on_a_later_descriptor(memory):
    first = describe(Op.FILL, record=C + 64, first=9, second=B, size=8)
    second = member(1, Op.FILL, first=5, second=B + 8, size=8)
    assert Batch(memory, first, second).run().ok and memory.get(B, 16) == struct.pack("<2Q", 9, 5)


def test_batch_ignores_priv_of_its_members(memory):
    assert Batch(memory, member(0, Op.NOOP, trusted=1 << 31), member(1, Op.NOOP)).run().ok


def test_batch_error_flag_continues_a_failed_batch(memory):
    batch = Batch(memory, member(0, Op.NOOP), member(1, Op.NOOP, flags=13))
    outcome = batch.run(gencap=GENCAP_1_0 | ALL, flags=12 | 1 << 16)
    assert (outcome.status, outcome.result, outcome.bytes_completed) == (5, 1, 1)


def test_descriptor_list_fault_reports_how_many_ran(memory):
    end = C + (3 << 20)
    memory.put(end - 128, member(0, Op.NOOP) + member(1, Op.NOOP))
    outcome = Accelerator().execute(describe(Op.BATCH, first=end - 128, size=4), memory, WqLimits())
    assert (outcome.status, outcome.bytes_completed, outcome.fault_address) == (6, 2, end)
    assert record(memory).status == 6 and record(memory, 0x2020).status == 1


def test_single_member_batch_needs_the_capability(memory):
    batch = Batch(memory, member(0, Op.NOOP))
    assert batch.run().status == Status.BAD_COUNT and batch.run(gencap=GENCAP_1_0 | Cap.BATCH_1).ok


class Endless:
    """Zeros everywhere; remembers the largest piece it was asked for."""

    def __init__(self):
        self.most, self.bytes = 0, 0

    def read_into(self, address, buffer):
        self.most = max(self.most, len(buffer))
        return len(buffer)

    def write(self, address, data):
        self.most, self.bytes = max(self.most, len(data)), self.bytes + len(data)
        return len(data)

    def present(self, address, length):
        return length


@pytest.mark.parametrize("opcode", [Op.MEMORY_MOVE, Op.FILL, Op.COPY_CRC, Op.DIF_INSERT])
def test_large_transfers_go_through_bounded_buffers(opcode):
    memory, size = Endless(), 1 << 26
    assert Accelerator().execute(describe(opcode, first=1 << 40, second=1 << 41, size=size), memory, WqLimits()).ok
    assert memory.most <= CHUNK and memory.bytes == 32 + size + (size // 512 * 8 if opcode == Op.DIF_INSERT else 0)


def test_a_batch_that_goes_on_counts_the_members_that_are_done(memory):
    Batch(memory, *(member(i, Op.FILL, first=i, second=B + 8 * i, size=8) for i in range(5)))
    outcome = Accelerator().execute(describe(Op.BATCH, first=C, size=5), memory, WqLimits(), begun=3)
    assert outcome.ok and outcome.moved == 16 and len(outcome.members) == 2 and record(memory).completed == 5
    assert [record(memory, 0x2000 + 32 * i).status for i in range(5)] == [0, 0, 0, 1, 1]
