"""The lines that patches add to functions, as the steps of a search have them. Of what they take away: the function's lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher

from pasidlab.designs.intake.edits import Version
from pasidlab.designs.intake.judged import Added
from pasidlab.designs.intake.spans import at_line, bare_lines, functions_in
from pasidlab.lang.c.parse import CFunction
from pasidlab.lang.c.taken import Callers
from pasidlab.lang.c.tokens import Source


def given_lines(functions: Iterable[CFunction], callers: Mapping[str, Callers]) -> Iterator[Added]:
    """All lines of functions that a C file gives."""
    for one in functions:
        first, last = one.position, one.unit.position(one.node.end_byte - 1)
        lines = frozenset((first.file, line) for line in range(first.line, last.line + 1))
        yield Added(one.name, first.file, "", lines, whole=lines, callers=callers.get(one.name), given=True)


def added_lines(versions: Iterable[Version], callers: Mapping[str, Callers]) -> Iterator[Added]:
    """Each run of changed lines of each function, in the texts after the patches. Comments and white space are no change."""
    for one in versions:
        lines = one.after.text.split("\n")
        now = bare_lines(lines)
        spans = functions_in(lines)
        places = _places(one.after, len(lines))
        was = bare_lines(one.before.split("\n"))
        for first, end in _runs(was, now):
            span = at_line(spans, first)
            says = [n for n in range(first, end) if now[n]]
            rest = frozenset(places[n] for n in range(span.start, min(span.end, len(places)))) if span else frozenset()
            if span is not None and first == end:
                yield Added(span.name, one.file, "", rest, gone=True, whole=rest, callers=callers.get(span.name))
            elif span is not None and says:
                begun = frozenset(places[n] for n in range(_beginning(now, says[0], span.start), says[0]))
                mine = frozenset(places[n] for n in says)
                yield Added(span.name, one.file, now[says[0]], mine, begun, rest, callers=callers.get(span.name))


def _runs(was: list[str], now: list[str]) -> Iterator[tuple[int, int]]:
    """The first line, and the line after the last, of each run of lines that are new; both the same where lines are only gone."""
    for tag, old, old_end, first, end in SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        if any(now[first:end]) and tag != "equal":
            yield first, end
        elif any(was[old:old_end]) and tag != "equal":
            yield first, first


def _beginning(lines: list[str], line: int, first: int) -> int:
    """The line in which the statement begins that goes on in a line."""
    while line > first + 1 and not lines[line - 1].endswith((";", "{", "}", ":", ")")):
        line -= 1
    return line


def _places(source: Source, count: int) -> list[tuple[str, int]]:
    """File and line of each line of a text, as positions have them."""
    return [*source.places] if source.places else [(source.file, source.first + n) for n in range(count)]
