"""When two compiled texts are the same code: whatever locals are called, wherever the lines stand, however constants are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pasidlab.lang.ir import CPU, Function, Instr, Operand
from pasidlab.lang.lowering.flow import simplify

Code = Mapping[str, Function]


def same_functions(one: Code | None, other: Code | None) -> bool:
    """True if both compile, to functions that do the same, instruction by instruction."""
    if one is None or other is None or one.keys() != other.keys():
        return False
    return all(_alike(function, other[name]) for name, function in one.items())


def _alike(one: Function, other: Function) -> bool:
    if _shape(one, one.code) == _shape(other, other.code):
        return True
    return _shape(one, simplify(list(one.code), set())) == _shape(other, simplify(list(other.code), set()))


def _shape(function: Function, code: Sequence[Instr]) -> tuple[object, ...]:
    """The instructions, with locals and labels numbered as they are met."""
    names: dict[tuple[bool, str], str] = {}

    def numbered(letter: str, operand: Operand) -> Operand:
        if letter in "dail" and isinstance(operand, str) and operand != CPU:
            return names.setdefault((letter == "l", operand), f"%{len(names)}")
        return operand

    params = tuple(numbered("a", name) for name in function.params)
    shape = tuple((one.op, one.text, tuple(numbered(*argument) for argument in one.shaped())) for one in code)
    domains = tuple(function.locals.get(name) for is_label, name in names if not is_label)
    return params, shape, domains, function.result, function.instruction
