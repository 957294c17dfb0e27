"""The seccomp filter of the program: only the few system calls that matter stop in the tracer.

Everything else runs natively. Portals are placed in a reserved 4 GiB window of the address space. So the filter tells by the address alone
which munmap, mremap and mprotect concern one.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from signal import SIGRTMIN

from pasidlab.live.libc import (
    SYS_CLONE,
    SYS_CLONE3,
    SYS_EXECVE,
    SYS_EXECVEAT,
    SYS_FANOTIFY_INIT,
    SYS_FORK,
    SYS_FSMOUNT,
    SYS_IOCTL,
    SYS_MEMFD_SECRET,
    SYS_MMAP,
    SYS_MOUNT,
    SYS_MPROTECT,
    SYS_MREMAP,
    SYS_MUNMAP,
    SYS_PKEY_MPROTECT,
    SYS_PRCTL,
    SYS_PTRACE,
    SYS_RT_SIGACTION,
    SYS_SCHED_GETAFFINITY,
    SYS_SCHED_SETAFFINITY,
    SYS_SECCOMP,
    SYS_SHMAT,
    SYS_USERFAULTFD,
    SYS_VFORK,
    TIOCGPTPEER,
    UFFDIO_REGISTER,
    USERFAULTFD_IOC_NEW,
    checked,
    libc,
)  # fmt: skip
from pasidlab.live.ptrace import ATTACH, SEIZE, TRACEME

WINDOW = 0x7ED5_0000_0000
"""Where our pages go: high enough for sanitizers' application range, below where libraries usually are."""
PORTALS = WINDOW + (1 << 31)
"""Where portals go, to the end of the window."""

_LOAD, _RETURN, _JUMP = 0x20, 0x06, 0x05  # linux/bpf_common.h: LD|W|ABS, RET|K, JMP|JA
_JUMPS = {"==": 0x15, ">": 0x25, "<=": 0x25, "has": 0x45, "lacks": 0x45}  # JEQ, JGT, JSET
_NEGATED = ("<=", "lacks")
OURS = 0x5A51  # SECCOMP_RET_DATA: tells our filter's stops from those of a filter of the program's own
OURS_32 = 0x5A52
"""The same for 32-bit system calls (int $0x80), which have other numbers."""
_ALLOW, _TRACE, _ENOSYS = 0x7FFF0000, 0x7FF00000, 0x00050000 | errno.ENOSYS  # SECCOMP_RET_*
_ARCH_X86_64, ARCH_I386, _X32 = 0xC000003E, 0x40000003, 0x40000000  # linux/audit.h; __X32_SYSCALL_BIT
_NR, _ARCH = 0, 4  # offsets in struct seccomp_data
_MAP_FIXED, _MAP_ANONYMOUS, _PR_SET_SECCOMP = 0x10, 0x20, 22
_MREMAP_FIXED, _MREMAP_DONTUNMAP = 2, 4  # linux/mman.h
_FAN_CLASSES_THAT_PERMIT = 0x4 | 0x8  # FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT, linux/fanotify.h
PR_SET_DUMPABLE, _PR_SET_SYSCALL_USER_DISPATCH = 4, 59  # linux/prctl.h

PLACES = (SYS_CLONE, SYS_CLONE3, SYS_FORK, SYS_VFORK, SYS_SCHED_SETAFFINITY, SYS_SCHED_GETAFFINITY)
"""What sees, sets or inherits where a thread may run: ``Placement`` has put that back when they stop."""

IN_32_BITS = {
    SYS_MOUNT: 21, SYS_PTRACE: 26, SYS_IOCTL: 54, SYS_CLONE: 120, SYS_PRCTL: 172, SYS_EXECVE: 11, SYS_SECCOMP: 354,
    SYS_EXECVEAT: 358, SYS_USERFAULTFD: 374, SYS_FSMOUNT: 432, SYS_CLONE3: 435,
    SYS_FANOTIFY_INIT: 338, SYS_MEMFD_SECRET: 447, SYS_FORK: 2, SYS_VFORK: 190, SYS_SCHED_SETAFFINITY: 241, SYS_SCHED_GETAFFINITY: 242,
}  # fmt: skip
"""What must be known of 32-bit system calls, with their numbers (arch/x86/entry/syscalls/syscall_32.tbl).

Their addresses reach 4 GiB at most: no portal of the window can be unmapped, and none is made.
"""

ArgumentTests = list[tuple[int, str, int]]
"""All must hold: (offset in seccomp_data, comparison, value)."""

FilterRule = tuple[int, ArgumentTests]
"""A system call that stops in the tracer under this condition."""


def low(argument: int) -> int:
    """Offset of the low half of a system call argument."""
    return 16 + 8 * argument


def high(argument: int) -> int:
    """Offset of the high half."""
    return low(argument) + 4


