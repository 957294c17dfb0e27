"""Whose element a local refers to, at each instruction of a program.

A program on CPU c owns some elements while it stands at a boundary: its CPU as long as it cannot be moved, the current task, and
tasks it has taken. Everybody else can reach them only by finding them through state. ``not_exclusive`` lists what would make
this false; where it finds something, nothing is merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from types import MappingProxyType

from pasidlab.lang.ir import CPU, Instr, Operand
from pasidlab.lang.lowering.contexts import CURRENT, MASK_FIELDS, ON_CPU, PROGRAM_COUNTERS, Masks
from pasidlab.lang.lowering.flow import Code, forward
from pasidlab.lang.lowering.inline import LANGUAGE


class Owner(Enum):
    """How the element of an access was found."""

    CPU = "the executing CPU"
    CURRENT = "the task that is current when the context begins"
    TAKEN = "a task this context has taken"
    NOTHING = "None: nothing is accessed through it"
    OTHER = "found through state"


Owners = Mapping[str, Owner]
"""What locals refer to; a local that is missing refers to OTHER. The key ``NOW_CURRENT`` stands for what Cpu.current holds."""

NOW_CURRENT = "%now current"
_START: Owners = MappingProxyType({NOW_CURRENT: Owner.CURRENT})


def owners_at(code: Code, masks: Sequence[Masks | None], starts: Iterable[int]) -> list[Owners]:
    """What locals refer to before each instruction. ``masks``: what may happen there; where a task may move, it keeps no CPU."""
    numbered = [Instr(i.op, i.args, i.site, i.text) for i in code]
    movable = {id(i): m is None or m.preemption_possible for i, m in zip(numbered, masks, strict=True)}
    found = forward(numbered, dict.fromkeys(starts, _START), lambda i, known: _after(i, _kept(known, movable[id(i)])), _joined)
    return [_kept(known or {}, movable[id(i)]) for i, known in zip(numbered, found, strict=True)]


def owner_of(element: Operand, owners: Owners) -> Owner:
    """Whose an element is."""
    if element == CPU:
        return Owner.CPU
    return owners.get(element, Owner.OTHER) if isinstance(element, str) else Owner.OTHER


def _kept(known: Owners, movable: bool) -> Owners:
    if movable and Owner.CPU in known.values():
        return {name: owner for name, owner in known.items() if owner is not Owner.CPU}
    return known


def _joined(a: Owners, b: Owners) -> Owners:
    return {name: owner for name in a.keys() & b.keys() if (owner := _either(a[name], b[name])) is not None}


def _either(a: Owner, b: Owner) -> Owner | None:
    if a is b or b is Owner.NOTHING:
        return a
    return b if a is Owner.NOTHING else None


def _after(instr: Instr, known: Owners) -> Owners:
    if instr.op == "release":
        given_up = owner_of(instr.args[0], known)
        return {name: owner for name, owner in known.items() if owner is not given_up or owner is Owner.NOTHING}
    if instr.op == "store" and instr.args[0] == CURRENT and owner_of(instr.args[1], known) is Owner.CPU:
        return {**known, NOW_CURRENT: _value(instr.args[2], known)}
    if instr.dst is None:
        return known
    owner = Owner.OTHER
    if instr.op == "take":
        owner = Owner.TAKEN
    elif instr.op == "copy":
        owner = _value(instr.args[1], known)
    elif instr.op == "load" and instr.args[1] == CURRENT and owner_of(instr.args[2], known) is Owner.CPU:
        owner = known.get(NOW_CURRENT, Owner.OTHER)
    if owner is Owner.OTHER:
        return {name: o for name, o in known.items() if name != instr.dst} if instr.dst in known else known
    return {**known, instr.dst: owner}


def _value(operand: Operand, known: Owners) -> Owner:
    return Owner.NOTHING if operand == 0 else owner_of(operand, known)


def not_exclusive(context: str, code: Code, owners: Sequence[Owners], trusted: str) -> list[str]:
    """Why owned elements might not be the owner's alone, a sentence with its place each; none if they are.

    The rules: only the scheduler changes Cpu.current, to None or to a task it has taken. A task is released by who has taken it,
    or by the scheduler once it is not current any more. ``on_cpu``, masks and program counters change by the language's own
    operations only (those of the file ``trusted``). Rules and user code are asked with the context "rule".
    """
    found = []
    for instr, known in zip(code, owners, strict=True):
        if (reason := _reason(context, instr, known)) and instr.site is not LANGUAGE and instr.site.position.file != trusted:
            found.append(f"{reason} ({instr.site.position})")
    return found


def _reason(context: str, instr: Instr, known: Owners) -> str:
    if instr.op == "release":
        owner = owner_of(instr.args[0], known)
        fine = owner is Owner.TAKEN and known.get(NOW_CURRENT) is not Owner.TAKEN
        fine |= context == "schedule" and owner is Owner.CURRENT and known.get(NOW_CURRENT, Owner.CURRENT) is not Owner.CURRENT
        return "" if fine or owner is Owner.NOTHING else "releases a task that may still be somebody's"
    if instr.op != "store":
        return ""
    if instr.args[0] == CURRENT:
        mine = context == "schedule" and owner_of(instr.args[1], known) is Owner.CPU
        fine = mine and _value(instr.args[2], known) in (Owner.TAKEN, Owner.NOTHING)
        return "" if fine else "changes which task is current"
    if instr.args[0] in (ON_CPU, *MASK_FIELDS.values(), *PROGRAM_COUNTERS):
        return f"stores to {instr.args[0]}"
    return ""
