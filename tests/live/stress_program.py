"""Runs under ``pasidlab run``: children that submit, and that end, stop, exec, fork or filter themselves at random moments.

Arguments: seed, number of children. Prints what went wrong, one line each, and last the number of children of each way.
"""

from __future__ import annotations

import collections
import ctypes
import os
import random
import signal
import struct
import sys
import threading
import time

from dsa_client import MOVE, Buffer, descriptor, libc, open_portal, submit, wait

SIZES = (64, 64, 512, 4096, 1 << 20, 2 << 20)
LONGEST = float(os.environ.get("STRESS_LONGEST", "5"))  # seconds that a child may take to end
EXPECTED = {
    "exit": 3, "thread exits": 3, "kill": -9, "abort": -6, "term": -15, "exec": 4, "thread execs": 4, "fork": 3, "filter": 3,
    "served": 3, "stop": -9, "fault": -11,
}  # fmt: skip
WAYS = os.environ.get("STRESS_WAYS", ",".join(EXPECTED)).split(",")
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SYS_RT_SIGACTION, SYS_MADVISE, SYS_USERFAULTFD = 38, 22, 13, 28, 323


def submissions(portal: int, rng: random.Random) -> None:
    """Moves for ever; the process ends if one of them did not do what it should."""
    source, target, record = Buffer(2 << 20), Buffer(2 << 20), Buffer(32)
    while True:
        size, mark = rng.choice(SIZES), rng.randrange(1, 256)
        ctypes.memset(source.address, mark, size)
        record.data.raw = bytes(32)
        submit(portal, descriptor(MOVE, record.address, source.address, target.address, size, flags=0xE), tries=1 << 30)
        status = wait(record, 60)
        if status != 1 or target.data[0] != bytes([mark]) or target.data[size - 1] != bytes([mark]):
            os.write(2, f"a move of {size} bytes ended with {status:#x}\n".encode())
            os._exit(66)


def filter_ourselves() -> None:
    """A seccomp filter that kills for what an emulator may want to do in our name."""
    rules = [(0x20, 0, 0, 0), (0x15, 1, 0, SYS_RT_SIGACTION), (0x15, 0, 1, SYS_MADVISE), (6, 0, 0, 0x80000000), (6, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *rule) for rule in rules))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(rules), ctypes.addressof(code)))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0):
        os._exit(67)


def ask_for_a_served_page(portal: int) -> None:
    """A descriptor whose source only a userfaultfd could provide, and nobody answers it."""
    fd = libc.syscall(SYS_USERFAULTFD, 1)  # UFFD_USER_MODE_ONLY
    if fd < 0:
        return
    size = 1 << 21
    place = libc.mmap(None, size, 3, 0x22, -1, 0)
    libc.ioctl(fd, ctypes.c_ulong(0xC018AA3F), ctypes.byref((ctypes.c_uint64 * 3)(0xAA, 0, 0)))
    libc.ioctl(fd, ctypes.c_ulong(0xC020AA00), ctypes.byref((ctypes.c_uint64 * 4)(place, size, 1, 0)))
    target, record = Buffer(size), Buffer(32)
    submit(portal, descriptor(MOVE, record.address, place, target.address, size, flags=0xC), tries=1 << 30)
    if wait(record, 60) & 0x7F not in (3, 4):
        os._exit(68)


def child(way: str, rng: random.Random) -> None:
    """One child: it never returns."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)
    portal, _ = open_portal()
    if rng.random() < 0.3:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGILL, signal.SIGSEGV, signal.SIGUSR1})
    for _ in range(rng.randrange(1, 4)):
        threading.Thread(target=submissions, args=(portal, random.Random(rng.random())), daemon=True).start()
    time.sleep(rng.random() * 0.05)
    end(way, portal, rng)


def end(way: str, portal: int, rng: random.Random) -> None:
    """What the way says; 99 if it did not work."""
    if way == "exit":
        os._exit(3)
    elif way == "thread exits":
        threading.Thread(target=os._exit, args=(3,)).start()
        time.sleep(60)
    elif way in ("kill", "abort", "term"):
        os.kill(os.getpid(), -EXPECTED[way])
        time.sleep(60)
    elif way == "exec":
        os.execv("/bin/sh", ["sh", "-c", "exit 4"])
    elif way == "thread execs":
        threading.Thread(target=os.execv, args=("/bin/sh", ["sh", "-c", "exit 4"])).start()
        time.sleep(60)
    elif way == "fork":
        pid = os.fork()
        if not pid:
            mine, _ = open_portal()
            threading.Thread(target=submissions, args=(mine, rng), daemon=True).start()
            time.sleep(0.02)
            os._exit(5)
        os._exit(3 if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5 else 69)
    elif way == "filter":
        filter_ourselves()
        time.sleep(0.02)
        os._exit(3)
    elif way == "served":
        ask_for_a_served_page(portal)
        os._exit(3)
    elif way == "stop":
        os.write(int(os.environ["STRESS_READY"]), b"!")
        time.sleep(60)
    elif way == "fault":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        submit(portal + 8, descriptor(MOVE), tries=1)
    os._exit(99)


def supervise(pid: int, way: str, rng: random.Random, ready: int) -> str:
    """What went wrong with the child, empty if nothing."""
    if way == "stop":
        os.read(ready, 1)
        for _ in range(rng.randrange(1, 4)):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(rng.random() * 0.01)
            os.kill(pid, signal.SIGCONT)
            time.sleep(rng.random() * 0.01)
        os.kill(pid, signal.SIGKILL)
    end_by = time.monotonic() + LONGEST
    while time.monotonic() < end_by:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            code = os.waitstatus_to_exitcode(status)
            return "" if code == EXPECTED[way] else f"{way}: {code} instead of {EXPECTED[way]}"
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"{way}: hung for more than {LONGEST:g} s"


def main(seed: int, rounds: int) -> int:
    """All children, one after the other."""
    rng, ready, counts = random.Random(seed), os.pipe(), collections.Counter[str]()
    os.set_inheritable(ready[1], True)
    os.environ["STRESS_READY"] = str(ready[1])
    failures = 0
    for number in range(rounds):
        way = rng.choice(WAYS)
        counts[way] += 1
        mine = random.Random(f"{seed} {number}")
        pid = os.fork()
        if not pid:
            try:
                child(way, mine)
            finally:
                os._exit(98)
        wrong = supervise(pid, way, mine, ready[0])
        if wrong:
            failures += 1
            print(f"round {number}: {wrong}", flush=True)
    print(f"{sum(counts.values())} children, {failures} failures: {dict(counts)}", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
