"""Random descriptors, each carried out twice on the same memory: once by an instruction that is never replaced, because it lies
in memory that may be written, and once by one that is. Some pages are not in memory, some are the zero page, some may not be
accessed. Prints how many differed, and the first.

    pasidlab run -- python differ_program.py COUNT SEED
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import sys
from ctypes import CFUNCTYPE, addressof, c_char, c_long, c_void_p, create_string_buffer, memmove, memset, string_at

from dsa_client import libc, machine_code, open_portal

PAGES = 7  # of the arena: the last one may only be read
SIZE = PAGES * 4096
AFTER = 5 << 30  # bytes beyond it that nobody may access, for moves that begin at their end
OURS = (0, 3, 4, 5, 6, 9, 0x10, 0x11)
BATCH, DUALCAST, CRCS = 1, 9, (0x10, 0x11)


def never_replaced(text: str):
    """As machine_code, in memory of the program's own."""
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes.fromhex(text))
    never_replaced.kept.append(page)
    return CFUNCTYPE(c_long, c_void_p, c_void_p)(addressof(c_char.from_buffer(page)))


never_replaced.kept = []
SHARED, DEDICATED = "f9 f20f38f83e 9c58 c3", "f9 660f38f83e 9c58 c3"  # carry set before, all flags afterwards


