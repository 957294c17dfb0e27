"""Values of a symbolic execution: numbers of few possible values, truths, and references to elements of any number.

A number keeps the set of values it may have. So any operation on two numbers is a table, computed by the interpreter's own arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import z3

from pasidlab.errors import PasidlabError
from pasidlab.lang.emit import computed
from pasidlab.lang.ir import Instr
from pasidlab.lang.types import BOOL, Domain, Int, Mask

MOST_VALUES = 512
"""Of a number that arithmetic is done with."""
MOST_BOUND = 1 << 60
"""Numbers nearer to 0 than this are added without a thought of 64 bits."""
Truth = Any
"""A z3 formula."""


@dataclass(frozen=True)
class SymbolicNumber:
    """A number; ``values`` are all it may be, None: too many to list. A truth is 0 or 1. It is at most ``bound`` away from 0."""

    term: Any
    values: frozenset[int] | None
    bound: int = 0  # where values are not listed


@dataclass(frozen=True)
class Element:
    """A CPU or task, or none."""

    term: Any
    sort: str


SymbolicValue = int | SymbolicNumber | Element
"""An int is a constant; 0 is also the reference to nothing."""


def refused(instr: Instr, what: str, hint: str = "") -> PasidlabError:
    """A construct that has no meaning for any number of elements, at its place."""
    return PasidlabError(f"a proof for any number cannot use this: {what}", position=instr.site.position, hint=hint)


def values_of(domain: Domain) -> frozenset[int] | None:
    """All values of a domain; None if there are many."""
    if 1 << domain.bits > MOST_VALUES:
        return None
    return frozenset(v for v in (domain.value(code) for code in range(1 << domain.bits)) if domain.contains(v))


def bound_of(domain: Domain) -> int:
    """How far from 0 a value of a domain may be."""
    if isinstance(domain, Int):
        return max(abs(domain.low), abs(domain.high))
    return domain.mask if isinstance(domain, Mask) else 1 << domain.bits


def truth(value: SymbolicValue) -> Truth:
    """A formula: the value is not 0."""
    if isinstance(value, int):
        return z3.BoolVal(value != 0)
    if isinstance(value, Element):
        return value.term != nobody(value.sort)
    return value.term if z3.is_bool(value.term) else value.term != 0


def of_truth(formula: Truth) -> SymbolicValue:
    """The number that is 1 where a formula holds, else 0."""
    simple = z3.simplify(formula)
    if z3.is_true(simple) or z3.is_false(simple):
        return int(z3.is_true(simple))
    return SymbolicNumber(simple, frozenset((0, 1)))


@cache
def sort(name: str) -> Any:
    """The sort of the elements of a struct."""
    return z3.DeclareSort(name)


@cache
def unknown_function(name: str, of: str, gives: Any) -> Any:
    """A function of the elements of a struct that nothing is known of; ``gives`` is a sort. Made once: making it is slow."""
    return z3.Function(name, sort(of), gives)


@cache
def nobody(name: str) -> Any:
    """The reference to nothing."""
    return z3.Const(f"no_{name}", sort(name))


def number(value: SymbolicValue, instr: Instr) -> Any:
    """The value as a term for a whole number."""
    if isinstance(value, int):
        return z3.IntVal(value)
    if isinstance(value, Element):
        raise refused(instr, f"an element of {value.sort} is no number", "compare elements with 'is', and follow them")
    return z3.If(value.term, z3.IntVal(1), z3.IntVal(0)) if z3.is_bool(value.term) else value.term


def element(value: SymbolicValue, sort_: str, instr: Instr) -> Any:
    """The value as a reference to an element of a struct of any number."""
    if isinstance(value, Element) and value.sort == sort_:
        return value.term
    if value == 0:
        return nobody(sort_)
    what = f"a number stands for an element of {sort_}"
    raise refused(instr, what, f"let each({sort_}), pick({sort_}) or a field say which one is meant")


def equal(a: SymbolicValue, b: SymbolicValue, instr: Instr) -> Truth:
    """A formula: both are the same."""
    if isinstance(a, Element) or isinstance(b, Element):
        name = a.sort if isinstance(a, Element) else b.sort  # type: ignore[union-attr]
        return element(a, name, instr) == element(b, name, instr)
    if isinstance(a, SymbolicNumber) and z3.is_bool(a.term) and b in (0, 1):
        return a.term if b else z3.Not(a.term)
    return number(a, instr) == number(b, instr)


def binary(instr: Instr, a: SymbolicValue, b: SymbolicValue) -> tuple[SymbolicValue, Truth]:
    """What an operation gives, and when it has no value (division by zero, a shift too far)."""
    never = z3.BoolVal(False)
    if instr.op in ("eq", "ne"):
        same = equal(a, b, instr)
        return of_truth(same if instr.op == "eq" else z3.Not(same)), never
    left, right = number(a, instr), number(b, instr)
    if any(isinstance(value, SymbolicNumber) and value.values is None for value in (a, b)):
        return _wide(instr, left, right, _bound(a) + _bound(b)), never
    pairs = [(x, y, computed(instr.op, x, y)) for x in _listed(a, instr) for y in _listed(b, instr)]
    values = frozenset(value for _, _, value in pairs if value is not None)
    wrong = z3.Or([z3.And(left == x, right == y) for x, y, value in pairs if value is None])
    if len(values) == 1 and all(value is not None for _, _, value in pairs):
        return next(iter(values)), never
    if values <= {0, 1}:
        return of_truth(z3.Or([z3.And(left == x, right == y) for x, y, value in pairs if value == 1])), wrong
    term = _plain(instr.op, left, right, pairs)
    if term is None:
        term = z3.IntVal(0)
        for x, y, value in pairs:
            if value:
                term = z3.If(z3.And(left == x, right == y), z3.IntVal(value), term)
    return SymbolicNumber(z3.simplify(term), values), wrong


def _wide(instr: Instr, left: Any, right: Any, bound: int) -> SymbolicValue:
    """Sums, differences and orders of numbers of many values, all far from 64 bits."""
    if bound < MOST_BOUND and instr.op in ("add", "sub"):
        return SymbolicNumber(left + right if instr.op == "add" else left - right, None, bound)
    if bound < MOST_BOUND and instr.op in ("lt", "le"):
        return of_truth(left < right if instr.op == "lt" else left <= right)
    raise refused(instr, f"'{instr.op}' of a number that has more than {MOST_VALUES} values")


def _bound(value: SymbolicValue) -> int:
    if isinstance(value, int):
        return abs(value)
    assert isinstance(value, SymbolicNumber)
    return value.bound if value.values is None else max(map(abs, value.values), default=0)


def _plain(op: str, left: Any, right: Any, pairs: Iterable[tuple[int, int, int | None]]) -> Any:
    """Sum or difference, where no value is beyond 64 bits."""
    signs = {"add": 1, "sub": -1}
    if op in signs and all(value == x + signs[op] * y for x, y, value in pairs):
        return left + signs[op] * right
    return None


def _listed(value: SymbolicValue, instr: Instr) -> frozenset[int]:
    if isinstance(value, int):
        return frozenset((value,))
    assert isinstance(value, SymbolicNumber) and value.values is not None
    return value.values


def inside(value: SymbolicValue, domain: Domain, instr: Instr) -> Truth:
    """A formula: a number is in a domain."""
    if isinstance(value, int):
        return z3.BoolVal(domain.contains(value))
    assert isinstance(value, SymbolicNumber)
    if value.values is not None:
        outside = [v for v in value.values if not domain.contains(v)]
        return z3.And([number(value, instr) != v for v in sorted(outside)])
    if isinstance(domain, Int):
        return z3.And(number(value, instr) >= domain.low, number(value, instr) <= domain.high)
    if isinstance(domain, Mask) and domain.mask & (domain.mask + 1) == 0:
        return z3.And(number(value, instr) >= 0, number(value, instr) <= domain.mask)
    fitting = values_of(domain)
    if fitting is None:
        raise refused(instr, "a number of many values is stored where only some fit")
    return z3.Or([number(value, instr) == v for v in sorted(fitting)])


def field_sort(domain: Domain, of_sort: str) -> Any:
    """The sort of a field's content."""
    if of_sort:
        return sort(of_sort)
    return z3.BoolSort() if domain == BOOL else z3.IntSort()
