"""The instructions that carry a descriptor out in the program's own thread, as text for LLVM's assembler.

The thread's slot (``slots``) is where GS points, shifted so that a thread without one faults at the first access. Nothing else is
needed of the thread: no stack, no register that is not saved first, no vector register. Whatever is not carried out exactly as
``accelerator`` defines it ends at ``TRAP``, which raises SIGILL; a fault raises its own signal. The tracer then puts the thread back
to its own instruction. Up to ``commit`` that is always possible: nothing written until then hinders doing all of it again.
"""

from __future__ import annotations

from dataclasses import dataclass

from pasidlab.accelerator.abi import Flag, Op
from pasidlab.live.assembler import Assembled, assembler
from pasidlab.live.decode import Instruction
from pasidlab.live.registers import CF, ENCODING, OF, PF, RIP, SF, ZF
from pasidlab.live.shortcut_batch import BATCH, NEXT
from pasidlab.live.shortcut_crc import CRC
from pasidlab.live.shortcut_operations import OPERATIONS_TEXT
from pasidlab.live.shortcut_pages import question
from pasidlab.live.sites import TRAP
from pasidlab.live.slot_layout import (
    BY_ENQCMD,
    BYTES,
    CODES,
    COUNTED_AS,
    COUNTS,
    FLAGS,
    FORBIDDEN,
    ITSELF,
    KEPT,
    MAGIC,
    MOST,
    NOWHERE,
    OPERATION,
    PAGE,
    PORTAL,
    QUEUE,
    REQUIRED,
    RESULT,
    RETURN,
    ROW_SIZE,
    ROWS,
    SAVED,
    SEED,
    SIZE,
    TABLE,
    WAY,
    WAY_OF,
    WAYS,
    as_ax,
)
from pasidlab.live.slot_layout import gs as _gs

_TRAP = f".byte {TRAP[0]}"
_NAMES = ("rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11")
_SAVED_AT = dict(zip(_NAMES, range(SAVED, SAVED + 80, 8), strict=True))
_RECORD = Flag.RECORD_ADDRESS_VALID | Flag.REQUEST_RECORD
_SEVEN = CODES.index(Op.CRC)  # operations below have the place of their code
_COPY_CRC, _DUALCAST = CODES.index(Op.COPY_CRC), CODES.index(Op.DUALCAST)
assert _DUALCAST == Op.DUALCAST

_CONDITIONS = (("o", OF), ("s", SF), ("z", ZF), ("p", PF), ("c", CF))
_LEAVES = 1 << len(_CONDITIONS)
_CLEAR = 0x0200  # AH and AL for flags that are all clear; bit 1 of EFLAGS is always set


def _status_flags(leaf: int) -> int:
    """The flags that lead to a leaf of the tree. AF cannot be branched on: it is taken for clear."""
    return sum(mask for at, (_, mask) in enumerate(_CONDITIONS) if leaf >> (len(_CONDITIONS) - 1 - at) & 1)


def _tree(level: int = 0, leaf: int = 0) -> str:
    """Finds the status flags by branching on them, which changes none of them, and checks whose slot this is."""
    if level == len(_CONDITIONS):
        return f"""
        leaf_{leaf}: cmpl $magic_low, {_gs(MAGIC)}
            jne no_{leaf}
            cmpl $magic_high, {_gs(MAGIC + 4)}
            jne no_{leaf}
            movl ${as_ax(_status_flags(leaf))}, {_gs(FLAGS)}
            jmp save
        no_{leaf}: {_TRAP}"""
    yes = leaf | 1 << (len(_CONDITIONS) - 1 - level)
    label = f"is_{level}_{leaf}"
    return f"j{_CONDITIONS[level][0]} {label}\n{_tree(level + 1, leaf)}\n{label}:\n{_tree(level + 1, yes)}"


