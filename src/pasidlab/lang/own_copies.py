"""Reads which fields of a model of one's own are two copies of one thing: ``model(copies={...})``."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Protocol

from pasidlab.errors import PasidlabError
from pasidlab.lang.names import nearest
from pasidlab.lang.own import Copies, Part

_OWNER, _LAST, _LOAD = "owner", "last_cpu", "load"
_EXAMPLE = "copies={'owner': 'owner', 'last_cpu': 'last_cpu', 'register': 'register = saved'}"


class Complains(Protocol):
    """Makes the error for a place of the file."""

    def fails(self, node: ast.AST, what: str, hint: str = "") -> PasidlabError: ...


def own_copies(node: ast.expr, said: Mapping[str, str], tree: ast.Module, place: Complains) -> Copies:
    """The copies. Raises PasidlabError at ``node`` if a field is missing or unknown."""
    structs = {one.name: _fields(one) for one in tree.body if isinstance(one, ast.ClassDef)}

    def field(struct: str, name: str) -> str:
        known = structs.get(struct, {})
        if name not in known:
            raise place.fails(node, f"{struct} has no field '{name}'", nearest(name, known))
        return name

    for needed in (_OWNER, _LAST):
        if needed not in said:
            raise place.fails(node, f"copies=... needs '{needed}'", _EXAMPLE)
    parts = []
    for name, text in said.items():
        if name in (_OWNER, _LAST, _LOAD):
            continue
        both = re.fullmatch(r"(\w+) = (\w+)(?: = (\w+))?", text)
        if both is None:
            hint = "write 'field of Cpu = field of Task', and '= field of Task' once more for what they must hold"
            raise place.fails(node, f"'{name}' is no two fields: '{text}'", hint)
        cpu, task = field("Cpu", both[1]), field("Task", both[2])
        wanted = field("Task", both[3]) if both[3] else ""
        parts.append(Part(name, cpu, task, "none" if structs["Cpu"][cpu] in structs else "0", wanted))
    if not parts:
        raise place.fails(node, "copies=... names no part of the copies", _EXAMPLE)
    load = field("Task", said[_LOAD]) if _LOAD in said else ""
    owner, _, unless = said[_OWNER].partition(" unless ")
    return Copies(field("Cpu", owner), field("Task", said[_LAST]), load, tuple(parts), field("Cpu", unless) if unless else "")


def _fields(struct: ast.ClassDef) -> dict[str, str]:
    """The fields a struct declares, and how their types are written."""
    declared = [item for item in struct.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return {item.target.id: ast.unparse(item.annotation) for item in declared if isinstance(item.target, ast.Name)}
