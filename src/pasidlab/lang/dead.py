"""Fields that carry no information: never stored anything but their default, or never loaded. They leave the state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from pasidlab.lang.contexts import MASK_FIELDS
from pasidlab.lang.flow import Code, simplify
from pasidlab.lang.types import Field

CONTEXT_FIELDS = frozenset({
    *MASK_FIELDS.values(), "Cpu.hardirq_pc", "Cpu.softirq_pc", "Cpu.schedule_pc", "Cpu.current", "Task.pc", "Task.on_cpu",
})  # fmt: skip
"""Fields the language itself reads and writes."""


class Piece(Protocol):
    """Flat code and the labels that must stay."""

    code: Code

    @property
    def roots(self) -> set[str]:
        """Labels control may enter at from outside."""
        raise NotImplementedError


def drop_dead_fields(fields: dict[str, Field], pieces: Sequence[Piece], keep: frozenset[str] = CONTEXT_FIELDS) -> dict[str, Field]:
    """Rewrite the pieces without dead fields, in place, until there are none; the fields that remain."""
    while True:
        code = [instr for piece in pieces for instr in piece.code]
        stored = {i.field for i in code if i.op == "store" and i.args[2] != fields[str(i.field)].default}
        loaded = {i.field for i in code if i.op == "load"}
        gone = {path: f.default for path, f in fields.items() if path not in keep and (path not in stored or path not in loaded)}
        if not gone:
            return fields
        fields = {path: f for path, f in fields.items() if path not in gone}
        for piece in pieces:
            if any(instr.field in gone for instr in piece.code):
                piece.code = simplify(_without(piece.code, gone), piece.roots)


def _without(code: Code, gone: dict[str, int]) -> Code:
    kept: Code = []
    for instr in code:
        if instr.field not in gone:
            kept.append(instr)
        elif instr.op == "load":
            kept.append(replace(instr, op="copy", args=(instr.args[0], gone[str(instr.args[1])])))
    return kept
