"""Descriptors on the program's own memory: faults, perturbations, diagnosis, noise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import run_python

from harness import LONG
from pasidlab.accelerator.abi import STATUS_TEXT

pytestmark = pytest.mark.needs_run
LEGAL = frozenset(STATUS_TEXT) - {0x53}


def test_partial_completion_at_an_unmapped_page() -> None:
    done = run_python("""
        hole = libc.mmap(0x5A0000000000, 5 * 4096, 3, 0x22, -1, 0)
        libc.munmap(hole + 3 * 4096, 4096)
        ctypes.memset(hole, 7, 3 * 4096)
        target, record = Buffer(5 * 4096), Buffer(32)
        portal, _ = open_portal()
        submit(portal, descriptor(MOVE, record.address, hole + 100, target.address, 4 * 4096))
        status = wait(record)
        completed, fault = struct.unpack_from("<IQ", record.data.raw, 4)
        print(hex(status), completed == 3 * 4096 - 100, hex(fault - hole), bytes(target)[: completed + 1].count(7) ==
        completed)
        readonly = libc.mmap(None, 4096, 1, 0x22, -1, 0)
        record.data.raw = bytes(32)
        submit(portal, descriptor(MOVE, record.address, target.address, readonly, 64))
        print(hex(wait(record)), struct.unpack_from("<Q", record.data.raw, 8)[0] == readonly)
    """)
    assert done.out.split("\n")[:2] == ["0x3 True 0x3000 True", "0x83 True"], done.err
    assert any(problem["kind"] == "page fault" for problem in done.report["problems"])


STRICT = """
    fresh = libc.mmap(0x5A0000000000, 4 * 4096, 3, 0x22, -1, 0)
    source, record = Buffer(4 * 4096), Buffer(32)
    ctypes.memset(fresh, 1, 1)  # only the first page is there
    portal, _ = open_portal()
    for flags in (CRAV | RCR, CRAV | RCR | BOF):
        record.data.raw = bytes(32)
        submit(portal, descriptor(MOVE, record.address, source.address, fresh, 4 * 4096, flags))
        print(hex(wait(record)), *struct.unpack_from("<IQ", record.data.raw, 4))
