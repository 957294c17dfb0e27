"""Which values each local of a step's code may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pasidlab.errors import PasidlabError
from pasidlab.lang.back.numbers import COUNT, Expression32, TooWide, binary, literal, of_domain, unary
from pasidlab.lang.back.places import Variables
from pasidlab.lang.ir import BINARY, Instr, Operand
from pasidlab.lang.lowering.flow import liveness

_ROUNDS = 8  # of growing step by step, before a range that still grows is taken to be that of a counter


def ranges(code: Sequence[Instr], known: Mapping[str, Expression32], places: Variables) -> dict[str, Expression32]:
    """The least and greatest value of each local, whatever the path; a local read before it is assigned is 0."""
    unset = liveness(list(code))[0] if code else frozenset()
    found = {name: replace(known.get(name, literal(0)), text="") for name in (*known, *unset)}
    changed, rounds = True, 0
    while changed:
        changed, rounds = False, rounds + 1
        for instr in code:
            if instr.dst is None or (made := _made(instr, found, places)) is None:
                continue
            before = found.get(instr.dst)
            after = made if before is None else before.or_(made)
            if before is not None and (after.low, after.high) != (before.low, before.high) and rounds > _ROUNDS:
                after = Expression32("", min(after.low, -COUNT), max(after.high, COUNT))
            if before is None or (after.low, after.high) != (before.low, before.high):
                found[instr.dst], changed = after, True
    return found


def _made(instr: Instr, found: Mapping[str, Expression32], places: Variables) -> Expression32 | None:
    """The values an instruction may assign; None while those of an operand are unknown."""
    if instr.op == "load":
        return of_domain("", places.field(str(instr.field)).domain)
    values = [_value(operand, found) for operand in instr.operands()]
    operands = [value for value in values if value is not None]
    if len(operands) < len(values):
        return None
    with refusing(instr):
        if instr.op == "copy":
            return operands[0]
        if instr.op in ("not", "inv"):
            return unary(instr.op, operands[0])
        if instr.op == "choose":
            return Expression32("", operands[0].low, operands[1].high)
        assert instr.op in BINARY, instr.op
        return binary(instr.op, *operands)


def _value(operand: Operand, found: Mapping[str, Expression32]) -> Expression32 | None:
    return literal(operand) if isinstance(operand, int) else found.get(operand)


class refusing:
    """Says at which instruction a number is too wide."""

    def __init__(self, instr: Instr) -> None:
        self.instr = instr

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TooWide):
            what = f"{error} in '{self.instr.op}': numbers of Promela and of TLC have 32 bits"
            raise PasidlabError(what, position=self.instr.site.position, hint="smaller domains") from None
