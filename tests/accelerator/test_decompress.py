"""Decompression jobs of IAA: what they write, what they leave in the AECS for the next, and what the record tells."""

import random
import struct
import zlib

import google_crc32c
import pytest
from iaa_jobs import AECS, CASTAGNOLI, DECOMPRESS, OVERFLOW, READ, SELECT, SOURCE, WRITE, Client, Done, raw_deflate, xor_of
from test_inflate import text

from pasidlab.accelerator.huffman import canonical

ENABLE, FLUSH, STOP, CHECK, FINAL, BIG, SUPPRESS = 1, 2, 4, 8, 16, 32, 1 << 9
WHOLE = ENABLE | FLUSH | STOP | CHECK | FINAL
STATE, ACCUMULATED, HISTORY_AT, HISTORY = 0x434, 0x1B8, 0x4E4, 0x4E8


def ignored(bits: int) -> int:
    return bits << 6


def all_of(stream: bytes, room: int = 1 << 16, **options: object) -> Done:
    """One job without an AECS."""
    return Client().run(DECOMPRESS, stream, room, aecs=False, **{"job_flags": WHOLE, **options})  # type: ignore[arg-type]


def test_one_job_is_the_stream_inflated() -> None:
    rng = random.Random(2)
    for count in (1, 30, 4000):
        data = text(rng, count)
        done = all_of(raw_deflate(data))
        assert (done.status, done.output, done.size) == (1, data, len(data))
        assert (done.crc, done.xor, done.bits) == (zlib.crc32(data), xor_of(data), 0)
    assert all_of(raw_deflate(data), flags=CASTAGNOLI).crc == google_crc32c.value(data)


def test_bytes_after_the_end_are_ignored_and_a_missing_end_is_an_error() -> None:
    stream = raw_deflate(b"to the end" * 20)
    assert all_of(stream + b"more of something else").output == b"to the end" * 20
    done = all_of(stream[:-3])
    assert (done.status, done.error) == (0x0A, 15) and "analytics error 15" in done.outcome.reason
    assert all_of(stream[:-3], job_flags=ENABLE | FLUSH).status == 1  # nobody asked


def test_an_error_has_its_code_and_no_result() -> None:
    lines = random.Random(1).randbytes(300)
    done = all_of(raw_deflate(lines + random.Random(2).randbytes(6000) + lines, 9, window=15))
    assert (done.status, done.error, done.size, done.crc) == (0x0A, 17, 0, 0)
    assert done.outcome.reason == "analytics error 17: a distance beyond the window of 4096 bytes"


@pytest.mark.parametrize("room", [1, 9, 100, 5000])
@pytest.mark.parametrize("step", [1, 7, 300, 1 << 20])
def test_a_stream_goes_on_over_any_input_and_any_room(room: int, step: int) -> None:
    """Every job reads one AECS and writes the other; where the output overflows, the rest of the input is given again."""
    data = text(random.Random(room * step), 90)
    stream, client, out, at, jobs, overflows = raw_deflate(data), Client(), b"", 0, 0, 0
    while True:
        piece, last = stream[at : at + step], at + step >= len(stream)
        flags = (READ if jobs else 0) | (OVERFLOW if last else WRITE) | (SELECT if jobs % 2 else 0)
        done = client.run(DECOMPRESS, piece, room, job_flags=WHOLE if last else ENABLE | STOP | FINAL, flags=flags)
        out, jobs = out + done.output, jobs + 1
        assert done.status in (1, 0x0B), done.outcome
        assert done.status == 0x0B or done.outcome.bytes_completed == 0
        if done.status == 0x0B:
            assert done.size == room and "no room" in done.outcome.reason
            overflows, at = overflows + 1, at + done.completed
        elif last:
            break
        else:
            at += len(piece)
    assert (out, done.crc) == (data, zlib.crc32(data))
    assert overflows or room > len(data) or step < 300


def test_without_flush_whole_words_are_written() -> None:
    data, client = b"0123456789abcdefghijk", Client()
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -12)
    first = squeezed.compress(data) + squeezed.flush(zlib.Z_SYNC_FLUSH)
    second = squeezed.compress(b"lm") + squeezed.flush()
    done = client.run(DECOMPRESS, first, 100, job_flags=ENABLE, flags=WRITE)
    assert (done.size, done.output, done.crc) == (16, data[:16], zlib.crc32(data))
    done = client.run(DECOMPRESS, second, 100, job_flags=WHOLE, flags=READ | SELECT)
    assert (done.output, done.crc) == (data[16:] + b"lm", zlib.crc32(data + b"lm"))


def test_the_written_aecs_is_alone_and_may_be_moved() -> None:
    data = text(random.Random(9), 3000)
    stream, client = raw_deflate(data), Client()
    client.aecs.data[:] = b"\xaa" * len(client.aecs.data)
    first = client.run(DECOMPRESS, stream[:2500], len(data), job_flags=ENABLE, flags=WRITE)
    kept = bytes(client.aecs.data)
    assert kept[:0x1500] == b"\xaa" * 0x1500 and kept[0x1500:] != b"\xaa" * 0x1500
    other = Client()
    other.aecs.data[:0x1500] = kept[0x1500:]
    second = other.run(DECOMPRESS, stream[2500:], len(data), job_flags=WHOLE, flags=READ | OVERFLOW)
    assert first.output + second.output == data and second.crc == zlib.crc32(data)
    assert bytes(other.aecs.data[0x1500:]) == bytes(0x1500)  # no overflow: not written


