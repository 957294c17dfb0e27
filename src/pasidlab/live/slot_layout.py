"""Where things are in a thread's slot: what the code in the program and the tracer both read and write."""

from __future__ import annotations

from pasidlab.accelerator import Op
from pasidlab.live.decode import InstructionKind
from pasidlab.live.registers import AF, CF, OF, PF, R8, R9, R10, R11, RAX, RBX, RCX, RDI, RDX, RSI, SF, ZF

BIAS = 0x70000000
"""GS points this far beyond the slot: where it is 0, the accesses reach for kernel addresses and fault."""

# Byte offsets in a slot.
MAGIC, WAYS, OPERATION, RETURN, PORTAL, TABLE, FLAGS, RESULT, SIZE, KEPT = 0, 8, 12, 16, 24, 32, 40, 44, 48, 56
SAVED, HELD, ITSELF, ASKING, BYTES, SEED, ANSWERS, QUESTIONS = 64, 144, 208, 216, 224, 232, 256, 512
PLACE, RECORD, LIST, LAST, SPAN, DONE, MEMBERS, COUNTED_AS, NOWHERE, COUNTS = 1024, 1032, 1040, 1048, 1056, 1064, 1072, 1080, 1088, 1152
SLOT_SIZE = 8192
MOST_PAGES = 64
"""As many pages are asked for at once: there is an address of 8 bytes and an answer of 4 for each."""
SAVED_REGISTERS = (RAX, RCX, RDX, RBX, RSI, RDI, R8, R9, R10, R11)

# Byte offsets in a row of the table of portals.
PAGE, WAY, QUEUE, MOST, FEWEST, MOST_MEMBERS, FORBIDDEN, REQUIRED = 0, 8, 12, 16, 20, 24, 32, 72
ROWS, ROW_SIZE = 64, 128

CODES = (Op.NOOP, Op.BATCH, Op.DRAIN, Op.MEMORY_MOVE, Op.FILL, Op.COMPARE, Op.COMPARE_PATTERN, Op.CRC, Op.COPY_CRC, Op.DUALCAST)
"""The operations that have a place in the table and in the counters: the first seven, and dualcast, at their code."""
OPERATIONS = len(CODES)
QUEUE_COUNTS = 4 * OPERATIONS
"""Counters of one queue: for each operation, success and false predicate; then the same of members of batches."""
SECOND = SEED
"""Of dualcast: its second destination."""
OF_MEMBERS = 8 * 2 * OPERATIONS
"""In COUNTED_AS while a batch is carried out, else 0: bytes to the counters of members."""

BY_ENQCMD, BY_MOVDIR64B, MAY_ASK = 1, 2, 4
"""Bits of WAYS: the instructions by which the thread may submit, and whether it may make a system call."""
WAY_OF = {InstructionKind.ENQCMD: BY_ENQCMD, InstructionKind.MOVDIR64B: BY_MOVDIR64B}


def as_ax(flags: int) -> int:
    """SAHF takes SF, ZF, AF, PF and CF from AH; OF comes of adding 127 to AL."""
    return (flags & (SF | ZF | AF | PF | CF) | 2) << 8 | bool(flags & OF)


def flags_from_ax(word: int) -> int:
    """The status flags that a word of a slot stands for."""
    return word >> 8 & (SF | ZF | AF | PF | CF) | (OF if word & 1 else 0)


def gs(offset: int) -> str:
    """The operand, in the assembler's words, that is this place in the slot."""
    return f"%gs:{offset - BIAS}"
