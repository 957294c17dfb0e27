"""Submissions that do not stop: what they do is what the trap does, and nobody notices."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from running import HERE, run, run_python
from tries_place import build

from harness import some

pytestmark = pytest.mark.needs_run

SUBMIT = """
    import sys
    portal, _ = open_portal(sys.argv[1])
    source, target = Buffer(64), Buffer(64)
    record, place = Buffer(32), Buffer(64)
    place.data.raw = descriptor(MOVE, record.address, source.address, target.address, 64, CRAV | RCR | BOF)
    instruction = enqcmd if sys.argv[1].endswith("0") else movdir64b
    good = 0
    for number in range(100):
        source.data.raw, record.data.raw = bytes([number]) * 64, bytes(32)
        while instruction(portal, place.address) and instruction is enqcmd:
            pass
        good += wait(record) == 1 and bytes(source) == bytes(target)
    print(good)
"""


COMPARE = """
    import sys
    portal, _ = open_portal(sys.argv[1])
    first, second = Buffer(64), Buffer(64)
    record, place = Buffer(32), Buffer(64)
    instruction = enqcmd if sys.argv[1].endswith("0") else movdir64b
    good = 0
    for number in range(100):
        first.data.raw = bytes([number % 3 == 0]) * 64
        record.data.raw, expected = bytes(32), number % 2
        place.data.raw = descriptor(5, record.address, first.address, second.address, 64, CRAV | RCR | BOF | 0x80, bytes([expected]))
        instruction(portal, place.address)
        good += wait(record) == 1 + ((number % 3 == 0) != expected)
    print(good)
"""


def _script(name: str, *words: str, timeout: float = 60) -> tuple[str, int]:
    done = run(sys.executable, str(HERE / name), *words, timeout=timeout)
    assert done.code == 0, done.err
    return done.out.strip(), done.report["in_process"]


def test_random_descriptors_end_as_the_definition_says() -> None:
    """More of them: PASIDLAB_DESCRIPTORS=100000, some minutes."""
    count = int(os.environ.get("PASIDLAB_DESCRIPTORS", "800"))
    out, in_process = _script("differ_program.py", str(count), "3", timeout=60 + count / 100)
    assert out.startswith("0 []"), out
    assert in_process > count / 4
    assert int(out.split()[-1]) > 8  # statuses, among them faults


def test_every_form_of_operand_keeps_registers_and_flags() -> None:
    out, in_process = _script("forms_program.py", "16", "5")
    assert (out, in_process) == ("0 []", 16 * (16 - 8) - 2)  # a thread of a trap more; and one for MOVDIR64B


@pytest.fixture(scope="module")
def often(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program."""
    place = tmp_path_factory.mktemp("programs")
    if why := build(place):
        pytest.skip(why)
    return place / "often"


_AS_IT_HAPPENS = ("threads", "children", "jumps", "signals", "exec", "taken", "killed", "at once")
"""Ways in which the number of submissions without a stop is not always the same."""


@pytest.mark.parametrize(
    ("way", "submissions", "least"),
    [
        ("threads", 9600, 5000), ("gs", 100, 41), ("steps", 60, 30), ("stack", 100, 91), ("untraced", 101, 91),
        *some([("exec", 0, 91), ("children", 1900, 1200), ("unmapped", 100, 41), ("jumps", 0, 100), ("signals", 0, 10), ("filter", 100, 91),
               ("room", 52, 0), ("threads clear", 9600, 5000), ("gs clear", 100, 41), ("steps clear", 60, 30), ("exec clear", 0, 91),
               ("unmapped clear", 100, 41), ("jumps clear", 0, 100), ("untraced clear", 101, 91), ("children clear", 1900, 1200),
               ("killed clear", 0, 91), ("stack clear", 100, 91)], 2),
        ("signals clear", 0, 10), ("filter clear", 100, 41), ("taken clear", 3000, 1), ("at once clear", 0, 91),
    ],
)  # fmt: skip
def test_nobody_notices(way: str, submissions: int, least: int, often: Path) -> None:
    """``clear``: the descriptors do not ask to block on faults."""
    name, clear, _ = way.partition(" clear")
    done = run(str(often), name, *clear.split())
    assert (done.code, done.out) == (0, "0 wrong, 0 outside\n"), done.err
    assert done.report["submissions"] == submissions or not submissions
    assert done.report["in_process"] >= least
    if name not in _AS_IT_HAPPENS:
        assert done.report["in_process"] == least


