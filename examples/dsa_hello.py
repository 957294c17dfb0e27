"""A program for Intel DSA in plain Python: no compiler, no library, ENQCMD as machine code through ctypes.

    python examples/dsa_hello.py                      on a machine with DSA and a configured shared work queue
    pasidlab run -- python examples/dsa_hello.py      on any other x86-64 Linux machine

It finds a shared work queue as programs do, maps its portal (or falls back to write(2) where the kernel refuses
that), moves,
compares and checksums memory, and lets several threads submit at once: each gets its process's PASID at its first
ENQCMD.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
import threading
import time
from pathlib import Path

# Operation codes and flags: linux/idxd.h. CRAV | RCR: "here is room for a completion record, and I want one". BOF: "wait
# for pages that are not in memory"; without it a descriptor that meets one ends there.
MEMMOVE, COMPARE, CRC = 3, 5, 16
BOF, CRAV, RCR = 1 << 1, 1 << 2, 1 << 3
STATUS = {0: "nothing yet", 1: "success", 3: "page fault", 0x10: "bad opcode", 0x11: "bad flags", 0x13: "bad size"}

# int enqcmd(void *portal, const void *descriptor): enqcmd (%rsi),%rdi; setz %al; movzbl %al,%eax; ret
_page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
_page.write(bytes.fromhex("f20f38f83e 0f94c0 0fb6c0 c3"))
_at = ctypes.addressof(ctypes.c_char.from_buffer(_page))
enqcmd = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(_at)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


class Memory:
    """Bytes with an address, aligned as descriptors (64) and completion records (32) need."""

    def __init__(self, size: int) -> None:
        self._raw = ctypes.create_string_buffer(size + 64)
        self.address = ctypes.addressof(self._raw) + 63 & -64
        self.bytes = (ctypes.c_char * size).from_address(self.address)


class WorkQueue:
    """A shared work queue, open in this process."""

    def __init__(self, device: Path) -> None:
        self.fd = os.open(device, os.O_RDWR)  # this is where the kernel binds a PASID to our address space
        portal = libc.mmap(None, 4096, mmap.PROT_WRITE, mmap.MAP_SHARED, self.fd, 0)
        self.portal = None if portal in (None, 2**64 - 1) else portal

    def run(self, opcode: int, first: int, second: int, size: int, tail: bytes = b"") -> tuple[int, bytes]:
        """Submit one descriptor and wait: status and completion record."""
        record, descriptor = Memory(32), Memory(64)
        head = struct.pack("<IIQQQIHH", 0, opcode << 24 | BOF | CRAV | RCR, record.address, first, second, size, 0, 0)
        descriptor.bytes.raw = head + tail.ljust(24, b"\0")
        if self.portal is None:
            os.write(self.fd, descriptor.bytes.raw)
        else:
            while enqcmd(self.portal, descriptor.address):  # ZF=1: the queue is full, try again
                time.sleep(0)
        while record.bytes.raw[0] == 0:  # the device writes the status byte last
            time.sleep(0)
        return record.bytes.raw[0] & 0x7F, record.bytes.raw


def find_queue() -> Path:
    """The first enabled shared queue of type user, as sysfs shows it."""
    for wq in sorted(Path("/sys/bus/dsa/devices").glob("wq*")):
        if all(
            (wq / name).read_text().strip() == value
            for name, value in (("mode", "shared"), ("state", "enabled"), ("type", "user"))
        ):
            return Path("/dev/dsa") / wq.name
    sys.exit("no shared work queue here; try: pasidlab run -- python examples/dsa_hello.py")


def main() -> None:
    """Move, compare, checksum; then eight threads at once."""
    device = find_queue()
    queue = WorkQueue(device)
    print(f"{device}: descriptors go by {'write(2)' if queue.portal is None else 'ENQCMD'}")
    size = 1 << 20
    source, target = Memory(size), Memory(size)
    source.bytes.raw = os.urandom(size)

    status, _ = queue.run(MEMMOVE, source.address, target.address, size)
    print(f"memory move: {STATUS.get(status, hex(status))}, equal: {source.bytes.raw == target.bytes.raw}")

    target.bytes[12345] = bytes([target.bytes[12345][0] ^ 1])
    status, record = queue.run(COMPARE, source.address, target.address, size)
    differs = struct.unpack_from("<I", record, 4)[0]
    print(f"compare: {STATUS.get(status, hex(status))}, result {record[1]}, first difference at {differs}")

    source.bytes[:9] = b"123456789"
    status, record = queue.run(CRC, source.address, 0, 9)
    print(f"CRC-32C of '123456789': {struct.unpack_from('<I', record, 16)[0]:#010x} (should be 0xe3069283)")

    done: list[int] = []

    def work() -> None:
        mine = Memory(4096)
        done.extend(queue.run(MEMMOVE, source.address, mine.address, 4096)[0] for _ in range(25))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"8 threads: {done.count(1)} of {len(done)} moves succeeded")


if __name__ == "__main__":
    main()
