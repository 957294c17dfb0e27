"""Memory shared with the program, for submissions that do not stop: a table of its portals, and a slot for each thread.

What is read here may be anything: the program can write it. It decides what is counted and what registers the thread itself
gets back, nothing else.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pasidlab.live import slot_layout as layout
from pasidlab.live.registers import RegisterArray

SIZE = 1 << 22  # bytes
_TABLE = layout.ROWS * layout.ROW_SIZE
_SLOTS = (SIZE - _TABLE) // layout.SLOT_SIZE
_F_SEAL_FUTURE_WRITE = 0x10  # linux/fcntl.h, Linux 5.1
QUEUES = (layout.SLOT_SIZE - layout.COUNTS) // (8 * layout.QUEUE_COUNTS)
"""As many queues have counters."""
_U32 = struct.Struct("<I")
_SAVED = struct.Struct(f"<{len(layout.SAVED_REGISTERS)}Q")


def memory_of(descriptor: int, size: int, *, ours_to_write: bool = False) -> mmap.mmap:
    """Memory of this size from an empty memfd, which is not kept open. OSError if it is another file by now.

    The program may reach the file too: it must not become shorter, or we would die of SIGBUS. Nobody else may write what is
    ``ours_to_write``.
    """
    if fcntl.fcntl(descriptor, fcntl.F_GET_SEALS):
        raise OSError(errno.EPERM, "not a file of ours")
    os.ftruncate(descriptor, size)
    memory = mmap.mmap(descriptor, size)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL | (_F_SEAL_FUTURE_WRITE if ours_to_write else 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError:
        memory.close()
        raise
    return memory


class Count(NamedTuple):
    """So many descriptors, by themselves or of batches, with this outcome: operation and status."""

    queue: int
    outcome: tuple[int, int]
    number: int
    of_members: bool


@dataclass(frozen=True)
class Permit:
    """What may be submitted through a portal without stopping. ``forbidden`` and ``required`` flags are by operation."""

    way: int
    queue: int
    most: int  # bytes of a transfer
    members: tuple[int, int]  # of a batch: fewest, most
    forbidden: tuple[int, ...]
    required: tuple[int, ...]


class Shared:
    """The memory of one address space, and where the program has it."""

    def __init__(self, descriptor: int) -> None:
        """``descriptor`` is as in ``memory_of``."""
        self._bytes = memory_of(descriptor, SIZE)
        self._words = memoryview(self._bytes).cast("Q")  # stores of 8 bytes at once
        self.at = 0
        self._free = list(range(_SLOTS - 1, -1, -1))

    def close(self) -> None:
        """The address space is gone."""
        self._words.release()
        self._bytes.close()

    # The table

    def open_row(self, page: int, row: Permit) -> None:
        """Submissions through this portal need not stop."""
        at = _row_at(page)
        self._put(at + layout.PAGE, 0)
        numbers = row.way, row.queue * layout.QUEUE_COUNTS * 8, row.most, *row.members
        struct.pack_into("<5I", self._bytes, at + layout.WAY, *numbers)
        for offset, masks in ((layout.FORBIDDEN, row.forbidden), (layout.REQUIRED, row.required)):
            struct.pack_into(f"<{layout.OPERATIONS}I", self._bytes, at + offset, *masks)
        self._put(at + layout.PAGE, page)

    def close_row(self, page: int) -> None:
        """Submissions through this portal stop again."""
        at = _row_at(page)
        if self._get(at + layout.PAGE) == page:
            self._put(at + layout.PAGE, 0)

    # Slots

    def take(self) -> int:
        """A slot; -1 if there is none left."""
        return self._free.pop() if self._free else -1

    def give_back(self, slot: int) -> None:
        """Takes back the slot of a thread that is gone."""
        self.revoke(slot)
        self._put(_slot_at(slot) + layout.ASKING, 0)
        self._put(_slot_at(slot) + layout.COUNTED_AS, 0)
        self._free.append(slot)

    def base(self, slot: int) -> int:
        """What GS has to be."""
        return self.at + _slot_at(slot) + layout.BIAS

    def grant(self, slot: int, magic: int, way: int) -> None:
        """From now on the slot's thread may submit this way (bits of WAYS)."""
        at = _slot_at(slot)
        self._put(at + layout.TABLE, self.at)
        self._put(at + layout.ITSELF, self.at + at)
        ways = _U32.unpack_from(self._bytes, at + layout.WAYS)[0] if self._get(at) == magic else 0
        _U32.pack_into(self._bytes, at + layout.WAYS, ways | way)
        self._put(at + layout.MAGIC, magic)

    def revoke(self, slot: int) -> None:
        """The thread's next submission stops."""
        self._put(_slot_at(slot) + layout.MAGIC, 0)

    def forbid_asking(self, slot: int) -> None:
        """The thread makes no system call of ours any more, but for one that it has begun (``asks``)."""
        at = _slot_at(slot) + layout.WAYS
        _U32.pack_into(self._bytes, at, _U32.unpack_from(self._bytes, at)[0] & ~layout.MAY_ASK)

    def asks(self, slot: int) -> bool:
        """Whether the thread is about to make a system call of ours, or makes it."""
        return self._get(_slot_at(slot) + layout.ASKING) != 0

    def field(self, slot: int, offset: int) -> int:
        """A field of 8 bytes."""
        return self._get(_slot_at(slot) + offset)

    def flags(self, slot: int, offset: int) -> int:
        """The status flags that a field stands for."""
        return layout.flags_from_ax(_U32.unpack_from(self._bytes, _slot_at(slot) + offset)[0])

    def restore(self, slot: int, registers: RegisterArray) -> None:
        """The registers that the thread had at its instruction. What it asked is forgotten, and that it was in a batch."""
        self._put(_slot_at(slot) + layout.ASKING, 0)
        self._put(_slot_at(slot) + layout.COUNTED_AS, 0)
        saved = _SAVED.unpack_from(self._bytes, _slot_at(slot) + layout.SAVED)
        for register, value in zip(layout.SAVED_REGISTERS, saved, strict=True):
            registers[register] = value

    def count(self, slot: int, place: int) -> None:
        """A submission more, at this many bytes from the first counter."""
        if place % 8 == 0 and 0 <= place < QUEUES * layout.QUEUE_COUNTS * 8:
            self.add(slot, layout.COUNTS + place, 1)

    def add(self, slot: int, offset: int, number: int) -> None:
        """To a field of 8 bytes."""
        at = _slot_at(slot) + offset
        self._put(at, self._get(at) + number & (1 << 64) - 1)

    def counts(self, slot: int) -> Iterator[Count]:
        """What was carried out, which is forgotten here."""
        at = _slot_at(slot) + layout.COUNTS
        for place, number in enumerate(self._words[at >> 3 : (at >> 3) + QUEUES * layout.QUEUE_COUNTS].tolist()):
            if number:
                self._put(at + 8 * place, 0)
                queue, rest = divmod(place, layout.QUEUE_COUNTS)
                member, rest = divmod(rest, 2 * layout.OPERATIONS)
                yield Count(queue, (layout.CODES[rest // 2], rest % 2 + 1), number, of_members=bool(member))

    def bytes_moved(self, slot: int) -> int:
        """Bytes of those, forgotten here too."""
        at = _slot_at(slot) + layout.BYTES
        number = self._get(at)
        self._put(at, 0)
        return number

    def _get(self, at: int) -> int:
        return self._words[at >> 3]

    def _put(self, at: int, value: int) -> None:
        self._words[at >> 3] = value


def _row_at(page: int) -> int:
    return (page >> 12) % layout.ROWS * layout.ROW_SIZE


def same_row(one: int, other: int) -> bool:
    """Whether two portals have the same place in the table."""
    return _row_at(one) == _row_at(other)


def _slot_at(slot: int) -> int:
    return _TABLE + slot * layout.SLOT_SIZE
