"""What C expressions evaluate to while they are compiled: values, places that can be stored to, and variables."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from pasidlab.errors import Position
from pasidlab.lang.c.parse import CType
from pasidlab.lang.ir import Operand
from pasidlab.lang.types import BOOL, Domain, Int, Mask

UNKNOWN = "?"  # the view of a value that has been reported already
OPAQUE = "!"  # the first letter of the view of a kernel struct outside the model


@dataclass(frozen=True)
class Value:
    """An operand with its domain; ``view`` names the kernel struct it points to, ``unsigned`` its width if it has one."""

    operand: Operand
    domain: Domain
    view: str = ""
    unsigned: int = 0

    @property
    def constant(self) -> bool:
        """Whether it is known here."""
        return isinstance(self.operand, int)


NO_VALUE = Value(0, BOOL)
POISON = Value(0, BOOL, UNKNOWN)


@dataclass
class Variable:
    """A local or parameter of a C function."""

    name: str
    type: CType
    local: str  # its name in the IR
    view: str = ""
    range: Int | None = None  # the values a loop counter takes
    cpu: bool = False  # holds a CPU number


@dataclass(frozen=True)
class Place:
    """Something that can be loaded and stored: a variable, or model-language text with its names bound."""

    variable: Variable | None = None
    node: ast.expr | None = None
    view: str = ""
    bits: dict[str, str] = field(default_factory=dict)  # a set of bits: mask -> text over ``x``
    element: ast.expr | None = None
    nothing: bool = False
    store: str = ""  # text over ``x`` and ``value``, where storing is not assigning to ``node``


def fits(domain: Domain, bits: int) -> bool:
    """Whether every value of the domain is an unsigned integer of that width."""
    if isinstance(domain, Mask):
        return domain.mask < 1 << bits
    return isinstance(domain, Int) and domain.low >= 0 and domain.high < 1 << bits


@dataclass(frozen=True)
class Refusal(Exception):
    """A construct outside the subset; becomes a PasidlabError at its place."""

    what: str
    at: Position
    hint: str = ""
