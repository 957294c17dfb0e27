"""States that differ only in which CPU, task or address space is which: all but one of each such class can be left out.

Structs declared ``symmetric`` have interchangeable elements: no rule may tell them apart by number. The canonical member of a class
is the one whose packed words are smallest, compared word by word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations, product

from pasidlab.lang.back.layout import Layout, State
from pasidlab.lang.types import Field, Ref

MOST_ALIKE = 4
"""Elements of a struct whose permutations are tried: of five there are 120, in every step."""


class Symmetry:
    """The permutations of one model's symmetric structs."""

    def __init__(self, layout: Layout, structs: Sequence[str]) -> None:
        self.layout = layout
        counts = {place.field.struct: place.field.count for place in layout.places.values()}
        self.structs = [name for name in structs if counts.get(name, 1) > 1]
        self.counts = {name: counts[name] for name in self.structs}

    def images(self, state: State) -> Iterator[State]:
        """The state under every permutation, the identity first."""
        choices = [list(permutations(range(self.counts[name]))) for name in self.structs]
        for combination in product(*choices):
            yield self._permuted(state, dict(zip(self.structs, combination, strict=True)))

    def _permuted(self, state: State, maps: dict[str, tuple[int, ...]]) -> State:
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
        return min(self.layout.pack(image) for image in self.images(state))

    def walk(self) -> list[tuple[str, int]]:
        """Adjacent transpositions (struct, i): applied one after the other they lead through every permutation but the identity."""
        steps: list[tuple[str, int]] = []
        for name in self.structs:
            inner = list(steps)
            for swap in _all_permutations_by_swaps(self.counts[name]):
                steps += [(name, swap), *inner]
        return steps


def _all_permutations_by_swaps(count: int) -> list[int]:
    """Positions i of swaps (i, i + 1) that visit every permutation once (Steinhaus, Johnson, Trotter).

    The last element goes from one end to the other between two swaps of the others.
    """
    if count < 2:
        return []
    down, up = list(range(count - 2, -1, -1)), list(range(count - 1))
    swaps = list(down)
    for n, inner in enumerate(_all_permutations_by_swaps(count - 1)):
        swaps += [inner + 1, *up] if n % 2 == 0 else [inner, *down]
    return swaps


def transposition_text(layout: Layout, struct: str, i: int, words: list[str], fresh: Iterator[int]) -> tuple[list[str], list[str]]:
    """LLVM text that swaps elements i and i + 1 of a struct in packed words: lines, and the names of the new words."""
    lines: list[str] = []
    words = list(words)

    def op(text: str) -> str:
        name = f"%s{next(fresh)}"
        lines.append(f"  {name} = {text}")
        return name

    for w in range(layout.words):
        swaps: dict[int, int] = {}  # width -> mask of the lower element
        low_bits, wide = 0, 0  # of references to the struct; how many bits one has
        for place in layout.places.values():
            if place.word != w:
                continue
            if place.field.struct == struct and place.width:
                swaps[place.width] = swaps.get(place.width, 0) | ((1 << place.width) - 1) << (place.shift + i * place.width)
            if isinstance(place.field.domain, Ref) and place.field.domain.struct == struct:
                low_bits |= sum(1 << (place.shift + n * place.width) for n in range(place.field.count))
                wide = place.width
        for width, mask in swaps.items():
            word = words[w]
            shifted = op(f"lshr i64 {word}, {width}")
            difference = op(f"and i64 {op(f'xor i64 {shifted}, {word}')}, {mask}")
            both = op(f"or i64 {difference}, {op(f'shl i64 {difference}, {width}')}")
            words[w] = op(f"xor i64 {word}, {both}")
        if low_bits:
            words[w] = _renumber(words[w], low_bits, i, op) if wide <= 2 else _renumbered(words[w], low_bits, i, wide, op)
    return lines, words