"""


@pytest.mark.parametrize("options", [(), ("--faults", "strict")])
def test_a_page_not_in_memory_ends_a_descriptor_that_does_not_block(options: tuple[str, ...]) -> None:
    done = run_python(STRICT, *options)
    assert done.out.split("\n")[:2] == [f"0x83 4096 {0x5A0000001000}", "0x1 0 0"], done.err
    (problem,) = done.report["problems"]
    assert "not in memory" in problem["advice"] and problem["advice"] in done.err
    assert done.report["faults"] == "strict" and ", faults strict; " in done.err
    assert done.report["would_fault"] == {"count": 0, "first": ""} and "would have faulted" not in done.err


def test_kind_faults_are_counted() -> None:
    done = run_python(STRICT, "--faults", "kind")
    assert done.out.split("\n")[:2] == ["0x1 0 0", "0x1 0 0"], done.err
    found = done.report["would_fault"]
    assert found["count"] == 1 and f"wq0.0: memory move, page at {0x5A0000001000:#x} not in memory" in found["first"]
    assert "1 descriptors without block on fault would have faulted on hardware (first: wq0.0: memory move" in done.err
    assert done.report["faults"] == "kind" and ", faults kind; " in done.err


FRESH = """
    portal, _ = open_portal()
    size = 4 << 20
    fresh = lambda: libc.mmap(None, size, 3, 0x22, -1, 0)
    def operate(op, first, second, tail=b"", flags=CRAV | RCR):
        record = Buffer(32)
        submit(portal, descriptor(op, record.address, first, second, size, flags, tail))
        return hex(wait(record)), int.from_bytes(record.data.raw[4:8], "little")
    here = fresh()
    ctypes.memset(here, 7, size)
    print(*(operate(op, here, fresh()) for op in (MOVE, 5, 17)), operate(FILL, 7, fresh()), operate(16, fresh(), 0),
          operate(6, fresh(), 7), operate(9, here, fresh(), struct.pack("<Q", fresh())))
    there = fresh()
    ctypes.memset(there, 7, size)
    print(*(operate(op, here, there) for op in (MOVE, 5, 17)), operate(FILL, 7, there), operate(16, here, 0))
    print(operate(5, here, fresh(), flags=CRAV | RCR | BOF))
    half = fresh()
    ctypes.memset(half, 7, size // 2)
    print(operate(MOVE, here, half), operate(5, half, here), operate(MOVE, half, here))
"""


def test_large_operations_meet_absent_pages_too() -> None:
    """They are carried out in the program's own thread only where every page is there."""
    done = run_python(FRESH)
    assert done.out.split("\n")[:4] == [
        "('0x83', 0) ('0x3', 0) ('0x83', 0) ('0x83', 0) ('0x3', 0) ('0x3', 0) ('0x83', 0)",
        "('0x1', 0) ('0x1', 0) ('0x1', 0) ('0x1', 0) ('0x1', 0)",
        "('0x1', 0)",
        "('0x83', 2097152) ('0x3', 2097152) ('0x3', 2097152)",
    ], done.err


def test_a_comparison_that_ends_before_the_absent_page_is_not_counted() -> None:
    script = """
        portal, _ = open_portal()
        record, first = Buffer(32), libc.mmap(None, 8192, 3, 0x22, -1, 0)
        second = Buffer(8192)
        ctypes.memset(first, 0, 4096)
        second.data[100] = 1
        submit(portal, descriptor(5, record.address, first, second.address, 8192))
        print(hex(wait(record)), record.data.raw[1], int.from_bytes(record.data.raw[4:8], "little"))
    """
    for options in ((), ("--faults", "kind")):
        done = run_python(script, *options)
        assert done.out == "0x1 1 100\n" and done.report["would_fault"]["count"] == 0, done.err


def test_retries_delays_reordering_and_errors_are_reproducible() -> None:
    script = """
        portal, _ = open_portal()
        records = [Buffer(32) for _ in range(30)]
        source, target = Buffer(64), Buffer(64)
        retries = [submit(portal, descriptor(MOVE, r.address, source.address, target.address, 64), tries=10**6) for r
        in records]
        statuses = [wait(r) for r in records]
        print(sum(retries), [hex(s) for s in statuses if s != 1], statuses.index(0x1c) if 0x1c in statuses else None)
    """
    plain = run_python(script, "--retry", "0.3", "--seed", "5", "--error", "0x1c@3")
    assert plain.out == run_python(script, "--retry", "0.3", "--seed", "5", "--error", "0x1c@3").out
    retries = int(plain.out.split()[0])
    assert 3 < retries < 40 and plain.report["retries"] == retries
    assert "['0x1c'] 2" in plain.out
    assert any("injected" in problem["what"] for problem in plain.report["problems"])
    other = run_python(script, "--retry", "0.3", "--seed", "6")
    assert other.out != plain.out
    late = run_python(script, "--reorder", "3", "--delay", "500", "--wq", "shared,size=8")
    assert late.out.split()[1] == "[]", late.err
    assert late.report["retries"] > 0, "eight descriptors fill the queue"


EVERYTHING = """
    portal, _ = open_portal()
    source, target = Buffer(64), Buffer(64)
    order = []
    for size in (1, 2, 3, 4, 5):
        records = [Buffer(32) for _ in range(12)]
        for number, record in enumerate(records):
            source.data[number] = number
            raw = descriptor(FILL, record.address, number * 0x0101010101010101, target.address, 8 * size)
            submit(portal, raw, tries=10**6)
        statuses = [wait(record) for record in records]
        print(statuses, bytes(target)[: 8 * size : 8].hex())  # the last fill of each round shows the order
"""


@pytest.mark.parametrize(
    "options",
    [
        ("--retry", "0.3", "--seed", "5"),
        ("--delay", "300"),
        ("--reorder", "9", "--wq", "shared,size=64"),
        ("--reorder", "9", "--delay", "200", "--wq", "shared,size=64"),
        ("--error", "0x1c@3", "--error", "0x83@20"),
        ("--chaos", "1"),
        ("--design", "late-locked", "--chaos", "3", "--retry", "0.1", "--error", "3@7"),
    ][:: 1 if LONG else 3],
)
def test_the_same_seed_gives_the_same_run(options: tuple[str, ...], tmp_path: Path) -> None:
    def once() -> tuple[str, object, object]:
        file = tmp_path / "trace.json"
        done = run_python(EVERYTHING, *options, "--trace", str(file))
        report = done.report | {"threads": list(done.report["threads"].values())}
        report["problems"] = [(p["kind"], p["count"]) for p in report["problems"]]
        events = [e for e in json.loads(file.read_text())["traceEvents"] if e["ph"] == "X"]
        lanes = {}
        for event in events:
            lanes.setdefault(event["tid"] == events[0]["tid"], []).append((event["name"], event["args"].get("status")))
        return done.out, report, sorted(lanes.values())

    first = once()
    assert first[0].count("\n") == 5
    assert first == once()


def test_pages_not_in_memory_hide_nothing() -> None:
    """They are no mistake of the program's: those of an instruction, operation and status are one. They come last, with advice once."""
    done = run_python("""
        portal, _ = open_portal()
        fresh, record, other = libc.mmap(0x5A0000000000, 40 * 4096, 3, 0x22, -1, 0), Buffer(32), Buffer(64)
        def submits(op, source, target, flags=CRAV | RCR):
            record.data.raw = bytes(32)
            submit(portal, descriptor(op, record.address, source, target, 64, flags))
            return hex(wait(record))
        print(*{submits(FILL, 7, fresh + page * 4096) for page in range(40)}, submits(MOVE, fresh, other.address),
              submits(FILL, 7, fresh - 4096), submits(FILL, 7, fresh, CRAV | RCR | 1 << 7))
    """)
    assert done.out == "0x83 0x3 0x83 0x11\n", done.err
    absent, read, unmapped, rejected = done.report["problems"]
    assert [one["count"] for one in done.report["problems"]] == [40, 1, 1, 1] and rejected["kind"] == "rejected"
    assert "page fault writing 0x5a0000000000 after 0 bytes" in absent["what"] and "0x59fffffff000" in unmapped["what"]
    assert "not in memory" in read["advice"] and done.err.count(read["advice"]) == 1
    assert (absent["advice"], unmapped["advice"]) == (read["advice"], "")
    told = [done.err.index(one["what"]) for one in (unmapped, rejected, absent, read)]
    assert told == sorted(told) and f"{absent['what']} (first of 40)\n" in done.err


def test_rejections_name_the_reason_the_instruction_and_the_counts() -> None:
    done = run_python("""
        portal, _ = open_portal()
        record = Buffer(32)
        submit(portal, descriptor(MOVE, record.address, 1, 2, 3, CRAV | RCR | 1 << 7))
        print(hex(wait(record)), hex(enqcmd.address))
    """)
    status, address = done.out.split()
    assert status == "0x11"
    problem = done.report["problems"][0]
    assert problem["kind"] == "rejected" and "check result" in problem["what"], problem
    assert problem["address"] == address
    assert address in done.err and problem["what"] in done.err


def test_what_iax_devices_do_not_do_is_said() -> None:
    done = run_python(
        """
        portal, _ = open_portal("/dev/iax/wq1.0")
        record, source = Buffer(64), Buffer(128)
        for op, *rest in ((0x41,), (NOOP,), (MOVE, source.address, source.address + 64, 64)):
            record.data.raw = bytes(64)
            submit(portal, descriptor(op, record.address, *rest))
            print(hex(wait(record)))
        """,
        "--wq",
        "shared,device=iax1",
    )
    assert done.out == "0x10\n0x1\n0x1\n", done.err
    (problem,) = done.report["problems"]
    assert problem["what"].endswith("opcode 0x41 (encrypt): not configured for this work queue")


def test_the_trace_has_a_lane_per_thread_and_queue(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    run_python(
        """
        import threading
        portal, _ = open_portal()
        dedicated, _ = open_portal("/dev/dsa/wq0.1")
        def work():
            move(portal, Buffer(64), Buffer(64), 64)
        threads = [threading.Thread(target=work) for _ in range(3)]
        [thread.start() or thread.join() for thread in threads]
        move(dedicated, Buffer(64), Buffer(64), 64, movdir64b)
        """,
        "--trace",
        str(file),
    )
    events = json.loads(file.read_text())["traceEvents"]
    lanes = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert {"wq0.0", "wq0.1"} < lanes and len(lanes) == 6
    spans = [event for event in events if event["ph"] == "X"]
    assert len(spans) == 8 and all(event["dur"] >= 0 for event in spans)
    assert sum(event["name"] == "memory move" for event in spans) == 4


FUZZ = """
    import random, sys
    sys.path.insert(0, sys.argv[1])
    from test_accelerator_fuzz import BASE, MORE, READ_ONLY, WRITABLE, plausible
    chance = random.Random(int(sys.argv[3]))
    arena = libc.mmap(BASE, WRITABLE + READ_ONLY + MORE, 3, 0x100022, -1, 0)  # MAP_FIXED_NOREPLACE
    assert arena == BASE
    readonly, more = BASE + WRITABLE, BASE + WRITABLE + READ_ONLY
    ctypes.memmove(readonly, chance.randbytes(READ_ONLY), READ_ONLY)
    libc.mprotect(ctypes.c_void_p(readonly), READ_ONLY, 1)
    before = ctypes.string_at(arena, WRITABLE + READ_ONLY + MORE)
    bell, ring = os.pipe()
    pid = os.fork()
    if pid == 0:  # another process, with memory of its own at the same addresses
        os.close(ring)
        os.read(bell, 1)
        os._exit(ctypes.string_at(arena, len(before)) != before)
    dedicated, _ = open_portal("/dev/dsa/wq0.1")
    portal, _ = open_portal()
    raw = Buffer(64)
    for number in range(int(sys.argv[2])):
        if number % 512 == 0:
            ctypes.memmove(arena, b"".join(plausible(chance) for _ in range(WRITABLE // 64)), WRITABLE)
            ctypes.memmove(more, chance.randbytes(MORE), MORE)
        words = chance.randbytes(64) if number % 5 == 0 else plausible(chance)
        raw.data.raw = bytes(4) + words[4:]
        if number % 3:
            enqcmd(portal, raw.address)
        else:
            movdir64b(dedicated, raw.address)
    os.close(ring)
    print(ctypes.string_at(readonly, READ_ONLY) == before[WRITABLE : WRITABLE + READ_ONLY], os.waitpid(pid, 0)[1])
"""
MACHINE = str(Path(__file__).parents[1] / "accelerator")


def test_random_descriptors_on_a_real_process() -> None:
    """Nothing crashes, every completion is legal, and only the program's own writable memory is written."""
    count = 100_000 if LONG else 15_000
    done = run_python(FUZZ, "--summary", "none", arguments=(MACHINE, str(count), "1"), timeout=240)
    assert (done.code, done.out) == (0, "True 0\n"), done.err
    assert done.report["submissions"] == count
    statuses = {int(text.split()[0], 16) for text in done.report["statuses"]}
    assert {status & 0x7F for status in statuses} <= LEGAL
    assert {status & 0x7F for status in statuses} >= {*range(1, 10), *range(0x10, 0x19), 0x1A, 0x1B, 0x1C}
    assert {0x83, 0x84} <= statuses


def test_large_moves_and_fills_stop_exactly_at_a_fault() -> None:
    done = run_python("""
        size = 4 << 20
        base = libc.mmap(0x5A0000000000, 2 * size, 3, 0x22, -1, 0)
        far = libc.mmap(0x5B0000000000, 2 * size, 3, 0x22, -1, 0)
        ctypes.memset(base, 0x11, size)
        ctypes.memmove(base + 12345, b"needle", 6)
        record = Buffer(32)
        portal, _ = open_portal()
        def run(op, first, second, length):
            record.data.raw = bytes(32)
            submit(portal, descriptor(op, record.address, first, second, length))
            return hex(wait(record)), *struct.unpack_from("<IQ", record.data.raw, 4)
        same = lambda length: ctypes.string_at(base, length) == ctypes.string_at(far + 7, length)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSEGV, signal.SIGUSR1})
        print(run(MOVE, base, far + 7, size), same(size))
        print(run(FILL, 0x0807060504030201, far, size + 13), ctypes.string_at(far + size, 14).hex())
        libc.munmap(far + 3 * 4096 + size // 2, 4096)
        print(run(MOVE, base, far + 7, size) == ("0x83", 3 * 4096 + size // 2 - 7, far + 3 * 4096 + size // 2))
        print(run(MOVE, far + 1, base, size) == ("0x3", 3 * 4096 + size // 2 - 1, far + 3 * 4096 + size // 2))
        libc.mprotect(ctypes.c_void_p(base + size // 2), 4096, 1)
        print(run(FILL, 0, base, size) == ("0x83", size // 2, base + size // 2))
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []) - before == {signal.SIGSEGV, signal.SIGUSR1})
        print(run(MOVE, base, base + 64, size // 4)[0], signal.getsignal(signal.SIGSEGV) == signal.SIG_DFL)
    """, "--faults", "kind")  # fmt: skip
    assert done.out.split("\n")[:7] == [
        "('0x1', 0, 0) True",
        "('0x1', 0, 0) 0102030405060708010203040500",
        "True",
        "True",
        "True",
        "True",
        "0x1 True",
    ], done.err


def test_large_compares_and_checksums_are_exact_to_the_byte() -> None:
    done = run_python("""
        import google_crc32c
        size = 32 << 20
        one = libc.mmap(0x5A0000000000, size, 3, 0x22, -1, 0)
        two = libc.mmap(0x5B0000000000, size, 3, 0x22, -1, 0)
        ctypes.memmove(one, os.urandom(1 << 20) * 32, size)
        ctypes.memmove(two, one, size)
        record = Buffer(32)
        portal, _ = open_portal()
        def run(op, first, second, length, tail=b""):
            record.data.raw = bytes(32)
            submit(portal, descriptor(op, record.address, first, second, length, tail=tail))
            status = wait(record)
            return hex(status), record.data.raw[1], *struct.unpack_from("<IQI", record.data.raw, 4)
        crc = lambda at, length, seed=0: google_crc32c.extend(seed, ctypes.string_at(at, length))
        print(run(5, one + 1, two + 1, size - 1)[:3])
        ctypes.memset(two + size - 77, ctypes.string_at(one + size - 77, 1)[0] ^ 4, 1)
        print(run(5, one, two, size)[:3] == ("0x1", 1, size - 77))
        print(run(16, one + 3, 0, size - 7, struct.pack("<I", 5))[4] == crc(one + 3, size - 7, 5))
        print(run(17, one, two + 4096, size - 4096)[4] == crc(one, size - 4096),
              ctypes.string_at(one, size - 4096) == ctypes.string_at(two + 4096, size - 4096))
        hole = two + size // 2
        libc.munmap(hole, 4096)
        ctypes.memmove(two, one, size // 2)
        print(run(5, one + 9, two + 9, size - 9)[:4] == ("0x3", 0, size // 2 - 9, hole))
        print(run(16, two + 5, 0, size - 5) == ("0x3", 0, size // 2 - 5, hole, crc(one + 5, size // 2 - 5)))
        print(run(17, one, two, size) == ("0x83", 0, size // 2, hole, crc(one, size // 2)))
        ctypes.memset(one, 0xAB, size)
        pattern = 0xABABABABABABABAB
        print(run(6, one + 1, pattern, size - 1)[:3])
        ctypes.memset(one + size - 5000, 0xAA, 1)
        print(run(6, one + 1, pattern, size - 1)[:3] == ("0x1", 1, size - 5001))
    """)
    assert done.out.split("\n")[:9] == [
        "('0x1', 0, 0)",
        "True",
        "True",
        "True True",
        "True",
        "True",
        "True",
        "('0x1', 0, 0)",
        "True",
    ], (done.out, done.err)
