"""The views that occur in small instances, and the shortest reasons why another view does not occur."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pasidlab.prove.views import Plain, Rows, Seen, Structs, ViewRow, Views, distinct

CHUNK = 200_000  # states looked at together


@dataclass(frozen=True)
class Clause:
    """Values that never occur together in a view: (column, values) each. Of every choice of distinct elements of the kind."""

    kind: Structs
    literals: tuple[tuple[int, tuple[int, ...]], ...]

    def forbids(self, row: Sequence[int]) -> bool:
        """Whether a view is one of those that never occur."""
        return all(row[column] in values for column, values in self.literals)


class Mined:
    """Views that may occur. They grow: by those of small instances, then by those that a proof must allow."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self.rows: dict[Structs, Rows] = {k: np.zeros((0, len(f)), dtype=np.int64) for k, f in views.features.items()}
        self._known: dict[Structs, set[ViewRow]] = {kind: set() for kind in views.kinds}

    def add(self, seen: Seen) -> None:
        """The views of states."""
        for kind in self.views.kinds:
            rooms = self.views.rooms(kind)
            found = [distinct(self.views.rows(kind, at, seen), rooms) for at in self.views.places(kind, seen.counts)]
            if found:
                self.allow(kind, distinct(np.concatenate(found), rooms))

    def allow(self, kind: Structs, rows: Rows) -> None:
        """Views that may occur."""
        known = self._known[kind]
        new = [row for row in rows if tuple(row.tolist()) not in known]
        if new:
            known.update(tuple(row.tolist()) for row in new)
            self.rows[kind] = np.concatenate([self.rows[kind], np.stack(new)])

    def occurs(self, kind: Structs, row: ViewRow) -> bool:
        """Whether a view may occur. Of a kind that was never seen, every one."""
        return row in self._known[kind] or not self._known[kind]

    def reason(self, kind: Structs, row: ViewRow) -> Clause:
        """A clause that forbids a view that does not occur, and none that does.

        No part of it can be left out, and no value can be added to it.
        """
        rows = self.rows[kind]
        chosen = self._fewest(rows != np.array(row, dtype=np.int64))
        allowed = {column: {row[column]} for column in chosen}
        for column in chosen:
            fits = np.ones(len(rows), dtype=np.bool_)
            for other in chosen:
                if other != column:
                    fits &= np.isin(rows[:, other], list(allowed[other]))
            occurring = set(rows[fits, column].tolist())
            allowed[column] |= {value for value in self.views.values(kind, column) if value not in occurring}
        return Clause(kind, tuple((column, tuple(sorted(allowed[column]))) for column in sorted(chosen)))

    def _fewest(self, differs: npt.NDArray[np.bool_]) -> list[int]:
        """Few columns such that every row differs in one of them; none can be left out."""
        chosen: list[int] = []
        left = differs
        while len(left):
            best = int(left.sum(axis=0).argmax())
            chosen.append(best)
            left = left[~left[:, best]]
        for column in list(chosen):
            others = [c for c in chosen if c != column]
            if others and differs[:, others].any(axis=1).all():
                chosen = others
        return chosen

    def of(self, plain: Plain, elements: Mapping[str, Sequence[int]]) -> Iterator[tuple[Structs, tuple[int, ...], ViewRow]]:
        """The views of one state at some of its elements: kind, the elements, the row."""
        for kind in self.views.kinds:
            for at in self.views.places(kind, plain.counts):
                if all(n in elements[sort] for n, sort in zip(at, kind, strict=True)):
                    yield kind, at, self.views.row(kind, at, plain)
