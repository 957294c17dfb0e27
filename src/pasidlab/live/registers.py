"""Indices into the register block that PTRACE_GETREGS fills (struct user_regs_struct, 27 words of 8 bytes)."""

from __future__ import annotations

import ctypes

(
    R15,
    R14,
    R13,
    R12,
    RBP,
    RBX,
    R11,
    R10,
    R9,
    R8,
    RAX,
    RCX,
    RDX,
    RSI,
    RDI,
    ORIG_RAX,
    RIP,
    CS,
    EFLAGS,
    RSP,
    SS,
    FS_BASE,
    GS_BASE,
    DS,
    ES,
    FS,
    GS,
) = range(27)
COUNT = 27
USER32_CS, _OF_LDT = 0x23, 4
"""The selector of 32-bit code."""
ENCODING = (RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15)
"""Instruction register number (ModRM with REX) -> index."""

ARGUMENTS = (RDI, RSI, RDX, R10, R8, R9)
"""System call arguments in order."""

CF, PF, AF, ZF, SF, OF, TRAP_FLAG = 1, 4, 16, 64, 128, 2048, 1 << 8
STATUS_FLAGS = CF | PF | AF | ZF | SF | OF
RESUME_FLAG = 1 << 16
"""RF of EFLAGS. A fault sets it in what it saves, an interrupt or a system call does not, but in the middle of a repeated string
instruction; an instruction that is carried out clears it (SDM volume 3, 19.3.1.1).
"""

Registers = ctypes.c_uint64 * COUNT
RegisterArray = ctypes.Array[ctypes.c_uint64]
"""The type of a register block."""


def is_canonical(address: int) -> bool:
    """Whether an access to this address raises no #GP: its upper 17 bits are the same."""
    return address >> 47 in (0, 0x1FFFF)


def runs_64_bit_code(registers: RegisterArray) -> bool:
    """Whether the thread is in 64-bit mode: neither __USER32_CS (asm/segment.h) nor a segment of the LDT, which cannot be one of 64 bits
    (fill_ldt(), asm/desc.h, v6.12).
    """
    return registers[CS] != USER32_CS and not registers[CS] & _OF_LDT
