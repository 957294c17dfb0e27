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
        print(hex(enqcmd_flags(portal, noop.address) & 0x8d5), hex(enqcmd_flags(ordinary.address, noop.address) &
        0x8d5))
        print(bytes(ordinary) == bytes(64))
        noop.data.raw = bytes(range(64))
        movdir64b(ordinary.address, noop.address)
        print(bytes(ordinary) == bytes(range(64)))
        print(tpause(0, 0) & 0x8d5, umwait(1, 0) & 0x8d5)
        umonitor(noop.address, 0)
    """)
    assert done.code == 0, done.err
    assert done.out.split("\n")[:4] == ["0x0 0x40", "True", "True", "0 0"]


FAULTS = """
    import sys
    portal, _ = open_portal()
    good, dirty = Buffer(64), Buffer(64)
    good.data.raw = descriptor(NOOP)
    dirty.data.raw = descriptor(NOOP, pasid=1)
    readonly = libc.mmap(None, 4096, 1, 0x22, -1, 0)
    hole = libc.mmap(0x5A0000000000, 8192, 3, 0x22, -1, 0)
    libc.munmap(hole + 4096, 4096)
    class Info(ctypes.Structure):
        _fields_ = [("signo", ctypes.c_int), ("errno", ctypes.c_int), ("code", ctypes.c_int), ("pad", ctypes.c_int),
        ("address", ctypes.c_uint64)]
    @ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.POINTER(Info), ctypes.c_void_p)
    def handler(number, info, context):
        print(number, info.contents.code, hex(info.contents.address - BASE) if info.contents.address else 0, flush=True)
        os._exit(0)
    class Action(ctypes.Structure):
        _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_uint64 * 16), ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p)]
    action = Action(ctypes.cast(handler, ctypes.c_void_p).value, (ctypes.c_uint64 * 16)(), 4, 0)
    libc.sigaction(signal.SIGSEGV, ctypes.byref(action), None)
    BASE = hole
    cases = [lambda: enqcmd(portal + 8, good.address), lambda: enqcmd(portal, dirty.address), lambda: enqcmd(1 << 60,
    good.address),
             lambda: enqcmds(portal, good.address), lambda: enqcmd(portal, hole + 4096), lambda: enqcmd(portal, hole +
             4096 - 32),
             lambda: enqcmd(hole + 4096, good.address), lambda: tpause(4, 0)]
    for case in cases:
        pid = os.fork()  # the child has no portal and no PASID: give it its own
        if pid == 0:
            portal, _ = open_portal()
            case()
            os._exit(1)
        os.waitpid(pid, 0)
    BASE = readonly
    enqcmd(readonly, good.address)
"""


def test_faults_carry_the_kernels_siginfo() -> None:
    done = run_python(FAULTS)
    lines = done.out.strip().split("\n")
    general = "11 128 0"
    assert lines == [*[general] * 4, *["11 1 0x1000"] * 3, general, "11 2 0x0"], done.err
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
