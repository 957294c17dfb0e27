"""Huffman codes of DEFLATE (RFC 1951): lengths to canonical codes, and to tables that a decoder looks bits up in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

CodeWords = NDArray[np.int32]

LITERALS, DISTANCES, END = 286, 30, 256  # codes of a literal or length, codes of a distance, the end of a block (EOB)
LONGEST = 15  # bits of a code
_KEPT = 16  # tables that are remembered

# RFC 1951, 3.2.5: for each code above 256 the extra bits, and for each distance code.
LENGTH_EXTRA = (*(0,) * 8, *(1,) * 4, *(2,) * 4, *(3,) * 4, *(4,) * 4, *(5,) * 4, 0)
DISTANCE_EXTRA = (0, 0, *(bits for bits in range(14) for _ in range(2)))


def _bases(extra: tuple[int, ...], first: int) -> tuple[int, ...]:
    bases = [first]
    for bits in extra[:-1]:
        bases.append(bases[-1] + (1 << bits))
    return tuple(bases)


LENGTH_BASE = (*_bases(LENGTH_EXTRA[:-1], 3), 258)
DISTANCE_BASE = _bases(DISTANCE_EXTRA, 1)

# An entry of a decoder's table: bits 3:0 the code's length (0: no such code), 5:4 what the code is, 9:6 how many extra
# bits follow, from bit 10 the value they are added to.
VALUE, LENGTH, BLOCK_END, UNUSABLE = range(4)
KIND_AT, EXTRA_AT, BASE_AT = 4, 6, 10


def _entry(kind: int, extra: int = 0, base: int = 0) -> int:
    return kind << KIND_AT | extra << EXTRA_AT | base << BASE_AT


LITERAL_ENTRIES = tuple(
    [_entry(VALUE, 0, value) for value in range(256)]
    + [_entry(BLOCK_END)]
    + [_entry(LENGTH, extra, base) for extra, base in zip(LENGTH_EXTRA, LENGTH_BASE, strict=True)]
    + [_entry(UNUSABLE)] * 2  # 286 and 287: only the fixed code has them, and no stream may (3.2.6)
)
DISTANCE_ENTRIES = tuple(
    [_entry(VALUE, extra, base) for extra, base in zip(DISTANCE_EXTRA, DISTANCE_BASE, strict=True)] + [_entry(UNUSABLE)] * 2
)
PLAIN_ENTRIES = tuple(_entry(VALUE, 0, value) for value in range(19))  # the code of code lengths, 3.2.7
FIXED_LITERALS = bytes([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8)  # 3.2.6
FIXED_DISTANCES = bytes([5] * 32)


def counts(lengths: bytes) -> list[int]:
    """How many codes there are of each length; none of length 0."""
    return [0] + [lengths.count(length) for length in range(1, LONGEST + 1)]


def first_codes(many: list[int]) -> list[int]:
    """The first canonical code of each length (3.2.2, step 2)."""
    first, code = [0], 0
    for length in range(1, LONGEST + 1):
        code = (code + many[length - 1]) << 1
        first.append(code)
    return first


def oversubscribed(lengths: bytes) -> bool:
    """Whether there are more codes of some length than fit."""
    return sum(many << LONGEST - length for length, many in enumerate(counts(lengths))) > 1 << LONGEST


def reversed_code(code: int, length: int) -> int:
    """A code as it lies in the stream, its first bit lowest."""
    return int(f"{code:0{length}b}"[::-1], 2)


@dataclass(frozen=True, eq=False)
class Lookup:
    """A decoder's table: index it with the next ``bits`` bits of the stream."""

    table: CodeWords
    bits: int
    end_bits: int = 0  # of the code for the end of a block

    @cached_property
    def listed(self) -> list[int]:
        """``table`` as a list, which Python reads faster."""
        return list(map(int, self.table))


def lookup(codes: list[tuple[int, int, int]], entries: tuple[int, ...]) -> Lookup:
    """The table of (symbol, length, code) triples."""
    bits = max((length for _, length, _ in codes), default=1)
    table = np.zeros(1 << bits, np.int32)
    for symbol, length, code in codes:
        table[reversed_code(code, length) :: 1 << length] = entries[symbol] | length
    end = next((length for symbol, length, _ in codes if symbol == END), 0)
    return Lookup(table, bits, end)


def canonical(lengths: bytes) -> list[tuple[int, int, int]]:
    """(symbol, length, code) of every symbol whose length is not 0."""
    following, codes = first_codes(counts(lengths)), []
    for symbol, length in enumerate(lengths):
        if length:
            codes.append((symbol, length, following[length]))
            following[length] += 1
    return codes


@lru_cache(_KEPT)
def literal_lookup(lengths: bytes) -> Lookup:
    """The table for literals, lengths and the end of the block."""
    return lookup(canonical(lengths), LITERAL_ENTRIES)


@lru_cache(_KEPT)
def distance_lookup(lengths: bytes) -> Lookup:
    """The table for distances."""
    return lookup(canonical(lengths), DISTANCE_ENTRIES)
