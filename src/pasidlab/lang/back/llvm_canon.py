"""Canonical states as LLVM IR text: the member of a state's class that stands for it (``lowering/symmetry``), and swaps of elements."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from pasidlab.lang.back.layout import Layout
from pasidlab.lang.lowering.colours import MULTIPLIER, Plan, compute
from pasidlab.lang.lowering.symmetry import Symmetry, all_permutations_by_swaps
from pasidlab.lang.types import Ref


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
        here = [(place, plane) for place in layout.places.values() for plane in place.planes if plane.word == w]
        for place, plane in here:
            if place.field.struct == struct:
                swaps[plane.width] = swaps.get(plane.width, 0) | plane.mask << (plane.shift + i * plane.width)
            if isinstance(place.field.domain, Ref) and place.field.domain.struct == struct:
                low_bits |= sum(1 << (plane.shift + n * plane.width) for n in range(place.field.count))
                wide = plane.width
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
    if symmetry.plan is not None:
        return sorted_text(symmetry, symmetry.plan)
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


def sorted_text(symmetry: Symmetry, plan: Plan) -> str:
    """The functions that ``canon`` consists of where elements are sorted by their colours.

    ``swap.<struct>`` swaps elements i and i + 1. ``colour`` computes the colours. ``sort.<struct>`` sorts elements by them. It says which
    neighbours have one colour and can be told apart nevertheless (bit i: elements i and i + 1). Only if there are any, ``least.<n>`` goes
    through the permutations of those.
    """
    words = symmetry.layout.words
    parts = [_colour_text(symmetry.layout, plan)]
    for n, name in enumerate(symmetry.structs):
        parts += [_swap_text(symmetry.layout, name, symmetry.counts[name]), _sort_text(words, name, symmetry.counts[name], plan.base[name])]
        parts.append(_least_text(symmetry, n))
    lines = ["define internal void @canon(ptr noalias %state) {", f"  %colours = alloca [{plan.length} x i64]"]
    lines += [f"  %best = alloca [{words} x i64]", "  call void @colour(ptr %state, ptr %colours)"]
    several = "0"
    for n, name in enumerate(symmetry.structs):
        lines += [f'  %ties{n} = call i64 @"sort.{name}"(ptr %state, ptr %colours)', f"  %any{n} = or i64 {several}, %ties{n}"]
        several = f"%any{n}"
    masks = ", ".join(f"i64 %ties{n}" for n in range(len(symmetry.structs)))
    lines += [f"  %one = icmp eq i64 {several}, 0", "  br i1 %one, label %done, label %try", "try:", *_copy_lines(words, "state", "best")]
    lines += [f"  call void @least.0(ptr %state, ptr %best, {masks})", *_copy_lines(words, "best", "state", "r"), "  br label %done"]
    return "\n\n".join([_less_text(words), *parts, "\n".join([*lines, "done:", "  ret void", "}"])])


class _ColourText:
    """Computes colours by LLVM text: the words of the state are %w0, %w1 ..., colours and sums are in memory."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fresh = itertools.count()

    def op(self, text: str) -> str:
        name = f"%c{next(self.fresh)}"
        self.lines.append(f"  {name} = {text}")
        return name

    def number(self, number: int) -> str:
        return str(number - (1 << 64) if number >> 63 else number)

    def bits(self, word: int, shift: int, mask: int) -> str:
        shifted = self.op(f"lshr i64 %w{word}, {shift}") if shift else f"%w{word}"
        return self.op(f"and i64 {shifted}, {self.number(mask)}")

    def mix(self, first: str, second: str) -> str:
        product = self.op(f"mul i64 {self.op(f'xor i64 {first}, {second}')}, {self.number(MULTIPLIER)}")
        return self.op(f"xor i64 {product}, {self.op(f'lshr i64 {product}, 32')}")

    def plus(self, first: str, second: str) -> str:
        return self.op(f"add i64 {first}, {second}")

    def at(self, array: str, place: str) -> str:
        return self.op(f"getelementptr i64, ptr %{array}, i64 {place}")

    def store(self, place: int, colour: str) -> None:
        self.lines.append(f"  store i64 {colour}, ptr {self.at('colours', str(place))}")

    def load(self, first: int, offset: str) -> str:
        return self.op(f"load i64, ptr {self.at('colours', self.plus(offset, str(first)))}")

    def add(self, first: int, offset: str, value: str) -> None:
        at = self.at("sums", self.plus(offset, str(first)))
        self.lines.append(f"  store i64 {self.plus(self.op(f'load i64, ptr {at}'), value)}, ptr {at}")

    def take(self, place: int) -> str:
        at = self.at("sums", str(place))
        taken = self.op(f"load i64, ptr {at}")
        self.lines.append(f"  store i64 0, ptr {at}")
        return taken


