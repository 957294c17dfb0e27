"""What C expressions evaluate to while they are compiled: values, places that can be stored to, variables and what is made of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pasidlab.lang.c.ctype import INT, VOID, CType, Integer, Pointer, enum_type
from pasidlab.lang.emit import wrapped_to_64
from pasidlab.lang.ir import Operand
from pasidlab.lang.types import BOOL, NULL, Domain, Int, Ref

UNKNOWN = "?"  # the view of a value that has been reported already
VOID_POINTER = Pointer(VOID)
OPAQUE = "!"  # the first letter of the view of a kernel struct outside the model


@dataclass(frozen=True)
class Value:
    """An operand, the operands it may be, and its C type.

    The operand is a number with a sign in 64 bits: a value of a narrower type is that number itself, one of ``unsigned long`` the number
    with the same bits. ``view`` names the kernel struct a pointer leads to; ``place`` is what it leads to, where that is known here.
    """

    operand: Operand
    domain: Domain
    type: CType = INT
    view: str = ""
    place: Place | None = None

    @property
    def constant(self) -> bool:
        """True for a number that is known while the function is compiled."""
        return isinstance(self.operand, int)

    @property
    def is_cpu(self) -> bool:
        """True for the number of a CPU that is still held as the CPU: one more than the number, 0 for -1."""
        return isinstance(self.domain, Ref) and self.domain.struct == "Cpu" and isinstance(self.type, Integer)

    @property
    def opaque(self) -> bool:
        """True for a pointer that leads out of the model."""
        return self.view.startswith(OPAQUE)

    @property
    def unknown(self) -> bool:
        """True for a value whose name means nothing, which has been reported."""
        return self.view == UNKNOWN

    def typed(self, type_: CType) -> Value:
        """The operand as a value of another type."""
        return replace(self, type=type_)


NO_VALUE = Value(0, BOOL, VOID)
POISON = Value(0, BOOL, INT, UNKNOWN)


def number_of(value: int, type_: CType = INT) -> Value:
    """A constant."""
    return Value(value, Int(value, value), type_)


def exact(value: Value) -> int:
    """The number that a constant is in C: the operand of one of ``unsigned long`` may be negative."""
    assert isinstance(value.operand, int) and isinstance(value.type, Integer)
    return value.operand % (1 << 64) if value.operand < 0 and not value.type.signed else value.operand


def enumerator(value: int, type_: Integer | None = None) -> Value:
    """An enumerator: of type int if that holds it (C11 6.7.2.2), else of its enum's type, as gcc says."""
    fits = INT.low <= value <= INT.high
    return number_of(wrapped_to_64(value), INT if fits else type_ or enum_type([value]))


def null_pointer(type_: CType = VOID_POINTER, view: str = "") -> Value:
    """A pointer to nothing."""
    return Value(0, NULL, type_, view)


def pointer_outside(name: str, type_: CType = VOID_POINTER) -> Value:
    """A pointer to something outside the model, which is there."""
    return Value(1, Int(1, 1), type_, OPAQUE + name)


@dataclass
class Variable:
    """A local or parameter of a C function. ``aggregate`` has the members of a struct, the elements of an array."""

    name: str
    type: CType
    local: str  # its name in the IR
    view: str = ""
    cpu: bool = False  # holds the number of a CPU, as the CPU
    place: Place | None = None  # a pointer that is set once: what it leads to
    value: Value | None = None  # a name for a constant
    inside: Inside | None = None  # some bits of another variable: a part of a union
    aggregate: Aggregate | None = None
    fixed: bool = False  # ``const``: nothing but its initializer may give it a value


@dataclass
class Aggregate:
    """The parts of a struct by member, of an array by number."""

    type: CType
    parts: dict[str | int, Variable] = field(default_factory=dict)
    whole: Variable | None = None  # of a union: all its bits

    def member(self, name: str) -> Variable | None:
        """A member, also of an anonymous struct inside."""
        if name in self.parts:
            return self.parts[name]
        inner = [part.aggregate for key, part in self.parts.items() if isinstance(key, str) and key.startswith("<") and part.aggregate]
        return next((found for one in inner if (found := one.member(name)) is not None), None)

    @property
    def fixed(self) -> bool:
        """True if a part of the aggregate is constant."""
        return any(part.fixed for part in self.scalars())

    def part(self, key: str | int) -> Variable | None:
        """A member by its name, an element by its number."""
        return self.member(key) if isinstance(key, str) else self.parts.get(key)

    def scalars(self) -> Iterator[Variable]:
        """Every variable inside; of a union, the one that holds all its bits."""
        if self.whole is not None:
            yield self.whole
            return
        for part in self.parts.values():
            if part.aggregate is not None:
                yield from part.aggregate.scalars()
            else:
                yield part


@dataclass(frozen=True)
class Inside:
    """Bits of a variable that holds a whole union: from which one on, how many, and of how many in all."""

    whole: Variable
    bit: int
    bits: int
    of: int


@dataclass(frozen=True)
class Place:
    """Something that can be loaded and stored: a variable, or model-language text with its names bound."""

    type: CType = INT
    variable: Variable | None = None
    node: ast.expr | None = None
    view: str = ""
    bits: dict[str, str] = field(default_factory=dict)  # a set of bits: mask -> text over ``x``
    element: ast.expr | None = None
    nothing: bool = False
    store: str = ""  # text over ``x`` and ``value``, where storing is not assigning to ``node``
    pasid: bool = False  # holds the number of a PASID, and what stands for none differs between kernels
    aggregate: Aggregate | None = None
    index: Value | None = None  # of an array: the element, where it is not known here
    fixed: bool = False  # reached through a pointer to ``const``, or inside what is

    @property
    def constant(self) -> bool:
        """Whether C lets nobody store here."""
        if self.fixed or (self.aggregate is not None and self.aggregate.fixed):
            return True
        one = self.variable
        return one is not None and (one.fixed or (one.inside is not None and one.inside.whole.fixed))
