"""The changes between two texts of one function, in pieces that can be taken back one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pasidlab.designs.intake.plain import tokens


@dataclass(frozen=True)
class TextChange:
    """A place of a text, from ``start`` to ``end``, and what stood there before."""

    start: int
    end: int
    before: str
    now: str

    @property
    def opens(self) -> int:
        """How many brackets and conditionals of the preprocessor more are opened there now than before."""
        return _opened(self.now) - _opened(self.before)


Changes = tuple[TextChange, ...]


def _opened(text: str) -> int:
    directives = [line.lstrip("# \t") for line in text.splitlines() if line.lstrip().startswith("#")]
    conditionals = sum(line.startswith("if") - line.startswith("endif") for line in directives)
    return conditionals + sum(text.count(a) - text.count(b) for a, b in ("{}", "()", "[]"))


def taken_back(text: str, changes: Iterable[TextChange]) -> str:
    """The text without some of its changes."""
    at, found = 0, []
    for one in sorted(changes, key=lambda one: one.start):
        found += [text[at : one.start], one.before]
        at = one.end
    return "".join(found) + text[at:]


def blocks(before: str, now: str) -> list[Changes]:
    """Runs of lines that differ. Those that open brackets and those that close them go together."""
    old, new = before.splitlines(True), now.splitlines(True)
    starts = [0]
    for line in new:
        starts.append(starts[-1] + len(line))
    found = []
    for op, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if op != "equal":
            found.append(TextChange(starts[c], starts[d], "".join(old[a:b]), now[starts[c] : starts[d]]))
    return _balanced(found)


def parts(changes: Changes) -> list[Changes]:
    """The changes in their smallest pieces: words where lines are replaced, lines where they come or go; and each condition that comes."""
    pieces = [piece for one in changes for piece in _pieces(one)]
    heads = [head for one in changes if one.before for head in _conditions(one)]
    return [*_balanced(pieces), *((head,) for head in heads if head not in pieces)]


def _conditions(one: TextChange) -> list[TextChange]:
    """The conditions of a change that were not there before, each without what it governs."""
    found = []
    for match in re.finditer(r"^\s*(if \(.*\))(?=\s*\{?\s*$)", one.now, re.MULTILINE):
        if match.group(1) not in one.before and not _opened(match.group(1)):
            found.append(TextChange(one.start + match.start(1), one.start + match.end(1), "", match.group(1)))
    return found


def _pieces(one: TextChange) -> list[TextChange]:
    if not one.now:
        lines = one.before.splitlines(True)
        return [TextChange(one.start, one.end, line, "") for line in lines]
    if not one.before or "#" in one.now + one.before:
        return _by_lines(one)
    return _by_words(one)


def _by_lines(one: TextChange) -> list[TextChange]:
    """Each line that has come; each line that has gone, at the place of all."""
    found, at = [TextChange(one.start, one.start, line, "") for line in one.before.splitlines(True)], one.start
    for line in one.now.splitlines(True):
        found.append(TextChange(at, at + len(line), "", line))
        at += len(line)
    return found


def _by_words(one: TextChange) -> list[TextChange]:
    old, new = tokens(one.before), tokens(one.now)
    was_words, words = ([token.group() for token in side] for side in (old, new))
    found = []
    for op, a, b, c, d in SequenceMatcher(None, was_words, words, autojunk=False).get_opcodes():
        if op == "equal":
            continue
        was = f" {one.before[old[a].start() : old[b - 1].end()]} " if b > a else ""
        start = new[c].start() if c < len(new) else len(one.now)
        end = new[d - 1].end() if d > c else start
        found.append(TextChange(one.start + start, one.start + end, was, one.now[start:end]))
    return found


def _balanced(changes: Sequence[TextChange]) -> list[Changes]:
    """Changes that open brackets together with those that close them; each of the others by itself."""
    found: list[Changes] = []
    waiting: list[TextChange] = []
    for one in changes:
        if not one.opens:
            found.append((one,))
            continue
        waiting.append(one)
        if not sum(each.opens for each in waiting):
            found.append(tuple(waiting))
            waiting = []
    return [*found, tuple(waiting)] if waiting else found
