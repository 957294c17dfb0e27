"""The device's side of memory: what it asks of a process's address space, its buffers, and where a fault stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pasidlab.accelerator import abi
from pasidlab.accelerator.abi import WRITE_FAULT, Status

Bytes = NDArray[np.uint8]
CHUNK = 1 << 19  # bytes the device holds at once: bounded memory, and both buffers stay in the CPU's cache
PAGE = 4096
BULK = 1 << 19  # bytes from which work inside the process is worth its trouble


class Memory(Protocol):
    """The process's memory, as the device sees it through the PASID of a descriptor.

    More methods are used where the object has them:

    - ``write_record(address, record) -> int`` writes a completion record but for byte 0, and then that, in that
      order, and tells how many it wrote;
    - ``writable(address, length) -> int`` counts bytes up to the first that may not be written: the device translates the completion
      record before it starts;
    - ``turn(size)`` is called between two accesses that are far apart: before work worth ``size`` bytes moved;
    - ``scatter(addresses, data) -> int`` writes consecutive 8-byte pieces of ``data`` to ``addresses`` and tells how
      many bytes it wrote in all;
    - ``copy(destination, source, length) -> int``, ``fill(destination, pattern, length) -> int``,
      ``equal(first, second, length) -> int``, ``equal_pattern(address, pattern, length) -> int`` and
      ``crc32c(address, length, register) -> (int, int)`` do inside the process what would otherwise pass through the
      device's buffers, for ``BULK`` bytes and more; they go upwards and tell how many bytes they did, or found equal,
      and ``crc32c`` the register after them. Where that is fewer, the device goes on by itself and finds out why.
    """

    def read_into(self, address: int, buffer: memoryview, /) -> int:
        """Fill ``buffer``; bytes read before the first fault."""

    def write(self, address: int, data: memoryview | bytes, /) -> int:
        """Bytes written before the first fault."""

    def present(self, address: int, length: int, /) -> int:
        """Bytes from ``address`` up to the first page that is not in memory, at most ``length``."""


@dataclass(slots=True, eq=False)
class DescriptorOutcome:
    """What became of one descriptor.

    ``status`` is the operation status code (DSA spec table 5-6), ``result`` the byte after it in the record. ``bytes_completed`` is the
    field of that name (for a batch: descriptors). ``moved`` counts source bytes processed, ``absent`` is an address whose page was not in
    memory: it ended the descriptor, or would have on hardware; 0 for none. ``members`` holds the outcomes of a batch. ``software_error``
    says that the device reports the status in its SWERROR register because no completion record may show it. ``write_fault`` is bit 7 of
    the status byte.
    """

    status: int = 1
    opcode: int = 0
    result: int = 0
    bytes_completed: int = 0
    fault_address: int = 0
    write_fault: bool = False
    fault_info: int = 0
    tail: bytes = b""
    reason: str = ""
    moved: int = 0
    wrote_completion: bool = False
    software_error: bool = False
    absent: int = 0
    members: list[DescriptorOutcome] = field(default_factory=list)
    abandoned: int = 0

    @property
    def operation(self) -> str:
        """The operation's name."""
        return abi.operation_name(self.opcode)

    @property
    def ok(self) -> bool:
        """Whether the status is success."""
        return self.status == Status.SUCCESS

    @property
    def rejected(self) -> bool:
        """Whether something is wrong with the descriptor or its operands: no page fault, no output to go on with, no comparison
        with another result than expected.
        """
        fine = (Status.SUCCESS, Status.FALSE_PREDICATE, Status.OUTPUT_OVERFLOW)
        return bool(self.reason) and self.status not in fine and self.status not in abi.FAULTS

    @property
    def status_byte(self) -> int:
        """Byte 0 of the completion record: the code, and bit 7 for a write that faulted."""
        return self.status | (WRITE_FAULT if self.write_fault else 0)

    def record(self, size: int = abi.RECORD_SIZE) -> bytes:
        """The ``size`` bytes of the completion record (DSA spec 8.2; IAX has 64)."""
        completed, fault = self.bytes_completed & 0xFFFFFFFF, self.fault_address & 0xFFFFFFFFFFFFFFFF
        head = abi.RECORD_HEAD.pack(self.status_byte, self.result, self.fault_info, completed, fault)
        return (head + self.tail).ljust(size, b"\0")


class Bench:
    """Two buffers of ``CHUNK`` bytes that operations work on, as numpy arrays and as memoryviews."""

    def __init__(self) -> None:
        self.a: Bytes = np.zeros(CHUNK + PAGE * 4, np.uint8)
        self.b: Bytes = np.zeros(CHUNK + PAGE * 4, np.uint8)
        self.view_a, self.view_b = self.a.data, self.b.data


# Operand identifiers of the Fault Info field, table 8-13.
SOURCE, SOURCE_2, DESTINATION, DESTINATION_2 = 1, 2, 3, 4


class Access:
    """One descriptor's way to memory.

    Without block on fault a page that is not present is faulted in. If ``strict``, it ends the descriptor (DSA spec 3.13). ``absent`` is
    the address at which the first such page was met, 0 if there was none.
    """

    __slots__ = ("absent", "bench", "blocking", "gencap", "memory", "strict")

    def __init__(self, memory: Memory, strict: bool, blocking: bool, gencap: int, bench: Bench) -> None:
        self.memory, self.gencap, self.bench = memory, gencap, bench
        self.strict, self.blocking, self.absent = strict and not blocking, blocking, 0

    def _reach(self, address: int, length: int) -> int:
        """Bytes from ``address`` that may be touched, as far as their being present matters."""
        if self.blocking or not length:
            return length
        here = self.memory.present(address, length)
        if here < length:
            self.absent = self.absent or address + here
        return here if self.strict else length

    def read(self, address: int, buffer: memoryview) -> int:
        """Fill ``buffer``; bytes read before the first fault."""
        buffer = buffer[: self._reach(address, len(buffer))]
        return self.memory.read_into(address, buffer) if len(buffer) else 0

    def write(self, address: int, data: memoryview) -> int:
        """Bytes written before the first fault."""
        data = data[: self._reach(address, len(data))]
        return self.memory.write(address, data) if len(data) else 0

    def inside(self, name: str, size: int, *addresses: int) -> Callable[..., Any] | None:
        """The process's own way to treat ``size`` bytes at each address, where there is one and it is worth it."""
        if size < BULK or any(self._reach(address, size) < size for address in addresses):
            return None
        return getattr(self.memory, name, None)

    def fault(self, o: DescriptorOutcome, address: int, completed: int, operand: int, *, write: bool = False) -> DescriptorOutcome:
        """Record that ``o`` stopped at ``address`` after ``completed`` bytes (DSA spec 3.13.2, status 3 or 4)."""
        o.status = Status.PAGE_REQUEST_FAILED if self.blocking else Status.PAGE_FAULT
        o.fault_address, o.bytes_completed, o.moved, o.write_fault = address, completed, completed, write
        if self.gencap & abi.Cap.FAULT_INFO:
            o.fault_info = operand << 1
        o.reason = f"page fault {'writing' if write else 'reading'} 0x{address:x} after {completed} bytes"
        return o
