"""The seccomp filter of the program: only the few system calls that matter stop in the tracer, everything else runs natively.

Portals are placed in a reserved 4 GiB window of the address space, so that the filter can tell by the address alone which
munmap, mremap and mprotect concern one.
"""

from __future__ import annotations

import ctypes
import struct

from pasidlab.live.libc import (
    SYS_MMAP,
    SYS_MPROTECT,
    SYS_MREMAP,
    SYS_MUNMAP,
    SYS_PKEY_MPROTECT,
    SYS_RT_SIGACTION,
    check,
    libc,
)  # fmt: skip

WINDOW = 0x7ED5_0000_0000
"""Where portals go: high enough for sanitizers' application range, below where libraries usually are."""

_LOAD, _JEQ, _JSET, _RETURN = 0x20, 0x15, 0x45, 0x06  # linux/bpf_common.h
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000  # SECCOMP_RET_*
_ARCH_X86_64 = 0xC000003E
_NR, _ARCH = 0, 4  # offsets in struct seccomp_data
_MAP_SHARED_BIT, _MAP_FIXED, _MAP_ANONYMOUS = 1, 0x10, 0x20

Condition = list[tuple[int, int, bool]]
"""All must hold: (offset in seccomp_data, value, and whether equality is asked rather than 'has a bit of')."""


def low(argument: int) -> int:
    """Offset of the low half of a system call argument."""
    return 16 + 8 * argument


def high(argument: int) -> int:
    """Offset of the high half."""
    return low(argument) + 4


def rules(signals: tuple[int, ...]) -> list[tuple[int, Condition]]:
    """(system call, condition): each stops in the tracer. ``signals``: those whose handler must be known."""
    in_window: Condition = [(high(0), WINDOW >> 32, True)]
    found: list[tuple[int, Condition]] = [
        (SYS_MMAP, [(low(3), _MAP_SHARED_BIT, False), (low(3), _MAP_ANONYMOUS, False)]),
        (SYS_MMAP, [(high(0), WINDOW >> 32, True)]),
    ]
    found += [(number, in_window) for number in (SYS_MUNMAP, SYS_MREMAP, SYS_MPROTECT, SYS_PKEY_MPROTECT)]
    return found + [(SYS_RT_SIGACTION, [(low(0), signal, True)]) for signal in signals]


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _negated(number: int, offset: int, value: int) -> bool:
    """MAP_ANONYMOUS is the one condition that asks for a bit to be clear."""
    return number == SYS_MMAP and value == _MAP_ANONYMOUS and offset == low(3)


def program(signals: tuple[int, ...], extra: list[tuple[int, Condition]] | None = None) -> bytes:
    """The filter as an array of struct sock_filter."""
    code = _instruction(_LOAD, 0, 0, _ARCH) + _instruction(_JEQ, 1, 0, _ARCH_X86_64) + _instruction(_RETURN, 0, 0, _ALLOW)
    for number, condition in rules(signals) + (extra or []):
        block = b""
        for offset, value, equal in reversed(condition):
            left = len(block) // 8 + 1  # instructions to skip when the condition fails: the rest of the block and the return
            jump = _instruction(_JEQ if equal else _JSET, 0, left, value)
            if _negated(number, offset, value):
                jump = _instruction(_JSET, left, 0, value)
            block = _instruction(_LOAD, 0, 0, offset) + jump + block
        block += _instruction(_RETURN, 0, 0, _TRACE)
        head = _instruction(_LOAD, 0, 0, _NR) + _instruction(_JEQ, 0, len(block) // 8, number)
        code += head + block
    return code + _instruction(_RETURN, 0, 0, _ALLOW)


def install(code: bytes) -> None:
    """For this process and all it will become: no new privileges, then the filter."""
    check(libc.prctl(38, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(head, len(head))
    check(libc.prctl(22, 2, ctypes.addressof(holder), 0, 0), "PR_SET_SECCOMP")
