"""Clauses in words: ``for every CPU c and task t: if c.owner is t and t.last is c then c.msr equals t.mem``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pasidlab.lang.types import BOOL, Int
from pasidlab.prove.mined import Clause
from pasidlab.prove.values import values_of
from pasidlab.prove.views import NOBODY, OTHER, OUTSIDE, Feature, Plain, Structs, Views

LETTERS = {"Cpu": ("c", "d"), "Task": ("t", "u")}
CALLED = {"Cpu": "CPU", "Task": "task"}


def sentence(views: Views, clause: Clause) -> str:
    """What a clause says of every choice of elements."""
    features = views.features[clause.kind]
    order = sorted(clause.literals, key=lambda literal: _weight(views, features[literal[0]]))
    *given, (column, values) = order
    others = tuple(v for v in views.values(clause.kind, column) if v not in values)
    then = phrase(views, features[column], others or values, clause.kind, column)
    then = then if others else f"not: {then}"  # a number of many values
    ifs = " and ".join(phrase(views, features[c], v, clause.kind, c) for c, v in given)
    said = f"if {ifs} then {then}" if ifs else then
    return f"for {_everyone(clause.kind, set(re.findall(r'(?<![A-Za-z])[a-z](?![a-z])', said)))}{said}"


def slot_names(kind: Structs) -> tuple[str, ...]:
    """A letter for each element of a view."""
    used = dict.fromkeys(kind, 0)
    found = []
    for name in kind:
        found.append(LETTERS[name][used[name]])
        used[name] += 1
    return tuple(found)


def _everyone(kind: Structs, mentioned: set[str]) -> str:
    """Whom a sentence is about. Of two that must be there it may mention one alone."""
    names = slot_names(kind)
    parts = []
    for name in dict.fromkeys(kind):
        mine = [letter for letter, other in zip(names, kind, strict=True) if other == name]
        said = [letter for letter in mine if letter in mentioned]
        if len(said) == 2:
            parts.append(f"every two {CALLED[name]}s {said[0]} and {said[1]}")
        elif len(mine) == 2:
            parts.append(f"every {CALLED[name]} {said[0] if said else mine[0]} of two or more")
        elif said:
            parts.append(f"every {CALLED[name]} {said[0]}")
    return " and ".join(parts) + ": " if parts else "all states: "


def _weight(views: Views, feature: Feature) -> int:
    """What makes the better end of a sentence comes last: that two are equal, that somebody is there, whom a field refers to."""
    if feature.what == "field" and not views.targets[feature.path] and values_of(views.fields[feature.path].domain) is None:
        return 0
    if feature.what != "field":
        return {"some": 3, "equal": 4}[feature.what]
    return 2 if views.targets[feature.path] else 1


def phrase(views: Views, feature: Feature, values: Sequence[int], kind: Structs, column: int) -> str:
    """A column has one of some values."""
    names = slot_names(kind)
    what = _field(views, feature.path, feature.slot, names)
    if feature.what == "equal":
        return f"{what} {'equals' if 1 in values else 'differs from'} {_field(views, *feature.other, names)}"
    if feature.what == "some":
        struct, field = feature.path.split(".")
        return f"{'some' if 1 in values else 'no'} {CALLED[struct]}'s {field} is {names[feature.slot]}"
    f = views.fields[feature.path]
    if f.domain == BOOL:
        return f"{what} is {'set' if 1 in values else 'clear'}"
    every = views.values(kind, column)
    others = [value for value in every if value not in values]
    few, verb = (others, "is not") if every and len(others) < len(values) else (list(values), "is")
    target = views.targets[feature.path]
    shown = [_one(views, feature, value, names, target) for value in few]
    if not target and len(few) > 2 and isinstance(f.domain, Int) and few[-1] - few[0] == len(few) - 1:
        return f"{what} {verb} {shown[0]} to {shown[-1]}"
    if len(shown) == 1:
        return f"{what} {verb} {shown[0]}"
    last = "nor" if verb == "is not" else "or"
    return f"{what} {verb} {', '.join(shown[:-1])} {last} {shown[-1]}"


def _field(views: Views, path: str, slot: int, names: Sequence[str]) -> str:
    struct, field = path.split(".")
    if path in views.own:
        return f"{names[slot]}.{field}"
    return f"{struct}.{field}" if views.fields[path].count == 1 else f"{struct}{slot}.{field}"


def _one(views: Views, feature: Feature, value: int, names: Sequence[str], target: str) -> str:
    if target:
        return {NOBODY: "none", OTHER: f"another {CALLED[target]}"}.get(value) or names[value - 1]
    return str(views.fields[feature.path].domain.value(value))


def _referred(code: int, letter: str) -> str:
    """The element that a field of a small state refers to."""
    if code == OUTSIDE:
        return "another"
    return f"{letter}{code - 1}" if code else "none"


def state_in_words(views: Views, plain: Plain) -> list[str]:
    """A state as far as a proof looked at it, one element a line."""
    letter = {"Cpu": "CPU", "Task": "T"}
    lines = []
    for name in dict.fromkeys(f.struct for f in views.fields.values()):
        for n in range(plain.counts.get(name, 0)):
            cells = []
            for f in views.fields.values():
                if f.struct == name and (f.path, n) in plain.columns:
                    code, target = plain.columns[f.path, n], views.targets[f.path]
                    cells.append(f"{f.name}={_referred(code, letter[target]) if target else f.domain.value(code)}")
            lines.append(f"{letter.get(name, name)}{n if name in letter else ''}: {', '.join(cells)}")
    return lines
