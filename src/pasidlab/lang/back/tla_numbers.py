"""The IR's 64-bit numbers as expressions of TLA+, for TLC, whose numbers have 32 bits.

A value from 2^31 on is written less 2^32. ``numbers`` says which values an operation may have, and refuses where 32 bits do not do.
"""

from __future__ import annotations

from dataclasses import dataclass

from pasidlab.lang.back import numbers
from pasidlab.lang.back.numbers import COUNT, Expression32
from pasidlab.lang.emit import computed
from pasidlab.lang.ir import DIVISIONS, SHIFTS
from pasidlab.lang.types import Domain, Int, Mask, Ref

_BITS = 32
_MOST_LISTED = 256  # values of a mask that are written out as a set

DEFINITIONS = r"""
\* numbers: those from 2^31 on are written less 2^32; bits are those of two's complement
Bit(condition) == IF condition THEN 1 ELSE 0
RECURSIVE And(_, _), Or(_, _), Xor(_, _), Shl(_, _), Shr(_, _)
And(a, b) == IF a = 0 \/ b = 0 THEN 0 ELSE IF a = -1 THEN b ELSE IF b = -1 THEN a ELSE
             2 * And(a \div 2, b \div 2) + (a % 2) * (b % 2)
Or(a, b)  == IF a = 0 THEN b ELSE IF b = 0 THEN a ELSE IF a = -1 \/ b = -1 THEN -1 ELSE
             2 * Or(a \div 2, b \div 2) + (IF (a % 2) + (b % 2) = 0 THEN 0 ELSE 1)
Xor(a, b) == IF a = 0 THEN b ELSE IF b = 0 THEN a ELSE IF a = -1 THEN -1 - b ELSE IF b = -1 THEN -1 - a ELSE
             2 * Xor(a \div 2, b \div 2) + (((a % 2) + (b % 2)) % 2)
Double(a) == IF a >= 1073741824 THEN 2 * (a - 1073741824) - 2147483647 - 1
             ELSE IF a < -1073741824 THEN 2 * (a + 1073741824) + 2147483647 + 1 ELSE 2 * a
Shl(a, b) == IF b = 0 THEN a ELSE Shl(Double(a), b - 1)
Shr(a, b) == IF b = 0 THEN a ELSE Shr(a \div 2, b - 1)
Abs(a)    == IF a < 0 THEN -a ELSE a
Div(a, b) == IF (a < 0) = (b < 0) THEN Abs(a) \div Abs(b) ELSE -(Abs(a) \div Abs(b))
Mod(a, b) == a - b * Div(a, b)
Less(a, b) == IF (a < 0) = (b < 0) THEN a < b ELSE b < 0
"""
"""What expressions use. ``Less`` compares numbers without a sign; ``Div`` and ``Mod`` truncate, as C does."""


@dataclass(frozen=True)
class TlaValue:
    """An expression with a value between ``low`` and ``high``; ``condition``: what is true where that is 1 and not 0."""

    text: str
    low: int
    high: int
    condition: str = ""

    @property
    def known(self) -> bool:
        """Only one value is possible."""
        return self.low == self.high

    @property
    def range(self) -> Expression32:
        """What ``numbers`` reckons with."""
        return Expression32("", self.low, self.high)

    @property
    def truth(self) -> str:
        """The condition that the value is not 0."""
        return self.condition or f"({self.text} # 0)"

    @property
    def falsehood(self) -> str:
        """The condition that it is 0."""
        return f"~{self.condition}" if self.condition else f"({self.text} = 0)"


def literal(value: int) -> TlaValue:
    """A constant."""
    bits = value & (1 << _BITS) - 1
    short = bits - (1 << _BITS) if bits >> _BITS - 1 else bits
    if short == -(1 << _BITS - 1):
        return TlaValue("(-2147483647 - 1)", value, value)
    return TlaValue(f"({short})" if short < 0 else str(short), value, value)


def of_domain(text: str, domain: Domain) -> TlaValue:
    """An expression whose values are those of a domain."""
    found = numbers.of_domain(text, domain)
    return TlaValue(text, found.low, found.high)


def the_set(domain: Domain, *, none: bool) -> str:
    """The values of a domain; ``none``: with the reference to nothing."""
    match domain:
        case Int(low, high):
            return f"{literal(low).text}..{literal(high).text}"
        case Ref(_, count):
            return f"{0 if none else 1}..{count}"
        case Mask(mask) if 1 << mask.bit_count() <= _MOST_LISTED:
            return "{" + ", ".join(literal(domain.value(code)).text for code in range(1 << domain.bits)) + "}"
    return "Int"


