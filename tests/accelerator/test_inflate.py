"""IAA's own inflater: bit positions, windows of 4096 bytes and error codes, against zlib and against itself compiled."""

import random
import zlib

import numpy as np
import pytest
from iaa_jobs import raw_deflate

from pasidlab.accelerator import tokens
from pasidlab.accelerator.huffman import FIXED_DISTANCES, FIXED_LITERALS, distance_lookup, literal_lookup, reversed_code
from pasidlab.accelerator.inflate import Inflater, Malformed, Parser, Stop, Stream

WORDS = [b"queue ", b"portal ", b"descriptor", b"completion record\n", b"\0\0\0"]


def text(rng: random.Random, count: int) -> bytes:
    return b"".join(rng.choice([*WORDS, bytes([rng.randrange(256)])]) for _ in range(count))


def inflate(stream: bytes, room: int = 1 << 16, step: int = 0) -> tuple[bytes, Inflater]:
    """All of a stream, fed ``step`` bytes at a time."""
    inflater, out, at = Inflater(Stream(), stop_final=True), b"", 0
    step = step or len(stream)
    while True:
        stop, piece = inflater.run(room)
        out += piece
        if stop == Stop.ENDED or (stop == Stop.INPUT and at >= len(stream)):
            return out, inflater
        if stop == Stop.INPUT:
            inflater.feed(stream[at : at + step])
            at += step


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED])
def test_streams_of_zlib_in_pieces_of_any_size(level: int, strategy: int) -> None:
    rng = random.Random(level * 7 + strategy)
    for count in (0, 1, 40, 3000):
        data = text(rng, count)
        stream = raw_deflate(data, level, strategy)
        for room, step in ((1 << 16, 0), (1000, 1), (3, 50)):
            out, inflater = inflate(stream, room, step)
            assert out == data
            assert (inflater.consumed + 7) // 8 == len(stream) and inflater.ended == 2


def test_concatenated_blocks_go_on_unless_the_end_stops() -> None:
    squeezed = zlib.compressobj(6, zlib.DEFLATED, -12)
    first = squeezed.compress(b"first block") + squeezed.flush(zlib.Z_FULL_FLUSH)
    second = squeezed.compress(b", second block") + squeezed.flush()
    inflater = Inflater(Stream(), stop_any=True)
    inflater.feed(first + second)
    assert bytes(inflater.run(100)[1]) == b"first block" and inflater.ended == 1
    inflater = Inflater(Stream())
    inflater.feed(first + second)
    stop, piece = inflater.run(100)
    assert (stop, bytes(piece)) == (Stop.INPUT, b"first block, second block")
    assert inflater.stream.parser == Parser.HEADER and inflater.ended == 2 and inflater.left < 8


def test_the_compiled_decoder_is_the_same_function() -> None:
    """Also where the input is cut, damaged, or too long for the room; with mini-blocks and records of the tokens."""
    rng = random.Random(5)
    literals, distances = literal_lookup(FIXED_LITERALS), distance_lookup(FIXED_DISTANCES)
    met = set()
    for _ in range(600):
        data = text(rng, rng.randrange(1, 60))
        stream = bytearray(raw_deflate(data, 9, zlib.Z_FIXED))
        for _ in range(rng.randrange(3)):
            stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
        end = rng.randrange(3, 8 * len(stream) + 1)
        limit, mini = rng.choice((len(data) + 300, rng.randrange(1, 100))), rng.choice((0, 0, 64, 512))
        plain, fast = bytearray(2000), bytearray(2000)
        marks, recorded = [0] * 8, [0] * 500
        marks_fast, recorded_fast = np.zeros(8, np.int64), np.zeros(500, np.int32)
        slow = tokens.decode_tokens(
            stream, 3, end, plain, 5, 5 + limit, 0, literals.listed, distances.listed, mini, 5, marks, recorded
        )
        quick = tokens.compiled_decoder()(
            tokens.array(stream), 3, end, tokens.array(fast), 5, 5 + limit, 0, literals.table, distances.table, mini, 5,
            marks_fast, recorded_fast,
        )  # fmt: skip
        assert (slow, plain, marks, recorded) == (quick, fast, marks_fast.tolist(), recorded_fast.tolist())
        met.add(slow[0])
    assert met >= {tokens.NEEDS_INPUT, tokens.FULL, tokens.BLOCK_END, tokens.TOO_FAR, tokens.BEFORE_START, tokens.REACHES_MINI}


