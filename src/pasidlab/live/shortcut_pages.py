"""The instructions that ask whether the pages of a descriptor are in memory, where it does not ask to block on faults.

The definition asks /proc/PID/pagemap (``presence``). A thread of the program has no file for that, but move_pages(2), which moves
nothing where no nodes are given and says on which node each page is. It finds a page only where an entry of the page table is
present (do_pages_stat_array(), mm/migrate.c, v6.12), which is bit 63 of pagemap. Pages that it does not find are left to the trap;
the zero page is one of them, which is present. So the answer is never kinder than the definition.
"""

from __future__ import annotations

from pasidlab.accelerator import Op
from pasidlab.live.libc import SYS_MOVE_PAGES
from pasidlab.live.slot_layout import ANSWERS, ASKING, CODES, HELD, ITSELF, MAY_ASK, MOST_PAGES, OPERATION, QUESTIONS, SIZE, WAYS, gs

_FILL = CODES.index(Op.FILL)  # has no source
_DUALCAST = CODES.index(Op.DUALCAST)  # has a region more
_ONE_REGION = [CODES.index(code) for code in (Op.COMPARE_PATTERN, Op.CRC)]
_HELD = {name: HELD + 8 * at for at, name in enumerate(("rax", "rdx", "rsi", "r8", "r9", "r10", "r11"))}


def _pages_from(first: str) -> str:
    """Put the pages of a region behind the ESI that there are; ``first`` has its address, RCX its size."""
    return f"""
        mov %{first}, %rax
        lea -1(%{first},%rcx), %rbx
        cmp %rax, %rbx
        jb reject
        and $-4096, %rax
    7:  cmp ${MOST_PAGES}, %esi
        jae reject
        mov %rax, {gs(QUESTIONS)}(,%rsi,8)
        inc %esi
        add $4096, %rax
        cmp %rbx, %rax
        jbe 7b
    """


def question() -> str:
    """From ``ask`` to ``asked``, where all is as it was. ASKING is set before permission is looked for: who takes it away sees who asks."""
    return f"""
    ask: mov $1, %ebx
        xchg %rbx, {gs(ASKING)}
        testl ${MAY_ASK}, {gs(WAYS)}
        jz reject
        {chr(10).join(f"mov %{name}, {gs(at)}" for name, at in _HELD.items())}
        xor %esi, %esi
        cmp ${_FILL}, %edi
        je 8f
        {_pages_from("r10")}
    8:
        {chr(10).join(f"cmp ${code}, %edi{chr(10)}je 8f" for code in _ONE_REGION)}
        {_pages_from("r11")}
    8:  cmp ${_DUALCAST}, %edi
        jne 8f
        {_pages_from("rdx")}
    8:  mov {gs(ITSELF)}, %rdx
        lea {ANSWERS}(%rdx), %r8   # status
        add ${QUESTIONS}, %rdx     # pages; their number is in ESI
        xor %edi, %edi             # the thread's own memory
        xor %r9d, %r9d             # flags
        xor %r10d, %r10d           # nodes: none
        mov ${SYS_MOVE_PAGES}, %eax
        syscall
        test %rax, %rax
        jnz reject
    8:  dec %esi
        cmpl $0, {gs(ANSWERS)}(,%rsi,4)
        jl reject
        test %esi, %esi
        jnz 8b
        {chr(10).join(f"mov {gs(at)}, %{name}" for name, at in _HELD.items())}
        mov {gs(SIZE)}, %rcx
        mov {gs(OPERATION)}, %edi
        movl $0, {gs(ASKING)}
        jmp asked
    """
