"""What values there are: numbers, elements of structs, None; and what a field may hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


class NoMeaning(Exception):
    """The model does something plain Python refuses: a number compared with an element, a local that was never assigned."""


class Domain(ABC):
    """The values a field or parameter may have."""

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Whether a field with this domain may hold the value."""

    @abstractmethod
    def each(self) -> Iterator[Any]:
        """Every value a parameter of this domain takes."""

    def __or__(self, other: object) -> Domain:
        return self


@dataclass(frozen=True)
class Number(Domain):
    """Whole numbers from ``low`` to ``high``."""

    low: int
    high: int

    def contains(self, value: Any) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high

    def each(self) -> Iterator[int]:
        return iter(range(self.low, self.high + 1))


@dataclass(frozen=True)
class Mask(Domain):
    """Numbers with no bit outside the mask."""

    bits: int

    def contains(self, value: Any) -> bool:
        return isinstance(value, int) and value >= 0 and value & ~self.bits == 0

    def each(self) -> Iterator[int]:
        return (value for value in range(self.bits + 1) if self.contains(value))


@dataclass(eq=False)
class Struct:
    """A struct: its elements, the fields with their domains and defaults."""

    name: str
    count: int
    fields: dict[str, tuple[Domain, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.elements = [Element(self, number) for number in range(self.count)]

    def element(self, number: int) -> Element:
        """The one object that stands for an element; IndexError if there is no such number."""
        if not 0 <= number < self.count:
            raise IndexError(f"{self.name} has no element {number}")
        return self.elements[number]

    def __or__(self, other: object) -> Struct:
        return self


@dataclass(frozen=True, eq=False)
class Element:
    """One element of a struct. There is one object for each, so ``is`` and ``==`` compare as the language says."""

    struct: Struct
    number: int

    def __repr__(self) -> str:
        return f"{self.struct.name}{self.number}"


@dataclass(frozen=True)
class Reference(Domain):
    """None or an element of the struct; as a parameter never None."""

    struct: Struct

    def contains(self, value: Any) -> bool:
        return value is None or (isinstance(value, Element) and value.struct is self.struct)

    def each(self) -> Iterator[Element]:
        return iter(self.struct.elements)
