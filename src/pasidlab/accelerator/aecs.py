"""The Analytics Engine Configuration and State of IAA: what of a job is kept in the program's memory from one to the next.

Layouts after intel/qpl, hw_aecs_api.h (hw_iaa_aecs_analytic, hw_iaa_aecs_compress). Where a field is the device's own, and
its layout not public, it has a layout of ours; programs copy those bytes and do not look into them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from pasidlab.accelerator.huffman import (
    DISTANCES,
    LITERAL_ENTRIES,
    LITERALS,
    LONGEST,
    Lookup,
    canonical,
    counts,
    distance_lookup,
    first_codes,
    literal_lookup,
    lookup,
)
from pasidlab.accelerator.inflate import Malformed, Parser, Stream
from pasidlab.accelerator.tokens import WINDOW

ALIGNMENT = 32  # of its address and size
SIZE = 0x1500
COMPRESS_SIZE = 0x620
HELD = 32 * 64  # bits that the input accumulator holds

_CRC, _FILTER, _DROP = 0x00, 0x08, 0x14
_OUTPUT, _OUTPUT_BITS, _INDEX_BIT = 0xA8, 0xB0, 0xB4
_INPUT, _INPUT_BITS = 0xB8, 0x1B8
_TABLES, _TABLES_END = 0x1E0, 0x230  # first table index, number of codes, first code, first length code
_OWN, _OWN_SIZE = 0x230, 164  # ours: a checksum of the tables that programs see, then two code lengths in a byte
_SYMBOLS, _SYMBOLS_END = 0x328, 0x434
_PARSER, _POSITION = 0x434, 0x438
_POSITION_FIELDS = struct.Struct("<HHHH")  # bytes left of a stored block; ours: of a match, its distance, bytes decoded
_WRITE_OFFSET, _HISTORY = 0x4E4, 0x4E8
_WRAPPED = 1 << 15
_STATES = frozenset((Parser.TOKEN, Parser.HEADER, Parser.STORED, Parser.TOKEN | Parser.FINAL, Parser.STORED | Parser.FINAL))
_PACKED = ((1, 2, 3, 4, 5, 6), (7, 8, 9), (10, 11), (12, 13), (14, 15))  # code lengths whose fields share a word


@dataclass(frozen=True)
class Parameters:
    """What a program tells a filter (bytes 8 to 23)."""

    low: int = 0
    high: int = 0
    first_index: int = 0  # of the first output bit
    dropped: int = 0  # bytes left out of what was decompressed


@dataclass(eq=False)
class AecsState:
    """An AECS for decompression and filters; ``raw`` is what it was read from, all zero where it was not."""

    raw: bytes
    stream: Stream
    output: bytes = b""  # decoded, but not written
    index_bit: int = 0

    @property
    def sums(self) -> tuple[int, int]:
        """The seeds of CRC and XOR checksum."""
        crc, xor = struct.unpack_from("<II", self.raw, _CRC)
        return crc, xor & 0xFFFF

    @property
    def parameters(self) -> Parameters:
        """What the program tells a filter."""
        return Parameters(*struct.unpack_from("<IIII", self.raw, _FILTER))


def parser_state(raw: bytes) -> AecsState:
    """The state in ``raw``; of a short one, the parser is at a block header. Raises Malformed with error 22."""
    full = raw.ljust(SIZE, b"\0")
    if len(raw) <= _PARSER:
        return AecsState(full, Stream())
    held = full[_OUTPUT_BITS] & ~1  # bit 0 tells the format
    if held % 8 or held > 64:
        raise Malformed(22, f"the AECS has {held} bits in its output accumulator")
    (index_bit,) = struct.unpack_from("<I", full, _INDEX_BIT)
    return AecsState(full, _stream(full), full[_OUTPUT : _OUTPUT + held // 8], index_bit)


def _stream(raw: bytes) -> Stream:
    (parser,) = struct.unpack_from("<H", raw, _PARSER)
    stored, pending, distance, done = _POSITION_FIELDS.unpack_from(raw, _POSITION)
    parser &= 15
    if parser not in _STATES and parser != Parser.ENDED:
        raise Malformed(22, f"the AECS has parser state {parser}")
    stream = Stream(parser, history=_history(raw), stored=stored, pending=pending, distance=distance, done=done)
    if pending > 258 or distance > WINDOW:
        raise Malformed(22, "the AECS continues a match that cannot be")
    for place in range(32):
        size = raw[_INPUT_BITS + place]
        if size > 64:
            raise Malformed(22, f"the AECS has {size} bits in word {place} of its input accumulator")
        (word,) = struct.unpack_from("<Q", raw, _INPUT + 8 * place)
        stream.bits |= (word & (1 << size) - 1) << stream.left
        stream.left += size
    if not parser & ~Parser.FINAL:
        stream.lengths = _own_lengths(raw)
        if stream.lengths:
            stream.literals, stream.distances = literal_lookup(stream.lengths[0]), distance_lookup(stream.lengths[1])
        else:
            stream.literals = _client_table(raw)
    return stream


def _history(raw: bytes) -> bytes:
    (word,) = struct.unpack_from("<H", raw, _WRITE_OFFSET)
    ring, offset = raw[_HISTORY : _HISTORY + WINDOW], word & ~_WRAPPED
    if offset > WINDOW:
        raise Malformed(22, f"the AECS writes its history at {offset}")
    return ring[offset % WINDOW :] + ring[: offset % WINDOW] if word & _WRAPPED else ring[:offset]


def _own_lengths(raw: bytes) -> tuple[bytes, bytes] | None:
    """The code lengths that were written with these tables; None where a program has written others since."""
    (told,) = struct.unpack_from("<I", raw, _OWN)
    packed = raw[_OWN + 4 : _OWN + _OWN_SIZE]
    if told != _checksum(raw, packed):
        return None
    lengths = bytes(half for byte in packed for half in (byte & 15, byte >> 4))
    return lengths[:288], lengths[288:]


def _checksum(raw: bytes | bytearray, packed: bytes) -> int:
    """Never 0, so that memory that is all zero has no tables."""
    seen = bytes(raw[_TABLES:_TABLES_END]) + bytes(raw[_SYMBOLS:_SYMBOLS_END])
    return zlib.crc32(packed, zlib.crc32(seen)) or 1


def _unpack(raw: bytes, at: int) -> list[int]:
    """The 15 fields of 2, 3 ... 16 bits of a table in five words, from index 1."""
    fields = [0] * (LONGEST + 1)
    for place, lengths in enumerate(_PACKED):
        (word,) = struct.unpack_from("<I", raw, at + 4 * place)
        for length in lengths:
            fields[length], word = word & (2 << length) - 1, word >> length + 1
    return fields


def _pack(fields: list[int]) -> bytes:
    words = []
    for lengths in _PACKED:
        word, at = 0, 0
        for length in lengths:
            word, at = word | (fields[length] & (2 << length) - 1) << at, at + length + 1
        words.append(word)
    return struct.pack("<5I", *words)


def _client_table(raw: bytes) -> Lookup | None:
    """The table of a program that decodes literals alone (format 1); None where there is none."""
    places, many, first = (_unpack(raw, _TABLES + 20 * table) for table in range(3))
    codes = []
    for length in range(1, LONGEST + 1):
        for index in range(many[length]):
            symbol_at, code = _SYMBOLS + places[length] + index, first[length] + index
            if symbol_at >= _SYMBOLS_END or code >> length:
                raise Malformed(22, f"the AECS has no code {index} of {length} bits")
            codes.append((raw[symbol_at], length, code))
    return lookup(codes, LITERAL_ENTRIES) if codes else None


def store(state: AecsState, sums: tuple[int, int], tables_changed: bool) -> bytes:
    """The bytes of ``state``, whose stream has its unconsumed input in ``bits``."""
    raw, stream = bytearray(state.raw), state.stream
    struct.pack_into("<II", raw, _CRC, *sums)
    raw[_OUTPUT : _OUTPUT + 8] = state.output.ljust(8, b"\0")
    struct.pack_into("<II", raw, _OUTPUT_BITS, 8 * len(state.output) | raw[_OUTPUT_BITS] & 1, state.index_bit & 0xFFFFFFFF)
    for place in range(32):
        size = max(0, min(64, stream.left - 64 * place))
        struct.pack_into("<Q", raw, _INPUT + 8 * place, stream.bits >> 64 * place & (1 << size) - 1)
        raw[_INPUT_BITS + place] = size
    if tables_changed and stream.lengths:
        _store_tables(raw, *stream.lengths)
    struct.pack_into("<H", raw, _PARSER, stream.parser)
    _POSITION_FIELDS.pack_into(raw, _POSITION, stream.stored, stream.pending, stream.distance, stream.done)
    wrapped = len(stream.history) == WINDOW
    struct.pack_into("<H", raw, _WRITE_OFFSET, _WRAPPED if wrapped else len(stream.history))
    raw[_HISTORY : _HISTORY + len(stream.history)] = stream.history
    return bytes(raw)


def _store_tables(raw: bytearray, literals: bytes, distances: bytes) -> None:
    many = counts(literals)
    places = [0, 0]
    for length in range(1, LONGEST):
        places.append(places[-1] + many[length])
    raw[_TABLES : _TABLES + 60] = _pack(places) + _pack(many) + _pack(first_codes(many))
    ordered = sorted(canonical(literals), key=lambda code: code[1])
    symbols = bytes(symbol & 0xFF for symbol, _, _ in ordered)[: _SYMBOLS_END - _SYMBOLS]
    raw[_SYMBOLS:_SYMBOLS_END] = symbols.ljust(_SYMBOLS_END - _SYMBOLS, b"\0")
    both = literals.ljust(288, b"\0") + distances.ljust(32, b"\0")
    packed = bytes(both[at] | both[at + 1] << 4 for at in range(0, len(both), 2))
    raw[_OWN : _OWN + _OWN_SIZE] = struct.pack("<I", _checksum(raw, packed)) + packed


_C_BITS, _C_OUTPUT, _C_LITERALS, _C_DISTANCES = 0x1C, 0x20, 0x120, 0x5A0
_C_HELD = 2048  # bits of its output accumulator


@dataclass(eq=False)
class Compressing:
    """An AECS for compression. ``held`` are ``bits`` bits of output before this job's, the first lowest.

    ``literals`` and ``distances`` are (length, code) of each symbol, the code's first bit highest.
    """

    raw: bytes
    held: int
    bits: int
    literals: list[tuple[int, int]]
    distances: list[tuple[int, int]]

    @property
    def sums(self) -> tuple[int, int]:
        """The seeds of CRC and XOR checksum."""
        crc, xor = struct.unpack_from("<II", self.raw, _CRC)
        return crc, xor & 0xFFFF


def load_compressing(raw: bytes) -> Compressing:
    """The state in ``raw``. Raises Malformed with error 22."""
    full = raw.ljust(COMPRESS_SIZE, b"\0")
    (bits,) = struct.unpack_from("<I", full, _C_BITS)
    if bits > _C_HELD:
        raise Malformed(22, f"the AECS has {bits} bits in its output accumulator")
    held = int.from_bytes(full[_C_OUTPUT:_C_LITERALS], "little") & (1 << bits) - 1
    literals = [_code(word) for word in struct.unpack_from(f"<{LITERALS}I", full, _C_LITERALS)]
    distances = [_code(word) for word in struct.unpack_from(f"<{DISTANCES}I", full, _C_DISTANCES)]
    return Compressing(full, held, bits, literals, distances)


def _code(word: int) -> tuple[int, int]:
    length = word >> 15 & 15
    return length, word & (1 << length) - 1


def store_compressing(state: Compressing, sums: tuple[int, int], held: int, bits: int) -> bytes:
    """``state`` as the next job is to find it."""
    raw = bytearray(state.raw)
    struct.pack_into("<II", raw, _CRC, *sums)
    struct.pack_into("<I", raw, _C_BITS, bits)
    raw[_C_OUTPUT:_C_LITERALS] = held.to_bytes(_C_LITERALS - _C_OUTPUT, "little")
    return bytes(raw)
