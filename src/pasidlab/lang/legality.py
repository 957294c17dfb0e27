"""The legality rules of the IR, as data: each rule is a name, what it demands, and a predicate over one instruction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pasidlab.errors import PasidlabError
from pasidlab.lang.ir import CPU, OPS, TERMINATORS, Function, Instr
from pasidlab.lang.types import Field


@dataclass(frozen=True)
class Facts:
    """What a rule may look at beside the instruction."""

    labels: frozenset[str]
    locals: frozenset[str]
    fields: dict[str, Field]
    functions: frozenset[str]


def _shape(instr: Instr, facts: Facts) -> bool:
    try:
        shaped = instr.shaped()
    except (KeyError, ValueError):
        return False
    return all(isinstance(arg, str) for kind, arg in shaped if kind in "dfln")


def _arguments_known(instr: Instr, facts: Facts) -> bool:
    return all(not isinstance(arg, str) or arg in facts.locals or arg == CPU for arg in instr.operands())


def _labels_known(instr: Instr, facts: Facts) -> bool:
    return all(label in facts.labels for label in instr.labels())


def _field_known(instr: Instr, facts: Facts) -> bool:
    return instr.field is None or instr.field in facts.fields


def _callee_known(instr: Instr, facts: Facts) -> bool:
    return instr.op != "call" or str(instr.args[1]) in facts.functions


def _cpu_not_assigned(instr: Instr, facts: Facts) -> bool:
    return instr.dst != CPU


def _width_constant(instr: Instr, facts: Facts) -> bool:
    return instr.op != "sext" or (isinstance(instr.args[2], int) and 1 <= instr.args[2] <= 64)


RULES: tuple[tuple[str, Callable[[Instr, Facts], bool]], ...] = (
    ("arguments must have the shape the operation table gives", _shape),
    ("every local read must be declared", _arguments_known),
    ("every label must be defined in the same function", _labels_known),
    ("the field must be declared", _field_known),
    ("the function called must exist", _callee_known),
    ("the executing CPU cannot be assigned", _cpu_not_assigned),
    ("the width of sext is a number from 1 to 64", _width_constant),
)


def verify_function(function: Function, fields: dict[str, Field], functions: frozenset[str]) -> None:
    """Raise PasidlabError at the first instruction that breaks a rule."""
    for instr in function.code:
        if instr.op not in OPS:
            raise PasidlabError(f"unknown operation '{instr.op}'", position=instr.site.position, hint=f"one of {', '.join(OPS)}")
    labels = [str(i.args[0]) for i in function.code if i.op == "label" and i.args]
    facts = Facts(frozenset(labels), frozenset(function.locals), fields, functions)
    if len(facts.labels) != len(labels):
        raise PasidlabError(f"{function.name}: a label is defined twice", position=function.position)
    for instr in function.code:
        for demand, holds in RULES:
            if not holds(instr, facts):
                shown = " ".join(map(str, instr.args))
                raise PasidlabError(f"illegal '{instr.op} {shown}' in {function.name}: {demand}", position=instr.site.position)
    if not function.code or function.code[-1].op not in TERMINATORS:
        raise PasidlabError(f"{function.name}: control runs off the end", position=function.position)
