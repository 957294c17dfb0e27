"""ENQCMD and its relatives as a program meets them."""

from __future__ import annotations

import pytest
from running import run_python

pytestmark = pytest.mark.needs_run


def test_a_move_by_enqcmd_and_by_movdir64b() -> None:
    done = run_python("""
        source, target = Buffer(8192), Buffer(8192)
        source.data.raw = bytes(range(256)) * 32
        portal, _ = open_portal()
        print(move(portal, source, target, 8192), bytes(target) == bytes(source))
        target.data.raw = bytes(8192)
        dedicated, _ = open_portal("/dev/dsa/wq0.1")
        print(move(dedicated + 64 * 63, source, target, 8000, movdir64b), bytes(target)[:8000] == bytes(source)[:8000])
    """)
    assert done.out.split("\n")[:2] == ["1 True", "1 True"], done.err
    assert done.report["queues"] == {"wq0.0": 1, "wq0.1": 1}
    assert done.report["instructions"] == {"enqcmd": 1, "movdir64b": 1}
    assert done.report["bytes"] == 16192
    assert done.report["gp_fixups"] == 1  # MOVDIR64B does not use the MSR


def test_flags_after_enqcmd_and_ordinary_destination() -> None:
    done = run_python("""
        portal, _ = open_portal()
        noop = Buffer(64)
        noop.data.raw = descriptor(NOOP)
        ordinary = Buffer(64)
        for place in (portal, ordinary.address):
            print(hex(enqcmd_flags(place, noop.address) & 0x8d5))
        print(bytes(ordinary) == bytes(64))
        noop.data.raw = bytes(range(64))
        movdir64b(ordinary.address, noop.address)
        print(bytes(ordinary) == bytes(range(64)))
        print(tpause(0, 0) & 0x8d5, umwait(1, 0) & 0x8d5)
        umonitor(noop.address, 0)
    """)
    assert done.code == 0, done.err
    assert done.out.split("\n")[:5] == ["0x0", "0x40", "True", "True", "0 0"]


FAULTS = """
    good, dirty = Buffer(64), Buffer(64)
    good.data.raw = descriptor(NOOP)
    dirty.data.raw = descriptor(NOOP, pasid=1)
    base = libc.mmap(0x5A0000000000, 3 * 4096, 3, 0x22, -1, 0)
    hole, readonly = base + 4096, base + 8192
    libc.munmap(hole, 4096)
    ctypes.memset(readonly, 0, 1)
    libc.mprotect(ctypes.c_void_p(readonly), 4096, 1)
    class Action(ctypes.Structure):
        _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_uint64 * 16), ("flags", ctypes.c_int),
                    ("restorer", ctypes.c_void_p)]
    word = lambda at: ctypes.c_uint64.from_address(at).value
    @ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def handler(number, info, context):
        vector, error, cr2 = word(context + 200), word(context + 192), word(context + 216)
        address = word(info + 16)
        print(number, word(info + 8) & 0xffffffff, hex(address - base) if address else 0, vector, error,
              cr2 == address, flush=True)
        os._exit(0)
    action = Action(ctypes.cast(handler, ctypes.c_void_p).value, (ctypes.c_uint64 * 16)(), 4, 0)
    libc.sigaction(signal.SIGSEGV, ctypes.byref(action), None)
    cases = {
        "unaligned destination": lambda: enqcmd(portal + 8, good.address),
        "low bits": lambda: enqcmd(portal, dirty.address),
        "destination not canonical": lambda: enqcmd(1 << 60, good.address),
        "CPL": lambda: enqcmds(portal, good.address),
        "control bits": lambda: tpause(4, 0),
        "monitored address not canonical": lambda: umonitor(1 << 60, 0),
        "source": lambda: enqcmd(portal, hole),
        "half of the source": lambda: enqcmd(portal, hole - 32),
        "destination": lambda: enqcmd(hole, good.address),
        "read-only destination": lambda: enqcmd(readonly, good.address),
        "read-only destination of a store": lambda: movdir64b(readonly, good.address),
        "monitored address": lambda: umonitor(hole, 0),
    }
    for name, case in cases.items():
        print(name, end=": ", flush=True)
        pid = os.fork()  # the child has no portal and no PASID: give it its own
        if pid == 0:
            portal, _ = open_portal()
            case()
            os._exit(1)
        os.waitpid(pid, 0)
"""


def test_faults_carry_the_kernels_siginfo_and_frame() -> None:
    """Signal, si_code, si_addr; vector and error code of the frame: SDM volume 3, 6.15."""
    done = run_python(FAULTS)
    general, read, write, protected = "11 128 0 13 0", "11 1 0x1000 14 4 True", "11 1 0x1000 14 6 True", "11 2 0x2000 14 7 True"
    found = dict(line.split(": ") for line in done.out.strip().split("\n"))
    assert {name: text if " 14 " in text else text.rpartition(" ")[0] for name, text in found.items()} == {
        "unaligned destination": general,
        "low bits": general,
        "destination not canonical": general,
        "CPL": general,
        "control bits": general,
        "monitored address not canonical": general,
        "source": read,
        "half of the source": read,
        "destination": write,
        "read-only destination": protected,
        "read-only destination of a store": protected,
        "monitored address": read,
    }, done.err
    reasons = " ".join(problem["what"] for problem in done.report["problems"])
    assert "not aligned to 64 bytes" in reasons and "bits 31:0" in reasons and "for the kernel only" in reasons
    assert all(problem["address"] != "0x0" for problem in done.report["problems"])


def test_other_illegal_instructions_are_the_programs_own() -> None:
    done = run_python("""
        portal, _ = open_portal()
        print(died(lambda: ud2(0, 0)), flush=True)
        def child():
            open_portal()
            ud2(0, 0)
        print(died(child), flush=True)
        def raised():
            open_portal()
            os.kill(os.getpid(), signal.SIGILL)
            time.sleep(5)
        print(died(raised), flush=True)
        ud2(0, 0)
    """)
    assert done.out.split() == ["4", "4", "4"]
    assert done.code == 128 + 4
