"""A DSA client in Python, for programs that tests run: machine code through ctypes, descriptors by struct."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import tempfile
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
libc.mremap.restype = ctypes.c_void_p

CRAV, RCR, BOF = 4, 8, 2
NOOP, BATCH, DRAIN, MOVE, FILL = 0, 1, 2, 3, 4


def file_mapping(data: bytes, at: int | None = None) -> int:
    """Address of instructions as those of a program are: a private mapping of a file, read and execute."""
    folder = os.environ.get("DSA_CLIENT_CODE")
    fd, path = tempfile.mkstemp(dir=folder)
    os.write(fd, data.ljust(-(-len(data) // 4096) * 4096, b"\xcc"))
    if folder is None:
        os.unlink(path)
    address = libc.mmap(at, max(len(data), 1), mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE | (0x100000 if at else 0), fd, 0)
    os.close(fd)
    return address


def machine_code(text: str, result=ctypes.c_long, arguments=(ctypes.c_void_p, ctypes.c_void_p)):
    """A C function made of these bytes; arguments come in rdi, rsi."""
    address = file_mapping(bytes.fromhex(text))
    function = ctypes.CFUNCTYPE(result, *arguments)(address)
    function.address = address
    return function


enqcmd = machine_code("f20f38f83e 0f94c0 0fb6c0 c3")  # enqcmd (%rsi),%rdi; setz %al: 1 means retry
enqcmd_flags = machine_code("f9 f20f38f83e 9c58 c3")  # stc first; the flags afterwards
enqcmds = machine_code("f30f38f83e c3")
movdir64b = machine_code("660f38f83e c3")
tpause = machine_code("660faef7 9c58 c3")
umonitor = machine_code("f30faef7 c3")
umwait = machine_code("f20faef7 9c58 c3")
ud2 = machine_code("0f0b c3")


class Buffer:
    """Memory of our own, at a known address."""

    def __init__(self, size: int, align: int = 64) -> None:
        self.raw = ctypes.create_string_buffer(size + align)
        self.address = (ctypes.addressof(self.raw) + align - 1) & -align
        self.data = (ctypes.c_char * size).from_address(self.address)

    def __bytes__(self) -> bytes:
        return self.data.raw


def descriptor(op, record=0, first=0, second=0, size=0, flags=None, tail=b"", pasid=0) -> bytes:
    """64 bytes; flags default to 'write a completion record' where there is one."""
    if flags is None:
        flags = CRAV | RCR if record else 0
    return struct.pack("<IIQQQIHH", pasid, op << 24 | flags, record, first, second, size, 0, 0) + tail.ljust(24, b"\0")


def open_portal(path="/dev/dsa/wq0.0", keep=False, length=4096):
    """(portal address, descriptor number or None); OSError as the kernel gives it."""
    fd = os.open(path, os.O_RDWR)
    at = libc.mmap(None, length, mmap.PROT_WRITE, mmap.MAP_SHARED | 0x8000, fd, 0)
    error = ctypes.get_errno()
    if not keep:
        os.close(fd)
    if at in (None, 2**64 - 1):
        if keep:
            os.close(fd)
        raise OSError(error, os.strerror(error))
    return at, fd if keep else None


def submit(portal, raw: bytes, instruction=enqcmd, tries=1000):
    """Submit until accepted; the number of retries."""
    place = Buffer(64)
    place.data.raw = raw
    for retries in range(tries):
        if not instruction(portal, place.address) or instruction is movdir64b:
            return retries
    raise RuntimeError("never accepted")


def wait(record: Buffer, seconds=30.0) -> int:
    """The status byte, once it is not 0."""
    end = time.monotonic() + seconds
    while not record.data.raw[0]:
        if time.monotonic() > end:
            raise TimeoutError("no completion")
    return record.data.raw[0]


def move(portal, source: Buffer, target: Buffer, size: int, instruction=enqcmd) -> int:
    """A memory move, to its end; the status."""
    record = Buffer(32)
    submit(portal, descriptor(MOVE, record.address, source.address, target.address, size), instruction)
    return wait(record)


def died(function) -> int:
    """The signal (or negative exit status) with which a forked child that calls ``function`` ends."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        try:
            function()
        except BaseException:
            os._exit(99)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
