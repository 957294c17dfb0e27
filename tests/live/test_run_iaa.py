"""Programs that use IAA: one of our own, and intel/idxd-config's iaa_test where it is installed."""

import shutil
import textwrap

import pytest
from running import run, run_python

IAA = """
import zlib
portal, _ = open_portal("/dev/iax/wq1.0")
record, source, out, aecs = Buffer(64), Buffer(1 << 20), Buffer(1 << 21), Buffer(2 * 0x1500)

def job(op, size, room, job_flags, flags=0, source_2=(0, 0), filters=0, elements=0, at=None):
    record.data.raw = bytes(64)
    raw = struct.pack("<IIQQQIHH", 0, op << 24 | flags | CRAV | RCR | BOF, record.address, at or source.address, out.address,
                      size, 0, job_flags)
    submit(portal, raw + struct.pack("<QIIII", source_2[0], room, source_2[1], filters, elements))
    status = wait(record)
    return status, *struct.unpack_from("<BxxI", record.data.raw, 1), *struct.unpack_from("<IBxHIIII", record.data.raw, 24)
"""


def test_a_program_compresses_and_decompresses() -> None:
    """Fixed codes from an AECS, then back in two jobs, as the first output buffer is too small."""
    done = run_python(
        IAA + textwrap.dedent("""
        data = b"".join(b"record %d of the queue\\n" % (number * number % 977) for number in range(30000))
        source.data[:len(data)] = data
        codes = [8 << 15 | 0x30 + n for n in range(144)] + [9 << 15 | 0x190 + n for n in range(112)]
        codes += [7 << 15 | n for n in range(24)] + [8 << 15 | 0xC0 + n for n in range(6)]
        aecs.data[:0x620] = (struct.pack("<28xII252x286I8x", 3, 3, *codes) + struct.pack("<30I8x", *(5 << 15 | n for n in range(30))))
        made = job(0x43, len(data), 1 << 20, 2 | 1 << 2, 1 << 16, (aecs.address, 0x620))
        packed = out.data[:made[3]]
        print(made[:3], zlib.decompressobj(-15).decompress(packed) == data, made[6] == zlib.crc32(data), len(packed) < len(data) // 2)
        aecs.data[:] = bytes(2 * 0x1500)
        source.data[:len(packed)] = packed
        first = job(0x42, len(packed), 300000, 0x1F, 2 << 18, (aecs.address, 0x1500))
        half = out.data[:first[3]]
        second = job(0x42, len(packed) - first[2], 1 << 20, 0x1F, 1 << 16 | 2 << 18 | 1 << 22, (aecs.address, 0x1500),
                     at=source.address + first[2])
        print(first[0], first[1], first[3], second[0], half + out.data[:second[3]] == data, second[6] == zlib.crc32(data))
        """),
        "--wq",
        "shared,device=iax1",
    )
    assert done.out == "(1, 0, 0) True True True\n11 0 300000 1 True True\n", (done.out, done.err)
    assert "0x0b output buffer overflow 1" in done.err


def test_a_stream_with_a_larger_window_is_refused_as_on_hardware() -> None:
    """What zlib makes by default goes back up to 32768 bytes; IAA sees 4096."""
    done = run_python(
        IAA + textwrap.dedent("""
        line = os.urandom(200)
        squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = squeezed.compress(line + os.urandom(6000) + line) + squeezed.flush()
        source.data[:len(packed)] = packed
        print(job(0x42, len(packed), 1 << 20, 0x1F)[:2])
        """),
        "--wq",
        "shared,device=iax1",
    )
    assert done.out == "(10, 17)\n", done.err
    assert "analytics error 17: a distance beyond the window of 4096 bytes" in done.err


ENCODED = {0x42: "decompress", 0x43: "compress"}


@pytest.mark.parametrize("opcode", ENCODED)
def test_iaa_test_of_idxd_config_passes(opcode: int) -> None:
    program = shutil.which("iaa_test")
    if not program:
        pytest.skip("iaa_test of intel/idxd-config is not installed")
    for mode, size in ((0, 4096), (1, 1 << 20)):
        options = ("--wq", "shared,device=iax1", "--wq", "dedicated,device=iax1")
        done = run(program, "-w", str(mode), "-l", str(size), "-o", hex(opcode), "-f", "1", "-t", "5000", options=options)
        assert done.code == 0, done.err
        assert done.report["operations"][ENCODED[opcode]] >= 1, done.report
