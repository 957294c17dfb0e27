"""Timings of the accelerator on memory inside this process: ``python tests/accelerator/bench_accelerator.py``."""

from __future__ import annotations

import time

from dsa_descriptors import describe
from dsa_memory import FlatMemory

from pasidlab.accelerator import Accelerator, Op, WqLimits

SIZE, HALF = 1 << 28, 1 << 27
SOURCE, TARGET = 1 << 16, (1 << 16) + SIZE + (SIZE >> 3)
RUNS = {
    "memory move": (describe(Op.MEMORY_MOVE, first=SOURCE, second=TARGET, size=SIZE), SIZE),
    "fill": (describe(Op.FILL, first=0x0123456789ABCDEF, second=TARGET, size=SIZE), SIZE),
    "compare": (describe(Op.COMPARE, first=SOURCE, second=TARGET, size=SIZE), SIZE),
    "compare pattern": (describe(Op.COMPARE_PATTERN, first=SOURCE, second=0, size=SIZE), SIZE),
    "dualcast": (describe(Op.DUALCAST, first=SOURCE, second=TARGET, size=HALF, dest2=TARGET + HALF), HALF),
    "CRC generation": (describe(Op.CRC, first=SOURCE, size=SIZE), SIZE),
    "copy with CRC": (describe(Op.COPY_CRC, first=SOURCE, second=TARGET, size=SIZE), SIZE),
    "DIF insert 512": (describe(Op.DIF_INSERT, first=SOURCE, second=TARGET, size=SIZE), SIZE),
    "DIF insert 4096": (describe(Op.DIF_INSERT, first=SOURCE, second=TARGET, size=SIZE, dif_flags=2), SIZE),
}


def each(device: Accelerator, descriptor: bytes, memory: FlatMemory, count: int = 50_000) -> float:
    """Microseconds for one execute()."""
    wq, execute = WqLimits(), device.execute
    start = time.perf_counter()
    for _ in range(count):
        execute(descriptor, memory, wq)
    return (time.perf_counter() - start) / count * 1e6


def main() -> None:
    device, memory, wq = Accelerator(), FlatMemory(TARGET + SIZE + (SIZE >> 3)), WqLimits()
    for name, descriptor in (
        ("no-op", describe(Op.NOOP)),
        ("memory move 64 B", describe(Op.MEMORY_MOVE, first=SOURCE, second=TARGET, size=64)),
    ):
        print(f"{name:18} {each(device, descriptor, memory):8.2f} us")
    for name, (descriptor, size) in RUNS.items():
        memory.view[TARGET : TARGET + SIZE] = memory.view[SOURCE : SOURCE + SIZE]
        device.execute(descriptor, memory, wq)
        start = time.perf_counter()
        outcome = device.execute(descriptor, memory, wq)
        speed = size / (time.perf_counter() - start) / 1e9
        print(f"{name:18} {speed:8.2f} GB/s  status {outcome.status:#x} {outcome.reason}")


if __name__ == "__main__":
    main()