def _renumber(word: str, low_bits: int, i: int, op: Callable[[str], str]) -> str:
    """References of 2 bits: swapping 1 and 2 exchanges the bits, swapping 2 and 3 flips the low bit where the high one is set."""
    shifted = op(f"lshr i64 {word}, 1")
    if i == 0:
        difference = op(f"and i64 {op(f'xor i64 {shifted}, {word}')}, {low_bits}")
        both = op(f"or i64 {difference}, {op(f'shl i64 {difference}, 1')}")
        return op(f"xor i64 {word}, {both}")
    return op(f"xor i64 {word}, {op(f'and i64 {shifted}, {low_bits}')}")


def _renumbered(word: str, low_bits: int, i: int, width: int, op: Callable[[str], str]) -> str:
    """References of any width: those that are i + 1 or i + 2 are found by comparing every bit, and become the other."""
    one, other = i + 1, i + 2
    bits = [op(f"lshr i64 {word}, {n}") for n in range(width)]
    found = []
    for number in (one, other):
        same = str(low_bits)
        for n, bit in enumerate(bits):
            same = op(f"and i64 {same}, {bit if number >> n & 1 else op(f'xor i64 {bit}, -1')}")
        found.append(same)
    either = op(f"or i64 {found[0]}, {found[1]}")
    for n in range(width):
        if (one ^ other) >> n & 1:
            word = op(f"xor i64 {word}, {op(f'shl i64 {either}, {n}')}")
    return word


def first_text(layout: Layout, struct: str, element: int) -> str:
    """``void first.<element>(ptr state, ptr out)``: a member of the state's class in which the element has the number 1."""
    fresh = iter(range(1 << 30))
    lines = [f'define internal void @"first.{element}"(ptr noalias %state, ptr noalias %out) {{']
    words: list[str] = []
    for w in range(layout.words):
        lines += [f"  %p{w} = getelementptr i64, ptr %state, i64 {w}", f"  %w{w} = load i64, ptr %p{w}"]
        words.append(f"%w{w}")
    for i in reversed(range(element - 1)):
        more, words = transposition_text(layout, struct, i, words, fresh)
        lines += more
    for w in range(layout.words):
        lines += [f"  %o{w} = getelementptr i64, ptr %out, i64 {w}", f"  store i64 {words[w]}, ptr %o{w}"]
    return "\n".join([*lines, "  ret void", "}"])


def canon_text(symmetry: Symmetry) -> str:
    """``void canon(ptr state)``: replaces a packed state by its canonical image, in place."""
    layout = symmetry.layout
    fresh = iter(range(1 << 30))
    lines = ["define internal void @canon(ptr noalias %state) {"]
    words: list[str] = []
    for w in range(layout.words):
        lines += [f"  %p{w} = getelementptr i64, ptr %state, i64 {w}", f"  %w{w} = load i64, ptr %p{w}"]
        words.append(f"%w{w}")
    best = list(words)
    for step, (struct, i) in enumerate(symmetry.walk()):
        more, words = transposition_text(layout, struct, i, words, fresh)
        lines += more
        better = "false"
        for w in reversed(range(layout.words)):
            lines += [
                f"  %lt{step}.{w} = icmp ult i64 {words[w]}, {best[w]}", f"  %eq{step}.{w} = icmp eq i64 {words[w]}, {best[w]}",
                f"  %ce{step}.{w} = and i1 %eq{step}.{w}, {better}", f"  %be{step}.{w} = or i1 %lt{step}.{w}, %ce{step}.{w}",
            ]  # fmt: skip
            better = f"%be{step}.{w}"
        for w in range(layout.words):
            lines.append(f"  %b{step}.{w} = select i1 {better}, i64 {words[w]}, i64 {best[w]}")
        best = [f"%b{step}.{w}" for w in range(layout.words)]
    lines += [f"  store i64 {best[w]}, ptr %p{w}" for w in range(layout.words)]
    return "\n".join([*lines, "  ret void", "}"])
