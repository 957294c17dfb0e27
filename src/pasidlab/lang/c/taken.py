"""Which C functions a linked program has taken, and which of their lines gave code."""

from __future__ import annotations

from pasidlab.lang.c.link import Linker
from pasidlab.lang.c.parse import CFunction


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
