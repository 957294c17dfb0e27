"""The program that ``pasidlab bench run`` runs.

``python -m pasidlab.live.benchprogram WHAT NUMBER`` prints one figure.
"""

from __future__ import annotations

import atexit
import ctypes
import mmap
import os
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from pasidlab.live import benchiaa

_BATCH, _MOVE, _FILL, _COMPARE, _CRC = 1, 3, 4, 5, 16
_SIZE = 1 << 28  # bytes of a bulk operation


class Client:
    """A shared work queue's portal and the instruction for it."""

    def __init__(self, queue: str = "/dev/dsa/wq0.0") -> None:
        self.libc = ctypes.CDLL(None)
        self.libc.mmap.restype = ctypes.c_void_p
        self.libc.mmap.argtypes = [
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_long,
        ]
        self._page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(bytes.fromhex("f20f38f83e0f94c00fb6c0c3"))  # enqcmd (%rsi),%rdi; setz %al; movzbl %al,%eax; ret
        at = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self.enqcmd = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(at)
        fd = os.open(queue, os.O_RDWR)
        self.portal = self.libc.mmap(None, 4096, mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
        os.close(fd)

    def memory(self, size: int) -> int:
        """Address of fresh pages."""
        return int(self.libc.mmap(None, size, 3, 0x22, -1, 0))


def descriptor(opcode: int, first: int, second: int, size: int, record: int, *, blocks: bool = True) -> bytes:
    """64 bytes that ask for a completion record, and to block on faults if it ``blocks``."""
    return struct.pack("<IIQQQIHH24x", 0, opcode << 24 | (14 if blocks else 12), record, first, second, size, 0, 0)


def submissions(threads: int) -> float:
    """Microseconds per submission of a 64-byte move: the best of some rounds, so that other programs do not count."""
    client = Client()
    each, rounds = (60, 400) if threads == 1 else (max(2000 // threads, 20), 12)

    def submit() -> None:
        place = client.memory(4096)
        ctypes.memmove(place, descriptor(_MOVE, place + 64, place + 128, 64, place + 256), 64)
        enqcmd, portal = client.enqcmd, client.portal
        for _ in range(each):
            enqcmd(portal, place)

    best = float("inf")
    for _ in range(rounds):
        workers = [threading.Thread(target=submit) for _ in range(threads)]
        begin = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = min(best, (time.perf_counter() - begin) / (each * threads) * 1e6)
    return best


def unstopped(threads: int, *, blocks: bool = True) -> float:
    """Nanoseconds per submission of a 64-byte move that does not stop, by a loop of instructions in a file. One that does not block on
    faults is from one page to another.
    """
    client, each = Client(), 200_000 if blocks else max(200_000 // threads, 10_000)
    loop, ready = _stepper(client), threading.Barrier(threads)
    moments: list[tuple[float, float]] = []

    def submit() -> None:
        place = client.memory(2 * 4096)
        ctypes.memset(place, 1, 2 * 4096)
        target = place + (128 if blocks else 4096)
        ctypes.memmove(place, descriptor(_MOVE, place + 64, target, 64, place + 256, blocks=blocks), 64)
        loop(client.portal, place, 16)
        ready.wait()
        begin = time.perf_counter()
        loop(client.portal, place, each)
        moments.append((begin, time.perf_counter()))

    workers = [threading.Thread(target=submit) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    begins, ends = zip(*moments, strict=True)
    return float(max(ends) - min(begins)) / (each * threads) * 1e9


def _stepper(client: Client) -> Callable[[int, int, int], None]:
    """Submits so many times, by an instruction in a file, which has to stay: no other is replaced."""
    handle, path = tempfile.mkstemp()
    os.write(handle, bytes.fromhex("f20f38f83e48ffca75f6c3").ljust(4096, b"\xcc"))  # enqcmd (%rsi),%rdi; dec %rdx; jnz; ret
    at = client.libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, handle, 0)
    os.close(handle)
    atexit.register(os.unlink, path)
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long)(at)


def in_process(size: int) -> float:
    """Share of libc memmove's speed that moves of this size reach without a stop, one thread: best of some rounds."""
    client = Client()
    loop = _stepper(client)
    place, a, b = client.memory(4096), client.memory(size), client.memory(size)
    ctypes.memset(a, 1, size)
    ctypes.memset(b, 1, size)
    ctypes.memmove(place, descriptor(_MOVE, a, b, size, place + 256), 64)
    loop(client.portal, place, 16)
    each, native, device = max(1, (1 << 24) // size), [], []
    move = client.libc.memmove
    move.argtypes, move.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t], ctypes.c_void_p
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(each):
            move(b, a, size)
        middle = time.perf_counter()
        loop(client.portal, place, each)
        device.append(time.perf_counter() - middle)
        native.append(middle - begin)
    return min(native) / min(device)


def batches(members: int) -> float:
    """Nanoseconds for a 64-byte move of a batch with so many, which does not stop: best of some rounds."""
    client = Client()
    loop = _stepper(client)
    place = client.memory(1 << 16)
    listed, records, data, target = (place + (number << 12) for number in (1, 3, 5, 9))
    for at in range(members):
        move = descriptor(_MOVE, data + 64 * at, target + 64 * at, 64, records + 32 * at)
        ctypes.memmove(listed + 64 * at, move, 64)
    ctypes.memmove(place, descriptor(_BATCH, listed, 0, members, place + 256, blocks=False), 64)
    loop(client.portal, place, 16)
    best = float("inf")
    for _ in range(10):
        begin = time.perf_counter()
        loop(client.portal, place, 10_000)
        best = min(best, (time.perf_counter() - begin) / (10_000 * members) * 1e9)
    return best


def analytics(opcode: int) -> float:
    """Share of zlib's speed that an operation of IAX reaches on 1 MiB."""
    client = Client(benchiaa.QUEUE)
    return benchiaa.share_of_zlib(opcode, client.memory, client.enqcmd, client.portal)


def submission_among_mappings(count: int) -> float:
    """A submission with one thread and ``count`` mappings more."""
    client = Client()
    for number in range(count):
        client.libc.mmap(None, 4096, 1 + number % 2 * 2, 0x22, -1, 0)
    return submissions(1)


def bulk(opcode: int) -> float:
    """Share of the speed of libc (move, fill) or a library (compare, CRC) that the device reaches on 256 MiB."""
    import google_crc32c
    import numpy as np

    client = Client()
    a, b, place = client.memory(_SIZE), client.memory(_SIZE), client.memory(4096)
    ctypes.memset(a, 1, _SIZE)
    ctypes.memset(b, 1, _SIZE)
    views = [np.frombuffer(memoryview((ctypes.c_char * _SIZE).from_address(at)).cast("B"), np.uint64) for at in (a, b)]
    natives: dict[int, Callable[[], object]] = {
        _MOVE: lambda: ctypes.memmove(b, a, _SIZE),
        _FILL: lambda: ctypes.memset(b, 1, _SIZE),
        _COMPARE: lambda: np.array_equal(views[0], views[1]),
        _CRC: lambda: google_crc32c.extend(0, views[0].view(np.uint8)),
    }
    here = natives[opcode]
    first = 0x0101010101010101 if opcode == _FILL else a
    raw = descriptor(opcode, first, 0 if opcode == _CRC else b, _SIZE, place + 256)
    ctypes.memmove(place, raw, 64)
    native, device = [], []
    for _ in range(20):
        begin = time.perf_counter()
        here()
        middle = time.perf_counter()
        client.enqcmd(client.portal, place)
        native.append(middle - begin)
        device.append(time.perf_counter() - middle)
    return min(native) / min(device)


def work(rounds: int) -> float:
    """Seconds of an ordinary program: arithmetic, memory, files, writes. It never submits, and makes no threads."""
    begin = time.perf_counter()
    for _ in range(rounds):
        sum(number * number for number in range(20000))
        for _ in range(200):
            with open("/proc/self/cmdline", "rb") as file:
                file.read()
            os.stat("/")
            page = mmap.mmap(-1, 1 << 16)
            page[0] = 1
            page.close()
        with open("/dev/null", "wb") as sink:
            for _ in range(200):
                sink.write(bytes(4096))
    return time.perf_counter() - begin


def arithmetic(rounds: int) -> float:
    """Seconds of CPU time of a program that makes no system calls."""
    begin = time.process_time()
    for _ in range(rounds):
        sum(number * number for number in range(20000))
    return time.process_time() - begin


def call_time(count: int) -> float:
    """Microseconds of CPU time of the cheapest system call: what the filter costs shows in it alone."""
    begin, call = time.process_time(), os.getppid
    for _ in range(count):
        call()
    return (time.process_time() - begin) / count * 1e6


def births(count: int) -> float:
    """Microseconds to start and join a thread."""
    begin = time.perf_counter()
    for _ in range(count):
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
    return (time.perf_counter() - begin) / count * 1e6


if __name__ == "__main__":
    figures: dict[str, Callable[[int], float]] = {
        "submissions": submissions,
        "unstopped": unstopped,
        "asking": lambda threads: unstopped(threads, blocks=False),
        "mappings": submission_among_mappings,
        "bulk": bulk,
        "in_process": in_process,
        "batches": batches,
        "analytics": analytics,
        "work": work,
        "arithmetic": arithmetic,
        "calls": call_time,
        "births": births,
    }
    print(figures[sys.argv[1]](int(sys.argv[2])))