def block_header(stream: bytes) -> int:
    """How many bits the header of the first block has: the least after which the parser stands at a token."""
    for bits in range(3, 8 * len(stream)):
        client = Client(0x4E0)
        size = (bits + 7) // 8
        flags = ENABLE | SUPPRESS | ignored(-bits % 8)
        done = client.run(DECOMPRESS, stream[:size], 0, job_flags=flags, flags=WRITE | SELECT)
        assert done.status == 1, done.outcome
        if struct.unpack_from("<H", client.aecs.data, STATE)[0] & ~4 == 0:
            return bits
    raise AssertionError("no header")


def test_a_header_alone_then_bodies_from_its_tables() -> None:
    """Canned mode: one job reads the header, any number of jobs decode with the tables it left."""
    data = bytes(random.Random(4).choices(b"aaaabbc\n", k=3000))
    stream = raw_deflate(data, 9, zlib.Z_HUFFMAN_ONLY)
    bits, client = block_header(stream), Client(0x4E0)
    assert bits > 60  # a dynamic header
    head = client.run(DECOMPRESS, stream[: (bits + 7) // 8], 0, job_flags=ENABLE | SUPPRESS | ignored(-bits % 8), flags=WRITE | SELECT)
    assert (head.status, head.size) == (1, 0)
    assert struct.unpack_from("<H", client.aecs.data, STATE) == (4,)
    body = int.from_bytes(stream, "little") >> bits
    struct.pack_into("<H", client.aecs.data, STATE, 0)
    for _ in range(2):
        done = client.run(DECOMPRESS, body.to_bytes(len(stream), "little"), 5000, job_flags=ENABLE | FLUSH | STOP, flags=READ)
        assert done.output == data
    # Or with the first bits in the input accumulator, as who begins in the middle of a byte does.
    shift = bits % 8
    client.aecs.data[0xB8], client.aecs.data[ACCUMULATED] = stream[bits // 8] >> shift, 8 - shift
    done = client.run(DECOMPRESS, stream[bits // 8 + 1 :], 5000, job_flags=ENABLE | FLUSH | STOP, flags=READ)
    assert done.output == data


def test_tables_that_a_program_writes() -> None:
    """Huffman-only streams: literals alone, canonical codes in format 1, the end told by the bits to be ignored."""
    lengths = bytearray(256)
    for symbol, length in ((97, 1), (98, 2), (99, 3), (100, 3)):
        lengths[symbol] = length
    codes = {symbol: (code, length) for symbol, length, code in canonical(bytes(lengths))}
    many, first, places, symbols = [0, 1, 1, 2], [0, 0, 0b10, 0b110], [0, 0, 1, 2], b"abcd"
    client, data = Client(0x4E0), b"abacadabba" * 5

    def packed(fields: list[int]) -> bytes:
        return struct.pack("<I16x", fields[1] | fields[2] << 2 | fields[3] << 5)

    client.aecs.data[0x1E0:0x21C] = packed(places) + packed(many) + packed(first)
    client.aecs.data[0x328:0x32C] = symbols
    text_bits = "".join(f"{codes[byte][0]:0{codes[byte][1]}b}" for byte in data)
    stream = int(text_bits[::-1], 2).to_bytes((len(text_bits) + 7) // 8, "little")
    flags = ENABLE | FLUSH | ignored(-len(text_bits) % 8)
    done = client.run(DECOMPRESS, stream, 100, job_flags=flags, flags=READ)
    assert (done.status, done.output) == (1, data), done.outcome
    even = stream + bytes(len(stream) % 2)
    turned = b"".join(int(f"{int.from_bytes(even[at : at + 2], 'little'):016b}"[::-1], 2).to_bytes(2, "little")
                      for at in range(0, len(even), 2))  # fmt: skip
    done = client.run(DECOMPRESS, turned, 100, job_flags=ENABLE | FLUSH | BIG, flags=READ)
    assert done.output.startswith(data) and set(done.output[len(data) :]) <= {97}  # padding is "a" again and again


def test_a_dictionary_is_history() -> None:
    words = b"the dictionary of the stream"
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -12, zdict=words)
    stream, client = squeezed.compress(words * 2) + squeezed.flush(), Client()
    struct.pack_into("<H", client.aecs.data, STATE, 1)
    struct.pack_into("<H", client.aecs.data, HISTORY_AT, len(words))
    client.aecs.data[HISTORY : HISTORY + len(words)] = words
    assert client.run(DECOMPRESS, stream, 100, job_flags=WHOLE, flags=READ).output == words * 2
    assert all_of(stream).error == 18


def test_verification_writes_nothing_but_checksums() -> None:
    data = b"verify" * 100
    done = all_of(raw_deflate(data), 1, job_flags=WHOLE | SUPPRESS)
    assert (done.status, done.size, done.crc, done.outcome.status) == (1, 0, zlib.crc32(data), 1)


def test_an_index_names_every_mini_block() -> None:
    """Each entry is a bit offset and the CRC of what comes before; from there its mini-block can be decoded."""
    blocks = [text(random.Random(seed), 200)[:1300].ljust(1300, b".") for seed in (1, 2)]
    squeezed = zlib.compressobj(6, zlib.DEFLATED, -12, 9)
    stream, data = b"", b"".join(blocks)
    for block in blocks[:1]:
        for at in range(0, len(block), 512):
            stream += squeezed.compress(block[at : at + 512]) + squeezed.flush(zlib.Z_FULL_FLUSH)
    stream += squeezed.flush()
    client = Client()
    struct.pack_into("<H", client.aecs.data, STATE, 1)
    struct.pack_into("<I", client.aecs.data, 0xB4, 1000)  # where the program says that the stream begins
    done = client.run(DECOMPRESS, stream, 1000, job_flags=WHOLE | SUPPRESS | 1 << 10, flags=READ)
    assert done.status == 1, done.outcome
    entries = list(struct.iter_unpack("<II", done.output))
    # Three blocks of data, an empty stored one behind each, and a last empty one: M + 2B = 3 + 2 * 7.
    assert len(entries) == 3 + 2 * 7 and entries == sorted(entries, key=lambda entry: entry[0])
    places = {crc: at for at in range(1301) for crc in [zlib.crc32(data[:at])]}
    assert [places[crc] for _, crc in entries if places[crc] in (0, 512, 1024)] and places[entries[-1][1]] == 1300
    assert all(places[crc] in (0, 512, 1024, 1300) for _, crc in entries)
    assert 0 <= 1000 + 8 * len(stream) - entries[-1][0] < 8


def test_matches_must_not_leave_their_mini_block() -> None:
    data = b"x" * 600
    assert all_of(raw_deflate(data), job_flags=WHOLE | SUPPRESS | 1 << 10).error == 27
    data = random.Random(1).randbytes(512) * 2
    assert all_of(raw_deflate(data), job_flags=WHOLE | SUPPRESS | 1 << 10).error == 26


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"job_flags": WHOLE | 1 << 14}, 0x30, "bits 13 to 15"),
        ({"job_flags": FLUSH}, 0x30, "bit 0 is set"),
        ({"job_flags": WHOLE | 1 << 10}, 0x30, "index"),
        ({"room": 1 << 31 | 1}, 0x13, "maximum destination size"),
        ({"size": 0, "room": 0}, 0x13, "source 1 size 0"),
        ({"job_flags": WHOLE | BIG, "size": 3}, 0x32, "odd"),
        ({"flags": 2 << 16}, 0x11, "read in way 2"),
        ({"flags": 3 << 18}, 0x11, "written in way 3"),
        ({"flags": READ}, 0x13, "AECS size 0"),
        ({"flags": READ, "aecs_size": 0x1510}, 0x1C, "not a multiple of 32"),
        ({"flags": 1 << 7}, 0x11, "check result"),
    ],
)
def test_what_is_refused(options: dict[str, object], status: int, words: str) -> None:
    options = {"size": 2, "room": 16, "job_flags": WHOLE, **options}
    client = Client(int(str(options.pop("aecs_size", 0x1500))))
    size, room = options.pop("size"), options.pop("room")
    outcome = client.refused(DECOMPRESS, size, room, aecs=client.aecs_size != 0x1500, **options)  # type: ignore[arg-type]
    assert outcome.status == status and words in outcome.reason, outcome


@pytest.mark.parametrize(
    ("at", "data"),
    [(STATE, b"\x03\0"), (STATE, b"\x00\0"), (0xB0, b"\x0a"), (ACCUMULATED, b"\x41"), (HISTORY_AT, b"\x01\x20"), (0x43A, b"\xff\xff")],
)
def test_an_aecs_that_no_device_wrote_is_an_error(at: int, data: bytes) -> None:
    client = Client()
    struct.pack_into("<H", client.aecs.data, STATE, 1)
    client.aecs.data[at : at + len(data)] = data
    done = client.run(DECOMPRESS, raw_deflate(b"x"), 10, job_flags=WHOLE, flags=READ)
    assert (done.status, done.error) == (0x0A, 22), done.outcome


def test_faults_tell_their_address() -> None:
    stream = raw_deflate(random.Random(1).randbytes(9000))
    client = Client()
    done = client.run(DECOMPRESS, stream, 20000, job_flags=WHOLE, aecs=False, absent={(SOURCE >> 12) + 1})
    assert (done.status, done.outcome.fault_address, done.completed) == (3, SOURCE + 4096, 4096)
    done = client.run(DECOMPRESS, stream, 20000, job_flags=WHOLE, flags=READ, absent={AECS >> 12})
    assert (done.status, done.outcome.fault_address) == (3, AECS)
