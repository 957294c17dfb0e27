"""The instructions that move, dualcast, fill and compare as ``accelerator`` does. RCX: the size, R10: the first region, R11: the second."""

from __future__ import annotations

from pasidlab.accelerator import Op
from pasidlab.accelerator.abi import Flag
from pasidlab.live.slot_layout import CODES, COUNTED_AS, KEPT, OPERATION, SECOND, SIZE
from pasidlab.live.slot_layout import gs as _gs

_STRING = 1024  # bytes from which the processor's string instructions are worth their start
_COPY_CRC = CODES.index(Op.COPY_CRC)



def _not_itself(destination: str) -> str:
    """Leave where a destination overlaps the descriptor."""
    return f"""
        lea 63(%rsi), %rbx
        sub %{destination}, %rbx
        lea 63(%rcx), %rax
        cmp %rax, %rbx
        jb reject
    """


def _apart(one: str, other: str) -> str:
    """Leave where two regions of RCX bytes overlap."""
    return f"""
        mov %{one}, %rbx
        sub %{other}, %rbx
        cmp %rcx, %rbx
        jb reject
        neg %rbx
        cmp %rcx, %rbx
        jb reject
    """


_UPWARDS = """
        mov %r8, %rsi              # DF, which a program may have set
        lodsb
        cmp %r8, %rsi
        jb reject
"""
_MOVE = f"""
    plain_move: test %rdx, %rdx
        jnz reject
    move: {_apart("r11", "r10")}
        {_not_itself("r11")}
        mov %r11, %rdi
        cmp ${_STRING}, %ecx
        ja move_string
        mov %r10, %rsi
        mov %ecx, %edx
        shr $5, %edx
        jz 2f
    1:  mov (%rsi), %rax
        mov 8(%rsi), %rbx
        mov %rax, (%rdi)
        mov %rbx, 8(%rdi)
        mov 16(%rsi), %rax
        mov 24(%rsi), %rbx
        mov %rax, 16(%rdi)
        mov %rbx, 24(%rdi)
        add $32, %rsi
        add $32, %rdi
        dec %edx
        jnz 1b
    2:  and $31, %ecx
    3:  cmp $8, %ecx
        jb 4f
        mov (%rsi), %rax
        mov %rax, (%rdi)
        add $8, %rsi
        add $8, %rdi
        sub $8, %ecx
        jmp 3b
    4:  test %ecx, %ecx
        jz moved
        mov (%rsi), %al
        mov %al, (%rdi)
        inc %rsi
        inc %rdi
        dec %ecx
        jmp 4b
    move_string: {_UPWARDS}
        mov %r10, %rsi
        rep movsb
    moved: cmpl ${_COPY_CRC}, {_gs(OPERATION)}
        je crc
        jmp succeed
"""
_DUALCAST = f"""
    dualcast: mov %r11, %rax
        xor %rdx, %rax
        test $0xfff, %eax
        jnz reject
        {_apart("r10", "r11")}
        {_apart("r10", "rdx")}
        {_apart("r11", "rdx")}
        {_not_itself("r11")}
        {_not_itself("rdx")}
        mov %rdx, {_gs(SECOND)}
        mov %r10, %rsi
        mov %r11, %rdi
        mov %rdx, %rbx
    1:  mov (%rsi), %al            # a page of both can be written, or nothing is in either; neither is touched where there is no source
        lock orb $0, (%rdi)
        lock orb $0, (%rbx)
        mov %edi, %edx
        or $-4096, %edx
        neg %edx                   # bytes to the end of the page
        cmp %ecx, %edx
        cmova %ecx, %edx
        sub %edx, %ecx
    2:  cmp $8, %edx
        jb 3f
        mov (%rsi), %rax
        mov %rax, (%rdi)
        mov %rax, (%rbx)
        add $8, %rsi
        add $8, %rdi
        add $8, %rbx
        sub $8, %edx
        jmp 2b
    3:  test %edx, %edx
        jz 4f
        mov (%rsi), %al
        mov %al, (%rdi)
        mov %al, (%rbx)
        inc %rsi
        inc %rdi
        inc %rbx
        dec %edx
        jmp 3b
    4:  test %ecx, %ecx
        jnz 1b
        jmp succeed
"""
_FILL = f"""
    fill: test %rdx, %rdx
        jnz reject
        {_not_itself("r11")}
        mov %r11, %rdi
        mov %ecx, %edx
        shr $3, %edx
        cmp ${_STRING}, %ecx
        ja fill_string
        mov %r10, %rax
        test %edx, %edx
        jz 2f
    1:  mov %rax, (%rdi)
        add $8, %rdi
        dec %edx
        jnz 1b
    2:  and $7, %ecx
        jz succeed
    3:  mov %al, (%rdi)
        shr $8, %rax
        inc %rdi
        dec %ecx
        jnz 3b
        jmp succeed
    fill_string: {_UPWARDS}
        mov %r10, %rax
        mov %edx, %ecx
        rep stosq
        mov {_gs(SIZE)}, %ecx
        jmp 2b
"""


def _comparison(name: str, word: str, byte: str, next_word: str, next_byte: str) -> str:
    """Both kinds of compare: eight bytes at a time, then one. ``word`` and ``byte`` are the second operand."""
    return f"""
    {name}: mov %r10, %rsi
        mov %r11, %rdi
        mov %ecx, %ebx
        shr $3, %ebx
        jz 2f
    1:  mov (%rsi), %rax
        xor {word}, %rax
        jnz differs
        add $8, %rsi
        {next_word}
        dec %ebx
        jnz 1b
    2:  and $7, %ecx
        jz same
    3:  mov (%rsi), %al
        xor {byte}, %al
        jnz differs_here
        inc %rsi
        {next_byte}
        dec %ecx
        jnz 3b
        jmp same
"""


_VERDICT = f"""
    same: mov {_gs(SIZE)}, %rcx
        xor %edi, %edi
        xor %esi, %esi
        jmp verdict
    differs: bsf %rax, %rax
        shr $3, %eax
        add %rax, %rsi
    differs_here: cmpl $0, {_gs(COUNTED_AS)}
        je 1f
        testb ${Flag.BLOCK_ON_FAULT}, {_gs(KEPT)}
        jnz reject                 # the definition brings the other pages in: members behind it may need them
    1:  sub %r10, %rsi
        mov %rsi, %rcx
        mov $1, %edi
    verdict: mov %edx, %eax        # the result expected, where it is to be checked
        mov %rsi, %rdx
        mov $1, %esi
        testb $0x80, {_gs(KEPT)}
        jz done
        xor %edi, %eax
        and $1, %eax
        jz done
        cmpl $0, {_gs(COUNTED_AS)} # a batch that goes on after a failure
        jne reject
        inc %esi
        jmp done
"""
_COMPARE = _comparison("compare", "(%rdi)", "(%rdi)", "add $8, %rdi", "inc %rdi")
_PATTERN = _comparison("pattern", "%rdi", "%dil", "", "shr $8, %rdi")
OPERATIONS_TEXT = _MOVE + _DUALCAST + _FILL + _COMPARE + _PATTERN + _VERDICT
"""All of it."""
