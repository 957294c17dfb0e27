"""Whether a model tells the elements of a symmetric struct apart by number or by order.

Theorem. Let ``order_dependent`` name no reason for a struct S. Renumber S's elements, in a state and in the parameters of an action. That
renumbers the states the action leads to and changes nothing else: not whether it can be taken, nor what it breaks or reaches.

Why. Values are of two kinds: elements of S, and all others. The code loads, stores and copies elements, and compares them for equality
with each other. It asks whether they are None, follows them to a field, picks any of them, and visits all of them. It does nothing else
with them. The first five of these commute with renumbering; ``choose`` over all elements does so as a set; a loop does if its rounds can
be taken in any order (``rounds``). An element that becomes a number is a reason against S: by ``index``, arithmetic, ``<``, or a store to
a field of numbers. So is a number that becomes an element (``at``). The initial states may tell elements apart: a behaviour and its
renumbered twin break the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pasidlab.lang.ir import BINARY, CPU, Instr, Operand
from pasidlab.lang.lowering.rounds import ElementLoop, FlatCode, Round, loops_of
from pasidlab.lang.types import Field, Ref

NUMBER = "#"
Kinds = frozenset[str]  # structs whose elements a value may be; NUMBER for anything else but 0


def order_dependent(texts: Iterable[FlatCode], fields: dict[str, Field], structs: Iterable[str]) -> dict[str, str]:
    """Of ``structs``, those whose elements some code tells apart, each with the reason: what does it, where."""
    counts = {f.struct: f.count for f in fields.values()}
    wanted = frozenset(name for name in structs if counts.get(name, 1) > 1)
    reasons: dict[str, str] = {}
    for text in texts:
        loops = loops_of(text)
        for struct, reason, instr in [*_of_values(text, fields, wanted, loops), *_of_loops(text, fields, wanted, loops)]:
            reasons.setdefault(struct, f"{reason} in {instr.site.function}(), {instr.site.position}")
    return reasons


Distinction = tuple[str, str, Instr]


def _of_loops(text: FlatCode, fields: dict[str, Field], wanted: Kinds, loops: list[ElementLoop]) -> list[Distinction]:
    found = []
    for loop in loops:
        if loop.struct in wanted and (why := Round(text, loop, fields).why_ordered()):
            found.append((loop.struct, f"the loop over {loop.struct} {why}", text.code[loop.end]))
    return found


def _of_values(text: FlatCode, fields: dict[str, Field], wanted: Kinds, loops: list[ElementLoop]) -> list[Distinction]:
    counting = {n for loop in loops for n in loop.own}
    kinds = _kinds(text, fields, wanted, {loop.counter for loop in loops})

    def of(operand: Operand) -> Kinds:
        if isinstance(operand, str):
            return kinds.get(operand, frozenset())
        return frozenset({NUMBER} if operand else ())

    found: list[Distinction] = []
    for n, instr in enumerate(text.code):
        if n not in counting and not _enters_loop(instr, loops):
            found += [(struct, why, instr) for struct, why in _told_apart(instr, of, fields, wanted)]
    return found


def _enters_loop(instr: Instr, loops: list[ElementLoop]) -> bool:
    """The test before the first round."""
    return instr.op == "le" and any(instr.args[1] == loop.counter and isinstance(instr.args[2], int) for loop in loops)


def _kinds(text: FlatCode, fields: dict[str, Field], wanted: Kinds, counters: set[str]) -> dict[str, Kinds]:
    """What each local may hold, from all its assignments."""
    kinds: dict[str, Kinds] = {CPU: frozenset({"Cpu"})}
    copies: list[tuple[str, str]] = []
    for name, domain in text.locals.items():
        if name not in text.assignments or name in counters:
            kinds[name] = frozenset({domain.struct if isinstance(domain, Ref) else NUMBER})
    for instr in text.code:
        if instr.dst and instr.dst not in counters:
            if instr.op == "copy" and isinstance(instr.args[1], str):
                copies.append((instr.dst, instr.args[1]))
            else:
                kinds[instr.dst] = kinds.get(instr.dst, frozenset()) | _made(instr, text, fields)
    changed = True
    while changed:
        changed = False
        for dst, source in copies:
            more = kinds.get(dst, frozenset()) | kinds.get(source, frozenset())
            if more != kinds.get(dst):
                kinds[dst], changed = more, True
    return kinds


def _made(instr: Instr, text: FlatCode, fields: dict[str, Field]) -> Kinds:
    if instr.op == "take":
        return frozenset({"Task"})
    domain = fields[str(instr.field)].domain if instr.op == "load" else text.locals.get(str(instr.dst))
    if isinstance(domain, Ref) and (instr.op == "load" or (instr.op == "choose" and instr.args[1:] == (1, domain.count))):
        return frozenset({domain.struct})
    return frozenset({NUMBER} if instr.args[1:] != (0,) else ())


def _told_apart(instr: Instr, of: Callable[[Operand], Kinds], fields: dict[str, Field], wanted: Kinds) -> list[tuple[str, str]]:
    """The structs whose elements an instruction tells apart, and how."""
    op, args = instr.op, instr.args
    held: Kinds = frozenset().union(*(of(o) for o in instr.operands())) if instr.operands() else frozenset()
    if op in ("eq", "ne"):
        return [(s, f"a {s} is compared with a number") for s in held & wanted if NUMBER in held]
    if op in BINARY or op in ("inv", "choose", "switch"):
        return [(s, f"elements of {s} are compared by their order" if op in ("lt", "le") else f"the number of a {s} is used")
                for s in sorted(held & wanted)]  # fmt: skip
    if op in ("load", "store", "deref"):
        path = instr.text if op == "deref" else str(instr.field)
        struct = path.split(".")[0]
        found = [(struct, f"a {struct} is chosen by its number")] if struct in wanted and of(instr.element) - {struct} else []
        return found + (_stored(of(args[2]), fields[path], wanted) if op == "store" else [])
    if op in ("take", "release", "enter"):
        return [("Task", "a Task is chosen by its number")] if "Task" in wanted and of(instr.element) - {"Task"} else []
    return []


def _stored(value: Kinds, field: Field, wanted: Kinds) -> list[tuple[str, str]]:
    if not isinstance(field.domain, Ref):
        return [(s, f"the number of a {s} is stored in {field.path}") for s in sorted(value & wanted)]
    struct = field.domain.struct
    return [(struct, f"a {struct} is chosen by its number")] if struct in wanted and value - {struct} else []