def _colour_text(layout: Layout, plan: Plan) -> str:
    """``void colour(ptr state, ptr colours)``."""
    text = _ColourText()
    for place in range(plan.length):
        text.lines.append(f"  store i64 0, ptr {text.at('sums', str(place))}")
    compute(plan, text)
    lines = ["define internal void @colour(ptr noalias %state, ptr noalias %colours) {", f"  %sums = alloca [{plan.length} x i64]"]
    return "\n".join([*lines, *_load_lines(layout.words, "state", "w"), *text.lines, "  ret void", "}"])


def _load_lines(words: int, array: str, prefix: str) -> list[str]:
    """Load the words of a state as %<prefix>0, %<prefix>1 ..."""
    lines = []
    for w in range(words):
        lines += [f"  %{prefix}p{w} = getelementptr i64, ptr %{array}, i64 {w}", f"  %{prefix}{w} = load i64, ptr %{prefix}p{w}"]
    return lines


def _copy_lines(words: int, source: str, to: str, prefix: str = "y") -> list[str]:
    """Copy a state."""
    lines = _load_lines(words, source, prefix)
    for w in range(words):
        lines += [f"  %{prefix}t{w} = getelementptr i64, ptr %{to}, i64 {w}", f"  store i64 %{prefix}{w}, ptr %{prefix}t{w}"]
    return lines


def _swap_text(layout: Layout, struct: str, size: int) -> str:
    """``void swap.<struct>(ptr state, i64 i)``: swaps elements i and i + 1."""
    cases = " ".join(f"i64 {i}, label %case{i}" for i in range(size - 1))
    lines = [f'define internal void @"swap.{struct}"(ptr noalias %state, i64 %i) {{', *_load_lines(layout.words, "state", "w")]
    lines += [f"  switch i64 %i, label %case0 [ {cases} ]"]
    for i in range(size - 1):
        more, words = transposition_text(layout, struct, i, [f"%w{w}" for w in range(layout.words)], iter(range(1000 * i, 1000 * (i + 1))))
        lines += [f"case{i}:", *more, *(f"  store i64 {words[w]}, ptr %wp{w}" for w in range(layout.words)), "  ret void"]
    return "\n".join([*lines, "}"])


def _sort_text(words: int, struct: str, size: int, base: int) -> str:
    """``i64 sort.<struct>(ptr state, ptr colours)``: by adjacent swaps. Returns the mask of the ties that matter."""
    lines = [f'define internal i64 @"sort.{struct}"(ptr noalias %state, ptr noalias %colours) {{', f"  %copy = alloca [{words} x i64]"]
    lines += [f"  %at{i} = getelementptr i64, ptr %colours, i64 {base + 1 + i}" for i in range(size)]
    order = [i for last in range(size - 1, 0, -1) for i in range(last)]
    for n, i in enumerate(order):
        lines += [
            f"  %a{n} = load i64, ptr %at{i}", f"  %b{n} = load i64, ptr %at{i + 1}", f"  %gt{n} = icmp ugt i64 %a{n}, %b{n}",
            f"  br i1 %gt{n}, label %swap{n}, label %next{n}", f"swap{n}:", f"  store i64 %b{n}, ptr %at{i}",
            f"  store i64 %a{n}, ptr %at{i + 1}", f'  call void @"swap.{struct}"(ptr %state, i64 {i})', f"  br label %next{n}", f"next{n}:",
        ]  # fmt: skip
    return "\n".join([*lines, *_tie_lines(words, struct, size), "}"])


