"""What the analytics operations of IAA share: their operands, checksums, completion records, and the ways they end.

Layouts after linux/idxd.h (struct iax_hw_desc, iax_completion_record) and intel/qpl (own_hw_definitions.h, hw_status.h).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import google_crc32c
import numpy as np

from pasidlab.accelerator.abi import Descriptor, Status
from pasidlab.accelerator.inflate import Malformed
from pasidlab.accelerator.transfer import CHUNK, DESTINATION, SOURCE, SOURCE_2, Access, DescriptorOutcome

# Descriptor flags of IAA: two bits how source 2 is read, two how it is written.
READ_SOURCE_2, WRITE_SOURCE_2 = 3 << 16, 3 << 18
CRC_32C, SELECT = 1 << 21, 1 << 22  # the other CRC; which of the two AECS is read, and which written
READ_NOTHING, READ_AECS, READ_INPUT = 0, 1, 2
WRITE_NEVER, WRITE_ALWAYS, WRITE_ON_OVERFLOW = 0, 1, 2

_TAIL = struct.Struct("<8xIBxHIIII")  # bytes 16 to 47 of the record
OUTPUT_TOO_SMALL = 25  # error codes, hw_status.h


class Analyzed(Exception):
    """The operation ends with status 0x0A and an error code."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


class Faulted(Exception):
    """A page fault at ``address``, after ``done`` bytes of source 1."""

    def __init__(self, address: int, operand: int, *, write: bool = False) -> None:
        super().__init__(address)
        self.address, self.operand, self.write = address, operand, write


@dataclass(eq=False)
class Checksums:
    """CRC-32 (or CRC-32C) and the XOR of 16-bit words, over bytes that come in pieces."""

    crc: int = 0
    xor: int = 0
    castagnoli: bool = False
    _odd: bool = False  # the next byte is the upper half of a word

    def add(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        if not len(data):
            return
        piece = bytes(data)
        self.crc = google_crc32c.extend(self.crc, piece) if self.castagnoli else zlib.crc32(piece, self.crc)
        array = np.frombuffer(piece, np.uint8)
        low, high = (int(np.bitwise_xor.reduce(array[half::2])) for half in (0, 1))
        if self._odd:
            low, high = high, low
        self.xor ^= low | high << 8
        self._odd ^= bool(len(piece) & 1)


@dataclass(eq=False)
class Result:
    """What the completion record tells of an operation that succeeded, or whose output overflowed."""

    size: int = 0
    bits: int = 0  # valid in the last byte, 0 for 8
    first: int = 0  # index, or minimum
    last: int = 0  # index, or maximum
    total: int = 0  # ones, or sum

    def tail(self, sums: Checksums) -> bytes:
        """Bytes 16 to 47."""
        return _TAIL.pack(self.size, self.bits, sums.xor, sums.crc, self.first, self.last, self.total)


class IaaJob:
    """One descriptor being carried out: its operands, and how far it has come."""

    def __init__(self, d: Descriptor, m: Access) -> None:
        self.d, self.m = d, m
        self.flags = d.field(38, 2)  # of decompression or compression
        self.source_2, self.source_2_size = d.tail40, d.tail48 >> 32
        self.room = d.tail48 & 0xFFFFFFFF  # maximum destination size
        self.filter, self.elements = d.tail56 & 0xFFFFFFFF, d.tail56 >> 32
        self.read_mode, self.write_mode = d.flags >> 16 & 3, d.flags >> 18 & 3
        self.taken = 0  # bytes of source 1
        self.written = 0  # bytes of output
        self.sums = Checksums(castagnoli=bool(d.flags & CRC_32C))

    def turn(self, size: int) -> None:
        """Work worth ``size`` bytes is about to be done that needs no memory: others may have their turn."""
        give_way = getattr(self.m.memory, "turn", None)
        if give_way:
            give_way(size)

    def source(self, first: int, size: int, operand: int = SOURCE) -> Iterator[memoryview]:
        """The bytes of an operand, in pieces. Raises Faulted."""
        done = 0
        while done < size:
            view = memoryview(bytearray(min(CHUNK, size - done)))
            got = self.m.read(first + done, view)
            done += got
            if operand == SOURCE:
                self.taken = done
            yield view[:got]
            if got < len(view):
                raise Faulted(first + done, operand)

    def source_1(self) -> Iterator[memoryview]:
        """The bytes of source 1."""
        return self.source(self.d.first, self.d.size)

    def second(self) -> Iterator[memoryview]:
        """The bytes of source 2, where it is data."""
        return self.source(self.source_2, self.source_2_size, SOURCE_2)

    def aecs(self) -> bytes:
        """The AECS; empty where the descriptor reads none."""
        if self.read_mode != READ_AECS:
            return b""
        at = self.source_2 + (self.source_2_size if self.d.flags & SELECT else 0)
        return b"".join(map(bytes, self.source(at, self.source_2_size, SOURCE_2)))

    def write_aecs(self, raw: bytes) -> None:
        """Write the AECS to the place that is not read (intel/qpl, hw_aecs_toggle_rw)."""
        at = self.source_2 + (0 if self.d.flags & SELECT else self.source_2_size)
        data = raw[: self.source_2_size]
        put = self.m.write(at, memoryview(bytearray(data)))
        if put < len(data):
            raise Faulted(at + put, SOURCE_2, write=True)

    @property
    def left(self) -> int:
        """Bytes for which the destination has room."""
        return self.room - self.written

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """The next bytes of output. Raises Faulted, and Analyzed where there is no room for them."""
        if len(data) > self.left:
            raise Analyzed(OUTPUT_TOO_SMALL, f"the output has no room in {self.room} bytes")
        if not len(data):
            return
        put = self.m.write(self.d.second + self.written, memoryview(data if isinstance(data, bytearray) else bytearray(data)))
        self.written += put
        if put < len(data):
            raise Faulted(self.d.second + self.written, DESTINATION, write=True)


IaaOperation = Callable[[IaaJob, DescriptorOutcome], Result]


def carried_out(operation: IaaOperation) -> Callable[[Descriptor, Access, DescriptorOutcome], DescriptorOutcome]:
    """``operation``, with its ways to end told in the outcome."""

    def run(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
        job = IaaJob(d, m)
        try:
            result = operation(job, o)
        except (Analyzed, Malformed) as error:
            o.status, o.result, o.moved = Status.ANALYTICS_ERROR, error.code, job.taken
            o.reason = f"analytics error {error.code}: {error}"
        except Faulted as fault:
            m.fault(o, fault.address, job.taken, fault.operand, write=fault.write)
        else:
            o.tail, o.moved = result.tail(job.sums), job.taken
        return o

    return run
