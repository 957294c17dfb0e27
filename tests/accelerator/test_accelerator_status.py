"""Every status code with the condition that causes it, and what is said about it."""

import random

import pytest
from dsa_descriptors import describe, record
from dsa_memory import FakeMemory, Region

from pasidlab.accelerator import GENCAP_1_0, OPERATIONS_1_0, Accelerator, Cap, Op, Status, WqLimits
from pasidlab.accelerator.legality import RULES

A, B, C, END = 0x10000, 0x20000, 0x30000, 0x40000
MOVE = {"opcode": Op.MEMORY_MOVE, "first": A, "second": B, "size": 64}
DELTA = {"opcode": Op.CREATE_DELTA, "first": A, "second": B, "size": 64, "delta_address": C, "delta_maximum": 80}
APPLY = {"opcode": Op.APPLY_DELTA, "first": C, "second": A, "size": 64, "delta_size": 10}
CAST = {"opcode": Op.DUALCAST, "first": A, "second": B, "dest2": C, "size": 64}
INSERT = {"opcode": Op.DIF_INSERT, "first": A, "second": B, "size": 512}


@pytest.fixture
def memory():
    m = FakeMemory(Region(0x1000, bytearray(0x1000)), Region(A, bytearray(END - A)))
    m.put(A, random.Random(1).randbytes(END - A))
    return m


def execute(memory, wq=None, gencap=GENCAP_1_0, **fields):
    return Accelerator(gencap).execute(describe(**fields), memory, wq or WqLimits())


