"""Random descriptors: whatever they say, the device answers with a legal status and writes only where it may.

The routine test runs 20,000; ``python tests/machine/test_accelerator_fuzz.py 100000 [seed]`` runs as many as one likes.
"""

from __future__ import annotations

import collections
import random
import struct
import sys
import time

from dsa_memory import PAGE, FakeMemory, Region

from pasidlab.accelerator import GENCAP_1_0, Accelerator, Cap, Op, WqLimits
from pasidlab.accelerator.abi import NAMES, NEVER_IN_RECORD, STATUS_TEXT
from pasidlab.accelerator.legality import RULES

BASE, WRITABLE, READ_ONLY, MORE = 0x10000, 0x8000, 0x4000, 0x8000  # writable, read-only, writable; nothing around them
END = BASE + WRITABLE + READ_ONLY + MORE
LEGAL = frozenset(STATUS_TEXT) - {0x53}
SIZES = (0, 1, 2, 7, 8, 10, 64, 80, 100, 512, 520, 1024, 1040, 4096, 4104, 5000)
SIZES += (0x4000, 0x80000, 0x80008, 1 << 31, 0xFFFFFFFF)
EVERY = GENCAP_1_0 | sum(value for name, value in vars(Cap).items() if name.isupper())
DEVICES = (Accelerator(), Accelerator(EVERY), Accelerator(GENCAP_1_0 & ~0x107))
QUEUES = (
    WqLimits(),
    WqLimits(shared=False, block_on_fault=False, max_batch_size=16, max_transfer_size=4096),
    WqLimits(user_interrupts=True, interrupts=4, second_tc=False, privileged_mode=True),
)


def address(chance: random.Random) -> int:
    kind = chance.random()
    if kind < 0.85:
        return chance.randrange(BASE - 0x200, END + 0x200) & -chance.choice((1, 8, 32, 64, PAGE))
    return chance.choice((0, (1 << 64) - 8, (1 << 63) - 4096, chance.getrandbits(64)))


def plausible(chance: random.Random) -> bytes:
    """A descriptor that gets past most checks: right in most fields, wrong in some."""
    opcode = chance.choice(list(NAMES) if chance.random() < 0.1 else [*RULES, Op.CRC64])
    flags = 0xC if chance.random() < 0.9 else chance.choice((0, 4, 8))
    for bit in range(24):
        flags |= (chance.random() < 0.03) << bit
    record = address(chance) & ~31 if chance.random() < 0.95 else address(chance)
    size = chance.choice(SIZES) if chance.random() < 0.7 else chance.randrange(0x6000)
    if opcode == Op.BATCH:
        size = chance.choice((0, 1, 2, 3, 8, 20, 1024, 1025))
    tail = [chance.choice((0, 0, address(chance), chance.getrandbits(64))) for _ in range(3)]
    if opcode == Op.CREATE_DELTA:
        tail = [address(chance), chance.choice((80, 85, 4096, 10)), chance.randrange(8)]
    elif opcode == Op.APPLY_DELTA:
        tail = [chance.choice((10, 20, 100, 1000, 4000)), 0, 0]
    elif Op.DIF_CHECK <= opcode <= Op.DIX_GENERATE:
        tail[0] &= 0x0FFFFF if chance.random() < 0.9 else 0xFFFFFF
    elif chance.random() < 0.6:
        tail = [tail[0] if opcode == Op.DUALCAST else 0, 0, 0]
    first, second = address(chance), address(chance)
    if chance.random() < 0.7:
        if opcode in (Op.NOOP, Op.DRAIN):
            first = second = size = 0
        elif opcode in (Op.BATCH, Op.CRC, Op.DIF_CHECK, Op.TRANSLATION_FETCH):
            first, second = first & -chance.choice((8, 64, 64, 64)), 0
        elif opcode == Op.DUALCAST:
            first, second, size, tail[0] = BASE, BASE + 0x1008, chance.randrange(0x1000), END - 0x2000 + 8
    trusted = 0 if chance.random() < 0.98 else chance.getrandbits(32)
    word = flags | opcode << 24
    handle = chance.randrange(8) if flags & 16 else 0
    return struct.pack("<IIQQQIHHQQQ", trusted, word, record, first, second, size, handle, 0, *tail)


