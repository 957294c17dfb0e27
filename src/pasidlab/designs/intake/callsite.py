"""Where a patch calls its fix-up: before the handler enables interrupts, or after. The difference is the whole debate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pasidlab.designs.intake.patch import Hunk
from pasidlab.designs.intake.spans import at_line, bare_lines, functions_in
from pasidlab.lang.c.territory import territory


class Call(Enum):
    """The place of a call in the handler."""

    BEFORE = "before interrupts are enabled"
    AFTER = "after interrupts are enabled"
    UNKNOWN = "not to be told"


@dataclass(frozen=True)
class CallSite:
    """A call, and its line in the patch."""

    place: Call
    line: int


def fixup_calls(hunk: Hunk, fixups: Sequence[str]) -> list[CallSite]:
    """The calls of one of the fix-ups that a hunk shows, as it reads after the patch. One in another fix-up is no call of the handler."""
    found: list[CallSite] = []
    lines = [line.text for line in hunk.new]
    bare = bare_lines(lines)
    spans = functions_in(lines, hunk.heading)
    called = re.compile(rf"\b(?:{'|'.join(fixups)})\s*\((?!void\b)")
    enables = re.compile(rf"\b(?:{'|'.join(territory().enables)})\s*\(")
    for n, text in enumerate(bare):
        span = at_line(spans, n)
        declares = text.endswith(";") and re.match(r"(?:extern|static|bool|int)\b", text)
        if not called.search(text) or declares or (span is not None and (span.name in fixups or span.start == n)):
            continue
        number = hunk.new[n].number
        first, last = (span.start, span.end) if span is not None else (0, len(bare))
        if any(enables.search(line) for line in bare[first:n]):
            found.append(CallSite(Call.AFTER, number))
        elif any(enables.search(line) for line in bare[n + 1 : last]):
            found.append(CallSite(Call.BEFORE, number))
        else:
            found.append(CallSite(Call.UNKNOWN, number))
    return found
