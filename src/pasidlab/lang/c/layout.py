"""Where the parts of a struct or union lie in memory: sizes, alignments and offsets (System V ABI for AMD64, 3.1.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pasidlab.lang.c.ctype import Array, CType, Struct
from pasidlab.lang.c.declarators import Member


@dataclass(frozen=True)
class Definition:
    """What a struct or union is made of."""

    members: tuple[Member, ...]
    union: bool


Definitions = Callable[[Struct], Definition | None]
"""The definition of a struct; None where none is known, or where attributes change its layout."""


def layout(type_: CType, known: Definitions) -> tuple[int, int] | None:
    """Size and alignment in bytes; None where there is no telling."""
    if isinstance(type_, Array):
        one = layout(type_.of, known)
        return (one[0] * type_.count, one[1]) if one is not None and type_.count is not None else None
    if not isinstance(type_, Struct):
        return (type_.size, type_.size) if type_.size else None
    definition = known(type_)
    places = list(places_of(definition, known)) if definition is not None else []
    if definition is None or any(place is None for place in places):
        return None
    align = max((one.align for one in places if one is not None), default=1)
    end = max((one.bit + one.bits for one in places if one is not None), default=0)
    return _up(_up(end, 8) // 8, align), align


@dataclass(frozen=True)
class MemberPlace:
    """A member, the bit at which it begins, and how many bits it takes."""

    member: Member
    bit: int
    bits: int
    align: int  # in bytes: what it asks of the whole


def places_of(definition: Definition, known: Definitions) -> Iterator[MemberPlace | None]:
    """The members in order; None for one whose size is not known, which ends them."""
    at = 0
    for member in definition.members:
        found = layout(member.type, known)
        if found is None:
            yield None
            return
        size, align = found[0] * 8, found[1] * 8
        bits = size if member.bits is None else member.bits
        if definition.union:
            at = 0
        elif member.bits is None or member.bits == 0 or at % size + bits > size:
            at = _up(at, align)  # a bit field lies in one unit of its type
        yield MemberPlace(member, at, bits, align // 8 if member.name or member.bits is None else 1)
        at += bits


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
