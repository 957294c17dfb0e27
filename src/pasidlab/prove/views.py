"""What is seen of a state by looking at two or three of its elements: a view, a row of small numbers.

A view of kind (CPU, CPU, task) has every field of these three and every field that exists once. It says whether some other CPU or task
refers to them, and which numbers are equal. The proof speaks of views alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product

import numpy as np
import numpy.typing as npt

from pasidlab.lang.back.layout import Layout
from pasidlab.lang.types import BOOL, Field, Int, Ref
from pasidlab.prove.general import General

Rows = npt.NDArray[np.int64]
ViewRow = tuple[int, ...]
Structs = tuple[str, ...]
"""The structs of the elements looked at, in order."""
NOBODY, OTHER = 0, 9  # of a reference: to nothing, to an element that is not looked at; else 1 + its place in the view
OUTSIDE = 1 << 20  # in a column: a reference to an element that has no number


@dataclass(frozen=True)
class Feature:
    """One column of a view. ``what``: "field", "some" (some element's field refers to it), or "equal" (two fields are)."""

    what: str
    path: str
    slot: int  # place in the view; of a field that belongs to no CPU or task, the number of its element
    other: tuple[str, int] = ("", 0)  # of "equal"


@dataclass(frozen=True)
class Seen:
    """Columns of one or more states: codes of fields by (path, element from 0), and whether some element refers to one."""

    counts: Mapping[str, int]
    columns: Mapping[tuple[str, int], Rows]
    some: Mapping[tuple[str, int], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Plain:
    """See ``Seen``: the views of one state."""

    counts: Mapping[str, int]
    columns: Mapping[tuple[str, int], int]
    some: Mapping[tuple[str, int], int]


class Views:
    """The kinds of views of a model, and their features."""

    def __init__(self, general: General) -> None:
        self.general = general
        self.fields = {f.path: f for f in general.model.fields if not f.observer}
        self.own = {path for path, f in self.fields.items() if general.any_number(f)}
        self.targets = {path: general.sort_of(f.domain) for path, f in self.fields.items()}
        sorts = general.sorts
        pairs = [tuple(sorts)] if len(sorts) > 1 else [(sorts[0],)]
        more = [tuple(sorted((*sorts, sort), key=sorts.index)) for sort in sorts]
        self.kinds: tuple[Structs, ...] = (*pairs, *more)
        self.features = {kind: tuple(self._features(kind)) for kind in self.kinds}

    def _features(self, kind: Structs) -> Iterator[Feature]:
        found = []
        for f in self.fields.values():
            slots = [n for n, sort in enumerate(kind) if sort == f.struct] if self.general.any_number(f) else range(f.count)
            found += [Feature("field", f.path, slot) for slot in slots]
        yield from found
        for f in self.fields.values():
            if self.general.any_number(f) and (target := self.general.sort_of(f.domain)):
                yield from (Feature("some", f.path, n) for n, sort in enumerate(kind) if sort == target)
        for a, b in combinations(found, 2):
            if self._comparable(self.fields[a.path], self.fields[b.path]):
                yield Feature("equal", a.path, a.slot, (b.path, b.slot))

    def _comparable(self, a: Field, b: Field) -> bool:
        """Two numbers of a few values each, more than two: it may matter that they are the same."""
        return a.domain == b.domain != BOOL and isinstance(a.domain, Int) and 1 < a.domain.high - a.domain.low < 8

    def rooms(self, kind: Structs) -> list[int]:
        """How many values each column may have; 0 where the other columns say what it holds."""
        return [self._room(feature) for feature in self.features[kind]]

    def _room(self, feature: Feature) -> int:
        if feature.what != "field":
            return 2 if feature.what == "some" else 0
        domain = self.fields[feature.path].domain
        return OTHER + 1 if self.general.sort_of(domain) else 1 << domain.bits

    def values(self, kind: Structs, column: int) -> tuple[int, ...]:
        """All values a column may have."""
        feature = self.features[kind][column]
        if feature.what != "field":
            return (0, 1)
        domain = self.fields[feature.path].domain
        if target := self.targets[feature.path]:
            return (NOBODY, OTHER, *(slot + 1 for slot, sort in enumerate(kind) if sort == target))
        if domain.bits > 9:
            return ()
        return tuple(code for code in range(1 << domain.bits) if domain.contains(domain.value(code)))

    def places(self, kind: Structs, counts: Mapping[str, int]) -> Iterator[tuple[int, ...]]:
        """Every way to look at elements of a state: no element twice."""
        choices = [list(permutations(range(counts.get(sort, 0)), kind.count(sort))) for sort in dict.fromkeys(kind)]
        for chosen in product(*choices):
            yield tuple(n for group in chosen for n in group)

    def rows(self, kind: Structs, at: Sequence[int], seen: Seen) -> Rows:
        """What is seen of states at the elements given: [states, features]."""
        return np.stack([self._column(feature, kind, at, seen) for feature in self.features[kind]], axis=1).astype(np.int64)

    def row(self, kind: Structs, at: Sequence[int], plain: Plain) -> ViewRow:
        """What is seen of one state: as ``rows``, faster."""
        return tuple([self._cell(feature, kind, at, plain) for feature in self.features[kind]])

    def _cell(self, feature: Feature, kind: Structs, at: Sequence[int], plain: Plain) -> int:
        element = at[feature.slot] if feature.what == "some" or feature.path in self.own else feature.slot
        if feature.what == "some":
            return plain.some[feature.path, element]
        code = plain.columns[feature.path, element]
        if feature.what == "equal":
            path, slot = feature.other
            return int(code == plain.columns[path, at[slot] if path in self.own else slot])
        target = self.targets[feature.path]
        if not target or code == NOBODY:
            return code
        return next((slot + 1 for slot, sort in enumerate(kind) if sort == target and code == at[slot] + 1), OTHER)

    def _column(self, feature: Feature, kind: Structs, at: Sequence[int], seen: Seen) -> Rows:
        f = self.fields[feature.path]
        element = at[feature.slot] if feature.what == "some" or self.general.any_number(f) else feature.slot
        if feature.what == "some":
            mentioned: Rows = seen.some[feature.path, element].astype(np.int64)
            return mentioned
        column = seen.columns[feature.path, element]
        if feature.what == "equal":
            path, slot = feature.other
            other = at[slot] if self.general.any_number(self.fields[path]) else slot
            same: Rows = (column == seen.columns[path, other]).astype(np.int64)
            return same
        target = self.general.sort_of(f.domain)
        if not target:
            return column
        result = np.where(column == NOBODY, NOBODY, OTHER).astype(np.int64)
        for slot, sort in enumerate(kind):
            if sort == target:
                result[column == at[slot] + 1] = slot + 1
        return result


def seen_of(views: Views, layout: Layout, states: npt.NDArray[np.uint64]) -> Seen:
    """The columns of packed states."""
    columns: dict[tuple[str, int], Rows] = {}
    for path, place in layout.places.items():
        for i in range(place.field.count):
            code = np.zeros(len(states), dtype=np.int64)
            for plane in place.planes:
                bits = states[:, plane.word] >> np.uint64(plane.shift + i * plane.width) & np.uint64(plane.mask)
                code |= bits.astype(np.int64) << plane.low
            columns[path, i] = code
    counts = _counts(views, layout)
    return Seen(counts, columns, _referred(views, counts, columns))


def _counts(views: Views, layout: Layout) -> dict[str, int]:
    """How many elements there are of each struct. Of one without fields references know; where there are none, no view depends on it."""
    fields = [place.field for place in layout.places.values()]
    referred = {f.domain.struct: f.domain.count for f in fields if isinstance(f.domain, Ref)}
    return dict.fromkeys(views.general.sorts, 2) | referred | {f.struct: f.count for f in fields}


def _referred(
    views: Views, counts: Mapping[str, int], columns: Mapping[tuple[str, int], Rows]
) -> dict[tuple[str, int], npt.NDArray[np.bool_]]:
    """Whether some element's field refers to an element."""
    some = {}
    for f in views.fields.values():
        if views.general.any_number(f) and (target := views.general.sort_of(f.domain)):
            for element in range(counts.get(target, 0)):
                hits = [columns[f.path, n] == element + 1 for n in range(counts[f.struct])]
                some[f.path, element] = np.logical_or.reduce(hits)
    return some


def distinct(rows: Rows, rooms: Sequence[int]) -> Rows:
    """Each row once. ``rooms`` are numbers of values by column; 0: the others say what it holds."""
    numbers = np.zeros(len(rows), dtype=np.int64)
    room = 1
    for column, values in zip(rows.T, rooms, strict=True):
        if values and room * values >= 1 << 62:
            _, numbers = np.unique(numbers, return_inverse=True)
            room = len(rows)
        if values:
            numbers = numbers * values + column
            room *= values
    _, first = np.unique(numbers, return_index=True)
    found: Rows = rows[first]
    return found
