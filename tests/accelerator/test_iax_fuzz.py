"""Random jobs of IAA: whatever descriptor, source and AECS say, the device answers, and writes only where it may."""

import random
import struct

from dsa_memory import FakeMemory, Region
from iaa_jobs import AECS, DESTINATION, GENCAP, RECORD, SECOND, SOURCE, WQ, descriptor, raw_deflate

from pasidlab.accelerator import IAX, Accelerator
from pasidlab.accelerator.abi import STATUS_TEXT

ROOM, AECS_SIZE = 512, 0x1500


def seed_aecs(rng: random.Random) -> bytearray:
    """Zeros, noise, or what a job left, and that with damage."""
    raw = bytearray(2 * AECS_SIZE)
    if rng.random() < 0.3:
        raw[:] = rng.randbytes(len(raw))
    struct.pack_into("<H", raw, 0x434, rng.choice((0, 1, 1, 2, 4, 6, 8, 9)))
    for _ in range(rng.randrange(4)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return raw


def test_random_jobs_are_answered() -> None:
    rng, device, seen = random.Random(99), Accelerator(GENCAP, IAX), set()
    leftovers: list[bytearray] = []
    for _ in range(2000):
        source = raw_deflate(rng.choice((b"abc" * 50, rng.randbytes(200)))) if rng.random() < 0.5 else rng.randbytes(rng.randrange(1, 300))
        if rng.random() < 0.3:
            source = source[: rng.randrange(1, len(source) + 1)]
        aecs = bytearray(rng.choice(leftovers)) if leftovers and rng.random() < 0.4 else seed_aecs(rng)
        memory = FakeMemory(
            Region(SOURCE, bytearray(source)), Region(DESTINATION, bytearray(ROOM)), Region(AECS, aecs),
            Region(SECOND, bytearray(rng.randbytes(4096))), Region(RECORD, bytearray(64)),
        )  # fmt: skip
        memory.log = True
        opcode = rng.choice([code for code in device.kind.operations if code > 3])
        flags = rng.choice((0, 1 << 16, 2 << 16)) | rng.choice((0, 1 << 18, 2 << 18)) | rng.choice((0, 1 << 21)) | rng.choice((0, 1 << 22))
        at, size = rng.choice(((AECS, AECS_SIZE), (AECS, 0x620), (AECS, 0x20), (SECOND, 512), (0, 0)))
        tail = (rng.choice((7 << 2, 2, rng.getrandbits(27), 31 << 2)), rng.choice((1, 8, 60, 300, 0xFFFFFFFF)))
        if opcode == 0x43:
            tail = (0, 0)
        elif 0x48 <= opcode < 0x50 or opcode == 0x0A:
            flags, at, size, tail = flags & 1 << 21, 0, 0, (0, 0)
        room = rng.choice((0, 1, 7, 64, ROOM))
        job_flags = 0 if opcode == 0x0A or 0x48 <= opcode < 0x50 else rng.choice((0, 1, 3, 0x1F, 0x21, rng.getrandbits(13)))
        raw = descriptor(opcode, len(source), room, job_flags, flags, (at, size), tail)
        before = {region.start: bytes(region.data) for region in memory.regions}
        outcome = device.execute(raw, memory, WQ)
        assert outcome.status in STATUS_TEXT and (outcome.reason or outcome.ok), outcome
        seen.add((opcode, outcome.status))
        after = {region.start: bytes(region.data) for region in memory.regions}
        assert after[SOURCE] == before[SOURCE] and (flags >> 18 & 3 or after[SECOND] == before[SECOND])
        assert after[DESTINATION][room:] == before[DESTINATION][room:]
        written = [place for place, data in memory.writes if AECS <= place < AECS + 2 * AECS_SIZE and data]
        assert not written or flags >> 18 & 3
        if written and outcome.ok:
            leftovers.append(bytearray(after[AECS][AECS_SIZE:] + after[AECS][:AECS_SIZE]))
            del leftovers[:-20]
    answered = {opcode for opcode, status in seen if status == 1}
    assert {0x42, 0x48, 0x4C, 0x4D} <= answered and answered & set(range(0x50, 0x57)), sorted(answered)
    assert {(0x42, 0x0A), (0x42, 0x0B), (0x43, 0x0A)} <= seen and any(code >= 0x50 and status == 0x0A for code, status in seen)
