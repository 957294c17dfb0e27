"""Which source lines of a design no explored step ever executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pasidlab.lang.back.native import CompiledModel
from pasidlab.search.observed import COUNTERS
from pasidlab.trace.sources import Shown, source_line

if TYPE_CHECKING:
    from pasidlab.checking.findings import PartResult

SourceLines = frozenset[tuple[str, int]]


def covered_lines(native: CompiledModel, counters: Sequence[int]) -> tuple[SourceLines, SourceLines]:
    """Source lines (file, line) of blocks that were entered, and of all blocks there are."""
    executed: set[tuple[str, int]] = set()
    present: set[tuple[str, int]] = set()
    for word, lines in native.cover_lines.items():
        present |= lines
        if counters[word - COUNTERS]:
            executed |= lines
    return frozenset(executed), frozenset(present)


def executed_and_present(parts: Sequence[PartResult]) -> tuple[SourceLines, SourceLines]:
    """Lines (file, line) that a step of some part executed, and all that stand in a model."""
    executed = SourceLines().union(*(part.executed for part in parts))
    return executed, SourceLines().union(*(part.present for part in parts))


def unexecuted_lines(parts: Sequence[PartResult], shown: Shown) -> tuple[tuple[str, int, str], ...]:
    """Lines of the design's files that stand in a model but were executed in none: (file, line, text)."""
    executed, present = executed_and_present(parts)
    texts = ((file, line, source_line(file, line, shown)) for file, line in sorted(present - executed))
    return tuple(entry for entry in texts if not entry[2].startswith("def "))