PEERS: FilterRule = (SYS_IOCTL, [(low(1), "==", TIOCGPTPEER)])
"""For where the terminal that this opens would have an odd name (``namespace.moves_ptmx``)."""


def rules(signals: tuple[int, ...]) -> list[FilterRule]:
    """What must be known in any case. ``signals``: those whose handler matters.

    No portal lies in the first half of the window: what begins below the window and touches one is 2 GiB long or more.
    """
    in_window: ArgumentTests = [(high(0), "==", WINDOW >> 32)]
    huge: list[ArgumentTests] = [[(high(1), ">", 0)], [(low(1), "has", 1 << 31)]]
    found: list[FilterRule] = [(SYS_MMAP, [(low(3), "lacks", _MAP_ANONYMOUS)]), (SYS_MMAP, in_window)]
    found += [(SYS_MMAP, [(low(3), "has", _MAP_FIXED), *condition]) for condition in huge]
    for number in (SYS_MUNMAP, SYS_MREMAP, SYS_MPROTECT, SYS_PKEY_MPROTECT):
        found += [(number, condition) for condition in (in_window, *huge)]
    found += [(SYS_MREMAP, [(high(4), "==", WINDOW >> 32)]), (SYS_SHMAT, [(high(1), "==", WINDOW >> 32)])]  # what they cover
    found.append((SYS_MREMAP, [(low(3), "has", _MREMAP_FIXED | _MREMAP_DONTUNMAP)]))  # what moves, however small: it may be code
    found += [(number, []) for number in (SYS_EXECVE, SYS_EXECVEAT)]
    found += [(SYS_PRCTL, [(low(0), "==", PR_SET_DUMPABLE), (low(1), "==", 0)])]
    found += [(SYS_PRCTL, [(low(0), "==", _PR_SET_SYSCALL_USER_DISPATCH), (low(1), ">", 0)])]  # a filter, in effect
    found += [(SYS_PRCTL, [(low(0), "==", _PR_SET_SECCOMP)]), (SYS_SECCOMP, [(low(0), "<=", 1)])]
    found += [(SYS_USERFAULTFD, []), (SYS_MOUNT, []), (SYS_FSMOUNT, [])]
    found += [(SYS_IOCTL, [(low(1), "==", request)]) for request in (USERFAULTFD_IOC_NEW, UFFDIO_REGISTER)]
    found += [(SYS_MEMFD_SECRET, []), (SYS_FANOTIFY_INIT, [(low(0), "has", _FAN_CLASSES_THAT_PERMIT)])]
    found += [(number, []) for number in PLACES]
    found += [(SYS_PTRACE, [(low(0), "==", request)]) for request in (TRACEME, ATTACH, SEIZE)]
    found.append((SYS_RT_SIGACTION, [(low(0), ">", SIGRTMIN)]))  # what ``standin`` borrows
    return found + [(SYS_RT_SIGACTION, [(low(0), "==", signal)]) for signal in signals]


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def filter_program(found: list[FilterRule]) -> bytes:
    """The filter as an array of struct sock_filter.

    x32 system calls, which few kernels have, are none here.
    """
    equal, load = _JUMPS["=="], _instruction(_LOAD, 0, 0, _NR)
    native = load + _instruction(_JUMPS["has"], 0, 1, _X32) + _instruction(_RETURN, 0, 0, _ENOSYS) + _rules(found, OURS)
    compatible = _rules([(IN_32_BITS[number], condition) for number, condition in found if number in IN_32_BITS], OURS_32)
    head = _instruction(_LOAD, 0, 0, _ARCH) + _instruction(equal, 1, 0, _ARCH_X86_64)
    head += _instruction(_JUMP, 0, 0, len(native) // 8)
    return head + native + _instruction(equal, 1, 0, ARCH_I386) + _instruction(_RETURN, 0, 0, _ALLOW) + compatible


def _rules(found: list[FilterRule], data: int) -> bytes:
    code, load, equal = b"", _LOAD, _JUMPS["=="]
    for number, condition in found:
        block = b""
        for offset, comparison, value in reversed(condition):
            left = len(block) // 8 + 1  # to skip when it fails: the rest of the block and the return
            skips = (left, 0) if comparison in _NEGATED else (0, left)
            block = _instruction(load, 0, 0, offset) + _instruction(_JUMPS[comparison], *skips, value) + block
        block += _instruction(_RETURN, 0, 0, _TRACE | data)
        code += _instruction(load, 0, 0, _NR) + _instruction(equal, 0, len(block) // 8, number) + block
    return code + _instruction(_RETURN, 0, 0, _ALLOW)


def install(code: bytes) -> None:
    """For this process and all it will become: no new privileges, then the filter."""
    checked(libc.prctl(38, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(head, len(head))
    checked(libc.prctl(22, 2, ctypes.addressof(holder), 0, 0), "PR_SET_SECCOMP")
