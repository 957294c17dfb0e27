"""DEFLATE streams (RFC 1951) taken apart to the bit: what IAA decompresses, and where exactly it stops.

zlib would be faster, but tells no bit positions, does not tell the errors apart, and takes distances beyond 4096.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pasidlab.accelerator import tokens
from pasidlab.accelerator.huffman import (
    BASE_AT,
    DISTANCES,
    FIXED_DISTANCES,
    FIXED_LITERALS,
    LITERALS,
    PLAIN_ENTRIES,
    Lookup,
    canonical,
    distance_lookup,
    literal_lookup,
    lookup,
    oversubscribed,
)
from pasidlab.accelerator.tokens import SHORT, WINDOW

_HEADER = 400  # bytes that hold the longest block header: 17 + 19 * 3 + 316 * 7 bits
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)  # 3.2.7


class Parser(IntEnum):
    """Where in a stream the parser is (intel/qpl, hw_iaa_aecs_decompress_state); FINAL is added inside the last block."""

    TOKEN = 0
    HEADER = 1
    STORED = 2
    FINAL = 4
    ENDED = 8


class Malformed(Exception):
    """The stream is wrong; ``code`` is IAA's error code (intel/qpl, hw_status.h)."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


class _NeedsInput(Exception):
    """The header goes on beyond the input."""


@dataclass(eq=False)
class Stream:
    """What of a stream lives on from one descriptor to the next.

    ``history`` holds up to 4096 bytes. ``pending`` and ``distance`` hold what is left of a match that found no room. ``done`` counts bytes
    decoded, modulo 65536. ``bits`` is input not yet consumed, ``left`` how many bits that is.
    """

    parser: int = Parser.HEADER
    literals: Lookup | None = None
    distances: Lookup | None = None
    lengths: tuple[bytes, bytes] | None = None  # of literals and distances, where a header or the AECS gave them
    history: bytes = b""
    stored: int = 0  # bytes left in a stored block
    pending: int = 0
    distance: int = 0
    done: int = 0
    bits: int = 0
    left: int = 0


class Stop(IntEnum):
    """Why ``Inflater.run`` came back."""

    INPUT = 0
    FULL = 1
    ENDED = 2


class BitReader:
    """Reads a header; nothing is consumed before all of it is there."""

    def __init__(self, data: bytearray, pos: int, end: int) -> None:
        start = pos >> 3
        self._word, self._left = int.from_bytes(data[start : start + _HEADER], "little") >> (pos & 7), end - pos
        self.used = 0

    def take(self, count: int) -> int:
        """The next ``count`` bits, the first lowest."""
        if self.used + count > self._left:
            raise _NeedsInput
        value = self._word >> self.used & (1 << count) - 1
        self.used += count
        return value

    def symbol(self, codes: Lookup) -> int:
        """The next symbol of the code of code lengths."""
        entry = codes.listed[self._word >> self.used & (1 << codes.bits) - 1]
        if not entry and self.used + codes.bits <= self._left:
            raise Malformed(2, "a code of the code length code that is not defined")
        if not entry or self.used + (entry & 15) > self._left:
            raise _NeedsInput
        self.used += entry & 15
        return entry >> BASE_AT


