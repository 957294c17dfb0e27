"""Which C functions a linked program has taken, which of their lines gave code, and who calls those that leave none in the model."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from pasidlab.lang.c.link import Linker
from pasidlab.lang.c.parse import CFunction
from pasidlab.lang.ir import TERMINATORS, VALUES, Function

Callers = tuple[frozenset[tuple[str, int]], ...]


def taken(linker: Linker) -> dict[str, tuple[CFunction, frozenset[int]]]:
    """The C functions that were compiled, alone or as part of their callers, each with its lines that gave code."""
    made: dict[str, set[int]] = {}
    for ir_name, function in linker.compiled.items():
        if ir_name in linker.in_c:
            name = linker.in_c[ir_name][0]
            made.setdefault(name, set()).update(instr.site.position.line for instr in function.code)
    for name in linker.entered & linker.defined.keys() - made.keys():
        made[name] = _lines_of(linker, linker.defined[name])
    return {name: (linker.defined[name], frozenset(lines)) for name, lines in made.items()}


def _lines_of(linker: Linker, inlined: CFunction) -> set[int]:
    """The lines of a function that gave code in its callers."""
    first, last = inlined.position, inlined.unit.position(inlined.node.end_byte - 1).line
    places = (instr.site.position for function in linker.compiled.values() for instr in function.code)
    return {place.line for place in places if place.file == first.file and first.line <= place.line <= last}


def callers(linker: Linker) -> dict[str, Callers]:
    """Of C functions that only compute, ``return true`` for example, the lines of those that lead to them, the nearest first.

    Where the model is simplified such a function may vanish, so its own lines do not tell whether steps execute it.
    """
    known = {ir_name: name for ir_name, (name, _) in linker.in_c.items() if ir_name in linker.compiled}
    computing = {ir_name: name for ir_name, name in known.items() if _only_computes(linker.compiled[ir_name])}
    called = {caller: _called(source.node) for caller, source in linker.names.namespace.functions.items()} if computing else {}
    return {name: _leading_to(linker, called, ir_name) for ir_name, name in computing.items()}


def _called(function: ast.AST) -> frozenset[str]:
    """The names that a kernel function calls."""
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return frozenset(one.id for one in calls if isinstance(one, ast.Name))


def _leading_to(linker: Linker, called: Mapping[str, frozenset[str]], name: str) -> Callers:
    found: list[frozenset[tuple[str, int]]] = []
    level, seen = {name}, {name}
    while level := {caller for one in level for caller in _callers_of(linker, called, one)} - seen:
        functions = [linker.compiled[one] if one in linker.compiled else linker.kernel(one) for one in level]
        found.append(frozenset((i.site.position.file, i.site.position.line) for function in functions for i in function.code))
        seen |= level
    return tuple(found)


def _callers_of(linker: Linker, called: Mapping[str, frozenset[str]], name: str) -> Iterator[str]:
    """Those in C, and those of the kernel (``called``: what each calls) that no C replaces."""
    for caller, function in linker.compiled.items():
        if any(instr.op == "call" and instr.args[1] == name for instr in function.code):
            yield caller
    for caller, names in called.items():
        if caller not in linker.compiled and name in names:
            yield caller


def _only_computes(function: Function) -> bool:
    """True if a function neither looks at the state nor changes it. What it calls is another function."""
    return all(instr.op in {"label", "call"} | VALUES | TERMINATORS for instr in function.code)