REJECTED = [
    # status, descriptor, words
    (0x10, {"opcode": 0x0B}, "opcode 0x0b: not an operation of this device"),
    (0x10, {"opcode": 0x16}, "opcode 0x16: not an operation of this device"),
    (0x10, {"opcode": 0x19}, "opcode 0x19 (reduce): not an operation of this device"),
    (0x10, {"opcode": 0x21}, "opcode 0x21 (update window): not an operation of this device"),
    (0x10, {"opcode": 0xFF}, "opcode 0xff: not an operation of this device"),
    (0x11, {**MOVE, "flags": 12 | 1 << 7}, "flag bit 7 (check result) not allowed for opcode 0x03 (memory move)"),
    (0x11, {**MOVE, "flags": 12 | 1}, "flag bit 0 (fence) not allowed outside a batch"),
    (0x11, {**MOVE, "flags": 12 | 1 << 4}, "not allowed: the device has user-mode interrupts disabled"),
    (0x11, {**MOVE, "flags": 12 | 1 << 5}, "flag bit 5 (cache control 3) not allowed for opcode 0x03"),
    (0x11, {**MOVE, "flags": 12 | 1 << 6}, "flag bit 6 not allowed for opcode 0x03"),
    (0x11, {**MOVE, "flags": 12 | 1 << 15}, "flag bit 15 not allowed"),
    (0x11, {**MOVE, "flags": 12 | 1 << 16}, "flag bit 16 not allowed"),
    (0x11, {"opcode": Op.NOOP, "flags": 12 | 2}, "flag bit 1 (block on fault) not allowed for opcode 0x00 (no-op)"),
    (0x11, {"opcode": Op.FILL, "flags": 12 | 1 << 18}, "flag bit 18 not allowed for opcode 0x04 (fill)"),
    (0x11, {"opcode": Op.FILL, "flags": 12 | 1 << 9}, "flag bit 9 (address 1 TC selector) not allowed"),
    (0x11, {"opcode": Op.CACHE_FLUSH, "flags": 12 | 1 << 8}, "flag bit 8 (cache control 1) not allowed"),
    (0x11, {"opcode": Op.CRC, "flags": 12 | 1 << 11}, "flag bit 11 (address 3 TC selector)"),
    (0x11, {"opcode": Op.CRC, "flags": 4}, "must be 1 for opcode 0x10 (CRC generation)"),
    (0x11, {"opcode": Op.COMPARE, "flags": 4}, "flag bit 3 (request completion record) must be 1"),
    (0x11, {"opcode": Op.DRAIN, "flags": 4}, "flag bit 3 (request completion record) must be 1 for"),
    (0x11, {"opcode": Op.DRAIN, "flags": 12 | 1 << 16}, "flag bit 16 not allowed for opcode 0x02 (drain) by"),
    (0x11, {"opcode": Op.DRAIN, "flags": 12 | 1 << 10}, "flag bit 10 (address 2 TC selector) not allowed"),
    (0x11, {"opcode": Op.BATCH, "flags": 12 | 1 << 16}, "flag bit 16 not allowed for opcode 0x01 (batch) by"),
    (0x11, {"opcode": Op.TRANSLATION_FETCH, "flags": 12 | 1 << 16}, "flag bit 16 not allowed"),
    (0x12, {"opcode": Op.NOOP, "size": 1}, "byte 32 is 0x01, reserved for opcode 0x00 (no-op)"),
    (0x12, {**MOVE, "expected": 1}, "byte 40 is 0x01, reserved for opcode 0x03 (memory move)"),
    (0x12, {**MOVE, "handle": 0x300}, "byte 37 is 0x03, reserved"),
    (0x12, {"opcode": Op.FILL, "second": B, "size": 8, "pattern_upper": 1}, "byte 40 is 0x01, reserved"),
    (0x12, {"opcode": Op.CRC, "first": A, "size": 8, "seed_address": 64}, "byte 48 is 0x40, reserved"),
    (0x12, {"opcode": Op.CRC, "flags": 12 | 1 << 16, "first": A, "size": 8, "seed": 1, "seed_address": 64}, "byte 40"),
    (0x12, {**INSERT, "dest_dif": 1}, "byte 41 is 0x01, reserved"),
    (0x12, {**INSERT, "dif_flags": 0x10}, "byte 42 is 0x10, reserved"),
    (0x12, {"opcode": Op.DRAIN, "first": 64}, "byte 16 is 0x40, reserved"),
    (0x12, {"opcode": Op.TRANSLATION_FETCH, "first": A, "size": 8, "stride": 4096}, "byte 49"),
    (0x13, {**MOVE, "size": 0}, "transfer size is 0"),
    (0x13, {**MOVE, "size": (1 << 31) + 1}, "2147483649 is more than the work queue's 2147483648"),
    (0x13, {**DELTA, "size": 0x80008}, "transfer size 524296 is beyond a delta record's 0x80000"),
    (0x13, {"opcode": Op.TRANSLATION_FETCH, "first": A, "size": 0}, "region of 0 bytes"),
    (0x13, {"opcode": Op.TRANSLATION_FETCH, "first": (1 << 64) - 8, "size": 9}, "region of 9 bytes"),
    (0x14, {"opcode": Op.BATCH, "first": A, "size": 0}, "descriptor count 0, allowed are 2 to 1024"),
    (0x14, {"opcode": Op.BATCH, "first": A, "size": 1}, "descriptor count 1"),
    (0x14, {"opcode": Op.BATCH, "first": A, "size": 1025}, "descriptor count 1025"),
    (0x15, {**DELTA, "delta_maximum": 79}, "delta record size 79, allowed are 80 to 2147483648"),
    (0x15, {**APPLY, "delta_size": 9}, "delta record size 9, allowed are 10 to"),
    (0x16, {**DELTA, "delta_address": A + 56}, "delta record [0x10038, +80) overlaps source 1 [0x10000, +64)"),
    (0x16, {**DELTA, "delta_address": B - 79}, "overlaps source 2"),
    (0x16, {**APPLY, "first": A + 60}, "delta record [0x1003c, +10) overlaps destination"),
    (0x16, {**CAST, "second": A + 0x1000, "dest2": A, "size": 64}, "source [0x10000, +64) overlaps destination 2"),
    (0x16, {**CAST, "second": B, "dest2": B, "size": 1}, "destination 1 [0x20000, +1) overlaps destination 2"),
    (0x16, {"opcode": Op.COPY_CRC, "first": A, "second": A + 63, "size": 64}, "overlaps"),
    (0x16, {**INSERT, "second": A - 519}, "source [0x10000, +512) overlaps destination [0xfdf9, +520)"),
    (0x17, {**CAST, "dest2": C + 8}, "destinations 0x20000 and 0x30008 differ in bits 11:0"),
    (0x18, {"opcode": Op.BATCH, "first": A + 32, "size": 2}, "list address 0x10020 is not a multiple of 64"),
    (0x1C, {**DELTA, "first": A + 4}, "source 1 0x10004 is not a multiple of 8"),
    (0x1C, {**DELTA, "second": B + 1}, "source 2"),
    (0x1C, {**DELTA, "size": 60}, "transfer size 0x3c is not a multiple of 8"),
    (0x1C, {**APPLY, "second": A + 1}, "destination"),
    (0x1C, {"opcode": Op.CRC, "flags": 12 | 1 << 16, "first": A, "size": 8, "seed_address": B + 2}, "seed address"),
    (0x1C, {"opcode": Op.DIX_GENERATE, "first": A, "second": B + 4, "size": 512}, "0x20004 is not a multiple of 8"),
]  # fmt: skip


