"""Where forgetting may not be relied on: code outside the FPU ownership protocol that looks at contents which may be forgotten.

A forgotten content has a value no task expects. Code that only moves it about ends with a promise broken; but code that compares it
would always find it different, and never try what it does where it happens to be equal. So loads of such contents are watched.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pasidlab
from pasidlab.lang.ir import Action, Instr, Model, Property

LOOKED_AT = Property("looked_at", "contents nobody may rely on are looked at")
MARK = "%forgotten"
_ROOT = Path(pasidlab.__file__).parent
_PROTOCOL = tuple(f"{_ROOT / folder}/" for folder in ("linux", "machine", "lang"))
_READERS = ("rdmsr_pasid",)  # machine instructions that hand contents to their caller


def watched(model: Model) -> Model:
    """The model with a note at each load that sees a forgotten content."""
    if model.forget is None:
        return model
    forgotten: dict[str, set[int]] = {}
    for instr in model.forget.code:
        if instr.op == "store" and isinstance(instr.args[2], int) and instr.args[2] > 1:
            forgotten.setdefault(str(instr.args[0]), set()).add(instr.args[2])
    actions = tuple(_watched(action, forgotten) for action in model.actions)
    return replace(model, actions=actions, properties=(*model.properties, LOOKED_AT))


def exact(model: Model) -> Model:
    """The same model, forgetting nothing."""
    if model.forget is None:
        return model
    actions = tuple(replace(a, code=tuple(i for i in a.code if MARK not in i.args)) for a in model.actions)
    return replace(model, actions=actions, forget=None, properties=tuple(p for p in model.properties if p != LOOKED_AT))


def _watched(action: Action, forgotten: dict[str, set[int]]) -> Action:
    code: list[Instr] = []
    for instr in action.code:
        code.append(instr)
        if instr.op == "load" and _is_outside(instr):
            for value in sorted(forgotten.get(str(instr.args[1]), ())):
                code.append(Instr("ne", (MARK, instr.args[0], value), instr.site))
                code.append(Instr("check", (LOOKED_AT.name, MARK), instr.site, LOOKED_AT.sentence))
    return replace(action, code=tuple(code))


def _is_outside(instr: Instr) -> bool:
    return instr.site.function in _READERS or not instr.site.position.file.startswith(_PROTOCOL)