_DESCRIPTOR = f"""
    start: test $63, %dil
        jnz reject
        mov {_gs(TABLE)}, %r8
        mov %edi, %eax
        shr $12, %eax
        and ${ROWS - 1}, %eax
        imul ${ROW_SIZE}, %eax, %eax
        add %rax, %r8
        and $-4096, %rdi
        cmp %rdi, {PAGE}(%r8)
        jne reject
        cmp %ecx, {WAY}(%r8)
        jne reject
        test %ecx, {_gs(WAYS)}
        jz reject
    load: mov (%rsi), %rax
        mov 8(%rsi), %r9
        mov 16(%rsi), %r10
        mov 24(%rsi), %r11
        mov 32(%rsi), %rcx
        mov 40(%rsi), %rdx
        mov 48(%rsi), %rbx
        or 56(%rsi), %rbx
        jnz reject
        test %eax, %eax
        jnz reject
        shr $32, %rax
        mov %eax, %edi
        shr $24, %edi
        and $0xffffff, %eax
        mov %eax, %ebx
        and ${_RECORD}, %ebx
        cmp ${_RECORD}, %ebx
        jne unrecorded
    recorded: cmp ${_SEVEN}, %edi
        jae beyond
    known: cmpl $0, {_gs(COUNTED_AS)}
        jne member
    legal: test %eax, {FORBIDDEN}(%r8,%rdi,4)
        jnz reject
        mov {REQUIRED}(%r8,%rdi,4), %ebx
        and %eax, %ebx
        cmp {REQUIRED}(%r8,%rdi,4), %ebx
        jne reject
        test $31, %r9b
        jnz reject
        lea 31(%r9), %rbx          # a record that overlaps its descriptor
        sub %rsi, %rbx
        cmp $95, %rbx
        jb reject
        mov %edi, {_gs(OPERATION)}
        mov %rcx, %rbx             # interrupt handle and reserved bytes
        shr $32, %rbx
        jnz reject
        mov %rcx, {_gs(SIZE)}
        test %edi, %edi
        jz noop
        test %ecx, %ecx
        jz reject
        cmp $1, %edi
        je batch
        cmp {MOST}(%r8), %ecx
        ja reject
        test ${Flag.BLOCK_ON_FAULT}, %al
        jz ask
    asked: cmp $4, %edi
        jb plain_move
        je fill
        mov %eax, {_gs(KEPT)}
        cmp ${_SEVEN}, %edi
        jae checksum
        cmp $0xff, %rdx
        ja reject
        cmp $5, %edi
        je compare
        jmp pattern
    noop: mov %r10, %rbx
        or %r11, %rbx
        or %rcx, %rbx
        or %rdx, %rbx
        jnz reject
        jmp succeed
    beyond: cmp ${_DUALCAST}, %edi
        je known
        sub ${Op.CRC - _SEVEN}, %edi
        cmp ${_SEVEN}, %edi
        jb reject
        cmp ${_COPY_CRC}, %edi
        ja reject
        jmp known
    unrecorded: cmp ${Flag.REQUEST_RECORD}, %ebx
        je reject
        test $31, %r9b
        jnz reject
        test %ebx, %ebx
        jnz 1f
        test %r9, %r9
        jnz reject
    1:  mov {_gs(ITSELF)}, %r9     # success is written where nobody reads it
        add ${NOWHERE}, %r9
        jmp recorded
    checksum: cmp ${_DUALCAST}, %edi
        je dualcast
        mov %edx, {_gs(SEED)}
        shr $32, %rdx
        jnz reject
        cmp ${_SEVEN}, %edi
        ja move
        test %r11, %r11
        jnz reject
        jmp crc
"""