def unary(op: str, a: TlaValue) -> TlaValue:
    """``not`` or ``inv``."""
    if a.known:
        return literal(int(not a.low) if op == "not" else ~a.low)
    if op == "not":
        return _condition(a.falsehood)
    return TlaValue(f"(-1 - {a.text})", ~a.high, ~a.low)


def binary(op: str, a: TlaValue, b: TlaValue) -> TlaValue:
    """An operation of the IR where ``impossible`` is not true. Raises TooWide where 32 bits do not do."""
    if a.known and b.known:
        value = computed(op, a.low, b.low)
        assert value is not None, op
        return literal(value)
    found = numbers.binary(op, a.range, b.range)
    if op in _COMPARISONS:
        return _condition(_compared(op, a, b))
    if op in ("shr", "ushr") and not found_signed(a):
        return TlaValue(f"And(Shr({a.text}, {b.text}), {literal((1 << _BITS - b.low) - 1).text})", found.low, found.high)
    if op == "sext":
        rest = literal(_BITS - b.low).text
        return a if (found.low, found.high) == (a.low, a.high) else TlaValue(f"Shr(Shl({a.text}, {rest}), {rest})", found.low, found.high)
    return TlaValue(_TEXTS[op].format(a=a.text, b=b.text), found.low, found.high)


def found_signed(a: TlaValue) -> bool:
    """Whether an expression has the value itself, and not less 2^32."""
    return a.range.signed


def impossible(op: str, a: TlaValue, b: TlaValue) -> str:
    """The condition that operands have no result, or one not certain to fit; ``TRUE`` if they never have, empty if they always do."""
    if a.known and b.known:
        return "TRUE" if computed(op, a.low, b.low) is None else ""
    if not numbers.impossible(op, a.range, b.range):
        return ""
    if op in DIVISIONS:
        return f"({b.text} = 0)"
    if op in SHIFTS:
        return f"({b.text} < 0 \\/ {b.text} >= {_BITS})"
    wrong = [f"{n.text} < {0 if n.range.unsigned else -COUNT} \\/ {n.text} > {COUNT}" for n in (a, b) if n.range.uncountable]
    either = " \\/ ".join(wrong)
    return f"({either})"


def outside(op: str, a: TlaValue, b: TlaValue, result: TlaValue) -> str:
    """The condition that the result, once there, is too great to be added to; empty if it never is."""
    if (a.known and b.known) or not numbers.outside(op, a.range, b.range, ""):
        return ""
    return f"({result.text} < {-COUNT} \\/ {result.text} > {COUNT})"


def contains(domain: Domain, a: TlaValue) -> str:
    """The condition that a value lies in a domain; empty if it is certain to."""
    if a.known:
        return "" if domain.contains(a.low) else "FALSE"
    if not numbers.contains(domain, a.range):
        return ""
    if isinstance(domain, Mask):
        inside = f"And({a.text}, {literal(~domain.mask).text}) = 0"
        return f"({inside})" if a.low >= 0 else f"({a.text} >= 0 /\\ {inside})"
    whole = numbers.of_domain("", domain)
    ends = [binary("le", literal(whole.low), a).truth] if a.low < whole.low else []
    ends += [binary("le", a, literal(whole.high)).truth] if a.high > whole.high else []
    both = " /\\ ".join(ends)
    return both if len(ends) == 1 else f"({both})"


def _condition(text: str) -> TlaValue:
    return TlaValue(f"Bit{text}" if text.startswith("(") else f"Bit({text})", 0, 1, text)


def _compared(op: str, a: TlaValue, b: TlaValue) -> str:
    if op in ("eq", "ne"):
        if b.known and b.low in (0, 1) and a.condition:
            return a.condition if (op == "eq") == (b.low == 1) else f"~{a.condition}"
        return f"({a.text} {'=' if op == 'eq' else '#'} {b.text})"
    if found_signed(a) and found_signed(b):
        return f"({a.text} {'<' if op in ('lt', 'ult') else '<='} {b.text})"
    return f"Less({a.text}, {b.text})" if op in ("lt", "ult") else f"(~Less({b.text}, {a.text}))"


_COMPARISONS = frozenset({"eq", "ne", "lt", "le", "ult", "ule"})
_TEXTS = {
    "add": "({a} + {b})", "sub": "({a} - {b})", "mul": "({a} * {b})",
    "div": "Div({a}, {b})", "mod": "Mod({a}, {b})", "udiv": "Div({a}, {b})", "umod": "Mod({a}, {b})",
    "and": "And({a}, {b})", "or": "Or({a}, {b})", "xor": "Xor({a}, {b})",
    "shl": "Shl({a}, {b})", "shr": "Shr({a}, {b})", "ushr": "Shr({a}, {b})",
}  # fmt: skip