@pytest.mark.parametrize("status, descriptor, words", REJECTED)
def test_a_rejected_descriptor_says_why_and_touches_nothing(memory, status, descriptor, words):
    before = memory.get(A, END - A)
    outcome = execute(memory, **descriptor)
    assert (outcome.status, record(memory).status) == (status, status) and words in outcome.reason
    assert memory.get(A, END - A) == before and outcome.moved == outcome.bytes_completed == 0
    if status == 0x11:
        assert int.from_bytes(record(memory).tail[:3], "little")


def test_invalid_flags_are_all_named_in_the_record(memory):
    execute(memory, **{**MOVE, "flags": 12 | 1 << 7 | 1 << 15})
    assert record(memory).tail[:4] == (1 << 7 | 1 << 15).to_bytes(4, "little")


WITH_QUEUE = [
    (0x10, WqLimits(operations=OPERATIONS_1_0), {"opcode": Op.DIX_GENERATE}, "not configured for this work queue"),
    (0x10, WqLimits(ats=False), {"opcode": Op.TRANSLATION_FETCH}, "not configured"),
    (0x11, WqLimits(block_on_fault=False), {**MOVE, "flags": 14}, "the work queue has block_on_fault=0"),
    (0x13, WqLimits(max_transfer_size=32), MOVE, "transfer size 64 is more than"),
    (0x14, WqLimits(max_batch_size=8), {"opcode": Op.BATCH, "first": A, "size": 9}, "allowed are 2 to 8"),
    (0x15, WqLimits(max_transfer_size=64), DELTA, "delta record size 80, allowed are 80 to 64"),
    (0x19, WqLimits(user_interrupts=True, interrupts=3), {**MOVE, "flags": 28, "handle": 3}, "interrupt handle 3 of 3"),
    (0x1E, WqLimits(second_tc=False), {**MOVE, "flags": 12 | 1 << 9}, "TC-B"),
]  # fmt: skip


@pytest.mark.parametrize("status, wq, descriptor, words", WITH_QUEUE)
def test_what_the_work_queue_does_not_allow(memory, status, wq, descriptor, words):
    outcome = execute(memory, wq, **descriptor)
    assert outcome.status == status == record(memory).status and words in outcome.reason


def test_what_the_device_cannot_do(memory):
    none = GENCAP_1_0 & ~(Cap.OVERLAPPING_COPY | Cap.CACHE_CONTROL | Cap.DESTINATION_READBACK | 1)
    assert execute(memory, gencap=none, **{**MOVE, "second": A + 1}).status == 0x16
    for bit in (1, 8, 14):
        assert execute(memory, **{**MOVE, "flags": 12 | 1 << bit}).ok
        assert "by this device" in execute(memory, gencap=none, **{**MOVE, "flags": 12 | 1 << bit}).reason


def test_durable_writes_and_the_reserved_cache_control_encodings(memory):
    durable = GENCAP_1_0 | Cap.DURABLE_WRITE
    one, two, three = 1 << 8, 1 << 14, 1 << 5
    for encoding, legal in ((three, True), (three | two, True), (three | one, False), (three | two | one, False)):
        assert execute(memory, gencap=durable, **{**MOVE, "flags": 12 | encoding}).ok is legal


def test_a_good_interrupt_handle_is_accepted(memory):
    wq = WqLimits(user_interrupts=True, interrupts=3)
    assert execute(memory, wq, **{**MOVE, "flags": 28, "handle": 2}).ok


def test_batch_drain_and_update_window_inside_a_batch(memory):
    members = [describe(code, record=0x1100 + 32 * at) for at, code in enumerate((Op.BATCH, Op.DRAIN, 0x21))]
    memory.put(A, b"".join(members))
    outcome = execute(memory, opcode=Op.BATCH, first=A, size=3)
    assert [one.status for one in outcome.members] == [0x10] * 3 and outcome.status == Status.BATCH_FAILED
    assert outcome.members[1].reason == "opcode 0x02 (drain) not allowed inside a batch"


