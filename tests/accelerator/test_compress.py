"""Compression jobs of IAA: zlib and IAA's own decompression must return the source, and statistics must count what is written."""

import random
import struct
import zlib

import pytest
from iaa_jobs import COMPRESS, DECOMPRESS, DESTINATION, READ, SELECT, SOURCE, WRITE, Client, xor_of
from test_inflate import text

from pasidlab.accelerator.huffman import FIXED_LITERALS, canonical
from pasidlab.accelerator.inflate import Inflater, Stop, Stream

STATISTICS, FLUSH, LITERALS, BIG = 1, 2, 16, 32
EOB, EOB_STORED, EOB_FINAL_STORED = 1 << 2, 2 << 2, 3 << 2
SIZE = 0x620
FIXED = [length << 15 | code for _, length, code in canonical(FIXED_LITERALS)][:286]


def aecs(header: int = 0b011, bits: int = 3, literals: list[int] = FIXED, crc: int = 0, xor: int = 0) -> bytes:
    """Fixed codes; the accumulator begins with the header of a final block of them (iaa_test, the kernel's iaa_crypto)."""
    head = struct.pack("<II20xI", crc, xor, bits) + header.to_bytes(256, "little")
    return head + struct.pack("<286I8x30I8x", *literals, *(5 << 15 | code for code in range(30)))


def client(raw: bytes | None = None) -> Client:
    one = Client(SIZE)
    one.aecs.data[:SIZE] = raw or aecs()
    return one


def test_fixed_blocks_are_what_zlib_reads() -> None:
    rng = random.Random(1)
    for data in (b"a", bytes(70000), text(rng, 30), text(rng, 9000), rng.randbytes(3000)):
        done = client().run(COMPRESS, data, 2 * len(data) + 64, job_flags=FLUSH | EOB, flags=READ)
        judge = zlib.decompressobj(-15)
        assert (done.status, judge.decompress(done.output), judge.eof, judge.unused_data) == (1, data, True, b"")
        assert (done.crc, done.xor) == (zlib.crc32(data), xor_of(data))
        back = Client().run(DECOMPRESS, done.output, len(data), job_flags=0x1F, aecs=False)
        assert (back.status, back.output, back.crc) == (1, data, done.crc)
    assert done.size > len(data)  # random bytes grow


def test_seeds_and_the_ending_of_iaa_test() -> None:
    """intel/idxd-config's iaa_test: seeds in the AECS, an empty final stored block behind the data's final block."""
    data, one = b"\x01\xef\xcd\xab" * 64, client(aecs(crc=0x12345678, xor=0xABCD))
    done = one.run(COMPRESS, data, 1000, job_flags=FLUSH | EOB_FINAL_STORED, flags=READ | WRITE)
    judge = zlib.decompressobj(-15)
    assert judge.decompress(done.output) == data and judge.eof and judge.unused_data.endswith(b"\0\0\xff\xff")
    assert (done.crc, done.xor, done.bits) == (zlib.crc32(data, 0x12345678), xor_of(data) ^ 0xABCD, 0)
    assert struct.unpack_from("<II20xI", one.aecs.data, SIZE) == (done.crc, done.xor, 0)


def test_a_stream_from_several_jobs() -> None:
    """Bits that fill no byte go through the AECS; the last job ends the block, and the stream with a stored one."""
    rng = random.Random(8)
    parts = [text(rng, rng.randrange(1, 200)) for _ in range(6)]
    one, out = client(aecs(0b010)), b""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        flags = READ | WRITE | (SELECT if number % 2 else 0)
        done = one.run(COMPRESS, part, 9000, job_flags=FLUSH | EOB_FINAL_STORED if last else 0, flags=flags)
        assert done.status == 1 and (last or done.bits == 0)
        out += done.output
    assert zlib.decompress(out, -15) == b"".join(parts) and done.crc == zlib.crc32(b"".join(parts))
    held = struct.unpack_from("<I", one.aecs.data, SIZE + 0x1C)[0]
    assert 0 < held < 8  # what the job before the last left


