"""System calls that the standard library lacks, through ctypes: mount, unshare, process_vm_*, ptrace, seccomp.

Register and siginfo layouts are those of x86-64 Linux (asm/ptrace.h, asm-generic/siginfo.h).
"""

from __future__ import annotations

import ctypes
import os
import struct

from pasidlab.live.descriptors import must_be_no_limit

libc = ctypes.CDLL(None, use_errno=True)

# sched.h, sys/mount.h
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
CLONE_VM, CLONE_UNTRACED = 0x100, 0x800000
MS_NOSUID, MS_NODEV, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 2, 4, 4096, 8192, 16384, 1 << 18
MNT_DETACH = 2

# System call numbers, arch/x86/entry/syscalls/syscall_64.tbl
SYS_MMAP, SYS_MPROTECT, SYS_MUNMAP, SYS_RT_SIGACTION = 9, 10, 11, 13
SYS_MREMAP, SYS_MADVISE, SYS_SHMAT, SYS_CLONE, SYS_FORK, SYS_VFORK = 25, 28, 30, 56, 57, 58
SYS_EXECVE, SYS_EXECVEAT, SYS_PTRACE, SYS_TGKILL = 59, 322, 101, 234
SYS_CLOSE, SYS_MEMFD_CREATE, SYS_MEMBARRIER, SYS_RT_TGSIGQUEUEINFO, _SYS_CLOSE_RANGE = 3, 319, 324, 297, 436
SYS_PKEY_MPROTECT, SYS_CLONE3, SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 329, 435, 434, 438
SYS_IOCTL, SYS_PRCTL, SYS_MOUNT, SYS_KCMP, SYS_SECCOMP, SYS_USERFAULTFD, SYS_FSMOUNT = 16, 157, 165, 312, 317, 323, 432
SYS_FANOTIFY_INIT, SYS_MEMFD_SECRET, SYS_MOVE_PAGES = 300, 447, 279
SYS_SCHED_SETAFFINITY, SYS_SCHED_GETAFFINITY = 203, 204
USERFAULTFD_IOC_NEW, UFFDIO_REGISTER = 0xAA00, 0xC020AA00  # linux/userfaultfd.h
TIOCGPTPEER = 0x5441  # asm-generic/ioctls.h

_AT_FDCWD, _AT_STATX_DONT_SYNC = -100, 0x4000  # linux/fcntl.h
_PIDFD_THREAD = os.O_EXCL  # linux/pidfd.h
_LAST_DESCRIPTOR, _CLOSE_RANGE_UNSHARE = 0xFFFFFFFF, 2  # linux/close_range.h

PAGE = 4096
WALL = 0x40000000  # __WALL: threads as well as processes


class Iovec(ctypes.Structure):
    """struct iovec: address and length in bytes."""

    _fields_ = (("base", ctypes.c_uint64), ("length", ctypes.c_uint64))


_void, _long, _ulong, _int, _text = ctypes.c_void_p, ctypes.c_long, ctypes.c_ulong, ctypes.c_int, ctypes.c_char_p
libc.ptrace.argtypes, libc.ptrace.restype = [_long, _long, _void, _void], _long
libc.process_vm_readv.argtypes, libc.process_vm_readv.restype = [_long, _void, _ulong, _void, _ulong, _ulong], ctypes.c_ssize_t
quick = ctypes.CDLL(None)  # does not keep errno: for what is called very often
quick.process_vm_readv.argtypes = quick.process_vm_writev.argtypes = [_long, _void, _ulong, _void, _ulong, _ulong]
quick.process_vm_readv.restype = quick.process_vm_writev.restype = ctypes.c_ssize_t
libc.mount.argtypes = [_text, _text, _text, _ulong, _text]
libc.umount2.argtypes = [_text, _int]
libc.unshare.argtypes = [_int]
libc.prctl.argtypes = [_int, _ulong, _ulong, _ulong, _ulong]

ptrace = libc.ptrace
process_vm_readv = quick.process_vm_readv
process_vm_writev = quick.process_vm_writev


def checked(result: int, what: str) -> int:
    """``result`` unless it is -1: then OSError with the calling thread's errno, or OutOfDescriptors."""
    if result == -1:
        number = ctypes.get_errno()
        error = OSError(number, os.strerror(number), what)
        must_be_no_limit(error)
        raise error
    return result


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None)
    checked(result, f"mount {kind or 'bind'} {target}")


def umount(target: str) -> None:
    """umount2(2) with MNT_DETACH."""
    checked(libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def unshare(flags: int) -> None:
    """unshare(2)."""
    checked(libc.unshare(flags), "unshare")


def leave_descriptors() -> None:
    """The calling thread has a table of descriptors to itself from now on, which is empty (close_range(2), Linux 5.9).

    A thread that a file system keeps from ending then keeps no file of ours open. Older kernels do nothing.
    """
    libc.syscall(_SYS_CLOSE_RANGE, 0, _LAST_DESCRIPTOR, _CLOSE_RANGE_UNSHARE)


def device_of(tid: int, number: int) -> int:
    """The file system of a thread's open file, as st_dev: told from what the kernel has (statx(2), AT_STATX_DONT_SYNC), so that
    nobody is asked. OSError if there is no such descriptor.
    """
    found = ctypes.create_string_buffer(256)
    checked(libc.statx(_AT_FDCWD, b"/proc/%d/fd/%d" % (tid, number), _AT_STATX_DONT_SYNC, 0, found), "statx")
    return os.makedev(*struct.unpack_from("<II", found, 136))  # stx_dev_major, stx_dev_minor


def descriptor_of(tid: int, pid: int, number: int) -> int:
    """A duplicate, here, of a file descriptor of a thread of the process ``pid`` (pidfd_getfd(2), Linux 5.6).

    A thread may have a table of its own (CLONE_FILES of unshare(2)). Before Linux 6.9 the process's first thread is asked.
    """
    pidfd = libc.syscall(SYS_PIDFD_OPEN, tid, _PIDFD_THREAD)
    if pidfd < 0:
        pidfd = checked(libc.syscall(SYS_PIDFD_OPEN, pid, 0), "pidfd_open")
    try:
        return checked(libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0), "pidfd_getfd")
    finally:
        os.close(pidfd)
