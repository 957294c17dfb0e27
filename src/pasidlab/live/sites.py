"""Instructions of the program that submit, and what an address space has where they were replaced."""

from __future__ import annotations

import mmap
from collections import Counter
from dataclasses import dataclass, field, replace

from pasidlab.live.assembler import Assembled
from pasidlab.live.decode import Instruction
from pasidlab.live.slot_layout import BIAS
from pasidlab.live.slots import SIZE, Permit, Shared, same_row

TRAP = b"\xd6"
"""No instruction in 64-bit mode (UDB, SDM volume 2): #UD, so SIGILL with its own address, which few signals that are sent have."""
JUMP = b"\xe9"
"""jmp, 32 bits of distance."""
JUMP_SIZE = 5
"""Bytes of it."""
_GS = b"\x65"  # the prefix


def aligned(size: int) -> int:
    """Bytes that code of this size takes."""
    return -(-size // 16) * 16


@dataclass(eq=False)
class SubmissionSite:
    """An instruction of the program that submits."""

    ip: int
    instruction: Instruction
    original: bytes
    entrance: int = 0  # address of what leads from it to the shared code; 0: none yet
    code: Assembled = field(default_factory=lambda: Assembled(b"", {}))

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.ip + len(self.original)

    @property
    def replacements(self) -> tuple[bytes, bytes, bytes]:
        """What stands in its place, one after the other: a byte that traps, then the rest of the jump, then the jump."""
        distance = (self.entrance - self.ip - JUMP_SIZE).to_bytes(4, "little", signed=True)
        return TRAP + self.original[1:JUMP_SIZE], TRAP + distance, JUMP + distance


@dataclass(eq=False)
class Area:
    """Memory of ours near the program's instructions: the shared code, then entrances.

    A private mapping of a file: what the program empties, or a child is not to have, is there again. ``file`` is None in a
    child, which leaves its parent's file as it is.
    """

    start: int
    body: Assembled
    used: int  # bytes
    file: mmap.mmap | None = None
    sites: list[SubmissionSite] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The address behind what is used."""
        return self.start + self.used

    @property
    def entrances(self) -> int:
        """Where the first entrance may be."""
        return self.start + aligned(len(self.body.data))

    def write(self, at: int, data: bytes) -> None:
        """Code, at this address; traps up to the next place of code."""
        assert self.file is not None
        offset, padded = at - self.start, data.ljust(aligned(len(data)), b"\xcc")
        self.file[offset : offset + len(padded)] = padded

    def close(self) -> None:
        """The address space is gone."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def traps_at(self, address: int) -> bool:
        """Whether this is the address of an instruction that always traps."""
        return self._from(address)[:1] == TRAP

    def uses_slot_at(self, address: int) -> bool:
        """Whether this is the address of an instruction that uses the thread's slot."""
        return self._from(address)[:1] == _GS

    def _from(self, address: int) -> bytes:
        """Code of ours from this address on."""
        site = self.site_at(address)
        return site.code.data[address - site.entrance :] if site else self.body.data[address - self.start :]

    def is_there(self, address: int, found: bytes) -> bool:
        """Whether ``found`` is what our code has at this address. The program may have put something else there."""
        data = self._from(address)
        return data[: len(found)].startswith(found[: len(data)])

    def site_at(self, address: int) -> SubmissionSite | None:
        """Whose entrance this is."""
        return next((site for site in self.sites if site.entrance <= address < site.entrance + len(site.code.data)), None)


@dataclass(eq=False)
class Shortcut:
    """What an address space has where instructions were replaced. ``shared`` is None in a child until it needs its own."""

    sites: dict[int, SubmissionSite] = field(default_factory=dict)  # by address of the instruction
    ends: dict[int, SubmissionSite] = field(default_factory=dict)  # by the address behind it
    areas: list[Area] = field(default_factory=list)
    heat: Counter[int] = field(default_factory=Counter)
    refused: set[int] = field(default_factory=set)
    shared: Shared | None = None
    slots_at: int = 0  # where the shared memory is; in a child, where its parent had it
    rows: dict[int, str] = field(default_factory=dict)  # pages of portals and their queues
    busy: bool = False
    failed: bool = False

    def forked(self) -> Shortcut:
        """The child's: it has the instructions, but not the shared memory."""
        areas = [replace(area, sites=list(area.sites), file=None) for area in self.areas]
        return Shortcut(dict(self.sites), dict(self.ends), areas, slots_at=self.slots_at)

    def holds(self, address: int) -> bool:
        """Whether ``address`` is in code or memory of ours."""
        return self.area_at(address) is not None or bool(self.shared and 0 <= address - self.shared.at < SIZE)

    def has_slot_at(self, base: int) -> bool:
        """Whether this is the base of GS of a thread with a slot."""
        return bool(self.slots_at) and 0 <= base - BIAS - self.slots_at < SIZE

    def area_at(self, address: int) -> Area | None:
        """Where ``address`` is in code of ours."""
        return next((area for area in self.areas if area.start <= address < area.end), None)

    def replaced(self, ip: int, found: bytes) -> SubmissionSite | None:
        """The site that a thread stopped at, where ``found`` is what replaces it: before, or while, that was written."""
        site = self.sites.get(ip)
        return site if site and found[:JUMP_SIZE] in site.replacements else None

    def open_row(self, shared: Shared, page: int, label: str, row: Permit) -> None:
        """Submissions through a portal need not stop. Another portal may lose its place."""
        for other in [other for other in self.rows if same_row(other, page)]:
            self.close_row(other)
        shared.open_row(page, row)
        self.rows[page] = label

    def close_row(self, page: int) -> None:
        """A portal is none any more, or not as it was."""
        if self.rows.pop(page, None) is not None and self.shared:
            self.shared.close_row(page)

    def close_queue(self, label: str) -> None:
        """Closes the rows of all portals of a queue; an empty name stands for every queue."""
        for page in [page for page, queue in self.rows.items() if label in ("", queue)]:
            self.close_row(page)
