"""Fields that carry no information: never stored anything but their default, or never loaded. They leave the state.

What an access to such a field may find wrong stays: the element it goes through must be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from pasidlab.lang.ir import CPU, Instr, Operand
from pasidlab.lang.lowering.contexts import MASK_FIELDS
from pasidlab.lang.lowering.flow import Code, forward, simplify
from pasidlab.lang.types import Field

CONTEXT_FIELDS = frozenset({
    *MASK_FIELDS.values(), "Cpu.hardirq_pc", "Cpu.softirq_pc", "Cpu.schedule_pc", "Cpu.current", "Task.pc", "Task.on_cpu",
})  # fmt: skip
"""Fields the language itself reads and writes."""

There = frozenset[Operand]  # locals known to refer to an element


class Rooted(Protocol):
    """Flat code and the labels that must stay."""

    code: Code

    @property
    def roots(self) -> set[str]:
        """Labels control may enter at from outside."""


def drop_dead_fields(fields: dict[str, Field], pieces: Sequence[Rooted], keep: frozenset[str] = CONTEXT_FIELDS) -> dict[str, Field]:
    """Rewrite the pieces without dead fields, in place, until there are none; the fields that remain."""
    while True:
        code = [instr for piece in pieces for instr in piece.code]
        stored = {i.field for i in code if i.op == "store" and i.args[2] != fields[str(i.field)].default}
        loaded = {i.field for i in code if i.op == "load"}
        gone = {path: f for path, f in fields.items() if path not in keep and (path not in stored or path not in loaded)}
        if not gone:
            break
        fields = {path: f for path, f in fields.items() if path not in gone}
        for piece in pieces:
            if any(instr.field in gone for instr in piece.code):
                piece.code = simplify(_without(piece.code, gone), piece.roots)
    for piece in pieces:
        if any(instr.op == "deref" for instr in piece.code):
            piece.code = simplify(_needed(piece.code, piece.roots), piece.roots)
    return fields


def _without(code: Code, gone: dict[str, Field]) -> Code:
    """Loads become the default, stores nothing; either way the element is still followed."""
    kept: Code = []
    for instr in code:
        if instr.field not in gone:
            kept.append(instr)
            continue
        field = gone[str(instr.field)]
        element = instr.element
        kept.append(Instr("deref", (element, field.count), instr.site, field.path))
        if instr.op == "load":
            kept.append(replace(instr, op="copy", args=(instr.args[0], field.default)))
    return kept


def _needed(code: Code, roots: set[str]) -> Code:
    """Without each ``deref`` of an element that is certainly there: another access has gone through it on every path."""
    starts = [i for i, instr in enumerate(code) if i == 0 or (instr.op == "label" and instr.args[0] in roots)]
    return [instr for instr, known in zip(code, followed(code, starts), strict=True) if instr.op != "deref" or not _certain(instr, known)]


def followed(code: Code, starts: Sequence[int]) -> list[There]:
    """Before each instruction, the locals that certainly refer to an element."""
    always = _never_null(code) | {CPU}
    there = forward(code, dict.fromkeys(starts, frozenset[Operand]()), _followed, frozenset.intersection)
    return [(known or frozenset()) | always for known in there]


def _certain(instr: Instr, there: There) -> bool:
    element, count = instr.args
    return 1 <= element <= int(count) if isinstance(element, int) else element in there


def _followed(instr: Instr, there: There) -> There:
    """What is known to be there after an instruction."""
    if instr.op in ("store", "deref"):
        return there | {instr.element}
    if instr.dst is None:
        return there
    if instr.op == "copy" and instr.args[1] in there:
        return there | {instr.dst}
    if instr.op in ("load", "take"):
        there = there | {instr.args[-1]}
    return there | {instr.dst} if instr.op == "take" else there - {instr.dst}


def _never_null(code: Code) -> There:
    """Locals that only count elements up from the first, as ``for x in each(Struct)`` does, or hold any of them (``pick``)."""
    sources: dict[str, list[Instr]] = {}
    for instr in code:
        if instr.dst:
            sources.setdefault(instr.dst, []).append(instr)
    return frozenset(name for name, made in sources.items() if all(_counts_from_one(name, instr) for instr in made))


def _counts_from_one(name: str, instr: Instr) -> bool:
    if instr.op == "copy":
        return instr.args[1] == 1
    if instr.op == "add":
        return instr.args[1:] == (name, 1)
    return instr.op == "choose" and instr.args[1] == 1