def allowed(raw: bytes) -> list[tuple[int, int]]:
    """Where one work descriptor may write: its record, its destinations with what its size allows, its delta record."""
    _, _, record, _, second, size, _, _, tail40, tail48, _ = struct.unpack("<IIQQQIHHQQQ", raw)
    grown = size + size // 512 * 8
    return [(record, record + 32), (second, second + grown), (tail40, tail40 + max(size, tail48 & 0xFFFFFFFF))]


def fuzz(count: int, seed: int) -> collections.Counter[tuple[str, int]]:
    """Run ``count`` descriptors; how often each (operation, status) occurred."""
    chance, seen = random.Random(seed), collections.Counter()
    memory = FakeMemory(
        Region(BASE, bytearray(WRITABLE)),
        Region(BASE + WRITABLE, bytearray(chance.randbytes(READ_ONLY)), writable=False),
        Region(BASE + WRITABLE + READ_ONLY, bytearray(MORE)),
    )
    memory.log = True
    guard = bytes(memory.regions[1].data)
    for number in range(count):
        if number % 64 == 0:  # lists for batches, deltas, blocks: half of memory is descriptors, the rest noise or zero
            memory.regions[0].data[:] = b"".join(plausible(chance) for _ in range(WRITABLE // 64))
            memory.regions[2].data[:] = chance.randbytes(MORE) if number % 128 else bytes(MORE)
            memory.absent = {chance.randrange(BASE // PAGE, END // PAGE) for _ in range(3)}
        raw = chance.randbytes(64) if chance.random() < 0.2 else plausible(chance)
        memory.writes.clear()
        device, wq = chance.choice(DEVICES), chance.choice(QUEUES)
        lists = memory.regions[0].data[:] + memory.regions[1].data + memory.regions[2].data
        strict, rng = chance.random() < 0.3, chance if number & 1 else None
        outcome = device.execute(raw, memory, wq, strict_faults=strict, rng=rng)
        check(raw, outcome, memory, bytes(lists))
        assert memory.regions[1].data == guard
        seen[outcome.operation if outcome.opcode in NAMES else "other", outcome.status] += 1
        for member in outcome.members:
            seen["member", member.status] += 1
    return seen


def check(raw: bytes, outcome, memory: FakeMemory, before: bytes) -> None:
    for one in (outcome, *outcome.members):
        assert one.status in LEGAL, (raw.hex(), one)
        assert not (one.wrote_completion and (one.software_error or one.status in NEVER_IN_RECORD))
        assert one.reason or one.ok, (raw.hex(), one)
        assert 0 <= one.bytes_completed <= 0xFFFFFFFF
    places = allowed(raw)
    if raw[7] == Op.BATCH:
        start = struct.unpack_from("<Q", raw, 16)[0] - BASE
        for at in range(max(start, 0), min(start + 64 * len(outcome.members), len(before)), 64):
            places += allowed(before[at : at + 64])
    for at, data in memory.writes:
        inside = any(first <= at and at + len(data) <= last for first, last in places)
        assert inside or not data, (raw.hex(), hex(at), len(data))
    if outcome.wrote_completion:
        record = struct.unpack_from("<Q", raw, 8)[0]
        assert memory.get(record, 32) == outcome.record()


def test_twenty_thousand_random_descriptors():
    seen = fuzz(20_000, seed=1)
    statuses = {status for _, status in seen}
    succeeded = {operation for operation, status in seen if status == 1}
    assert {NAMES[op] for op in RULES} <= succeeded  # the fuzz reaches every operation's end
    of_iax = {0x0A, 0x0B, *range(0x30, 0x36)}
    assert statuses >= LEGAL - {0x20, 0x21, 0x22} - of_iax  # and every status of DSA that no hardware fault is needed for


if __name__ == "__main__":
    start, total = time.perf_counter(), int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for (operation, status), count in sorted(fuzz(total, int(sys.argv[2]) if len(sys.argv) > 2 else 0).items()):
        print(f"{operation:28} 0x{status:02x} {STATUS_TEXT[status]:40} {count:7}")
    print(f"{total} descriptors, {time.perf_counter() - start:.1f} s")
