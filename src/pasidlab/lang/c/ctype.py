"""C's types on x86-64 Linux (LP64): widths, signs, the integer promotions and the usual arithmetic conversions (C11 6.3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pasidlab.lang.types import ANY, Domain, Int


@dataclass(frozen=True)
class CType:
    """Base of all types. ``size`` is in bytes; None: it has none, or none is known here."""

    @property
    def size(self) -> int | None:
        return None


@dataclass(frozen=True)
class Void(CType):
    """``void``."""

    def __str__(self) -> str:
        return "void"


@dataclass(frozen=True)
class Unknown(CType):
    """A name that may be a type, and what is known of it is nothing."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Integer(CType):
    """An integer type. ``bits`` counts those of the value, ``width`` those of its storage: they differ for bool and bit fields."""

    name: str
    bits: int
    signed: bool
    rank: int
    width: int = 0
    boolean: bool = False

    @property
    def size(self) -> int | None:
        return (self.width or self.bits) // 8

    @property
    def low(self) -> int:
        """The least value."""
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def high(self) -> int:
        """The greatest value."""
        return (1 << self.bits - self.signed) - 1

    @property
    def domain(self) -> Domain:
        """The operands that values of this type are held in: 64 bits with a sign, so those of ``unsigned long`` may be negative."""
        return Int(self.low, self.high) if self.bits < 64 else ANY

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Pointer(CType):
    """A pointer. ``constant``: nothing may be stored through it; it points to the same type all the same."""

    to: CType
    constant: bool = field(default=False, compare=False)

    @property
    def size(self) -> int | None:
        return 8

    def __str__(self) -> str:
        return f"{self.to} *"


@dataclass(frozen=True)
class Struct(CType):
    """A struct or union by its tag; one without a tag has the place of its definition for a name."""

    name: str

    def __str__(self) -> str:
        return f"struct {self.name}"


@dataclass(frozen=True)
class Enum(CType):
    """An enum by its tag, where its enumerators have not been looked at."""

    tag: str

    def __str__(self) -> str:
        return f"enum {self.tag}"


@dataclass(frozen=True)
class Array(CType):
    """An array; ``count`` is None where the declaration leaves it to the initializer."""

    of: CType
    count: int | None

    @property
    def size(self) -> int | None:
        return None if self.count is None or self.of.size is None else self.count * self.of.size

    def __str__(self) -> str:
        return f"{self.of} []"


@dataclass(frozen=True)
class FunctionType(CType):
    """A function, by the type of its result."""

    result: CType

    def __str__(self) -> str:
        return f"{self.result} ()"


VOID = Void()
BOOLEAN = Integer("bool", 1, False, 0, 8, True)
CHAR = Integer("char", 8, False, 1)  # the kernel is compiled with -funsigned-char since v6.2 (Makefile, 3bc753c06dd0)
S8 = Integer("signed char", 8, True, 1)
U8 = Integer("unsigned char", 8, False, 1)
S16 = Integer("short", 16, True, 2)
U16 = Integer("unsigned short", 16, False, 2)
INT = Integer("int", 32, True, 3)
UINT = Integer("unsigned int", 32, False, 3)
LONG = Integer("long", 64, True, 4)
ULONG = Integer("unsigned long", 64, False, 4)
LLONG = Integer("long long", 64, True, 5)
ULLONG = Integer("unsigned long long", 64, False, 5)

_WORDS: dict[str, Integer] = {
    "bool": BOOLEAN, "_Bool": BOOLEAN, "char": CHAR, "char signed": S8, "char unsigned": U8, "short": S16, "short unsigned": U16,
    "int": INT, "int unsigned": UINT, "long": LONG, "long unsigned": ULONG, "long long": LLONG, "long long unsigned": ULLONG,
}  # fmt: skip
TYPE_WORDS = frozenset({"char", "short", "int", "long", "signed", "unsigned", "bool", "_Bool", "void"})
QUALIFIERS = frozenset({"const", "volatile", "restrict", "register", "auto", "inline", "static", "extern"})


def by_words(text: str) -> CType | None:
    """The type that a sequence of C's own words names in any order: ``unsigned long int``; None if they name none."""
    words = [word for word in text.split() if word not in QUALIFIERS]
    if words == ["void"]:
        return VOID
    if len(words) > 1 or words in (["signed"], ["unsigned"]):
        others = sorted(word for word in words if word not in ("int", "signed") or (word == "signed" and "char" in words))
        words = ["int", *others] if not {"char", "short", "long"} & set(others) else others
    return _WORDS.get(" ".join(words))


def fitting(value: int, octal_or_hex: bool, suffix: str) -> Integer | None:
    """The type of an integer constant (C11 6.4.4.1); None if no type can hold it."""
    unsigned, long = "u" in suffix, suffix.replace("u", "")
    wide = [(LONG, ULONG), (LLONG, ULLONG)]
    pairs = {"": [(INT, UINT), *wide], "l": wide, "ll": wide[1:]}.get(long)
    for signed_type, unsigned_type in pairs or ():
        if not unsigned and value <= signed_type.high:
            return signed_type
        if (unsigned or octal_or_hex) and value <= unsigned_type.high:
            return unsigned_type
    return None


def promoted(type_: Integer) -> Integer:
    """The integer promotions: what is smaller than int becomes int, which holds all its values. So do bit fields narrower than int."""
    if type_.rank < INT.rank or type_.bits < INT.bits:
        return INT
    return replace(type_, bits=type_.width, width=0) if type_.width and not type_.boolean and type_.width <= INT.bits else type_


def common(a: Integer, b: Integer) -> Integer:
    """The usual arithmetic conversions: the type both operands of an arithmetic operator are converted to."""
    a, b = promoted(a), promoted(b)
    if a.signed == b.signed:
        return a if (a.bits, a.rank) >= (b.bits, b.rank) else b  # a bit field of 40 bits has the rank of its type, not its bits
    unsigned, signed = (b, a) if a.signed else (a, b)
    if signed.bits > unsigned.bits:
        return signed
    if unsigned.bits > signed.bits or unsigned.rank >= signed.rank:
        return unsigned
    return {LONG.rank: ULONG, LLONG.rank: ULLONG}.get(signed.rank, UINT)


def enum_type(values: Iterable[int]) -> Integer:
    """The integer type that gcc gives an enum with these values: unsigned where none is negative, 64 bits where 32 are too few."""
    low, high = min(values := [*values, 0]), max(values)
    if low < 0:
        return INT if INT.low <= low and high <= INT.high else LONG
    return UINT if high <= UINT.high else ULONG


def bit_field(type_: Integer, bits: int) -> Integer:
    """A bit field of so many bits."""
    return replace(type_, bits=bits, width=type_.width or type_.bits) if not type_.boolean else type_
