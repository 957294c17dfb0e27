"""Domains: the finite sets of values that state fields and saved locals may hold."""

from __future__ import annotations

from dataclasses import dataclass

WIDE = 1 << 63


@dataclass(frozen=True)
class Domain:
    """Base of all domains. A value is a Python int; ``code`` and ``value`` map it to 0 .. 2**bits - 1 and back."""

    @property
    def bits(self) -> int:
        raise AssertionError("abstract")

    def contains(self, value: int) -> bool:
        raise AssertionError("abstract")

    def code(self, value: int) -> int:
        raise AssertionError("abstract")

    def value(self, code: int) -> int:
        raise AssertionError("abstract")


@dataclass(frozen=True)
class Int(Domain):
    """The integers ``low`` .. ``high``; ``bool`` is Int(0, 1)."""

    low: int
    high: int

    @property
    def bits(self) -> int:
        return (self.high - self.low).bit_length()

    def contains(self, value: int) -> bool:
        return self.low <= value <= self.high

    def code(self, value: int) -> int:
        return value - self.low

    def value(self, code: int) -> int:
        return code + self.low

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True)
class Mask(Domain):
    """The integers without a bit outside ``mask``: registers whose few live bits lie far apart."""

    mask: int

    @property
    def bits(self) -> int:
        return self.mask.bit_count()

    def contains(self, value: int) -> bool:
        return value >= 0 and value & ~self.mask == 0

    def runs(self) -> list[tuple[int, int, int]]:
        """Contiguous runs of the mask as (shift in the value, shift in the code, width)."""
        runs, bit, code = [], 0, 0
        while self.mask >> bit:
            width = 0
            while self.mask >> (bit + width) & 1:
                width += 1
            if width:
                runs.append((bit, code, width))
                code += width
            bit += max(width, 1)
        return runs

    def code(self, value: int) -> int:
        return sum((value >> at & (1 << width) - 1) << code for at, code, width in self.runs())

    def value(self, code: int) -> int:
        return sum((code >> shift & (1 << width) - 1) << at for at, shift, width in self.runs())

    def __str__(self) -> str:
        return f"mask {self.mask:#x}"


@dataclass(frozen=True)
class Ref(Domain):
    """A reference to one of ``count`` elements of ``struct``: 0 is None (NULL), i + 1 is element i."""

    struct: str
    count: int

    @property
    def bits(self) -> int:
        return self.count.bit_length()

    def contains(self, value: int) -> bool:
        return 0 <= value <= self.count

    def code(self, value: int) -> int:
        return value

    def value(self, code: int) -> int:
        return code

    def __str__(self) -> str:
        return f"{self.struct}?"


BOOL = Int(0, 1)
NULL = Ref("", 0)
ANY = Int(-WIDE, WIDE - 1)


def joined_domain(a: Domain | None, b: Domain) -> Domain | None:
    """The smallest domain that holds both; None when they have nothing to do with each other."""
    if a is None or a == b:
        return b
    if isinstance(a, Ref) and isinstance(b, Ref):
        if a == NULL or b == NULL:
            return b if a == NULL else a
        return None
    if isinstance(a, Ref) or isinstance(b, Ref):
        return None
    if isinstance(a, Mask) or isinstance(b, Mask):
        both = mask_of(a) | mask_of(b)
        return Mask(both) if both >= 0 else ANY
    assert isinstance(a, Int) and isinstance(b, Int)
    return Int(min(a.low, b.low), max(a.high, b.high))


def kind(domain: Domain) -> str:
    """What a value of the domain is, to a reader: a struct's name, ``None`` or a number."""
    if isinstance(domain, Ref):
        return domain.struct or "None"
    return "bool" if domain == BOOL else "a number"


def mask_of(domain: Domain) -> int:
    """Every bit a value of the domain may have; -1 when it may be negative or unbounded."""
    if isinstance(domain, Mask):
        return domain.mask
    if isinstance(domain, Int) and domain.low >= 0 and domain.high < 1 << 62:
        return (1 << domain.high.bit_length()) - 1
    return -1


@dataclass(frozen=True)
class Field:
    """One field of a struct: ``count`` elements of ``domain``. Singletons have count 1.

    ``observer`` fields exist for properties only: they are reset before each step and are not part of a state's identity.
    """

    struct: str
    name: str
    domain: Domain
    count: int
    default: int = 0
    observer: bool = False

    @property
    def path(self) -> str:
        return f"{self.struct}.{self.name}"
