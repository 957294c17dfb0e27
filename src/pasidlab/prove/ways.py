"""One way through a step: what was decided on it, what it stored, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import z3

from pasidlab.lang.ir import Operand, Site
from pasidlab.prove.general import EVERY
from pasidlab.prove.state import SymbolicState
from pasidlab.prove.values import Element, SymbolicValue, Truth


@dataclass(frozen=True)
class Universal:
    """What holds for every element of a struct."""

    sort: str
    fact: Callable[[Any], Truth]


@dataclass(frozen=True)
class SymbolicPath:
    """One way through a step, as far as it got."""

    state: SymbolicState
    locals: dict[str, SymbolicValue]
    conditions: tuple[Truth, ...] = ()
    universals: tuple[Universal, ...] = ()
    elements: tuple[Element, ...] = ()  # all that were looked at

    def value(self, operand: Operand) -> SymbolicValue:
        """A constant, or a local; 0 if it was never assigned."""
        assert not str(operand).startswith(EVERY), "a number of elements is no value"
        return operand if isinstance(operand, int) else self.locals.get(operand, 0)

    def where(self, *conditions: Truth) -> SymbolicPath:
        """The path if these hold as well."""
        new = tuple(c for c in map(z3.simplify, conditions) if not z3.is_true(c))
        return replace(self, conditions=self.conditions + new) if new else self

    def assigned(self, name: object, value: SymbolicValue) -> SymbolicPath:
        """The path with a local assigned."""
        return replace(self, locals={**self.locals, str(name): value})

    def with_element(self, found: Element) -> SymbolicPath:
        """The path with an element that was looked at."""
        known = any(e.term.eq(found.term) for e in self.elements)
        return self if known else replace(self, elements=(*self.elements, found))


@dataclass(frozen=True)
class PathEnd:
    """How one way ends. ``kind``: "step" (a state follows), "answer" (of a predicate), or "fault": ``property`` is broken."""

    kind: str
    path: SymbolicPath
    site: Site
    value: SymbolicValue = 0
    property: str = ""
    sentence: str = ""


Feasible = Callable[[tuple[Truth, ...]], bool]
"""Says of conditions whether some state may meet them."""


def possible(path: SymbolicPath, feasible: Feasible, *conditions: Truth) -> SymbolicPath | None:
    """The path if these hold as well; None if they cannot."""
    taken = path.where(*conditions)
    if taken is path:
        return path
    if any(z3.is_false(c) for c in taken.conditions) or not feasible(taken.conditions):
        return None
    return taken
