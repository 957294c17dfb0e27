"""Compression: zlib finds the matches, IAA's own is how they are written, with the codes that the program gave.

After intel/qpl (hw_compress_descriptor.c, hw_aecs_compress.c) and the kernel's iaa_crypto. Which matches the hardware finds
is not public; these depend on the data alone, so that a statistics pass counts what the next pass writes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pasidlab.accelerator import aecs
from pasidlab.accelerator.analytics import WRITE_ALWAYS, Analyzed, IaaJob, Result
from pasidlab.accelerator.checksums import bit_reversed_words
from pasidlab.accelerator.decompress import mini_block
from pasidlab.accelerator.huffman import (
    DISTANCE_BASE,
    DISTANCE_EXTRA,
    DISTANCES,
    END,
    LENGTH_BASE,
    LENGTH_EXTRA,
    LITERALS,
    reversed_code,
)
from pasidlab.accelerator.inflate import Inflater, Stop, Stream
from pasidlab.accelerator.tokens import WINDOW
from pasidlab.accelerator.transfer import DescriptorOutcome

# Compression flags, own_hw_definitions.h.
STATISTICS, FLUSH, LITERALS_ALONE, BIG_ENDIAN = 1 << 0, 1 << 1, 1 << 4, 1 << 5
_END_AT, _MINI_AT = 2, 6
KNOWN = 0x1FF  # bits 8:0; dictionaries (11:10) and header generation (14:12) came with the second generation
NOTHING, EOB, EOB_STORED, EOB_FINAL_STORED = range(4)  # what is put behind the last token
_NO_CODE = 30  # error code
_LONGEST = 258
_EFFORT = 16  # moves of a byte for which finding its matches stands

Numbers = NDArray[np.int64]
PackedWords = NDArray[np.uint64]


def _spread(bases: tuple[int, ...], extra: tuple[int, ...], first: int, size: int) -> tuple[Numbers, Numbers, Numbers]:
    """For each value below ``size``: its code, how many extra bits it has, and which."""
    code = np.searchsorted(np.array(bases), np.arange(size), side="right") - 1
    code = np.maximum(code, 0)
    return code + first, np.array(extra)[code], np.arange(size) - np.array(bases)[code]


_LENGTHS = _spread(LENGTH_BASE, LENGTH_EXTRA, END + 1, _LONGEST + 1)
_REACHES = _spread(DISTANCE_BASE, DISTANCE_EXTRA, 0, WINDOW + 1)


def found(piece: bytes, mini: int, literals_alone: bool) -> Numbers:
    """The tokens for ``piece``: literals, or length << 16 | distance. No match leaves its mini-block."""
    if literals_alone:
        return np.frombuffer(piece, np.uint8).astype(np.int64)
    squeezed = zlib.compressobj(6, zlib.DEFLATED, -(WINDOW.bit_length() - 1), 9)
    parts = []
    for at in range(0, len(piece), mini or len(piece) or 1):
        parts += [squeezed.compress(piece[at : at + (mini or len(piece))]), squeezed.flush(zlib.Z_FULL_FLUSH)]
    reader = Inflater(Stream(), record=True)
    reader.feed(b"".join(parts))
    while reader.run(len(piece) - reader.made)[0] != Stop.INPUT:
        pass
    return np.concatenate([*reader.tokens, np.empty(0, np.int32)]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Codes:
    """The codes of a job, ready to be written: for each symbol its length, and its bits with the first lowest."""

    literal_bits: Numbers
    literals: PackedWords
    distance_bits: Numbers
    distances: PackedWords

    @classmethod
    def of(cls, state: aecs.Compressing) -> Codes:
        """The codes of an AECS."""
        tables = []
        for codes in (state.literals, state.distances):
            turned = [reversed_code(code, length) if length else 0 for length, code in codes]
            tables += [np.array([length for length, _ in codes]), np.array(turned, np.uint64)]
        return cls(*tables)

    def written(self, tokens: Numbers) -> tuple[PackedWords, Numbers]:
        """For each token its bits, and how many. Raises Analyzed where a symbol has no code."""
        match = tokens > 0xFFFF
        length = np.where(match, tokens >> 16, 0)
        symbol = np.where(match, _LENGTHS[0][length], tokens)
        bits, words = self.literal_bits[symbol], self.literals[symbol]
        distance = tokens[match] & 0xFFFF
        reach, which = _REACHES[0][distance], np.flatnonzero(match)
        if not bits.all() or not self.distance_bits[reach].all():
            raise Analyzed(_NO_CODE, "a symbol that the AECS has no code for")
        size = length[match]
        for count, value in (
            (_LENGTHS[1][size], _LENGTHS[2][size].astype(np.uint64)),
            (self.distance_bits[reach], self.distances[reach]),
            (_REACHES[1][distance], _REACHES[2][distance].astype(np.uint64)),
        ):
            words[which] |= value << bits[which].astype(np.uint64)
            bits[which] += count
        return words, bits


class BitWriter:
    """Bits to bytes, the first bit lowest. What does not fill a byte waits."""

    def __init__(self) -> None:
        self.held = self.bits = 0  # bits that wait
        self.total = 0

    def put(self, value: int, count: int) -> bytes:
        """``count`` bits; the bytes that are full."""
        self.held |= value << self.bits
        self.bits += count
        self.total += count
        full = self.bits // 8
        data = (self.held & (1 << 8 * full) - 1).to_bytes(full, "little")
        self.held, self.bits = self.held >> 8 * full, self.bits - 8 * full
        return data

    def put_all(self, words: PackedWords, counts: Numbers) -> bytes:
        """Many values of at most 48 bits each."""
        if not len(words):
            return b""
        ends = np.cumsum(counts) + self.bits
        starts, end = ends - counts, int(ends[-1])
        words = words << (starts & 7).astype(np.uint64)
        sums = np.zeros(end // 8 + 8)
        for byte in range(7):  # no two values share a bit, so that adding is putting together
            piece = (words >> np.uint64(8 * byte) & np.uint64(0xFF)).astype(np.float64)
            sums += np.bincount((starts >> 3) + byte, piece, len(sums))
        data = bytearray(sums.astype(np.uint8))
        data[0] |= self.held
        self.total += end - self.bits
        full, self.bits = end // 8, end % 8
        self.held = data[full] & (1 << self.bits) - 1
        return bytes(data[:full])

    def align(self) -> bytes:
        """Zeros up to a byte."""
        return self.put(0, -self.bits % 8)


def compress(job: IaaJob, o: DescriptorOutcome) -> Result:
    """Source 1 as tokens to the destination, or a histogram of its symbols."""
    mini, alone = mini_block(job.flags >> _MINI_AT & 7), bool(job.flags & LITERALS_ALONE)
    if job.flags & STATISTICS:
        return _statistics(job, mini, alone)
    state = aecs.load_compressing(job.aecs())
    job.sums.crc, job.sums.xor = state.sums
    codes, writer = Codes.of(state), BitWriter()
    out = _Output(job)
    out.add(writer.put(state.held, state.bits))
    for piece in job.source_1():
        job.turn(_EFFORT * len(piece))
        job.sums.add(piece)
        out.add(writer.put_all(*codes.written(found(bytes(piece), mini, alone))))
    out.add(_ending(job.flags >> _END_AT & 3, state.literals[END], writer))
    bits = 0
    if job.flags & FLUSH:
        bits = writer.total % 8
        out.add(writer.align())
        out.finish()
    if job.write_mode == WRITE_ALWAYS:
        held = int.from_bytes(out.waiting, "little") | writer.held << 8 * len(out.waiting)
        count = 8 * len(out.waiting) + writer.bits
        if job.flags & FLUSH:
            held = count = 0
        job.write_aecs(aecs.store_compressing(state, (job.sums.crc, job.sums.xor), held, count))
    return Result(job.written, bits)


def _ending(what: int, end: tuple[int, int], writer: BitWriter) -> bytes:
    """The end of the block, and an empty stored block (RFC 1951, 3.2.4), its length and the complement of that."""
    if what == NOTHING:
        return b""
    length, code = end
    if not length:
        raise Analyzed(_NO_CODE, "the end of a block has no code")
    data = writer.put(reversed_code(code, length), length)
    if what != EOB:
        data += writer.put(what == EOB_FINAL_STORED, 3) + writer.align() + writer.put(0xFFFF0000, 32)
    return data


class _Output:
    """The destination; in big-endian mode it takes 16-bit words, whose first bit is the highest."""

    def __init__(self, job: IaaJob) -> None:
        self._job, self.waiting = job, b""
        self._turned = bool(job.flags & BIG_ENDIAN)

    def add(self, data: bytes) -> None:
        """The next bytes."""
        if self._turned:
            data = self.waiting + data
            whole = len(data) & ~1
            self.waiting, data = data[whole:], bit_reversed_words(data[:whole])
        self._job.write(data)

    def finish(self) -> None:
        """What waits is the first half of a word. The size tells of one byte; the other is written where there is room."""
        job = self._job
        if self.waiting:
            word = bit_reversed_words(self.waiting + b"\0")
            before = job.written
            job.write(word if job.left > 1 else word[:1])
            job.written, self.waiting = before + 1, b""


def _statistics(job: IaaJob, mini: int, alone: bool) -> Result:
    """How often each symbol occurs (intel/qpl, hw_iaa_histogram)."""
    literals, distances = np.zeros(LITERALS + 2, np.int64), np.zeros(DISTANCES + 2, np.int64)
    for piece in job.source_1():
        job.turn(_EFFORT * len(piece))
        job.sums.add(piece)
        tokens = found(bytes(piece), mini, alone)
        match = tokens > 0xFFFF
        symbols = np.where(match, _LENGTHS[0][np.where(match, tokens >> 16, 0)], tokens)
        literals += np.bincount(symbols, minlength=len(literals))
        distances += np.bincount(_REACHES[0][tokens[match] & 0xFFFF], minlength=len(distances))
    job.write(bytes(np.concatenate((literals, distances)).astype(np.uint32)))
    return Result(job.written)