@pytest.mark.parametrize("options", [0, LITERALS, 1 << 6, 3 << 6])
def test_statistics_count_what_is_written(options: int) -> None:
    data = text(random.Random(6), 3000)
    counted = Client(SIZE).run(COMPRESS, data, 1280, job_flags=STATISTICS | options, aecs=False)
    assert (counted.status, counted.size, counted.crc) == (1, 1280, zlib.crc32(data))
    literals, distances = struct.unpack_from("<286I", counted.output), struct.unpack_from("<30I", counted.output, 1152)
    assert literals[256] == 0
    written = client().run(COMPRESS, data, 2 * len(data), job_flags=FLUSH | EOB | options, flags=READ)
    reader = Inflater(Stream(), stop_final=True, mini=256 << (options >> 6) if options >> 6 else 0, record=True)
    reader.feed(written.output)
    while reader.run(1 << 16)[0] != Stop.ENDED:
        pass
    tokens = [int(token) for piece in reader.tokens for token in piece]
    assert sum(literals) == len(tokens) and sum(distances) == sum(token > 0xFFFF for token in tokens)
    assert [literals[value] for value in range(256)] == [tokens.count(value) for value in range(256)]
    assert bool(options & LITERALS) == (sum(distances) == 0)


def test_codes_of_the_programs_own_need_no_end() -> None:
    """Huffman-only: the output bits tell where the stream ends; big-endian words decode as they were written."""
    literals = [0] * 286
    for symbol, length, code in canonical(bytes([0] * 97 + [1, 2, 3, 3] + [0] * 155)):
        literals[symbol] = length << 15 | code
    for data in (b"a", b"abcd", b"dcbaabcdd" * 7):
        bits = sum({97: 1, 98: 2}.get(byte, 3) for byte in data)
        done = client(aecs(0, 0, literals)).run(COMPRESS, data, 100, job_flags=FLUSH | LITERALS, flags=READ)
        assert (done.size, done.bits) == ((bits + 7) // 8, bits % 8)
        turned = client(aecs(0, 0, literals)).run(COMPRESS, data, 101, job_flags=FLUSH | LITERALS | BIG, flags=READ)
        assert (turned.size, turned.bits) == (done.size, done.bits)
        for at in range(0, done.size - 1, 2):
            word, other = (int.from_bytes(one.output[at : at + 2], "little") for one in (done, turned))
            assert f"{word:016b}"[::-1] == f"{other:016b}"


@pytest.mark.parametrize(
    ("raw", "options", "room", "error"),
    [
        (aecs(literals=[FIXED[0]] * 97 + [0] * 189), {}, 100, 30),
        (aecs(literals=[*FIXED[:256], 0, *FIXED[257:]]), {}, 100, 30),
        (aecs(), {}, 5, 25),
        (aecs(), {"job_flags": STATISTICS}, 1279, 25),
        (aecs(bits=2049), {}, 100, 22),
    ],
)
def test_errors_have_their_codes(raw: bytes, options: dict[str, int], room: int, error: int) -> None:
    one = client(raw)
    done = one.run(COMPRESS, b"abcabc", room, **{"job_flags": FLUSH | EOB, "flags": READ | WRITE, **options})  # type: ignore[arg-type]
    assert (done.status, done.error) == (0x0A, error), done.outcome
    assert bytes(one.aecs.data[SIZE:]) == bytes(SIZE)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"job_flags": 1 << 9}, 0x30, "compression flags"),
        ({"job_flags": 1 << 10}, 0x30, "compression flags"),
        ({"job_flags": 2 << 12}, 0x30, "compression flags"),
        ({"filter_flags": 2}, 0x30, "compression flags"),
        ({"elements": 1}, 0x12, "byte 60"),
        ({"flags": 2 << 18}, 0x11, "written in way 2"),
    ],
)
def test_what_is_refused(options: dict[str, int], status: int, words: str) -> None:
    outcome = client().refused(COMPRESS, 3, 10, **options)  # type: ignore[arg-type]
    assert outcome.status == status and words in outcome.reason, outcome


def test_an_overlap_is_refused() -> None:
    outcome = client().refused(COMPRESS, DESTINATION - SOURCE + 1, 1, flags=READ)
    assert outcome.status == 0x16 and "overlaps the destination" in outcome.reason