@pytest.mark.parametrize(
    "descriptor, status, words",
    [
        ({**MOVE, "record": 0x1010}, 0x1B, "completion record 0x1010 is not 32-byte aligned"),
        ({**MOVE, "record": 0x1001}, 0x1B, "not 32-byte aligned"),
        ({**MOVE, "trusted": 1 << 31}, 0x1D, "Priv is 1"),
        ({**MOVE, "flags": 0, "record": 0, "size": 0}, 0x13, "transfer size is 0"),
        ({**MOVE, "flags": 0}, 0x12, "address is not 0 although flag bit 2 says"),
        ({**MOVE, "flags": 8, "record": 0}, 0x11, "request completion record) not allowed without flag bit 2"),
        ({"opcode": Op.COMPARE, "flags": 0, "record": 0}, 0x11, "completion record address valid) must be 1"),
        ({**MOVE, "flags": 0, "record": 0, "first": END}, 0x03, "page fault reading 0x40000 after 0 bytes"),
    ],
)
def test_errors_that_no_record_shows_are_software_errors(memory, descriptor, status, words):
    memory.log = True
    outcome = execute(memory, **descriptor)
    assert (outcome.status, outcome.software_error, outcome.wrote_completion) == (status, True, False)
    assert words in outcome.reason and not memory.writes


def test_record_with_an_unconfigured_traffic_class_is_not_written(memory):
    outcome = execute(memory, WqLimits(second_tc=False), **{**MOVE, "flags": 12 | 1 << 12})
    assert (outcome.status, outcome.software_error, record(memory).status) == (0x1E, True, 0)


def test_priv_is_the_queue_s_own_where_it_is_dedicated_and_allowed_where_configured(memory):
    assert execute(memory, WqLimits(shared=False), **{**MOVE, "trusted": 1 << 31}).ok
    assert execute(memory, WqLimits(privileged_mode=True), **{**MOVE, "trusted": 1 << 31}).ok


def test_unmapped_record(memory):
    outcome = execute(memory, **{**MOVE, "record": END})
    assert (outcome.status, outcome.software_error) == (Status.RECORD_PAGE_FAULT, True)
    memory.writable = lambda address, length: 0 if address >= END else length
    memory.put(B, bytes(64))
    assert execute(memory, **{**MOVE, "record": END}).status == 0x1A and memory.get(B, 64) == bytes(64)


@pytest.mark.parametrize(
    "offsets, status, applied", [((3, 3), 7, 1), ((3, 2), 7, 1), ((0, 8), 8, 1), ((8,), 8, 0), ((0, 1, 5, 4, 6), 7, 3)]
)
def test_bad_delta_offsets_stop_after_the_good_ones(memory, offsets, status, applied):
    memory.put(C, b"".join(offset.to_bytes(2, "little") + bytes([65 + at]) * 8 for at, offset in enumerate(offsets)))
    outcome = execute(memory, **{**APPLY, "delta_size": 10 * len(offsets)})
    assert (outcome.status, record(memory).completed) == (status, 10 * applied)
    for at in range(applied):
        assert memory.get(A + 8 * offsets[at], 8) == bytes([65 + at]) * 8


def test_every_reserved_byte_of_table_5_3_is_checked(memory):
    for code, rule in RULES.items():
        for first, last in rule.reserved:
            for byte in range(first, last + 1):
                raw = bytearray(describe(code))
                raw[byte] = 1
                outcome = Accelerator().execute(bytes(raw), memory, WqLimits())
                assert (outcome.status, f"byte {byte} is" in outcome.reason) == (0x12, True), (code, byte)


def test_every_status_code_can_be_injected(memory):
    device = Accelerator()
    for status in range(1, 0x23):
        outcome = device.fail(describe(**MOVE), memory, status)
        assert outcome.status == status and "injected" in outcome.reason
        assert outcome.software_error is (status in (0x1A, 0x1B, 0x1D))
    assert device.fail(describe(**MOVE), memory, 0x83).write_fault and record(memory).status == 0x83
    assert record(memory).fault == B
    assert device.fail(describe(**{**MOVE, "record": 0x1001}), memory, 0x20).status == 0x1B
