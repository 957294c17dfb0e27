"""Contents nobody may rely on: states that differ only there become one.

``@forget`` says which contents those are, by ``x.field = FORGOTTEN``. The field then holds a value of its own, which stands for
any value. The condition under which nothing is lost: **no step and no predicate uses it**, but to copy it into another field that
may be forgotten. Then each run of the exact model is one of this model, step by step, and the other way round: the states differ only
where this model has forgotten, and all decisions are the same. So is every verdict and every length.

``watched`` makes the condition a property of the model for each field, ``looks_at``: each use is preceded by a check that the value is
not the forgotten one. A search that finds one violated says nothing about what comes after. The fields that are looked at are then
remembered (``remembering``), and the model that forgets the others is explored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pasidlab.errors import PasidlabError
from pasidlab.lang.ir import Action, Instr, Model, Operand, Property, looks_at
from pasidlab.lang.types import Domain, Field, Int, Mask

SENTENCE = "contents nobody may rely on are looked at"
MARK = "%forgotten"


def forgotten_fields(code: Iterable[Instr], fields: Mapping[str, Field]) -> dict[str, Field]:
    """The fields a ``@forget`` function forgets, with room for the value that stands for any.

    Raises PasidlabError at anything else that it changes, and at a field that has no such value.
    """
    found: dict[str, Field] = {}
    for instr in code:
        if instr.op in ("store", "take", "release", "enter", "mask"):
            raise PasidlabError("a @forget function only forgets", position=instr.site.position, hint="write x.field = FORGOTTEN")
        if instr.op == "lose":
            field = fields[str(instr.args[0])]
            if isinstance(field.domain, Int):
                field = replace(field, domain=Int(field.domain.low, field.domain.high + 1))
            elif not isinstance(field.domain, Mask):
                what = f"{field.path} refers to an element: that cannot be forgotten"
                raise PasidlabError(what, position=instr.site.position, hint="forget numbers only")
            found[field.path] = field
    return found


def stand_in(domain: Domain) -> int:
    """The value of a forgettable field's domain that stands for any: above the numbers, or all bits of a register."""
    if isinstance(domain, Mask):
        return domain.mask
    assert isinstance(domain, Int)
    return domain.high


def watched(model: Model) -> Model:
    """The model with the condition as a property of each field that it forgets."""
    values = {f.path: stand_in(f.domain) for f in model.fields if f.path in model.forgotten}
    return replace(
        model,
        actions=tuple(_watched(action, values, model.forgotten) for action in model.actions),
        predicates=tuple(replace(p, action=_watched(p.action, values, model.forgotten)) for p in model.predicates),
        pending={name: _watched(action, values, model.forgotten) for name, action in model.pending.items()},
        properties=(*model.properties, *(Property(looks_at(path), SENTENCE) for path in values)),
    )


def remembering(model: Model, fields: Iterable[str]) -> Model:
    """A ``watched`` model that remembers the contents of some fields as well."""
    known = {path: model.forgotten[path] for path in fields}
    left = {path: domain for path, domain in model.forgotten.items() if path not in known}
    if model.forget is None or not left:
        return forgetting_nothing(model)
    exact = forgetting_nothing(model)
    code = tuple(i for i in model.forget.code if not (i.op == "store" and i.args[0] in known))
    fewer = tuple(replace(f, domain=known.get(f.path, f.domain)) for f in model.fields)
    return watched(replace(exact, fields=fewer, forget=replace(model.forget, code=code), forgotten=left))


def forgetting_nothing(model: Model) -> Model:
    """The model without forgetting."""
    return replace(
        model,
        fields=tuple(replace(f, domain=model.forgotten.get(f.path, f.domain)) for f in model.fields),
        actions=tuple(_unwatched(action) for action in model.actions),
        predicates=tuple(replace(p, action=_unwatched(p.action)) for p in model.predicates),
        pending={name: _unwatched(action) for name, action in model.pending.items()},
        properties=tuple(p for p in model.properties if p.name not in set(map(looks_at, model.forgotten))),
        forget=None,
        forgotten={},
    )


def _unwatched(action: Action) -> Action:
    return replace(action, code=tuple(i for i in action.code if MARK not in i.args))


def _watched(action: Action, values: Mapping[str, int], domains: Mapping[str, Domain]) -> Action:
    """An action with a check behind each load whose value is used, and before each store that might make the stand-in."""
    held = _held(action.code, values)
    used = _used(action.code, values, held)
    code: list[Instr] = []
    for instr in action.code:
        if instr.op == "store" and isinstance(domains.get(str(instr.args[0])), Int):
            value = instr.args[2]
            if isinstance(value, str) and (value not in held or value in used):
                code += _check(instr, value, str(instr.args[0]), values)
        code.append(instr)
        if instr.op == "load" and instr.args[1] in values and instr.args[0] in used:
            code += _check(instr, instr.args[0], str(instr.args[1]), values)
    return replace(action, code=tuple(code))


def _check(instr: Instr, value: Operand, path: str, values: Mapping[str, int]) -> list[Instr]:
    compared = Instr("ne", (MARK, value, values[path]), instr.site)
    return [compared, Instr("check", (looks_at(path), MARK), instr.site, SENTENCE)]


def _held(code: Iterable[Instr], values: Mapping[str, int]) -> dict[str, int]:
    """The locals that may hold a stand-in, and which."""
    code = list(code)
    held: dict[str, int] = {}
    size = -1
    while size != len(held):
        size = len(held)
        for instr in code:
            if instr.op == "load" and instr.args[1] in values:
                held[str(instr.args[0])] = values[str(instr.args[1])]
            elif instr.op == "copy" and instr.args[1] in held:
                held.setdefault(str(instr.args[0]), held[str(instr.args[1])])
    return held


def _used(code: Iterable[Instr], values: Mapping[str, int], held: Mapping[str, int]) -> set[str]:
    """Of those, the locals whose value is used, or may be something computed."""
    code, used = list(code), set[str]()
    for instr in code:
        if instr.op == "copy":
            if isinstance(instr.args[1], str) and held.get(instr.args[1], held.get(str(instr.args[0]))) != held.get(str(instr.args[0])):
                used.add(instr.args[1])
            continue
        copied = instr.op == "store" and held.get(str(instr.args[2])) == values.get(str(instr.args[0]), held)
        used.update(str(o) for o in instr.operands() if o in held and not (copied and o == instr.args[2] != instr.args[1]))
        if instr.dst is not None and instr.dst in held and not (instr.op == "load" and values.get(str(instr.args[1])) == held[instr.dst]):
            used.add(instr.dst)
    size = -1
    while size != len(used):
        size = len(used)
        used |= {str(i.args[1]) for i in code if i.op == "copy" and i.args[0] in used and i.args[1] in held}
    return used
