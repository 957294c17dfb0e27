"""Which source lines of a design no explored step ever executed."""

from __future__ import annotations

from collections.abc import Sequence

from pasidlab.check.trace import source_line
from pasidlab.designs import Design
from pasidlab.lang.ir import Model
from pasidlab.lang.llvm_text import COUNTERS
from pasidlab.lang.native import NativeModel


def unexecuted_lines(native: NativeModel, counters: Sequence[int], design: Design, model: Model) -> tuple[tuple[str, int, str], ...]:
    """Lines of the design's file that stand in the model but whose blocks were never entered: (file, line, text)."""
    executed: set[tuple[str, int]] = set()
    present: set[tuple[str, int]] = set()
    for word, lines in native.cover_lines.items():
        present |= lines
        if counters[word - COUNTERS]:
            executed |= lines
    file = str(design.path)
    missing = sorted(line for name, line in present - executed if name == file)
    return tuple((file, line, source_line(file, line)) for line in missing)
