"""The IR's 64-bit numbers as expressions of Promela, whose numbers are C's ``int``: 32 bits.

Each expression carries the least and the greatest value it may have. An operation is written only where its result in 32 bits
is certain to be the one in 64 bits; elsewhere it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pasidlab.lang.ir import DIVISIONS, SHIFTS
from pasidlab.lang.types import Domain, Int, Mask, Ref

_BITS = 32
_LEAST, _MOST = -(1 << _BITS - 1), (1 << _BITS - 1) - 1
_SIGN = "(1 << 31)"
COUNT = 1 << 29
"""Where the terms of a sum, or the sum, may lie outside -COUNT..COUNT, the exported model tests them as it runs."""


class TooWide(Exception):
    """An operation whose result 32 bits cannot hold, or whose range is unknown."""


@dataclass(frozen=True)
class Expression32:
    """An expression with the lowest 32 bits of a value between ``low`` and ``high``."""

    text: str
    low: int
    high: int

    @property
    def known(self) -> bool:
        """Only one value is possible."""
        return self.low == self.high

    @property
    def signed(self) -> bool:
        """The value is that of the ``int``."""
        return self.low >= _LEAST and self.high <= _MOST

    @property
    def unsigned(self) -> bool:
        """The value is that of the ``int`` read without a sign."""
        return self.low >= 0 and self.high < 1 << _BITS

    @property
    def counts(self) -> bool:
        """Small enough to be added without overflow."""
        return self.low >= -COUNT and self.high <= COUNT

    @property
    def uncountable(self) -> str:
        """The condition that the value is too great to be added; empty if it cannot be."""
        least = 0 if self.unsigned else -COUNT
        return "" if self.counts else f"{self.text} < {least} || {self.text} > {COUNT}"

    @property
    def counted(self) -> Expression32:
        """The value where it is small enough to be added."""
        return Expression32(self.text, min(max(self.low, -COUNT), COUNT), max(min(self.high, COUNT), -COUNT))

    def or_(self, other: Expression32) -> Expression32:
        """This expression, if it may also have the other's values."""
        return Expression32(self.text, min(self.low, other.low), max(self.high, other.high))


Operation32 = Callable[[Expression32, Expression32], Expression32]


def literal(value: int) -> Expression32:
    """A constant."""
    bits = value & (1 << _BITS) - 1
    if bits >> _BITS - 1 and value > 0:
        rest = bits & _MOST
        return Expression32(f"({_SIGN} | {rest})" if rest else _SIGN, value, value)
    short = bits - (1 << _BITS) if bits >> _BITS - 1 else bits
    if short == _LEAST:
        return Expression32(_SIGN, value, value)
    return Expression32(f"({short})" if short < 0 else str(short), value, value)


def of_domain(text: str, domain: Domain) -> Expression32:
    """An expression whose values are those of a domain."""
    match domain:
        case Int(low, high):
            return Expression32(text, low, high)
        case Mask(mask):
            return Expression32(text, 0, mask)
        case Ref(_, count):
            return Expression32(text, 0, count)
    raise AssertionError(domain)


def truth(a: Expression32) -> str:
    """The condition that a value is not 0."""
    return _exact(a).text if a.low >= 0 and a.high <= 1 else f"({_exact(a).text} != 0)"


def unary(op: str, a: Expression32) -> Expression32:
    """``not`` or ``inv``."""
    if op == "not":
        return Expression32(f"({_exact(a).text} == 0)", 0, 1)
    return Expression32(f"(~{a.text})", ~a.high, ~a.low)


def binary(op: str, a: Expression32, b: Expression32) -> Expression32:
    """An operation of the IR, where it has a result: where neither ``impossible`` nor ``outside`` is true."""
    return _OPERATIONS[op](a, b)


def impossible(op: str, a: Expression32, b: Expression32) -> str:
    """The condition that operands have no result, or none that is certain to fit; empty if they always have."""
    if op in DIVISIONS and b.low <= 0 <= b.high:
        return f"({b.text} == 0)"
    if op in SHIFTS and not (b.low >= 0 and b.high < _BITS):
        return f"({b.text} < 0 || {b.text} >= {_BITS})"
    if op in ("add", "sub"):
        conditions = [n.uncountable for n in (a, b) if n.uncountable]
        return f"({' || '.join(conditions)})" if conditions else ""
    return ""


def outside(op: str, a: Expression32, b: Expression32, result: str) -> str:
    """The condition that the result, once there, is too great to be added to; empty if it never is."""
    if op not in ("add", "sub") or _sum(op, a.counted, b.counted).counts:
        return ""
    return f"({result} < {-COUNT} || {result} > {COUNT})"


def contains(domain: Domain, a: Expression32) -> str:
    """The condition that a value lies in a domain; empty if it is certain to."""
    if isinstance(domain, Mask):
        if a.low >= 0 and a.high == 0:
            return ""
        inside = f"(({_exact(a).text} & {literal(~domain.mask).text}) == 0)"
        return inside if a.low >= 0 else f"({a.text} >= 0 && {inside})"
    whole = of_domain("", domain)
    if whole.low <= a.low and a.high <= whole.high:
        return ""
    low, high = literal(whole.low), literal(whole.high)
    return f"({binary('le', low, a).text} && {binary('le', a, high).text})"


