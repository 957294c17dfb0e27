"""Where a patch calls its fix-up: before the handler enables interrupts, or after. The difference is the whole debate."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from pasidlab.designs.intake.patch import Hunk, Patch
from pasidlab.designs.intake.spans import at_line, bare_lines, functions_in
from pasidlab.errors import PasidlabError, Position
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


_DISABLES = re.compile(r"\b(?:\w+_)?irq_(?:disable|save)\w*\s*\(")


def _own_fixup(hunk: Hunk, functions: Container[str]) -> Iterator[tuple[str, Call, int]]:
    """Functions of a patch that the handler calls for a fault of user mode: name, place and line of each call."""
    called = re.compile(r"\bif \(user_mode\(regs\) && (\w+)\(")
    for line in hunk.new:
        match = called.search(line.text)
        if match and line.mark == "+" and match.group(1) in functions:
            place = next((site.place for site in fixup_calls(hunk, [match.group(1)]) if site.line == line.number), Call.UNKNOWN)
            yield match.group(1), place, line.number


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
        above = [k for k in range(first, n) if enables.search(bare[k])]
        if above and any(_DISABLES.search(line) for line in bare[above[0] : n]):
            found.append(CallSite(Call.UNKNOWN, number))  # enabled for a while, or in a branch that ends
        elif above:
            found.append(CallSite(Call.AFTER, number))
        elif any(enables.search(line) for line in bare[n + 1 : last]):
            found.append(CallSite(Call.BEFORE, number))
        else:
            found.append(CallSite(Call.UNKNOWN, number))
    return found


def must_know_the_fixup(found: Sequence[Patch], functions: Container[str]) -> None:
    """PasidlabError for a handler that calls a function of the patches as its fix-up, under a name that no fix-up has."""
    known = territory().fixups
    if any(name in functions for name in known):
        return
    site = next((site for one in found for change in one.files for hunk in change.hunks for site in _own_fixup(hunk, functions)), None)
    if site is None:
        return
    name, place, line = site
    early, late = (f"call it {one}" for one in known[:2])
    called = {Call.BEFORE: early, Call.AFTER: late}.get(place, f"{early} where it comes before interrupts are enabled, else {late}")
    where = f" {place.value}" if place is not Call.UNKNOWN else ""
    raise PasidlabError(
        f"{name}() is what the handler calls{where}; a fix-up is known by the names {', '.join(known)}",
        position=Position(found[0].name, line), hint=f"{called}; or name the tree: --kernel TREE",
    )  # fmt: skip


def sites_left(found: Sequence[Patch], fixups: Sequence[str]) -> list[CallSite]:
    """The calls of a fix-up as a series leaves them: what the last patch shows of them counts."""
    shown = ([site for change in one.files for hunk in change.hunks for site in fixup_calls(hunk, fixups)] for one in reversed(found))
    return next((sites for sites in shown if sites), [])