@pytest.mark.parametrize(("queue", "script"), [("/dev/dsa/wq0.0", SUBMIT), ("/dev/dsa/wq0.1", SUBMIT), ("/dev/dsa/wq0.0", COMPARE)])
def test_the_summary_is_that_of_the_trap(queue: str, script: str) -> None:
    quick, exact = (run_python(script, *options, arguments=(queue,)) for options in ((), ("--exact",)))
    assert quick.out == exact.out == "100\n", quick.err + exact.err
    assert (quick.report.pop("in_process"), exact.report.pop("in_process")) == (91, 0)
    quick.report["threads"], exact.report["threads"] = ([*one.report["threads"].values()] for one in (quick, exact))
    assert quick.report == exact.report


SWAPS = """
    import signal, time
    size, count = 1 << 17, 400
    portal, _ = open_portal()
    regions = [Buffer(size, 4096) for _ in range(3)]
    listed, records, place = Buffer(64 * 3), Buffer(32 * 4), Buffer(64)
    for number, (source, target) in enumerate([(0, 2), (1, 0), (2, 1)]):
        raw = descriptor(MOVE, records.address + 32 * number, regions[source].address, regions[target].address, size, CRAV | RCR | BOF)
        listed.data[64 * number : 64 * number + 64] = raw
    place.data.raw = descriptor(1, records.address + 96, listed.address, 0, 3, CRAV | RCR)
    came = []
    signal.signal(signal.SIGALRM, lambda *_: came.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    good = 0
    for number in range(count):
        for region, byte in zip(regions, (number, number + 1, 9)):
            ctypes.memset(region.address, byte & 255, size)
        records.data.raw = bytes(128)
        enqcmd(portal, place.address)
        whole = all(bytes(region) == bytes([byte & 255]) * size for region, byte in zip(regions, (number + 1, number, number)))
        good += whole and bytes(records) == (b"\\1".ljust(32, b"\\0") * 3 + b"\\1\\0\\0\\0\\3".ljust(32, b"\\0"))
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(good, len(came) > 20)
"""


def test_a_batch_that_a_signal_interrupts_is_carried_out_once() -> None:
    """It swaps two regions: begun again, it would not."""
    done = run_python(SWAPS)
    assert done.out == "400 True\n", done.err
    assert done.report["operations"] == {"batch": 400, "memory move": 1200}
    assert done.report["statuses"] == {"0x01 success": 1600}
    assert (done.report["submissions"], done.report["bytes"]) == (400, 1200 << 17)
    assert 100 < done.report["in_process"] < 400


@pytest.mark.parametrize(
    "options",
    some(["--exact", "--delay 1", "--reorder 1", "--retry 0.1", "--error 0x20@200", "--chaos 3", "--trace /dev/null",
          "--core /dev/shm/pasidlab-test-core"], 2),
)  # fmt: skip
def test_order_and_chance_are_decided_at_the_trap(options: str) -> None:
    done = run_python(SUBMIT, *options.split(), arguments=("/dev/dsa/wq0.0",))
    assert (done.out, done.report["in_process"]) == ("100\n", 0), done.err


