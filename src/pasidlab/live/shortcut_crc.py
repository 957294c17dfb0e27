"""The instructions that compute a CRC-32C: CRC32 of SSE4.2 (SDM volume 2), as ``checksums.crc32c`` defines the operation's options."""

from __future__ import annotations

from functools import cache

from pasidlab.accelerator.abi import BYPASS_DATA_REFLECTION, BYPASS_INVERSION
from pasidlab.live.descriptors import text_file
from pasidlab.live.slot_layout import KEPT, SEED, SIZE, gs

_MASKS = ((4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333), (1, 0x5555555555555555))


def _reverse_bytes(value: str) -> str:
    """Put the bits of each byte in reverse, in a register of 64 bits; RBX and RDX are overwritten."""
    return "".join(
        f"""
        movabs ${mask}, %rdx
        mov %{value}, %rbx
        shr ${shift}, %rbx
        and %rdx, %rbx
        and %rdx, %{value}
        shl ${shift}, %{value}
        or %rbx, %{value}
    """
        for shift, mask in _MASKS
    )


def _turn(name: str) -> str:
    """From the seed in EAX to the register of the instruction, or back."""
    return f"""
        testl ${BYPASS_INVERSION}, {gs(KEPT)}
        jz plain_{name}
        bswap %eax
        {_reverse_bytes("rax")}
        jmp turned_{name}
    plain_{name}: not %eax
    turned_{name}:
    """


CRC = f"""
    crc: mov %r10, %rsi
        mov {gs(SIZE)}, %ecx
        mov {gs(SEED)}, %eax
        {_turn("in")}
        testl ${BYPASS_DATA_REFLECTION}, {gs(KEPT)}
        jnz 5f
        mov %ecx, %edx
        shr $3, %edx
        jz 2f
    1:  crc32q (%rsi), %rax
        add $8, %rsi
        dec %edx
        jnz 1b
    2:  and $7, %ecx
        jz 7f
    3:  crc32b (%rsi), %eax
        inc %rsi
        dec %ecx
        jnz 3b
        jmp 7f
    5:  cmp $8, %ecx
        jb 6f
        mov (%rsi), %rdi
        {_reverse_bytes("rdi")}
        crc32q %rdi, %rax
        add $8, %rsi
        sub $8, %ecx
        jmp 5b
    6:  test %ecx, %ecx
        jz 7f
        movzbl (%rsi), %edi
        {_reverse_bytes("rdi")}
        crc32b %dil, %eax
        inc %rsi
        dec %ecx
        jmp 6b
    7:
        {_turn("out")}
        mov %eax, %ebx             # the CRC stands at byte 16 of the record
        jmp good
"""


@cache
def has_crc32() -> bool:
    """Whether the processor has the instruction."""
    with text_file("/proc/cpuinfo") as file:
        return any(line.startswith("flags") and "sse4_2" in line.split() for line in file)