def _exact(a: Expression32) -> Expression32:
    """The number, refused if its 32 bits do not tell its value."""
    if not (a.signed or a.unsigned):
        raise TooWide(f"a value between {a.low} and {a.high}")
    return a


def _alike(a: Expression32, b: Expression32) -> None:
    if not ((a.signed and b.signed) or (a.unsigned and b.unsigned)):
        raise TooWide(f"values between {min(a.low, b.low)} and {max(a.high, b.high)}")


def _equality(sign: str) -> Operation32:
    def compare(a: Expression32, b: Expression32) -> Expression32:
        _alike(a, b)
        return Expression32(f"({a.text} {sign} {b.text})", 0, 1)

    return compare


def _order(sign: str) -> Operation32:
    def compare(a: Expression32, b: Expression32) -> Expression32:
        _alike(a, b)
        if a.signed and b.signed:
            return Expression32(f"({a.text} {sign} {b.text})", 0, 1)
        return Expression32(f"(({a.text} ^ {_SIGN}) {sign} ({b.text} ^ {_SIGN}))", 0, 1)

    return compare


def _and(a: Expression32, b: Expression32) -> Expression32:
    text = f"({a.text} & {b.text})"
    bounds = [n.high for n in (a, b) if n.unsigned]
    if bounds:
        return Expression32(text, 0, min(bounds))
    _alike(a, b)
    return Expression32(text, _LEAST, _MOST)


def _bits(sign: str) -> Operation32:
    def combine(a: Expression32, b: Expression32) -> Expression32:
        _alike(a, b)
        text = f"({a.text} {sign} {b.text})"
        if a.unsigned and b.unsigned:
            return Expression32(text, 0, (1 << max(a.high, b.high).bit_length()) - 1)
        return Expression32(text, _LEAST, _MOST)

    return combine


def _sum(op: str, a: Expression32, b: Expression32) -> Expression32:
    sign, low, high = ("+", b.low, b.high) if op == "add" else ("-", -b.high, -b.low)
    return Expression32(f"({a.text} {sign} {b.text})", a.low + low, a.high + high)


def _adding(op: str) -> Operation32:
    return lambda a, b: _sum(op, a.counted, b.counted).counted


def _signed(result: Expression32, *operands: Expression32) -> Expression32:
    if not all(n.signed for n in (result, *operands)):
        raise TooWide(f"a value between {result.low} and {result.high}")
    return result


def _mul(a: Expression32, b: Expression32) -> Expression32:
    corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return _signed(Expression32(f"({a.text} * {b.text})", min(corners), max(corners)), a, b)


def _shl(a: Expression32, b: Expression32) -> Expression32:
    counts = max(b.low, 0), min(b.high, _BITS - 1)
    corners = [x << n for x in (a.low, a.high) for n in counts if n >= 0]
    return _exact(Expression32(f"({a.text} << {b.text})", min(corners, default=0), max(corners, default=0)))


def _shr(a: Expression32, b: Expression32) -> Expression32:
    if a.signed:
        return Expression32(f"({a.text} >> {b.text})", min(a.low, 0), max(a.high, 0))
    if not b.known or not 0 < b.low < _BITS or not a.unsigned:
        raise TooWide(f"a value between {a.low} and {a.high} shifted")
    return Expression32(f"(({a.text} >> {b.low}) & {(1 << _BITS - b.low) - 1})", a.low >> b.low, a.high >> b.low)


def _div(a: Expression32, b: Expression32) -> Expression32:
    most = max(abs(a.low), abs(a.high))
    low = 0 if a.low >= 0 and b.low >= 0 else -most
    return _signed(Expression32(f"({a.text} / {b.text})", low, most), a, b)


def _mod(a: Expression32, b: Expression32) -> Expression32:
    most = max(abs(b.low), abs(b.high), 1) - 1
    return _signed(Expression32(f"({a.text} % {b.text})", 0 if a.low >= 0 else -most, most), a, b)


def _positive(operation: Operation32) -> Operation32:
    """An operation on numbers read without a sign, which is that on numbers with one where none is negative."""

    def checked(a: Expression32, b: Expression32) -> Expression32:
        if a.low < 0 or b.low < 0:
            raise TooWide(f"a value between {min(a.low, b.low)} and {max(a.high, b.high)} read without a sign")
        return operation(a, b)

    return checked


def _sext(a: Expression32, bits: Expression32) -> Expression32:
    half = 1 << max(bits.low, 1) - 1
    if -half <= a.low and a.high < half:
        return a
    if not bits.known or not 1 <= bits.low <= _BITS:
        raise TooWide(f"the lowest {bits.low} bits of a value between {a.low} and {a.high}")
    rest = _BITS - bits.low
    return Expression32(f"(({a.text} << {rest}) >> {rest})" if rest else a.text, -half, half - 1)


_OPERATIONS: dict[str, Operation32] = {
    "add": _adding("add"), "sub": _adding("sub"), "mul": _mul, "div": _div, "mod": _mod,
    "and": _and, "or": _bits("|"), "xor": _bits("^"), "shl": _shl, "shr": _shr,
    "udiv": _positive(_div), "umod": _positive(_mod), "ushr": _positive(_shr), "sext": _sext,
    "ult": _positive(_order("<")), "ule": _positive(_order("<=")),
    "eq": _equality("=="), "ne": _equality("!="), "lt": _order("<"), "le": _order("<="),
}  # fmt: skip