class Draw:
    """Descriptors most of which are legal."""

    def __init__(self, seed: int, arena: int) -> None:
        self.random, self.arena = random.Random(seed), arena
        self.strange = 1.0  # how often there is something wrong, against a descriptor by itself

    def unusual(self, chance: float) -> bool:
        """Whether something is to be wrong."""
        return self.random.random() < chance * self.strange

    def address(self, size: int) -> int:
        r = self.random
        if self.unusual(0.03):
            return r.choice([0, 1 << 63, (1 << 64) - 8, self.arena + SIZE - r.randrange(80), r.getrandbits(64)])
        return self.arena + r.randrange(max(1, 5 * 4096 - size)) // r.choice([1, 1, 8, 64]) * r.choice([1, 1, 8])

    def size(self) -> int:
        r = self.random
        if self.unusual(0.3):
            return r.choice([0, 1 << 31])
        return r.choice([r.randrange(1, 80), r.randrange(1, 80), r.randrange(900, 1100), r.randrange(1, 9000)])

    def some(self) -> tuple[bytes, int, bytes, int]:
        """64 bytes, and where they are to lie; the list of a batch, mostly empty, and where that is."""
        r = self.random
        raw, place = self.one()
        if r.random() < 0.7:
            return raw, place, b"", 0
        self.strange = r.choice([0, 0, 0.1, 0.2, 1])
        at = self.arena + 64 * r.randrange(320) + (r.random() < 0.01)
        members = b""
        for _ in range(r.choice([1, 2, 3, 4, 9])):
            raw = self.one(r.choice([0, 0, 0, 1]))[0]
            if raw[4] & 12 == 4 and r.random() < 0.5:  # a record for a failure, in place of the descriptor
                raw = raw[:8] + struct.pack("<Q", at + len(members)) + raw[16:]
            members += raw
        self.strange = 1
        record, flags = self.record(), r.choice([12, 12, 12, 12, 4, 0, 14])
        count = len(members) // 64 + (r.random() < 0.02)
        raw = struct.pack("<IIQQQI28x", 0, BATCH << 24 | flags, record if flags & 4 else 0, at, 0, count)
        if r.random() < 0.03:
            raw = self.broken(raw)
        return raw, place, members, at

    def broken(self, raw: bytes) -> bytes:
        """One bit of it is another."""
        bit = self.random.randrange(32, 512)
        return (int.from_bytes(raw, "little") ^ 1 << bit).to_bytes(64, "little")

    def record(self) -> int:
        """Where a completion record goes."""
        return self.arena + 6 * 4096 - 4096 + 32 * self.random.randrange(100) + self.unusual(0.02)

    def one(self, fence: int = 0) -> tuple[bytes, int]:
        """64 bytes, and where they are to lie."""
        r, size = self.random, self.size()
        opcode = r.randrange(256) if self.unusual(0.03) else r.choice(OURS)
        flags = (12 if opcode == 0 else r.choice([12, 14])) | (r.choice([0, 0x80]) if opcode in (5, 6) else 0) | fence
        if opcode in CRCS:
            flags |= r.choice([1 << 16, 1 << 19] if self.unusual(0.1) else [0, 1 << 17, 1 << 18, 3 << 17])
        if opcode in (0, 3, 4) and r.random() < 0.2:
            flags &= ~8
        if self.unusual(0.2):
            flags = r.choice([14 | 0x80, 12, 6, 2, 0, 14 | 1 << r.randrange(24), r.getrandbits(24)])
        record = self.record() if flags & 4 or self.unusual(0.1) else 0
        size = size % 1500 if opcode == DUALCAST and self.random.random() < 0.9 else size
        first, second = self.address(size), self.address(size)
        tail = bytearray(24)
        if opcode in (4, 6):
            pattern = r.choice([0, r.getrandbits(64), 0x0101010101010101 * r.randrange(256)])
            first, second = (pattern, second) if opcode == 4 else (first, pattern)
        if opcode == 0:
            first = second = size = 0
        if opcode in CRCS:
            tail[:4] = r.choice([bytes(4), bytes(4), r.randbytes(4)])
            second = second if opcode == 0x11 else 0
        if opcode == DUALCAST:
            third = self.address(size) if self.unusual(0.1) else self.arena + (second - self.arena + 4096 * r.randrange(1, 6)) % (6 * 4096)
            tail[:8] = struct.pack("<Q", third)
        if opcode in (5, 6):
            tail[0] = r.randrange(256) if self.unusual(0.2) else r.randrange(2)
            if r.random() < 0.5:
                self.alike(opcode, first, second, size)
        if self.unusual(0.03):
            tail[r.randrange(24)] ^= 1 << r.randrange(8)
        pasid = 1 << r.randrange(32) if self.unusual(0.025) else 0
        raw = bytearray(struct.pack("<IIQQQIHH", pasid, opcode << 24 | flags, record, first, second, size, 0, 0) + tail)
        if self.unusual(0.02):
            raw[36 + r.randrange(4)] ^= 1 << r.randrange(8)
        return bytes(raw), self.arena + r.choice([5 * 4096 + 3500, 64 * r.randrange(320)])

    def alike(self, opcode: int, first: int, second: int, size: int) -> None:
        """Make the regions equal, or almost."""
        inside = range(self.arena, self.arena + 5 * 4096 - min(size, 9000))
        if size > 9000 or first not in inside or (opcode == 5 and second not in inside):
            return
        data = string_at(second, size) if opcode == 5 else (struct.pack("<Q", second) * (size // 8 + 1))[:size]
        memmove(first, data, size)
        if size and self.random.random() < 0.5:
            place = first + self.random.randrange(size)
            memmove(place, bytes([string_at(place, 1)[0] ^ 1 << self.random.randrange(8)]), 1)


class Pages:
    """What the pages of the arena are before each try."""

    ABSENT, ZERO, FORBIDDEN, READ_ONLY = range(4)

    def __init__(self, draw: Draw) -> None:
        self.arena, self.random = draw.arena, draw.random
        self.chosen: dict[int, int] = {}
        self.pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)

    def draw(self, descriptor: int) -> None:
        """The page of the descriptor stays as it is: the instruction itself reads it."""
        r, busy = self.random, range((descriptor - self.arena) // 4096, (descriptor + 63 - self.arena) // 4096 + 1)
        few = [page for page in range(PAGES - 1) if page not in busy and r.random() < 0.3]
        self.chosen = {page: r.choice([self.ABSENT, self.ABSENT, self.ZERO, self.FORBIDDEN, self.READ_ONLY]) for page in few}
        if r.random() < 0.5:
            self.chosen = {}

    def blank(self) -> None:
        """Pages that will be empty are empty."""
        for page, state in self.chosen.items():
            if state in (self.ABSENT, self.ZERO):
                memset(self.arena + 4096 * page, 0, 4096)

    def set(self) -> None:
        """Make them so."""
        for page, state in self.chosen.items():
            at = self.arena + 4096 * page
            if state in (self.ABSENT, self.ZERO):
                libc.madvise(c_void_p(at), 4096, 4)  # MADV_DONTNEED
            if state == self.ZERO:
                string_at(at, 1)
            if state in (self.FORBIDDEN, self.READ_ONLY):
                libc.mprotect(c_void_p(at), 4096, state == self.READ_ONLY)

    def present(self) -> bytes:
        """Which pages are in memory now; then all may be accessed again."""
        entries = os.pread(self.pagemap, 8 * PAGES, self.arena // 4096 * 8)
        if self.chosen:
            libc.mprotect(c_void_p(self.arena), SIZE - 4096, 3)
        return bytes(entry >> 7 for entry in entries[7::8])


def main(count: int, seed: int) -> None:
    """Print: descriptors that differed, and how many had each status."""
    arena = libc.mmap(None, AFTER, 0, 0x4022, -1, 0)
    libc.mprotect(c_void_p(arena), SIZE, 3)
    draw, writable = Draw(seed, arena), SIZE - 4096
    pages = Pages(draw)
    ways = [(open_portal(path)[0], never_replaced(code), machine_code(code))
            for path, code in (("/dev/dsa/wq0.0", SHARED), ("/dev/dsa/wq0.1", DEDICATED))]  # fmt: skip
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    before, differed, statuses = create_string_buffer(writable), [], {}
    memmove(arena, draw.random.randbytes(SIZE), SIZE)
    libc.mprotect(c_void_p(arena + writable), 4096, 1)
    for number in range(count):
        raw, place, members, listed = draw.some()
        portal, exact, quick = draw.random.choice(ways)
        if place + 64 > arena + writable:
            place = arena
        if exact is ways[0][1]:
            raw = bytes(4) + raw[4:]  # ENQCMD faults for anything else
        if members:
            memmove(listed, members, min(len(members), arena + writable - listed))
        memmove(place, raw, 64)
        pages.draw(place)
        pages.blank()
        memmove(before, arena, writable)
        results, blocks = [], raw[4] & 2 or raw[7] == BATCH
        for instruction in (exact, quick):
            memmove(arena, before, writable)
            pages.set()
            flags, present = instruction(portal, place), pages.present()
            results.append((flags & 0x8D5, string_at(arena, writable), b"" if blocks else present))
        record = int.from_bytes(raw[8:16], "little") - arena
        status = results[0][1][record] if raw[4] & 4 and 0 <= record < writable else -1
        statuses[status] = statuses.get(status, 0) + 1
        if results[0] != results[1]:
            differed.append((number, raw.hex(), hex(place - arena), results[0][0], results[1][0]))
    print(len(differed), differed[:1], len(statuses))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
