"""Builds the code of one function: fresh names, constant folding, local domains. Shared by the front ends."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import NamedTuple

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.ir import BINARY, DIVISIONS, SHIFTS, TRUTHS, Instr, Operand, Site
from pasidlab.lang.types import ANY, BOOL, Domain, Int, Mask, Ref, joined_domain, mask_of

_LIMIT = 1 << 64


def _quotient(a: int, b: int) -> int:
    """Towards 0 (C11 6.5.5)."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


EXACT: dict[str, Callable[[int, int], int]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": _quotient, "mod": lambda a, b: a - b * _quotient(a, b),
    "and": operator.and_, "or": operator.or_, "xor": operator.xor, "shl": operator.lshift, "shr": operator.rshift,
    "eq": lambda a, b: int(a == b), "ne": lambda a, b: int(a != b), "lt": lambda a, b: int(a < b), "le": lambda a, b: int(a <= b),
    "udiv": lambda a, b: a % _LIMIT // (b % _LIMIT), "umod": lambda a, b: a % _LIMIT % (b % _LIMIT),
    "ushr": lambda a, b: a % _LIMIT >> b,
    "ult": lambda a, b: int(a % _LIMIT < b % _LIMIT), "ule": lambda a, b: int(a % _LIMIT <= b % _LIMIT),
    "sext": lambda a, b: (a + (1 << b - 1)) % (1 << b) - (1 << b - 1),
}  # fmt: skip
"""Each binary operation in exact integers, where it has a value."""


def wrapped_to_64(value: int) -> int:
    """The number that the lowest 64 bits of a value stand for, with a sign."""
    return (value + _LIMIT // 2) % _LIMIT - _LIMIT // 2


def computed(op: str, a: int, b: int) -> int | None:
    """The value of a binary operation, the definition both engines follow; None where it has none."""
    if (op in DIVISIONS and b == 0) or (op in SHIFTS and not 0 <= b < 64) or (op == "sext" and not 1 <= b <= 64):
        return None
    return wrapped_to_64(EXACT[op](a, b))


def result_domain(op: str, a: Domain, b: Domain) -> Domain:
    """A domain that holds every result of the operation."""
    if op in TRUTHS:
        return BOOL
    if op in ("and", "or", "xor"):
        masks = mask_of(a), mask_of(b)
        if op == "and" and max(masks) >= 0:
            return Mask(masks[0] & masks[1]) if min(masks) >= 0 else Mask(max(masks))
        if min(masks) >= 0:
            return BOOL if a == b == BOOL else Mask(masks[0] | masks[1])
        return ANY
    if isinstance(a, Int) and isinstance(b, Int) and op in ("add", "sub", "mul"):
        corners = [EXACT[op](x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        if max(map(abs, corners)) < _LIMIT >> 2:
            return Int(min(corners), max(corners))
    if op == "sext":
        return _sign_extended(a, b)
    return _divided(op, a, b)


def _sign_extended(a: Domain, bits: Domain) -> Domain:
    if not isinstance(bits, Int) or bits.low != bits.high or not 1 <= bits.low <= 64:
        return ANY
    half = 1 << bits.low - 1
    low, high = bounds(a)
    return a if -half <= low and high < half else Int(-half, half - 1)


def _divided(op: str, a: Domain, b: Domain) -> Domain:
    """Of quotients, remainders and shifts to the right, those of numbers that are not negative."""
    (low, high), (least, most) = bounds(a), bounds(b)
    if op == "ushr" and least > 0:
        return Int(0, (_LIMIT - 1 if low < 0 else high) >> min(least, 63))
    if low < 0 or least < 0:
        return ANY
    if op in ("mod", "umod"):
        return Int(0, max(min(high, most - 1), 0))
    return Int(0, high) if op in ("div", "udiv", "shr", "ushr") else ANY


def bounds(domain: Domain) -> tuple[int, int]:
    """The least and the greatest value of a domain."""
    if isinstance(domain, Int):
        return domain.low, domain.high
    if isinstance(domain, Mask):
        return 0, domain.mask
    return (0, domain.count) if isinstance(domain, Ref) else (ANY.low, ANY.high)


class Fit(NamedTuple):
    """A local that goes where no number greater than ``most`` does. Nothing is emitted for it: in this scope its numbers fit."""

    local: str
    most: int
    position: Position


class Builder:
    """Collects instructions and the domains of the locals they assign. ``fits`` has what goes into narrow places."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.code: list[Instr] = []
        self.locals: dict[str, Domain | None] = {}
        self.fits: list[Fit] = []
        self._fresh = 0

    def temp(self, domain: Domain) -> str:
        """A new local no source text can name."""
        self._fresh += 1
        name = f"%{self._fresh}"
        self.locals[name] = domain
        return name

    def label(self, hint: str) -> str:
        """A new label."""
        self._fresh += 1
        return f"{hint}{self._fresh}"

    def emit(self, op: str, *args: Operand, at: Position, text: str = "") -> None:
        """Append one instruction."""
        self.code.append(Instr(op, args, Site(self.function, at), text))

    def fit(self, operand: Operand, most: int, at: Position) -> None:
        """Note that an operand goes where no number greater than ``most`` does."""
        if isinstance(operand, str):
            self.fits.append(Fit(operand, most, at))

    def place(self, label: str, at: Position) -> None:
        """Define a label here."""
        self.emit("label", label, at=at)

    def binary(self, op: str, a: tuple[Operand, Domain], b: tuple[Operand, Domain], at: Position) -> tuple[Operand, Domain]:
        """A binary operation; constants are folded."""
        assert op in BINARY
        if op in DIVISIONS and b[0] == 0:
            raise PasidlabError("division by zero", position=at)
        if isinstance(a[0], int) and isinstance(b[0], int) and (value := computed(op, a[0], b[0])) is not None:
            return value, BOOL if op in TRUTHS else Int(value, value)
        domain = result_domain(op, a[1], b[1])
        dst = self.temp(domain)
        self.emit(op, dst, a[0], b[0], at=at)
        return dst, domain

    def unary(self, op: str, a: tuple[Operand, Domain], at: Position) -> tuple[Operand, Domain]:
        """``not``, ``inv`` or ``copy``."""
        if isinstance(a[0], int):
            value = {"not": int(not a[0]), "inv": ~a[0], "copy": a[0]}[op]
            return value, BOOL if op == "not" else Int(value, value)
        domain = {"not": BOOL, "inv": ANY, "copy": a[1]}[op]
        dst = self.temp(domain)
        self.emit(op, dst, a[0], at=at)
        return dst, domain

    def branch(self, condition: Operand, yes: str, no: str, at: Position) -> None:
        """Go to ``yes`` if the condition is nonzero; a constant condition becomes a jump."""
        if isinstance(condition, int):
            self.emit("jump", yes if condition else no, at=at)
        else:
            self.emit("branch", condition, yes, no, at=at)

    def assign(self, local: str, value: Operand, domain: Domain, at: Position) -> None:
        """Assign a named local, widening its domain."""
        known = self.locals.get(local)
        if local not in self.locals:
            self.locals[local] = domain
        elif known is not None:
            joined = joined_domain(known, domain)
            if joined is None and isinstance(known, Ref) != isinstance(domain, Ref):
                raise PasidlabError(f"'{local}' was {known} before, here it becomes {domain}", position=at, hint="use another name")
            self.locals[local] = joined
        self.emit("copy", local, value, at=at)