@dataclass(eq=False)
class Inflater:
    """A stream and the input that has arrived. ``stop_any`` stops it at the end of any block, ``stop_final`` of the last.

    ``mini`` is the mini-block size to index by, or 0. ``marks`` are (bit, bytes decoded), both counted from the start: every
    place that an index names. With ``record``, ``tokens`` has every token (see ``tokens.decode_tokens``); bytes of a
    stored block are literals.
    """

    stream: Stream
    stop_any: bool = False
    stop_final: bool = False
    mini: int = 0
    record: bool = False
    marks: list[tuple[int, int]] = field(default_factory=list)
    tokens: list[NDArray[np.int32]] = field(default_factory=list)
    ended: int = 0  # what came last: 1 the end of a block, 2 of a final one, 0 anything else

    def __post_init__(self) -> None:
        bits, left = self.stream.bits, self.stream.left
        self._pos = -left % 8  # so that what is fed next begins at a byte
        self._end = self._pos + left
        self._data = bytearray((bits << self._pos).to_bytes(self._end // 8, "little"))
        self._before = -self._pos  # bits consumed and thrown away
        self.made = 0  # bytes decoded
        self.ignored = 0  # bits at the end of what was fed
        self._end_token = 0

    @property
    def consumed(self) -> int:
        """Bits consumed, of what was there at the start and has been fed since."""
        return self._before + self._pos

    @property
    def left(self) -> int:
        """Bits that are there and not consumed."""
        return self._end - self._pos

    def feed(self, data: bytes | bytearray | memoryview, ignored: int = 0) -> None:
        """More input; with ``ignored``, the last, without so many bits at its end."""
        used = self._pos >> 3
        del self._data[:used]
        self._data += data
        self._pos, self._before = self._pos - 8 * used, self._before + 8 * used
        self.ignored = min(ignored, 8 * len(self._data) - self._pos)
        self._end = 8 * len(self._data) - self.ignored

    def rest(self) -> int:
        """The bits not consumed, as a number, the first lowest."""
        return int.from_bytes(self._data[self._pos >> 3 :], "little") >> (self._pos & 7) & (1 << self.left) - 1

    def run(self, room: int) -> tuple[Stop, memoryview]:
        """Decode until ``room`` bytes are there, the input ends, or the stream does. Raises Malformed."""
        stream = self.stream
        at = start = len(stream.history)
        out, stop = bytearray(start + room), None
        out[:start] = stream.history
        while stop is None:
            if stream.parser == Parser.ENDED:
                stop = Stop.ENDED
            elif stream.parser == Parser.HEADER:
                stop = self._header()
            elif stream.parser & Parser.STORED:
                at, stop = self._stored(out, at)
            else:
                at, stop = self._tokens(out, at)
        self.made += at - start
        stream.history = bytes(out[max(0, at - WINDOW) : at])
        return stop, memoryview(out)[start:at]

    def _header(self) -> Stop | None:
        """A block header (3.2.3); where it is not complete nothing is consumed."""
        bits, stream = BitReader(self._data, self._pos, self._end), self.stream
        try:
            final, kind = bits.take(1), bits.take(2)
            if kind == 3:
                raise Malformed(13, "block type 3")
            if kind == 0:
                bits.take(-(self._pos + bits.used) % 8)
                stored = bits.take(16)
                if bits.take(16) != stored ^ 0xFFFF:
                    raise Malformed(14, "the length of a stored block does not match its complement")
                stream.stored = stored
            else:
                lengths = (FIXED_LITERALS, FIXED_DISTANCES) if kind == 1 else _code_lengths(bits)
                stream.literals, stream.distances = literal_lookup(lengths[0]), distance_lookup(lengths[1])
                stream.lengths = lengths
        except _NeedsInput:
            return Stop.INPUT
        stream.parser = (Parser.STORED if kind == 0 else Parser.TOKEN) | Parser.FINAL * final
        self._pos += bits.used
        self.ended = 0
        return None

    def _block_end(self) -> None:
        stream, final = self.stream, bool(self.stream.parser & Parser.FINAL)
        self.ended = 2 if final else 1
        stream.parser = Parser.ENDED if self.stop_any or (self.stop_final and final) else Parser.HEADER

    def _stored(self, out: bytearray, at: int) -> tuple[int, Stop | None]:
        """What there is of a stored block (3.2.4)."""
        stream = self.stream
        while stream.stored:
            take = min(stream.stored, len(out) - at, self.left // 8)
            if self.mini and take:
                done = stream.done % self.mini
                take = min(take, self.mini - done)
                if not done:
                    self.marks.append((self.consumed, self.made + at - len(stream.history)))
            if not take:
                return at, Stop.FULL if at == len(out) else Stop.INPUT
            first, shift = self._pos >> 3, self._pos & 7
            word = int.from_bytes(self._data[first : first + take + 1], "little") >> shift
            out[at : at + take] = (word & (1 << 8 * take) - 1).to_bytes(take, "little")
            if self.record:
                self.tokens.append(np.frombuffer(out, np.uint8)[at : at + take].astype(np.int32))
            at, self._pos = at + take, self._pos + 8 * take
            stream.stored, stream.done = stream.stored - take, stream.done + take & 0xFFFF
        if self.mini:
            self.marks += [(self.consumed, self.made + at - len(stream.history))] * 2
        self._block_end()
        return at, None

    def _tokens(self, out: bytearray, at: int) -> tuple[int, Stop | None]:
        """What there is of a coded block."""
        stream, start = self.stream, at
        if stream.literals is None:
            raise Malformed(22, "the AECS has no Huffman table")
        while stream.pending and at < len(out):
            if stream.distance > at:
                raise Malformed(22, "the AECS continues a match beyond its history")
            out[at] = out[at - stream.distance]
            at, stream.pending = at + 1, stream.pending - 1
        stream.done = stream.done + at - start & 0xFFFF
        if stream.pending:
            return at, Stop.FULL
        before = self.consumed
        why, at = self._decode(out, at)
        if why == tokens.BLOCK_END:
            if self.mini:
                place = self.made + at - len(stream.history)
                self.marks += [(before_end, place) for before_end in (self._end_token, self.consumed)]
            self._block_end()
            return at, None
        self.ended = 0 if self.consumed > before else self.ended
        if why in _WRONG:
            raise Malformed(*_WRONG[why])
        if why == tokens.FULL:
            return at, Stop.FULL if at == len(out) else None
        return at, Stop.INPUT

    def _decode(self, out: bytearray, at: int) -> tuple[int, int]:
        """One call of the decoder: compiled, once there is much to do."""
        stream, room = self.stream, len(out) - at
        assert stream.literals
        literals, distances = stream.literals, stream.distances or _NO_DISTANCES
        zero = at - stream.done % self.mini if self.mini else 0
        marks = 2 * (room // self.mini + 2) if self.mini else 0
        if self.left <= 8 * SHORT and self.made + at < 8 * SHORT:
            limit = min(len(out), at + 8 * SHORT)
            listed: list[int] = [0] * (room + 1 if self.record else 0)
            marked = [0] * marks
            found = tokens.decode_tokens(
                self._data, self._pos, self._end, out, at, limit, 0, literals.listed, distances.listed,
                self.mini, zero, marked, listed,
            )  # fmt: skip
            made = np.array(listed[: found[6]], np.int32)
        else:
            places, many = np.empty(marks, np.int64), np.empty(room + 1 if self.record else 0, np.int32)
            found = tokens.compiled_decoder()(
                tokens.array(self._data), self._pos, self._end, tokens.array(out), at, len(out), 0, literals.table,
                distances.table, self.mini, zero, places, many,
            )  # fmt: skip
            marked, made = places.tolist(), many[: found[6]]
        why, pos, after, stream.pending, stream.distance = found[:5]
        origin = self.made - len(stream.history)
        pairs = zip(marked[: found[5] : 2], marked[1 : found[5] : 2], strict=True)
        self.marks += [(self._before + bit, origin + place) for bit, place in pairs]
        if len(made):
            self.tokens.append(made)
        self._end_token = self._before + pos - (literals.end_bits if why == tokens.BLOCK_END else 0)
        self._pos, stream.done = pos, stream.done + after - at & 0xFFFF
        return why, after


_NO_DISTANCES = lookup([], ())
_WRONG = {  # 286 and 287, 30 and 31 of the fixed codes: intel/qpl expects 11 and 12 (inflate_errors.cpp, using_reserved_*)
    tokens.BAD_LITERAL: (11, "a literal or length code that is not defined, or 286 or 287"),
    tokens.BAD_DISTANCE: (12, "a distance code that is not defined, or 30 or 31"),
    tokens.TOO_FAR: (17, "a distance beyond the window of 4096 bytes"),
    tokens.BEFORE_START: (18, "a distance that reaches before the start"),
    tokens.REACHES_MINI: (26, "a match reaches into another mini-block"),
    tokens.SPANS_MINI: (27, "a match extends into the next mini-block"),
}


def _code_lengths(bits: BitReader) -> tuple[bytes, bytes]:
    """The code lengths of a dynamic block (3.2.7)."""
    literals, distances, order = bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4
    if literals > LITERALS:
        raise Malformed(35, f"{literals} literal and length codes")
    if distances > DISTANCES:
        raise Malformed(36, f"{distances} distance codes")
    first = bytearray(len(_ORDER))
    for place in _ORDER[:order]:
        first[place] = bits.take(3)
    if oversubscribed(bytes(first)):
        raise Malformed(8, "too many codes for code lengths")
    codes = lookup(canonical(bytes(first)), PLAIN_ENTRIES)
    literal_lengths = _tree(bits, codes, literals, (3, 6))
    distance_lengths = _tree(bits, codes, distances, (4, 7))
    if not any(literal_lengths):
        raise Malformed(5, "no literal or length code has a length")
    if oversubscribed(literal_lengths):
        raise Malformed(9, "too many literal and length codes")
    if oversubscribed(distance_lengths):
        raise Malformed(10, "too many distance codes")
    return literal_lengths, distance_lengths


def _tree(bits: BitReader, codes: Lookup, count: int, wrong: tuple[int, int]) -> bytes:
    """``count`` code lengths; IAA takes no repetition that goes from one tree into the next."""
    lengths = bytearray()
    while len(lengths) < count:
        symbol = bits.symbol(codes)
        if symbol < 16:
            lengths.append(symbol)
        elif symbol == 16:
            if not lengths:
                raise Malformed(wrong[0], "the first code length repeats the one before")
            lengths += lengths[-1:] * (3 + bits.take(2))
        else:
            lengths += bytes(3 + bits.take(3) if symbol == 17 else 11 + bits.take(7))
    if len(lengths) > count:
        raise Malformed(wrong[1], f"{len(lengths)} code lengths in a tree of {count}")
    return bytes(lengths)
