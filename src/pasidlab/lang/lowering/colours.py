"""Colours: what tells elements of symmetric structs apart whatever their numbers are. Elements that can be swapped have the same.

An element's first colour is a hash of its fields but for references to symmetric structs. Two rounds add the colours of the elements it
refers to, and of those that refer to it. A colour depends on no number, so that states of one class have the same colours, in another
order. Two elements that differ may have the same colour; then nothing is lost but time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pasidlab.lang.back.layout import Layout, PackedField
from pasidlab.lang.types import Ref

ROUNDS = 2
WORD = (1 << 64) - 1
MULTIPLIER = 0x9E3779B97F4A7C15  # odd (2**64 divided by the golden ratio)
_SALT = 0xBF58476D1CE4E5B9

Colour = TypeVar("Colour")


@dataclass(frozen=True)
class OwnFields:
    """Fields of a struct that lie in one word and are equally wide: those of element i are ``word >> i * width & mask``."""

    word: int
    width: int
    mask: int


@dataclass(frozen=True)
class Edges:
    """A field that refers to a symmetric struct; ``holder`` is empty if its own struct is not symmetric."""

    place: PackedField
    holder: str
    target: str
    salt: int  # unlike that of any other field


class Plan:
    """How the colours of one model's symmetric structs are computed, by whatever executes that."""

    def __init__(self, layout: Layout, counts: Mapping[str, int]) -> None:
        self.counts = dict(counts)
        self.base: dict[str, int] = {}  # place of a struct's null in the list of colours; its elements follow
        self.length = 0
        for name, count in counts.items():
            self.base[name] = self.length
            self.length += count + 1
        self.own: dict[str, list[OwnFields]] = {name: _own(layout, name, counts) for name in counts}
        self.edges: list[Edges] = []
        for place in layout.places.values():
            domain, holder = place.field.domain, place.field.struct
            if isinstance(domain, Ref) and domain.struct in counts and place.planes:
                salt = (len(self.edges) + 1) * _SALT & WORD
                self.edges.append(Edges(place, holder if holder in counts else "", domain.struct, salt))

    def seed(self, struct: str) -> int:
        """What the colours of a struct's elements begin with; nulls keep it."""
        return (self.base[struct] + 1) * MULTIPLIER & WORD


def _own(layout: Layout, struct: str, counts: Mapping[str, int]) -> list[OwnFields]:
    masks: dict[tuple[int, int], int] = {}
    for place in layout.places.values():
        refers = isinstance(place.field.domain, Ref) and place.field.domain.struct in counts
        for plane in place.planes if place.field.struct == struct and not refers else ():
            masks[plane.word, plane.width] = masks.get((plane.word, plane.width), 0) | plane.mask << plane.shift
    return [OwnFields(word, width, mask) for (word, width), mask in sorted(masks.items())]


class ColourCode(Protocol[Colour]):
    """What computes colours: a list of them, a list of sums, and the words of a state."""

    def number(self, number: int) -> Colour:
        """A constant."""

    def bits(self, word: int, shift: int, mask: int) -> Colour:
        """``word >> shift & mask``."""

    def mix(self, first: Colour, second: Colour) -> Colour:
        """A hash of both (``mixed``)."""

    def plus(self, first: Colour, second: Colour) -> Colour:
        """Their sum modulo 2**64."""

    def store(self, place: int, colour: Colour) -> None:
        """Puts a colour into the list."""

    def load(self, first: int, offset: Colour) -> Colour:
        """The colour at place ``first + offset``."""

    def add(self, first: int, offset: Colour, value: Colour) -> None:
        """Adds to the sum at place ``first + offset``."""

    def take(self, place: int) -> Colour:
        """The sum at a place, which is 0 from then on."""


def mixed(first: int, second: int) -> int:
    """A hash of two words."""
    product = (first ^ second) * MULTIPLIER & WORD
    return product ^ product >> 32


def compute(plan: Plan, machine: ColourCode[Colour]) -> None:
    """Put the colour of each element into the machine's list."""
    now: dict[int, Colour] = {}  # colours by place, as far as they are known
    for struct, count in plan.counts.items():
        base = plan.base[struct]
        for place in range(base, base + count + 1):
            now[place] = machine.number(plan.seed(struct))
            for own in plan.own[struct] if place > base else ():
                now[place] = machine.mix(now[place], machine.bits(own.word, (place - base - 1) * own.width, own.mask))
            machine.store(place, now[place])
    for _ in range(ROUNDS):
        _spread(plan, machine, now)
        for place in now:
            now[place] = machine.mix(now[place], machine.take(place))
            machine.store(place, now[place])


def _spread(plan: Plan, machine: ColourCode[Colour], now: dict[int, Colour]) -> None:
    """Mix into each element's colour those of the elements it refers to; add up for each those of the elements that refer to it."""
    before = dict(now)
    for edge in plan.edges:
        plane, target, salt = edge.place.plane, plan.base[edge.target], machine.number(edge.salt)
        for i in range(edge.place.field.count):
            to = machine.bits(plane.word, plane.shift + i * plane.width, plane.mask)
            holder = plan.base[edge.holder] + 1 + i if edge.holder else -1
            if edge.holder:
                now[holder] = machine.mix(now[holder], machine.plus(machine.load(target, to), salt))
            machine.add(target, to, machine.mix(salt, before[holder] if edge.holder else machine.number(i + 1)))


class ColourNumbers:
    """A machine for the packed words of one state."""

    def __init__(self, plan: Plan, words: Sequence[int]) -> None:
        self.words, self.colours, self.sums = words, [0] * plan.length, [0] * plan.length

    def number(self, number: int) -> int:
        return number

    def bits(self, word: int, shift: int, mask: int) -> int:
        return self.words[word] >> shift & mask

    def mix(self, first: int, second: int) -> int:
        return mixed(first, second)

    def plus(self, first: int, second: int) -> int:
        return first + second & WORD

    def store(self, place: int, colour: int) -> None:
        self.colours[place] = colour

    def load(self, first: int, offset: int) -> int:
        return self.colours[first + offset]

    def add(self, first: int, offset: int, value: int) -> None:
        self.sums[first + offset] = self.sums[first + offset] + value & WORD

    def take(self, place: int) -> int:
        taken, self.sums[place] = self.sums[place], 0
        return taken


def colours(plan: Plan, words: Sequence[int]) -> dict[str, list[int]]:
    """The colours of the elements of each struct, in their order, in a packed state."""
    machine = ColourNumbers(plan, words)
    compute(plan, machine)
    return {name: machine.colours[plan.base[name] + 1 : plan.base[name] + 1 + count] for name, count in plan.counts.items()}
