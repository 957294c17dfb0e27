"""When two compiled texts are the same code: whatever locals are called, wherever the lines stand, however constants are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from pasidlab.lang.ir import CPU, Function, Instr, Operand
from pasidlab.lang.lowering.flow import simplify
from pasidlab.lang.types import Int

_NOTHING = frozenset({"label", "jump", "return", "copy"})


@dataclass(frozen=True)
class LinkedCode:
    """Compiled functions by name. ``own`` are those that nothing else calls."""

    functions: Mapping[str, Function]
    own: frozenset[str]

    @cached_property
    def constants(self) -> Mapping[tuple[str, str], int]:
        """What a parameter always is, by function and parameter."""
        found: dict[tuple[str, str], set[Operand]] = {}
        for function in self.functions.values():
            for call in (one for one in simplify(list(function.code), set()) if one.op == "call" and one.args[1] in self.own):
                name = str(call.args[1])
                for param, argument in zip(self.functions[name].params, call.args[2:], strict=True):
                    found.setdefault((name, param), set()).add(argument)
        return {key: one for key, (one, *more) in found.items() if isinstance(one, int) and not more}

    @cached_property
    def idle(self) -> frozenset[str]:
        """Functions of C without a result that do nothing: whether they are called or not is one."""
        void = [self.functions[name] for name in self.own if self.functions[name].result is None]
        return frozenset(one.name for one in void if all(i.op in _NOTHING for i in simplify(list(one.code), set())))

    def simplified(self, name: str) -> list[Instr]:
        """The code of a function, with what is known of its parameters put in."""
        function = self.functions[name]
        known = {param: self.constants[name, param] for param in function.params if (name, param) in self.constants}
        head = [Instr("copy", (param, value), function.code[0].site) for param, value in known.items()]
        code = [one for one in function.code if one.op != "call" or one.args[1] not in self.idle]
        return _straightened(simplify(_without_lost_bits(function, [*head, *code]), set()))


def _without_lost_bits(function: Function, code: list[Instr]) -> list[Instr]:
    """Masks without the bits that what they are laid on cannot have: components of xstate that the model lacks."""
    bits = _possible_bits(function, code)
    found = []
    for one in code:
        if one.op == "and":
            constant = next((operand for operand in one.args[1:] if isinstance(operand, int)), None)
            other = next((operand for operand in one.args[1:] if isinstance(operand, str)), None)
            if constant is not None and other is not None:
                one = one.with_args(one.args[0], other, constant & bits.get(other, _ALL))
        found.append(one)
    return found


def _possible_bits(function: Function, code: Sequence[Instr]) -> dict[str, int]:
    """The bits that each local may have, whatever the order of instructions."""
    found: dict[str, int] = {}

    def bits(operand: Operand) -> int:
        return operand & _ALL if isinstance(operand, int) else found.get(str(operand), _of_domain(function.locals.get(str(operand))))

    while True:
        before = sum(found.values())
        for one in code:
            if one.dst is not None:
                found[one.dst] = found.get(one.dst, 0) | _given_bits(one, bits, _of_domain(function.locals.get(one.dst)))
        if sum(found.values()) == before:
            return found


def _given_bits(one: Instr, bits: Callable[[Operand], int], most: int) -> int:
    match one.op:
        case "copy":
            return bits(one.args[1])
        case "or" | "xor":
            return bits(one.args[1]) | bits(one.args[2])
        case "and":
            return bits(one.args[1]) & bits(one.args[2])
        case "mul" if isinstance(one.args[2], int) and one.args[2].bit_count() == 1:
            return bits(one.args[1]) * one.args[2] & _ALL
    return most


def _of_domain(domain: object) -> int:
    return (1 << domain.high.bit_length()) - 1 if isinstance(domain, Int) and domain.low >= 0 else _ALL


_ALL = (1 << 64) - 1


def _straightened(code: list[Instr]) -> list[Instr]:
    """Without negations before a branch, and without values of the executing CPU that nobody reads."""
    found = code[:1]
    for before, one in pairwise(code):
        turned = one.op == "branch" and before.op == "not" and before.args[0] == one.args[0] != before.args[1]
        found.append(one.with_args(before.args[1], one.args[2], one.args[1]) if turned else one)
    return simplify(_without_unread(found), set())


def _without_unread(code: list[Instr]) -> list[Instr]:
    """Without loads from the executing CPU, which cannot fault, whose value nobody reads."""
    used = {operand for one in code for operand in one.operands()}
    return [one for one in code if not (one.op == "load" and one.args[2] == CPU and one.args[0] not in used)]


def same_functions(one: LinkedCode | None, other: LinkedCode | None) -> bool:
    """True if both compile, to functions that do the same, instruction by instruction."""
    if one is None or other is None or one.functions.keys() - one.idle != other.functions.keys() - other.idle:
        return False
    return all(_alike(name, one, other) for name in one.functions.keys() - one.idle)


def _alike(name: str, one: LinkedCode, other: LinkedCode) -> bool:
    functions = one.functions[name], other.functions[name]
    if _shape(functions[0], functions[0].code) == _shape(functions[1], functions[1].code):
        return True
    return _shape(functions[0], one.simplified(name)) == _shape(functions[1], other.simplified(name))


def _shape(function: Function, code: Sequence[Instr]) -> tuple[object, ...]:
    """The instructions, with locals and labels numbered as they are met."""
    names: dict[tuple[bool, str], str] = {}

    def numbered(letter: str, operand: Operand) -> Operand:
        if letter in "dail" and isinstance(operand, str) and operand != CPU:
            return names.setdefault((letter == "l", operand), f"%{len(names)}")
        return operand

    params = tuple(numbered("a", name) for name in function.params)
    shape = tuple((one.op, one.text, tuple(numbered(*argument) for argument in one.shaped())) for one in code)
    masked = {one.dst for one in code if one.op == "and"}  # their domains follow from the masks
    domains = tuple(function.locals.get(name) for is_label, name in names if not is_label and name not in masked)
    return params, shape, domains, function.result, function.instruction
