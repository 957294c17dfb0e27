"""States that differ only in which CPU, task or address space is which: all but one of each such class can be left out.

Structs declared ``symmetric`` have interchangeable elements: no rule may tell them apart by number. The canonical member of a class
is the one whose packed words are smallest, compared word by word. Where there are more than MOST_TRIED permutations, only those count
whose elements are in the order of their colours (``colours``): that is one member of each class as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from math import factorial, prod

from pasidlab.lang.back.layout import Layout, State
from pasidlab.lang.lowering.colours import Plan, colours
from pasidlab.lang.types import Field, Ref

MOST_ALIKE = 4
"""Elements of a symmetric struct. Five that cannot be told apart have 120 permutations."""
MOST_TRIED = 24
"""Permutations that are all tried, which takes less time then than colours."""


class Symmetry:
    """The permutations of one model's symmetric structs."""

    def __init__(self, layout: Layout, structs: Sequence[str]) -> None:
        self.layout = layout
        counts = {place.field.struct: place.field.count for place in layout.places.values()}
        self.structs = [name for name in structs if counts.get(name, 1) > 1]
        self.counts = {name: counts[name] for name in self.structs}
        many = prod(factorial(count) for count in self.counts.values()) > MOST_TRIED
        self.plan = Plan(layout, self.counts) if many else None

    def images(self, state: State) -> Iterator[State]:
        """The state under every permutation, the identity first."""
        yield from self._images(state, [list(permutations(range(self.counts[name]))) for name in self.structs])

    def _images(self, state: State, choices: list[list[tuple[int, ...]]]) -> Iterator[State]:
        for combination in product(*choices):
            yield self.permuted(state, dict(zip(self.structs, combination, strict=True)))

    def permuted(self, state: State, maps: dict[str, tuple[int, ...]]) -> State:
        """The state in which element i of a struct has the number that its map says."""
        result = list(state)
        for place in self.layout.places.values():
            f: Field = place.field
            renumber = maps.get(f.domain.struct) if isinstance(f.domain, Ref) else None
            elements = maps.get(f.struct)
            for i in range(f.count):
                value = state[place.offset + i]
                if renumber and value:
                    value = renumber[value - 1] + 1
                result[place.offset + (elements[i] if elements else i)] = value
        return tuple(result)

    def canonical(self, state: State) -> tuple[int, ...]:
        """The packed words that stand for the state's class."""
        if self.plan is None:
            return min(self.layout.pack(image) for image in self.images(state))
        found = colours(self.plan, self.layout.pack(state))
        in_order = self.permuted(state, {name: _sorting(found[name]) for name in self.structs})
        ties = [self._ties(in_order, name, sorted(found[name])) for name in self.structs]
        return min(self.layout.pack(image) for image in self._images(in_order, ties))

    def _ties(self, state: State, name: str, found: list[int]) -> list[tuple[int, ...]]:
        """The permutations that keep sorted colours in order, but for those of equal elements: elements whose swaps change nothing."""
        count = len(found)
        free = set(range(count))
        for tie in {colour: [i for i in range(count) if found[i] == colour] for colour in found}.values():
            if all(self.permuted(state, {name: swap(i, count)}) == state for i in tie[:-1]):
                free -= set(tie)
        return [p for p in permutations(range(count)) if all(found[p[i]] == found[i] if i in free else p[i] == i for i in range(count))]

    def walk(self) -> list[tuple[str, int]]:
        """Adjacent transpositions (struct, i): applied one after the other they lead through every permutation but the identity."""
        steps: list[tuple[str, int]] = []
        for name in self.structs:
            inner = list(steps)
            for swap in all_permutations_by_swaps(self.counts[name]):
                steps += [(name, swap), *inner]
        return steps


def swap(i: int, count: int) -> tuple[int, ...]:
    """The permutation that swaps elements i and i + 1."""
    return (*range(i), i + 1, i, *range(i + 2, count))


def _sorting(keys: list[int]) -> tuple[int, ...]:
    """Where each element goes when they are sorted by their keys; those with the same key keep their order."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return tuple(order.index(i) for i in range(len(keys)))


def all_permutations_by_swaps(count: int) -> list[int]:
    """Positions i of swaps (i, i + 1) that visit every permutation once (Steinhaus, Johnson, Trotter).

    The last element goes from one end to the other between two swaps of the others.
    """
    if count < 2:
        return []
    down, up = list(range(count - 2, -1, -1)), list(range(count - 1))
    swaps = list(down)
    for n, inner in enumerate(all_permutations_by_swaps(count - 1)):
        swaps += [inner + 1, *up] if n % 2 == 0 else [inner, *down]
    return swaps
