"""The lines of a file outside its functions, as a text of their own that leads back to the whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from pasidlab.designs.intake.changes import TextChange
from pasidlab.designs.intake.plain import joined
from pasidlab.designs.intake.spans import bare_lines, functions_in

_STANDS_FOR = "\x01"  # begins the line that stands for a function


class Outside:
    """``text`` has the lines outside functions without comments, and one line in the place of each function."""

    def __init__(self, source: str) -> None:
        lines = source.split("\n")
        bare = joined(bare_lines(lines))
        self.functions: dict[str, str] = {}
        found: list[str] = []
        seen: Counter[str] = Counter()
        at = 0
        for span in functions_in(lines):
            seen[span.name] += 1
            sign = f"{_STANDS_FOR}{span.name} {seen[span.name]}"
            self.functions[sign] = "\n".join(lines[span.start : span.end])
            found += [*bare[at : span.start], sign]
            at = span.end
        self.text = "".join(f"{line}\n" for line in [*found, *bare[at:]] if line)

    def whole(self, text: str) -> str:
        """A file that has these lines outside its functions. Functions without a place are at its end."""
        lines = text.split("\n")
        rest = [function for sign, function in self.functions.items() if sign not in lines]
        return "\n".join([*(self.functions.get(line, line) for line in lines if line in self.functions or line[:1] != _STANDS_FOR), *rest])


def lines_outside(changes: Iterable[TextChange]) -> list[str]:
    """The lines outside functions that changes take away and bring."""
    every = (line for one in changes for line in re.split("\n", one.before + one.now))
    return [" ".join(line.split()) for line in every if line.strip() and not line.startswith(_STANDS_FOR)]
