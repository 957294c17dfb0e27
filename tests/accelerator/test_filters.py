"""The filters of IAA against definitions in plain Python, on random elements of every width and encoding."""

from __future__ import annotations

import random
import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise

import pytest
from iaa_jobs import READ, Client, Done, raw_deflate, xor_of

SCAN, MEMBERS, EXTRACT, SELECT_OP, BURST, UNIQUE, EXPAND = range(0x50, 0x57)
NAMES = {SCAN: "scan", MEMBERS: "members", EXTRACT: "extract", SELECT_OP: "select", BURST: "burst", UNIQUE: "unique", EXPAND: "expand"}
DATA_2, LITTLE, BIG, PARQUET = 2 << 16, 0, 1, 2
ENABLE = 1 | 4 | 16  # inflate, stop at the end of the last block


def pack(values: list[int], width: int, *, big: bool = False) -> bytes:
    """Elements as a stream of bits, the last byte padded with zeros."""
    if big:
        bits = "".join(f"{value:0{width}b}" for value in values)
        return int(bits.ljust(-(-len(bits) // 8) * 8, "0") or "0", 2).to_bytes((len(bits) + 7) // 8, "big")
    whole = sum(value << width * at for at, value in enumerate(values))
    return whole.to_bytes((width * len(values) + 7) // 8, "little")


def parquet(rng: random.Random, values: list[int], width: int) -> bytes:
    """The same as runs: repetitions where values repeat, or groups of eight."""
    out, at = bytes([width]), 0

    def header(value: int) -> bytes:
        data = b""
        while value > 0x7F:
            data, value = data + bytes([value & 0x7F | 0x80]), value >> 7
        return data + bytes([value])

    while at < len(values):
        same = next((end for end in range(at, len(values)) if values[end] != values[at]), len(values)) - at
        if same > 3 or rng.random() < 0.3:
            out += header(same << 1) + values[at].to_bytes((width + 7) // 8, "little")
            at += same
        else:
            groups = rng.randrange(1, 4)
            piece = values[at : at + 8 * groups]
            out += header(groups << 1 | 1) + pack(piece + [0] * (8 * groups - len(piece)), width)
            at += len(piece)
    return out


@dataclass
class Case:
    """One random filter job, as its elements and flags."""

    op: int
    width: int
    values: list[int]
    parser: int
    out_width: int
    out_big: bool
    invert: bool
    low: int
    high: int
    first: int
    drop_low: int = 0
    drop_high: int = 0
    width_2: int = 1
    second: list[int] | None = None
    big_2: bool = False

    @property
    def flags(self) -> int:
        width = 0 if self.parser == PARQUET else self.width - 1
        out = {0: 0, 8: 1, 16: 2, 32: 3}[self.out_width]
        word = self.parser | width << 2 | (self.width_2 - 1) << 7 | self.big_2 << 12 | out << 13
        return word | self.out_big << 15 | self.invert << 16 | self.drop_low << 17 | self.drop_high << 22

    def dropped(self, value: int) -> int:
        return value >> self.drop_low & (1 << self.width - self.drop_low - self.drop_high) - 1

    def nominal(self) -> tuple[list[int], int]:
        """What the operation yields, and how wide its elements are."""
        second, values = self.second or [], self.values
        if self.op == SCAN:
            return [int(self.low <= value <= self.high) for value in values], 1
        if self.op == MEMBERS:
            return [second[self.dropped(value)] for value in values], 1
        if self.op == UNIQUE:
            seen = {self.dropped(value) for value in values}
            return [int(value in seen) for value in range(1 << self.width - self.drop_low - self.drop_high)], 1
        if self.op == EXTRACT:
            return values[self.low : self.high + 1], self.width
        if self.op == SELECT_OP:
            return [value for value, bit in zip(values, second, strict=True) if bit], self.width
        if self.op == EXPAND:
            following = iter(values)
            return [next(following) if bit else 0 for bit in second], self.width
        counts = values if self.width < 32 else [after - before for before, after in pairwise(values)]
        return [value for value, count in zip(second, counts, strict=True) for _ in range(count)], self.width_2

    def expected(self) -> tuple[int, bytes, int, tuple[int, int, int]]:
        """Error code, output, valid bits of its last byte, aggregates."""
        elements, width = self.nominal()
        if self.invert:
            elements = [bit ^ 1 for bit in elements]
        ones = [at + self.first for at, value in enumerate(elements) if value]
        if width == 1:
            sums = (min(ones, default=0xFFFFFFFF), max(ones, default=0), len(ones))
        else:
            sums = (min(elements, default=0xFFFFFFFF), max(elements, default=0), sum(elements) & 0xFFFFFFFF)
        if not self.out_width:
            return 0, pack(elements, width, big=self.out_big), len(elements) * width & 7, sums
        if (width == 1 and ones and max(ones) >> self.out_width) or (1 < width > self.out_width):
            return 21, b"", 0, (0, 0, 0)
        items = ones if width == 1 else elements
        order = "big" if self.out_big else "little"
        return 0, b"".join(item.to_bytes(self.out_width // 8, order) for item in items), 0, sums


def case(rng: random.Random, op: int) -> Case:
    width = rng.choice((8, 16, 32)) if op == BURST else rng.randrange(1, 16 if op in (MEMBERS, UNIQUE) else 33)
    count = rng.choice((1, 2, 7, 8, 9, 60, 300))
    top = (1 << width) - 1
    few = [rng.randint(0, top) for _ in range(4)]
    values = [rng.choice((rng.choice(few), rng.randint(0, top))) for _ in range(count)]
    if op == BURST:
        values = [rng.choice((0, 1, 2, 200)) for _ in range(count)]
        values = values if width < 32 else [0, *(sum(values[: at + 1]) for at in range(count))]
    low, high = sorted((rng.randint(0, top), rng.randint(0, top))) if op == SCAN else sorted(rng.choices(range(400), k=2))
    vector = op in (SCAN, MEMBERS, UNIQUE)
    one = Case(
        op, width, values, rng.choice((LITTLE, BIG, PARQUET)), rng.choice((0, 0, 8, 16, 32)), rng.random() < 0.5,
        vector and rng.random() < 0.4, low, high, rng.choice((0, 0, 5, 250)) if op not in (SELECT_OP, MEMBERS, EXPAND, BURST) else 0,
        big_2=rng.random() < 0.4,
    )  # fmt: skip
    if op in (MEMBERS, UNIQUE) and width > 2:
        one.drop_low, one.drop_high = rng.randrange(width // 2), rng.randrange(width // 2)
    if op == MEMBERS:
        one.second = [rng.randrange(2) for _ in range(1 << width - one.drop_low - one.drop_high)]
    elif op == SELECT_OP:
        one.second = [rng.randrange(2) for _ in values]
    elif op == EXPAND:
        one.second = rng.sample([1] * count + [0] * rng.randrange(20), k=count + 0)
        one.second += [1] * (count - sum(one.second))
    elif op == BURST:
        one.width_2 = rng.randrange(1, 33)
        one.second = [rng.getrandbits(one.width_2) for _ in range(len(values) - (width == 32))]
    return one


def encoded(rng: random.Random, one: Case) -> bytes:
    if one.parser == PARQUET:
        return parquet(rng, one.values, one.width)
    return pack(one.values, one.width, big=one.parser == BIG)


def carry_out(rng: random.Random, one: Case, *, inflate: bool = False, room: int = 1 << 18) -> tuple[Done, bytes]:
    """The job, and the bytes of source 1 as its checksums see them."""
    plain = encoded(rng, one)
    client, second = Client(0x20), None
    if one.second is not None:
        second = pack(one.second, one.width_2, big=one.big_2)
    struct.pack_into("<IIIIII", client.aecs.data, 0, 0, 0, one.low, one.high, one.first, 0)
    elements = len(one.second) if one.op == EXPAND and one.second else len(one.values)
    source = raw_deflate(plain) if inflate else plain
    done = client.run(
        one.op, source, room, job_flags=ENABLE if inflate else 0, flags=DATA_2 if second is not None else READ,
        filter_flags=one.flags, elements=elements, second=second,
    )  # fmt: skip
    return done, plain


@pytest.mark.parametrize("op", NAMES)
def test_random_jobs_mean_what_the_definition_says(op: int) -> None:
    rng, met = random.Random(op), set()
    for number in range(120):
        one = case(rng, op)
        inflate = number % 5 == 0 and not (op in (MEMBERS, UNIQUE) and one.width - one.drop_low - one.drop_high > 8)
        done, plain = carry_out(rng, one, inflate=inflate)
        error, output, bits, sums = one.expected()
        met.add((error, one.parser, one.out_width))
        if error:
            assert (done.status, done.error) == (0x0A, error), (one, done.outcome)
            continue
        assert done.status == 1, (one, done.outcome)
        assert (done.output, done.bits) == (output, bits), one
        assert (done.first, done.last, done.total) == sums, one
        assert (done.crc, done.xor) == (zlib.crc32(plain), xor_of(plain))
    assert {0, 21} <= {error for error, _, _ in met} and len(met) > 10


def test_published_results() -> None:
    """intel/qpl's examples, and intel/idxd-config's iaa_test with 512 bytes."""
    thousand = bytes(at % 256 for at in range(1000))
    client = Client(0x20)

    def run(op: int, source: bytes, low: int, high: int, word: int, **more: object) -> Done:
        struct.pack_into("<II", client.aecs.data, 8, low, high)
        count = len(source) // 4 if word & 0x7C == 0x7C else len(source)
        return client.run(op, source, 4096, filter_flags=word, **{"flags": READ, "elements": count, **more})  # type: ignore[arg-type]

    found = run(SCAN, thousand, 48, 58, 7 << 2 | 3 << 13)
    assert found.output == struct.pack("<44I", *(base + at for base in (0, 256, 512, 768) for at in range(48, 59)))
    assert run(EXTRACT, thousand, 80, 123, 7 << 2).output == thousand[80:124]
    mask = run(SCAN, thousand, 48, 48, 7 << 2).output
    assert run(SELECT_OP, thousand, 0, 0, 7 << 2, flags=DATA_2, second=mask).output == b"0000"
    spread = run(EXPAND, bytes([1, 2, 3, 4, 5]), 0, 0, 7 << 2 | 1 << 13, flags=DATA_2, second=b"\xb9", elements=8)
    assert spread.output == bytes([1, 0, 0, 2, 3, 4, 0, 5])
    rising = struct.pack("<128I", *range(0x98765432, 0x98765432 + 128))
    assert run(SCAN, rising, 0x98765440, 0x98765540, 0x7C).output.hex() == "00c0" + "ff" * 14
    taken = run(EXTRACT, rising, 10, 100, 0x7C)
    assert (taken.size, taken.output) == (364, rising[40:404])
    chosen = run(SELECT_OP, rising, 0, 0, 0x7C, flags=DATA_2, second=struct.pack("<Q", 0xA5A5A5A55A5A5A5A) * 2)
    assert chosen.size == 256
    unique = run(UNIQUE, struct.pack("<Q", 0x98765432ABCDEF01) * 64, 0, 0, 0x38, elements=256)
    assert (unique.size, sum(byte.bit_count() for byte in unique.output), unique.total) == (4096, 64, 64)


def job(
    op: int = SCAN, source: bytes = bytes(8), *, count: int = 8, word: int = 7 << 2, second: bytes | None = None, room: int = 64
) -> Done:  # fmt: skip
    two = second is not None
    return Client(0x20).run(op, source, room, filter_flags=word, elements=count, flags=DATA_2 if two else READ, second=second)


@pytest.mark.parametrize(
    ("done", "error"),
    [
        (lambda: job(count=9), 23),
        (lambda: job(source=b"\x08\x10\x01", word=PARQUET, count=9), 32),
        (lambda: job(source=b"\x21\x10\x01", word=PARQUET), 31),
        (lambda: job(source=b"\x08\x00\x01", word=PARQUET), 20),
        (lambda: job(source=b"\x08\x80\x80\x80\x80\x01\x01", word=PARQUET), 20),
        (lambda: job(source=b"\x10\x10\x01", word=PARQUET), 20),
        (lambda: job(source=b"\x08\x05\x01\x02", word=PARQUET), 20),
        (lambda: job(SELECT_OP, second=b"", source=bytes(8)), None),
        (lambda: job(SELECT_OP, second=b"\xff", count=9, source=bytes(9)), 24),
        (lambda: job(MEMBERS, second=bytes(31)), 24),
        (lambda: job(EXPAND, second=b"\xff", source=bytes(7)), 23),
        (lambda: job(BURST, struct.pack("<3I", 0, 9, 8), count=3, word=31 << 2, second=b"\x03"), 33),
        (lambda: job(BURST, struct.pack("<2I", 0, 65536), count=2, word=31 << 2, second=b"\x01"), 33),
        (lambda: job(EXTRACT, word=15 << 2 | 1 << 13, count=4), 21),
        (lambda: job(UNIQUE, source=b"\x20\x10\0\0\0\0", word=PARQUET), 31),
        (lambda: job(UNIQUE, room=31), 25),
    ],
)
def test_errors_have_their_codes(done, error) -> None:  # type: ignore[no-untyped-def]
    found = done()
    assert (found.status, found.error) == ((0x0A, error) if error else (0x13, 0)), found.outcome


@pytest.mark.parametrize(
    ("op", "options", "status", "words"),
    [
        (SCAN, {"elements": 0}, 0x33, "number of input elements is 0"),
        (SCAN, {"filter_flags": 3}, 0x31, "parser 0 to 2"),
        (SCAN, {"filter_flags": 1 << 27}, 0x31, "bits 26 to 0"),
        (EXTRACT, {"filter_flags": 1 << 16}, 0x35, "extract yields no bit vector"),
        (SCAN, {"filter_flags": PARQUET | 4}, 0x34, "Parquet"),
        (BURST, {"filter_flags": 11 << 2}, 0x34, "counts of 12 bits"),
        (UNIQUE, {"filter_flags": 15 << 2}, 0x34, "1 to 15 left"),
        (MEMBERS, {"filter_flags": 3 << 2 | 4 << 17}, 0x34, "1 to 15 left"),
        (UNIQUE, {"filter_flags": 8 << 2, "job_flags": 1}, 0x34, "1 to 8 left"),
        (SELECT_OP, {"filter_flags": 1 << 7}, 0x31, "one bit an element"),
        (SELECT_OP, {"flags": READ}, 0x11, "reads it in way 2"),
        (SCAN, {"flags": DATA_2}, 0x11, "read in way 2"),
        (SCAN, {"job_flags": 1 | 1 << 9}, 0x30, "decompression flags"),
        (SCAN, {"job_flags": 2}, 0x30, "decompression flags"),
    ],
)
def test_what_is_refused(op: int, options: dict[str, int], status: int, words: str) -> None:
    outcome = Client(0x20).refused(op, 8, 64, **{"elements": 8, "filter_flags": 7 << 2, **options})  # type: ignore[arg-type]
    assert outcome.status == status and words in outcome.reason, outcome


def test_bytes_may_be_dropped_before_the_first_element() -> None:
    client = Client(0x20)
    struct.pack_into("<IIIIII", client.aecs.data, 0, 0, 0, 0, 9, 0, 3)
    source = raw_deflate(b"xyz0123456789")
    done = client.run(EXTRACT, source, 64, job_flags=ENABLE, filter_flags=7 << 2, elements=10, flags=READ)
    assert done.output == b"0123456789" and done.crc == zlib.crc32(b"xyz0123456789")


def zero_compressed(data: bytes, size: int) -> bytes:
    """The definition, block by block."""
    out = b""
    for at in range(0, len(data), 128):
        block = data[at : at + 128]
        words = [block[place : place + size] for place in range(0, len(block), size)]
        bits = sum((any(word) << place) for place, word in enumerate(words))
        bits |= ((1 << 128 // size) - 1) >> len(words) << len(words)
        out += bits.to_bytes(16 // size, "little") + b"".join(word for word in words if any(word))
    return out


@pytest.mark.parametrize(("squeeze", "size"), [(0x4C, 4), (0x4D, 2), (0x4E, 1)])
def test_zeros_go_and_come_back(squeeze: int, size: int) -> None:
    rng = random.Random(size)
    for count in (1, 2, 31, 32, 33, 100, 5000):
        data = b"".join(rng.choice((bytes(size), rng.randbytes(size))) for _ in range(count))
        done = Client().run(squeeze, data, 2 * len(data) + 64, aecs=False)
        assert (done.status, done.output) == (1, zero_compressed(data, size)), done.outcome
        assert (done.crc, done.xor) == (zlib.crc32(data), xor_of(data))
        back = Client().run(squeeze - 4, done.output, len(data), aecs=False)
        assert (back.status, back.output, back.crc) == (1, data, done.crc), back.outcome
    cut = Client().run(squeeze - 4, done.output[: 16 // size - 1], 128, aecs=False)
    assert (cut.status, cut.error) == (0x0A, 34)
    assert Client().run(squeeze, data, 10, aecs=False).error == 25
    if size > 1:
        assert Client().refused(squeeze, size + 1, 64, aecs=False, address=0).status == 0x32
