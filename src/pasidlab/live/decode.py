"""Decodes ENQCMD, ENQCMDS, MOVDIR64B, UMONITOR, UMWAIT and TPAUSE in 64-bit mode and in compatibility mode with 32-bit code.

Encodings from the SDM, volume 2 (instruction set reference, and 2.1 for prefixes, ModRM and SIB):
[prefixes] [REX] 0F 38 F8 /r with mandatory prefix F2 (ENQCMD), F3 (ENQCMDS) or 66 (MOVDIR64B), memory operands only;
0F AE /6, register operands only, with F3 (UMONITOR), F2 (UMWAIT) or 66 (TPAUSE).
Compatibility mode has no REX and no RIP-relative addresses (2.2.1), and linear addresses of 32 bits. Prefix 67 makes addresses of 16 bits
there: such an instruction is none of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from pasidlab.live.registers import ENCODING, FS_BASE, GS_BASE, RIP, RegisterArray

MAX_LENGTH = 15
_U64 = (1 << 64) - 1
_U32 = (1 << 32) - 1
_PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")


class InstructionKind(Enum):
    """The instructions this emulator knows."""

    ENQCMD = auto()
    ENQCMDS = auto()
    MOVDIR64B = auto()
    UMONITOR = auto()
    UMWAIT = auto()
    TPAUSE = auto()


_STORES = {0xF2: InstructionKind.ENQCMD, 0xF3: InstructionKind.ENQCMDS, 0x66: InstructionKind.MOVDIR64B}
_WAITS = {0xF3: InstructionKind.UMONITOR, 0xF2: InstructionKind.UMWAIT, 0x66: InstructionKind.TPAUSE}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction. ``register``, ``base``, ``index`` and ``segment`` index a register block; -1 is none."""

    kind: InstructionKind
    length: int  # bytes
    register: int  # destination address of a store; the only operand of a wait
    base: int = -1  # RIP stands for the address of the next instruction
    index: int = -1
    scale: int = 1
    displacement: int = 0
    segment: int = -1
    address_mask: int = _U64  # address size: 32 bits with prefix 67
    linear_mask: int = _U64  # 32 bits in compatibility mode

    def destination(self, registers: RegisterArray) -> int:
        """Linear address of the 64-byte destination: always segment ES, base 0."""
        return registers[self.register] & self.address_mask

    def monitored(self, registers: RegisterArray) -> int:
        """Linear address of the operand of UMONITOR."""
        base = registers[self.segment] if self.segment >= 0 else 0
        return base + (registers[self.register] & self.address_mask) & self.linear_mask

    def accesses(self, registers: RegisterArray, address: int) -> bool:
        """Whether a page fault at this linear address may be the instruction's."""
        places = (self.destination(registers), self.monitored(registers), self.source(registers))
        return any(0 <= address - place < 64 for place in places)

    def source(self, registers: RegisterArray) -> int:
        """Linear address of the 64-byte source."""
        address = self.displacement
        if self.base >= 0:
            address += registers[self.base]
            if self.base == RIP:
                address += self.length
        if self.index >= 0:
            address += registers[self.index] * self.scale
        address &= self.address_mask
        if self.segment >= 0:
            address += registers[self.segment]
        return address & self.linear_mask


@dataclass(slots=True)
class _Prefixes:
    mandatory: int = 0  # F2 and F3 win over 66, the later of F2 and F3 wins
    segment: int = -1
    short_address: bool = False
    rex: int = 0
    length: int = 0


def _prefixes(code: bytes, *, compatible: bool) -> _Prefixes | None:
    """Prefixes and REX, or None where LOCK makes the instruction invalid."""
    found = _Prefixes()
    for byte in code:
        if byte not in _PREFIXES:
            break
        found.length += 1
        if byte == 0xF0:
            return None
        if byte in (0xF2, 0xF3) or (byte == 0x66 and not found.mandatory):
            found.mandatory = byte
        elif byte == 0x67:
            found.short_address = True
        elif byte in (0x64, 0x65):
            found.segment = FS_BASE if byte == 0x64 else GS_BASE
    if not compatible and found.length < len(code) and code[found.length] & 0xF0 == 0x40:
        found.rex = code[found.length]
        found.length += 1
    return found


def decode(code: bytes, *, compatible: bool = False) -> Instruction | None:
    """The instruction at the start of ``code`` (up to 15 bytes), or None if it is not one of ours. ``compatible``: 32-bit code."""
    found = _decode(code, compatible=compatible)
    return replace(found, address_mask=_U32, linear_mask=_U32) if found and compatible else found


def _decode(code: bytes, *, compatible: bool) -> Instruction | None:
    prefixes = _prefixes(code[:MAX_LENGTH], compatible=compatible)
    if prefixes is None or (compatible and prefixes.short_address):
        return None
    at = prefixes.length
    if code[at : at + 3] == b"\x0f\x38\xf8" and prefixes.mandatory in _STORES:
        return _store(code[:MAX_LENGTH], at + 3, prefixes, no_base=-1 if compatible else RIP)
    if code[at : at + 2] == b"\x0f\xae" and prefixes.mandatory in _WAITS and at + 3 <= min(len(code), MAX_LENGTH):
        modrm = code[at + 2]
        if modrm >> 6 == 3 and modrm >> 3 & 7 == 6:
            register = ENCODING[modrm & 7 | (prefixes.rex & 1) << 3]
            mask = _U32 if prefixes.short_address else _U64
            return Instruction(_WAITS[prefixes.mandatory], at + 3, register, address_mask=mask, segment=prefixes.segment)
    return None


def _store(code: bytes, at: int, prefixes: _Prefixes, no_base: int) -> Instruction | None:
    """ModRM, SIB and displacement of a 64-byte store; None if truncated or if the operand is a register. ``no_base``: what a displacement
    alone is added to.
    """
    rex = prefixes.rex
    if at >= len(code) or code[at] >> 6 == 3:
        return None
    mod, reg, rm = code[at] >> 6, code[at] >> 3 & 7 | (rex & 4) << 1, code[at] & 7
    at += 1
    base, index, scale = ENCODING[rm | (rex & 1) << 3], -1, 1
    size = (0, 1, 4)[mod]
    if rm == 4:
        if at >= len(code):
            return None
        sib = code[at]
        at += 1
        number = sib >> 3 & 7 | (rex & 2) << 2
        index, scale = (ENCODING[number] if number != 4 else -1), 1 << (sib >> 6)
        base = ENCODING[sib & 7 | (rex & 1) << 3]
        if mod == 0 and sib & 7 == 5:
            base, size = -1, 4
    elif mod == 0 and rm == 5:
        base, size = no_base, 4
    if at + size > len(code):
        return None
    displacement = int.from_bytes(code[at : at + size], "little", signed=True)
    mask = _U32 if prefixes.short_address else _U64
    kind = _STORES[prefixes.mandatory]
    return Instruction(
        kind, at + size, ENCODING[reg], base=base, index=index, scale=scale, displacement=displacement, segment=prefixes.segment,
        address_mask=mask,
    )  # fmt: skip