_END = f"""
    succeed: xor %ebx, %ebx
    good: mov {_gs(SIZE)}, %rcx
        xor %edi, %edi
        xor %edx, %edx
        mov $1, %esi
        jmp tell
    done: xor %ebx, %ebx
    tell: mov %rbx, 16(%r9)        # ESI: status, EDI: result, RDX: bytes completed, RCX: bytes moved, RBX: CRC
        xor %ebx, %ebx
        mov %rbx, 8(%r9)
        mov %rbx, 24(%r9)
        mov {_gs(OPERATION)}, %eax
        lea -1(%rsi,%rax,2), %ebx
        shl $3, %ebx
        add {_gs(COUNTED_AS)}, %ebx
        add {QUEUE}(%r8), %ebx
        shl $32, %rdx
        shl $8, %edi
        or %rdi, %rdx
        or %rsi, %rdx
    commit: mov %rdx, (%r9)
    counted: incq {_gs(COUNTS)}(%rbx)
    summed: add %rcx, {_gs(BYTES)}
        {NEXT}
    restore: mov {_gs(RESULT)}, %eax
        add $0x7f, %al
        sahf
        {chr(10).join(f"mov {_gs(at)}, %{name}" for name, at in _SAVED_AT.items())}
        jmp *{_gs(RETURN)}
    reject: {_TRAP}
"""
_BODY_LABELS = ("commit", "counted", "summed", "advance", "batch_commit", "batch_counted", "reject")


def body() -> Assembled:
    """What all sites share: from the addresses of portal (RDI) and descriptor (RSI) and the way (ECX) to the end."""
    return assembler().assemble(_DESCRIPTOR + question() + OPERATIONS_TEXT + CRC + BATCH + _END, _BODY_LABELS)


def lea_to_rsi(instruction: Instruction, end: int) -> str:
    """The address of the source; an operand relative to RIP lies relative to ``end`` of the instruction."""
    if instruction.base == RIP:
        return f"movabs ${end + instruction.displacement}, %rsi"
    base = f"%{_full_name(instruction.base)}" if instruction.base >= 0 else ""
    index = f",%{_full_name(instruction.index)},{instruction.scale}" if instruction.index >= 0 else ""
    if not base and not index:
        return f"mov ${instruction.displacement}, %rsi"
    return f"lea {instruction.displacement}({base}{index}), %rsi"


_FULL_NAMES = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))


def _full_name(register: int) -> str:
    return _FULL_NAMES[ENCODING.index(register)]


@dataclass(frozen=True)
class EntrancePlace:
    """Where an entrance will lie, and what it leads to."""

    start: int
    body: int  # address of the shared code
    end: int  # address behind the program's instruction
    magic: int


def entrance(instruction: Instruction, place: EntrancePlace) -> Assembled:
    """What a patched instruction jumps to. Labels: the leaves of the tree, ``save``, and ``taken``, where the first register
    changes.
    """
    way = WAY_OF[instruction.kind]
    result = f"movl ${_CLEAR}, {_gs(RESULT)}" if way == BY_ENQCMD else f"mov {_gs(FLAGS)}, %ecx\nmov %ecx, {_gs(RESULT)}"
    text = f"""
        .set magic_low, {_signed(place.magic & 0xFFFFFFFF)}
        .set magic_high, {_signed(place.magic >> 32)}
        {_tree()}
    save: {chr(10).join(f"mov %{name}, {_gs(at)}" for name, at in _SAVED_AT.items())}
        movl ${_signed(place.end & 0xFFFFFFFF)}, {_gs(RETURN)}
        movl ${_signed(place.end >> 32)}, {_gs(RETURN + 4)}
        mov %{_full_name(instruction.register)}, {_gs(PORTAL)}
    taken: {lea_to_rsi(instruction, place.end)}
        mov {_gs(PORTAL)}, %rdi
        {result}
        mov ${way}, %ecx
        jmp begin + {place.body - place.start}
    """
    leaves = [f"{name}_{leaf}" for name in ("leaf", "no") for leaf in range(_LEAVES)]
    return assembler().assemble(text, (*leaves, "save", "taken"))


def leaf_flags(code: Assembled, offset: int) -> int | None:
    """The status flags the program had, where ``offset`` lies in a leaf that may have changed them; None before the leaves."""
    for leaf in range(_LEAVES):
        if code.labels[f"leaf_{leaf}"] < offset <= code.labels[f"no_{leaf}"]:
            return _status_flags(leaf)
    return None


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word