def _tie_lines(words: int, struct: str, size: int) -> list[str]:
    """Which neighbours have one colour, without those of runs in which no swap of neighbours changes a thing."""
    lines: list[str] = []
    ties, odd = "0", "0"  # masks of neighbours: with one colour; of those, the ones whose swap changes something
    for i in range(size - 1):
        before = f"from{i}"
        lines += [
            f"  br label %{before}", f"{before}:", f"  %x{i} = load i64, ptr %at{i}", f"  %z{i} = load i64, ptr %at{i + 1}",
            f"  %same{i} = icmp eq i64 %x{i}, %z{i}", f"  br i1 %same{i}, label %tie{i}, label %then{i}", f"tie{i}:",
            *_copy_lines(words, "state", "copy", f"k{i}."), f'  call void @"swap.{struct}"(ptr %copy, i64 {i})',
            *_load_lines(words, "copy", f"m{i}."),
        ]  # fmt: skip
        differ = "0"
        for w in range(words):
            lines += [f"  %d{i}.{w} = xor i64 %k{i}.{w}, %m{i}.{w}", f"  %e{i}.{w} = or i64 {differ}, %d{i}.{w}"]
            differ = f"%e{i}.{w}"
        lines += [
            f"  %is{i} = icmp ne i64 {differ}, 0", f"  %bit{i} = select i1 %is{i}, i64 {1 << i}, i64 0", f"  br label %then{i}",
            f"then{i}:",
            f"  %t{i} = phi i64 [ 0, %{before} ], [ {1 << i}, %tie{i} ]", f"  %o{i} = phi i64 [ 0, %{before} ], [ %bit{i}, %tie{i} ]",
            f"  %ties{i} = or i64 {ties}, %t{i}", f"  %odd{i} = or i64 {odd}, %o{i}",
        ]  # fmt: skip
        ties, odd = f"%ties{i}", f"%odd{i}"
    spread = odd  # a run in which any swap changes something: its bit spreads to its neighbours of the run
    for n in range(size - 2):
        lines += [
            f"  %up{n} = shl i64 {spread}, 1", f"  %down{n} = lshr i64 {spread}, 1", f"  %both{n} = or i64 %up{n}, %down{n}",
            f"  %in{n} = and i64 %both{n}, {ties}", f"  %sp{n} = or i64 {spread}, %in{n}",
        ]  # fmt: skip
        spread = f"%sp{n}"
    return [*lines, f"  ret i64 {spread}"]


def _less_text(words: int) -> str:
    """``void keep(ptr state, ptr best)``: if the state is smaller than the best one it becomes that."""
    lines = ["define internal void @keep(ptr noalias %state, ptr noalias %best) {"]
    lines += [*_load_lines(words, "state", "s"), *_load_lines(words, "best", "b")]
    better = "false"
    for w in reversed(range(words)):
        lines += [
            f"  %lt{w} = icmp ult i64 %s{w}, %b{w}", f"  %eq{w} = icmp eq i64 %s{w}, %b{w}",
            f"  %ce{w} = and i1 %eq{w}, {better}", f"  %be{w} = or i1 %lt{w}, %ce{w}",
        ]  # fmt: skip
        better = f"%be{w}"
    lines += [f"  br i1 {better}, label %yes, label %no", "yes:", *(f"  store i64 %s{w}, ptr %bp{w}" for w in range(words))]
    return "\n".join([*lines, "  br label %no", "no:", "  ret void", "}"])


def _least_text(symmetry: Symmetry, number: int) -> str:
    """``void least.<n>(ptr state, ptr best, i64 ties ...)``: every order of the tied elements of struct n and of those after it."""
    name, last = symmetry.structs[number], number == len(symmetry.structs) - 1
    size = symmetry.counts[name]
    later = ", ".join(f"i64 %t{n}" for n in range(number + 1, len(symmetry.structs)))
    visit = "  call void @keep(ptr %state, ptr %best)" if last else f"  call void @least.{number + 1}(ptr %state, ptr %best, {later})"
    ties = ", ".join(f"i64 %t{n}" for n in range(number, len(symmetry.structs)))
    rows = [_swaps_of(mask, size) for mask in range(1 << (size - 1))]
    width = max(map(len, rows)) + 1
    table = ", ".join(f"[{width} x i8] [{', '.join(f'i8 {i}' for i in [*row, *[-1] * (width - len(row))])}]" for row in rows)
    return "\n".join([
        f"@swaps.{number} = internal constant [{len(rows)} x [{width} x i8]] [{table}]",
        f"define internal void @least.{number}(ptr noalias %state, ptr noalias %best, {ties}) {{",
        f"  %row = mul i64 %t{number}, {width}", "  br label %head", "head:", "  %n = phi i64 [ 0, %0 ], [ %m, %swap ]", visit,
        "  %place = add i64 %row, %n", f"  %at = getelementptr i8, ptr @swaps.{number}, i64 %place", "  %byte = load i8, ptr %at",
        "  %end = icmp eq i8 %byte, -1", "  br i1 %end, label %done, label %swap", "swap:", "  %i = zext i8 %byte to i64",
        f'  call void @"swap.{name}"(ptr %state, i64 %i)', "  %m = add i64 %n, 1", "  br label %head", "done:", "  ret void", "}",
    ])  # fmt: skip


def _swaps_of(mask: int, size: int) -> list[int]:
    """Swaps of neighbours that visit every order of each run of tied elements; bit i of the mask: i and i + 1 are tied."""
    steps: list[int] = []
    first = 0
    while first < size:
        last = first
        while mask >> last & 1:
            last += 1
        inner = list(steps)
        for swap in all_permutations_by_swaps(last - first + 1):
            steps += [first + swap, *inner]
        first = last + 1
    return steps