def test_damaged_streams_end_as_zlib_says_or_more_strictly() -> None:
    """zlib also refuses codes that are incomplete; IAA also distances beyond 4096 and repetitions across the two trees."""
    rng, agreed, refused = random.Random(11), 0, set()
    for _ in range(1500):
        data = text(rng, rng.randrange(1, 80))
        stream = bytearray(raw_deflate(data, rng.choice((0, 6, 9)), rng.choice((0, 0, zlib.Z_FIXED))))
        for _ in range(rng.randrange(1, 3)):
            stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
        judge, theirs = zlib.decompressobj(-15), None
        try:
            theirs = judge.decompress(bytes(stream))
        except zlib.error as error:
            wrong = str(error)
        try:
            ours, inflater = inflate(bytes(stream))
        except Malformed as error:
            refused.add(error.code)
            assert theirs is None or error.code in {17, 3, 4, 5, 6, 7}, (error, stream)
            continue
        if theirs is None:
            assert any(word in wrong for word in ("code lengths set", "lengths set", "distances set", "end-of-block")), wrong
        else:
            assert ours == theirs
            assert (inflater.stream.parser == Parser.ENDED) == judge.eof
            agreed += 1
    assert agreed > 200 and refused >= {11, 12, 13, 14, 17, 18}, (agreed, refused)


class Writer:
    """Bits of a header, the first lowest."""

    def __init__(self) -> None:
        self.value = self.bits = 0

    def put(self, value: int, count: int) -> "Writer":
        self.value, self.bits = self.value | value << self.bits, self.bits + count
        return self

    def bytes(self, more: int = 64) -> bytes:
        return self.value.to_bytes((self.bits + 7) // 8, "little") + bytes(more)


ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def dynamic(literals: int, distances: int, code_lengths: dict[int, int], symbols: list[tuple[int, int, int]], ones: int = 0) -> bytes:
    """A dynamic header: ``code_lengths`` of the code length code, then (symbol, extra value, extra bits); and ``ones``."""
    writer = Writer().put(1, 1).put(2, 2).put(literals - 257, 5).put(distances - 1, 5).put(15, 4)
    for symbol in ORDER:
        writer.put(code_lengths.get(symbol, 0), 3)
    code, codes = 0, {}
    for length in range(1, 8):
        for symbol in sorted(code_lengths):
            if code_lengths[symbol] == length:
                codes[symbol] = (code, length)
                code += 1
        code <<= 1
    for symbol, extra, bits in symbols:
        value, length = codes[symbol]
        writer.put(reversed_code(value, length), length).put(extra, bits)
    return writer.put((1 << ones) - 1, ones).bytes()


EIGHT = {0: 2, 8: 2, 16: 2, 18: 2}
ZEROS = (18, 127, 7)  # 138 times 0


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (dynamic(257, 1, {0: 1, 8: 2}, [(0, 0, 0)] * 3 + [(8, 0, 0)])[:20] + b"\xff" * 60, 2),
        (dynamic(257, 1, EIGHT, [(16, 0, 2)]), 3),
        (dynamic(257, 1, EIGHT, [ZEROS, (18, 107, 7), (8, 0, 0), (16, 0, 2)]), 4),
        (dynamic(257, 1, EIGHT, [ZEROS, (18, 108, 7), (0, 0, 0)]), 5),
        (dynamic(257, 1, EIGHT, [ZEROS, ZEROS]), 6),
        (dynamic(257, 1, EIGHT, [ZEROS, (18, 107, 7), (8, 0, 0), (18, 0, 7)]), 7),
        (dynamic(257, 1, {0: 1, 8: 1, 16: 1, 18: 1}, []), 8),
        (dynamic(257, 1, {0: 2, 1: 2, 16: 2, 18: 2}, [(1, 0, 0)] * 3 + [(18, 127, 7), (18, 105, 7), (0, 0, 0)]), 9),
        (dynamic(257, 3, {0: 2, 1: 2, 16: 2, 18: 2}, [ZEROS, (18, 107, 7), *[(1, 0, 0)] * 4]), 10),
        (dynamic(257, 1, {0: 2, 1: 2, 18: 1}, [(1, 0, 0), ZEROS, (18, 107, 7), (0, 0, 0)], 60), 11),
        (dynamic(258, 1, {0: 2, 1: 2, 18: 1}, [ZEROS, (18, 107, 7), (1, 0, 0), (1, 0, 0), (0, 0, 0)], 60), 12),
        (Writer().put(3, 3).put(reversed_code(0xC6, 8), 8).bytes(), 11),  # 286 of the fixed code
        (Writer().put(3, 3).put(reversed_code(1, 7), 7).put(reversed_code(30, 5), 5).bytes(), 12),
        (b"\x07" + bytes(20), 13),
        (b"\x01\x05\x00\x05\x00hello", 14),
        (dynamic(287, 1, EIGHT, []), 35),
        (dynamic(257, 31, EIGHT, []), 36),
    ],
)
def test_what_is_wrong_with_a_header_has_its_code(stream: bytes, code: int) -> None:
    with pytest.raises(Malformed) as caught:
        inflate(stream)
    assert caught.value.code == code, caught.value


def test_the_window_has_4096_bytes() -> None:
    rng = random.Random(3)
    head = rng.randbytes(300)
    for gap, fits in ((4096 - 300, True), (4097 - 300, False)):
        data = head + bytes(rng.randbytes(gap)) + head
        stream = raw_deflate(data, 9, window=15)
        assert len(stream) < len(data) - 200  # the match was found
        if fits:
            assert inflate(stream)[0] == data
        else:
            with pytest.raises(Malformed) as caught:
                inflate(stream)
            assert caught.value.code == 17
