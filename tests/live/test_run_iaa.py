"""Programs that use IAA: one of our own, and intel/idxd-config's iaa_test where it is installed."""

import shutil
import textwrap
from pathlib import Path

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


TOO_FAR = IAA + textwrap.dedent("""
    line, squeezed = os.urandom(200), zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = squeezed.compress(line + os.urandom(6000) + line) + squeezed.flush()
    source.data[:len(packed)] = packed
    print(job(0x42, len(packed), 1 << 20, 0x1F)[:2])
    """)


def test_a_stream_with_a_larger_window_is_refused_as_on_hardware() -> None:
    """What zlib makes by default goes back up to 32768 bytes; IAA sees 4096."""
    done = run_python(TOO_FAR, "--wq", "shared,device=iax1")
    assert done.out == "(10, 17)\n", done.err
    assert "analytics error 17: a distance beyond the window of 4096 bytes" in done.err


CHECKED = {
    "no-op": (0x00, 4096, ()),
    "translation fetch": (0x0A, 4096, ()),
    "decompress": (0x42, 1 << 20, ()),
    "compress": (0x43, 1 << 20, ()),
    "CRC64": (0x44, 4096, ("-1", "0x8000")),
    "decrypt": (0x40, 4096, ("-a", "0x0101")),
    "encrypt": (0x41, 65536, ("-a", "0x0301")),
    "zero decompress 32": (0x48, 4096, ()),
    "zero decompress 16": (0x49, 4096, ()),
    "zero decompress 8": (0x4A, 4096, ()),
    "zero compress 32": (0x4C, 4096, ()),
    "zero compress 16": (0x4D, 4096, ()),
    "zero compress 8": (0x4E, 4096, ()),
    "scan": (0x50, 65536, ("-2", "0x7c", "-3", "16384")),
    "set membership": (0x51, 65536, ("-2", "0x38", "-3", "32768")),
    "extract": (0x52, 65536, ("-2", "0x7c", "-3", "16384")),
    "select": (0x53, 65536, ("-2", "0x7c", "-3", "16384")),
    "RLE burst": (0x54, 1024, ("-2", "0x7c", "-3", "256")),
    "find unique": (0x55, 65536, ("-2", "0x38", "-3", "32768")),
    "expand": (0x56, 65536, ("-2", "0x7c", "-3", "16384")),
}
"""Operation: its code, the length, and further options of iaa_test as its own runner gives them."""


def test_iaa_test_of_idxd_config_passes(tmp_path: Path) -> None:
    program = shutil.which("iaa_test")
    if not program:
        pytest.skip("iaa_test of intel/idxd-config is not installed")
    devices = tmp_path / "devices.toml"
    queue = '[[device.wq]]\nmode = "{}"\nsize = 16\n'
    device = '[[device]]\nname = "iax1"\nversion = 0x200\nop_cap = "007f771f,00000000,0000040d"\n'
    devices.write_text(device + queue.format("shared") + queue.format("dedicated"))
    for name, (opcode, size, more) in CHECKED.items():
        for mode in ("0", "1"):
            command = (program, "-w", mode, "-l", str(size), "-o", hex(opcode), "-f", "1", "-t", "5000", *more)
            done = run(*command, options=("--devices", str(devices)))
            assert done.code == 0, (name, done.err)
            assert done.report["operations"][name] >= 1 and list(done.report["statuses"]) == ["0x01 success"], (name, done.report)


def test_others_have_their_turn_while_a_few_bytes_stand_for_many_elements() -> None:
    """A run of 2**27 - 1 equal elements, read four times, of which none is wanted; another thread submits meanwhile."""
    done = run_python(
        IAA + textwrap.dedent("""
        import threading
        times, ready = [], threading.Event()
        def others():
            own = Buffer(64)
            ready.set()
            while not times or times[-1]:
                own.data.raw = bytes(64)
                submit(portal, descriptor(NOOP, own.address))
                wait(own)
                if times:
                    times.append(record.data.raw[0] == 0)
                time.sleep(0.005)
        thread = threading.Thread(target=others)
        thread.start()
        ready.wait()
        source.data[:1 + 6 * 4] = b"\\x01" + b"\\xfe\\xff\\xff\\x7f\\x01" * 4 + bytes(4)
        aecs.data[8:16] = struct.pack("<II", 1, 0)
        times.append(True)
        print(job(0x52, 21, 64, 0, 1 << 16, (aecs.address, 0x20), 2, 4 * ((1 << 26) - 1)))
        times.append(False)
        thread.join()
        print(sum(times) > 5)
        """),
        "--wq",
        "shared,device=iax1",
    )  # fmt: skip
    first, _, rest = done.out.partition("\n")
    assert first.startswith("(1, 0, 0, 0, 0,") and rest == "True\n", (done.out, done.err)