def test_pages_that_are_not_in_memory_are_seen_where_nobody_blocks_on_them() -> None:
    done = run_python("""
        portal, _ = open_portal()
        record, place, target = Buffer(32), Buffer(64), Buffer(64)
        fresh = libc.mmap(None, 4096 * 40, 3, 0x22, -1, 0)
        found = []
        for number in range(40):
            flags = CRAV | RCR | (BOF if number < 20 else 0)
            record.data.raw = bytes(32)
            place.data.raw = descriptor(MOVE, record.address, fresh + 4096 * number, target.address, 64, flags)
            enqcmd(portal, place.address)
            found.append(wait(record))
        print(found == [1] * 20 + [3] * 20)
    """)
    assert (done.out, done.report["in_process"]) == ("True\n", 11), done.err


@pytest.mark.parametrize(("pages", "least"), [(31, 91), (32, 0)])
def test_pages_that_are_in_memory_are_found_without_a_stop(pages: int, least: int) -> None:
    """As many as are asked for at once; a region that begins within a page takes one more."""
    done = run_python("""
        import sys
        size = 4096 * int(sys.argv[1])
        portal, _ = open_portal()
        record, place, source, target = Buffer(32), Buffer(64), Buffer(size, 4096), Buffer(size + 8, 4096)
        ctypes.memset(source.address, 1, size), ctypes.memset(target.address, 1, size + 8)
        place.data.raw = descriptor(MOVE, record.address, source.address, target.address + 8, size, CRAV | RCR)
        good = 0
        for number in range(100):
            ctypes.memset(source.address, number, size)
            record.data.raw = bytes(32)
            enqcmd(portal, place.address)
            good += wait(record) == 1 and target.data.raw[8:] == source.data.raw
        print(good)
    """, arguments=(str(pages),))  # fmt: skip
    assert (done.out, done.report["in_process"]) == ("100\n", least), done.err


def test_the_summary_counts_what_would_have_faulted() -> None:
    script = """
        portal, _ = open_portal()
        record, place, target = Buffer(32), Buffer(64), Buffer(64)
        fresh = libc.mmap(None, 4096 * 40, 3, 0x22, -1, 0)
        for number in range(40):
            if number % 3:
                ctypes.memset(fresh + 4096 * number, 1, 1)
            place.data.raw = descriptor(MOVE, record.address, fresh + 4096 * number, target.address, 64, CRAV | RCR)
            enqcmd(portal, place.address)
            wait(record)
    """
    quick, exact = (run_python(script, "--faults", "kind", *options) for options in ((), ("--exact",)))
    assert [one.report["would_fault"]["count"] for one in (quick, exact)] == [14, 14]
    assert quick.report["statuses"] == exact.report["statuses"] == {"0x01 success": 40}
    assert quick.report["in_process"] == 20


def test_code_that_the_program_makes_itself_is_left_alone() -> None:
    made = 'page = mmap.mmap(-1, 4096, prot=7)\n    page.write(bytes.fromhex("f20f38f83e0f94c00fb6c0c3"))\n'
    made += "    at = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
    made += "    enqcmd = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)(at)\n"
    done = run_python("\n    " + made + SUBMIT.lstrip("\n"), arguments=("/dev/dsa/wq0.0",))
    assert (done.out, done.report["in_process"]) == ("100\n", 0), done.err


def test_a_queue_that_is_disabled_or_a_portal_without_write_permission_stops_again() -> None:
    done = run_python(SUBMIT + """
    libc.mprotect(ctypes.c_void_p(portal), 4096, 0)
    print(died(lambda: instruction(portal, place.address)), flush=True)
    libc.mprotect(ctypes.c_void_p(portal), 4096, 2)
    record.data.raw = bytes(32)
    print(instruction(portal, place.address), wait(record))
    instruction(portal, place.address), instruction(portal, place.address)
    with open("/sys/bus/dsa/drivers/user/unbind", "w") as file:
        file.write("wq0.0")
    print(instruction(portal, place.address))
    """, "--isolation", "namespace", arguments=("/dev/dsa/wq0.0",))  # fmt: skip
    if "namespaces" in done.err and done.code == 2:
        pytest.skip(done.err)
    assert done.out == "100\n11\n0 1\n1\n", done.err
