"""The instructions that carry out the members of a batch, one after the other, as ``accelerator`` does.

Each member is committed by itself: from then on the program may have seen its completion record. So a batch is never begun again. Where a
member is not carried out here, or the thread is interrupted, the tracer carries out those that are left (``DONE`` says how many are not),
and then writes the record of the batch. The list is read member by member; the definition reads it all at once. So what would write to
the list, or to the descriptor of the batch, is left to the definition.
"""

from __future__ import annotations

from pasidlab.accelerator import Op
from pasidlab.live.slot_layout import (
    CODES,
    COUNTED_AS,
    COUNTS,
    DONE,
    FEWEST,
    KEPT,
    LAST,
    LIST,
    MEMBERS,
    MOST_MEMBERS,
    OF_MEMBERS,
    OPERATION,
    PLACE,
    QUEUE,
    RECORD,
    SPAN,
    gs,
)

_BATCH, _DUALCAST = CODES.index(Op.BATCH), CODES.index(Op.DUALCAST)


def _beside(address: str, size: str, last: str, span: str) -> str:
    """Leave where ``size`` bytes at ``address`` meet the region of ``span`` bytes and one more that ends with the byte at ``last``."""
    return f"""
        mov {last}, %rbx
        sub %{address}, %rbx
        mov {size}, %edi
        add {span}, %rdi
        cmp %rdi, %rbx
        jb reject
    """


BATCH = f"""
    batch: cmp {FEWEST}(%r8), %ecx
        jb reject
        cmp {MOST_MEMBERS}(%r8), %ecx
        ja reject
        test $63, %r10b
        jnz reject
        mov %r11, %rbx
        or %rdx, %rbx
        jnz reject
        mov %rcx, {gs(MEMBERS)}
        shl $6, %rcx
        dec %rcx
        mov %rcx, {gs(SPAN)}
        add %r10, %rcx
        jc reject
        mov %rcx, {gs(LAST)}
        {_beside("r9", "$32", gs(LAST), gs(SPAN))}
        mov %rsi, {gs(PLACE)}
        mov %r9, {gs(RECORD)}
        mov %r10, {gs(LIST)}
        movq $0, {gs(DONE)}
        movl ${OF_MEMBERS}, {gs(COUNTED_AS)}
        mov %r10, %rsi
        jmp load
    member: and $0xfffffe, %eax    # a fence: none of those before has failed
        cmp ${_BATCH}, %edi
        je reject
        mov %eax, {gs(KEPT)}
        mov %edi, {gs(OPERATION)}
        {_beside("r9", "$32", gs(LAST), gs(SPAN))}
        {_beside("r11", "%ecx", gs(LAST), gs(SPAN))}
        mov {gs(PLACE)}, %rax
        add $63, %rax
        {_beside("r9", "$32", "%rax", "$63")}
        {_beside("r11", "%ecx", "%rax", "$63")}
        cmpl ${_DUALCAST}, {gs(OPERATION)}
        jne 1f
        {_beside("rdx", "%ecx", "%rax", "$63")}
        {_beside("rdx", "%ecx", gs(LAST), gs(SPAN))}
    1:  mov {gs(KEPT)}, %eax
        mov {gs(OPERATION)}, %edi
        jmp legal
"""

NEXT = f"""
        cmpl $0, {gs(COUNTED_AS)}
        je restore
    advance: incq {gs(DONE)}
        mov {gs(DONE)}, %rdx
        cmp {gs(MEMBERS)}, %rdx
        jae last
        mov %rdx, %rsi
        shl $6, %rsi
        add {gs(LIST)}, %rsi
        jmp load
    last: mov {gs(RECORD)}, %r9
        xor %ebx, %ebx
        mov %rbx, 8(%r9)
        mov %rbx, 16(%r9)
        mov %rbx, 24(%r9)
        shl $32, %rdx              # descriptors completed
        inc %rdx                   # success
        mov {QUEUE}(%r8), %ebx
        add ${8 * 2 * _BATCH}, %ebx
    batch_commit: mov %rdx, (%r9)
    batch_counted: incq {gs(COUNTS)}(%rbx)
        movl $0, {gs(COUNTED_AS)}
"""
