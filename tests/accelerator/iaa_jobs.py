"""A client of IAA for tests: memory with a source, a destination, an AECS pair and a completion record."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from dsa_memory import FakeMemory, Region

from pasidlab.accelerator import IAX, Accelerator, DescriptorOutcome, WqLimits

SOURCE, AECS, RECORD, DESTINATION, SECOND = (at << 28 for at in range(1, 6))
GENCAP = 0x71F10901F0105
WQ = WqLimits(operations=(1 << 256) - 1)
DECOMPRESS, COMPRESS = 0x42, 0x43
READ, WRITE, OVERFLOW, SELECT, CASTAGNOLI = 1 << 16, 1 << 18, 2 << 18, 1 << 22, 1 << 21


@dataclass
class Done:
    """What a job came to: the outcome, the fields of its completion record, and its output."""

    outcome: DescriptorOutcome
    status: int
    error: int
    completed: int
    size: int
    bits: int
    xor: int
    crc: int
    first: int
    last: int
    total: int
    output: bytes


class Client:
    """Runs jobs one after the other; the two AECS live on, each ``aecs_size`` bytes."""

    def __init__(self, aecs_size: int = 0x1500) -> None:
        self.aecs_size = aecs_size
        self.aecs = Region(AECS, bytearray(2 * max(aecs_size, 32)))
        self.device = Accelerator(GENCAP, IAX)

    def run(
        self, opcode: int, source: bytes, room: int, *, job_flags: int = 0, flags: int = 0, filter_flags: int = 0, elements: int = 0,
        second: bytes | None = None, aecs: bool = True, absent: set[int] = frozenset(),  # type: ignore[assignment]
    ) -> Done:  # fmt: skip
        """One descriptor. ``second`` is source 2 as data; else the AECS is, unless ``aecs`` is false."""
        memory = FakeMemory(
            Region(SOURCE, bytearray(source)), Region(DESTINATION, bytearray(b"\xee" * (room + 64))), self.aecs,
            Region(RECORD, bytearray(4096)), *([Region(SECOND, bytearray(second))] if second is not None else []),
        )  # fmt: skip
        memory.absent = absent
        at, size = (SECOND, len(second)) if second is not None else (AECS, self.aecs_size) if aecs else (0, 0)
        raw = descriptor(opcode, len(source), room, job_flags, flags, (at, size), (filter_flags, elements))
        outcome = self.device.execute(raw, memory, WQ, strict_faults=bool(absent))
        record = bytes(next(region.data for region in memory.regions if region.start == RECORD)[:64])
        status, error, completed = struct.unpack_from("<BBxxI", record)
        fields = struct.unpack_from("<IBxHIIII", record, 24)
        assert not any(record[48:]) and (status == 0x11 or not any(record[16:24]))
        out = next(region.data for region in memory.regions if region.start == DESTINATION)
        if status in (1, 0x0B) and not (opcode == COMPRESS and job_flags & 32):  # big-endian words are written whole
            assert set(out[fields[0] :]) <= {0xEE}, "bytes are written beyond the output size"
        return Done(outcome, status, error, completed, *fields, bytes(out[: fields[0]]))

    def refused(
        self, opcode: int, size: int, room: int, *, job_flags: int = 0, flags: int = 0, filter_flags: int = 0, elements: int = 0,
        second_size: int = 0, aecs: bool = True, address: int = SECOND,
    ) -> DescriptorOutcome:  # fmt: skip
        """One descriptor that is not carried out: nothing is written."""
        memory = FakeMemory(Region(RECORD, bytearray(4096)))
        at, second = (AECS, self.aecs_size) if aecs else (address, second_size)
        raw = descriptor(opcode, size, room, job_flags, flags, (at, second), (filter_flags, elements))
        outcome = self.device.execute(raw, memory, WQ)
        assert memory.regions[0].data[0] == outcome.status
        return outcome


def descriptor(
    opcode: int, size: int, room: int, job_flags: int, flags: int, second: tuple[int, int], tail: tuple[int, int]
) -> bytes:
    """The 64 bytes; ``second`` is address and size of source 2, ``tail`` the words at 56 and 60."""
    head = struct.pack("<IIQQQIHH", 0, opcode << 24 | flags | 0x0C, RECORD, SOURCE, DESTINATION, size, 0, job_flags)
    return head + struct.pack("<QIIII", second[0], room, second[1], *tail)


def raw_deflate(data: bytes, level: int = 6, strategy: int = 0, window: int = 12) -> bytes:
    """A stream as another compressor makes it."""
    squeezed = zlib.compressobj(level, zlib.DEFLATED, -window, 9, strategy)
    return squeezed.compress(data) + squeezed.flush()


def xor_of(data: bytes) -> int:
    """The XOR checksum, word by word."""
    value = 0
    for at in range(0, len(data), 2):
        value ^= int.from_bytes(data[at : at + 2], "little")
    return value
