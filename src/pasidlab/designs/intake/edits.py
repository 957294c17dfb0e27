"""What a patch changes, function by function: told from whole files where there is a tree, else from what each hunk shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pasidlab.designs.intake.patch import Applied, FileChange, Hunk, Patch, PatchPiece
from pasidlab.designs.intake.spans import FunctionSpan, at_line, bare_lines, begins_inside, function_name, functions_in
from pasidlab.lang.c.territory import territory
from pasidlab.lang.c.tokens import Source

_Key = tuple[str, str]
"""A file, and the name of a function in it."""


@dataclass(frozen=True)
class Edit:
    """A changed line without comments: ``+`` or ``-``, and its line in the patch."""

    mark: str
    text: str
    number: int


@dataclass
class Edited:
    """One function that is changed, or with an empty name the lines outside functions of one file.

    ``removed``: the function is gone. ``same``: only comments and space change. ``hidden``: lines that comments take away or give back.
    """

    patch: str
    file: str
    function: str
    line: int  # of the function after the change; 0: not known
    edits: list[Edit] = field(default_factory=list)
    removed: bool = False
    same: bool = False
    hidden: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The changed lines that are code."""
        return [] if self.same else [edit.text for edit in self.edits if edit.text] + self.hidden


@dataclass(frozen=True)
class Version:
    """A file, or the part of it that a hunk shows: its text before the patches and after them."""

    file: str
    before: str
    after: Source


@dataclass
class EditedHunk:
    """A hunk and the functions it changes; ``skipped`` says why it was not applied."""

    patch: str
    line: int
    file: str
    functions: list[str] = field(default_factory=list)
    skipped: str = ""


class _FileText:
    """Lines, where their functions are, and the lines without comments. What is not C has neither functions nor comments."""

    def __init__(self, lines: Sequence[str], is_c: bool, heading: str = "") -> None:
        self.lines = lines
        self.spans: list[FunctionSpan] = functions_in(lines, heading) if is_c else []
        self.bare = bare_lines(lines) if is_c else [line.strip() for line in lines]

    def span(self, name: str) -> FunctionSpan | None:
        """Where a function stands, the first of that name."""
        return self._named[name][0] if name in self._named else None

    def code(self, name: str) -> str | None:
        """The code of a function, or with an empty name that outside functions; None if the function is not there."""
        if not name:
            return self._outside
        found = self._named.get(name)
        return "\n".join(line for span in found for line in self.bare[span.start : span.end] if line) if found else None

    @cached_property
    def _named(self) -> dict[str, list[FunctionSpan]]:
        found: dict[str, list[FunctionSpan]] = {}
        for span in self.spans:
            found.setdefault(span.name, []).append(span)
        return found

    @cached_property
    def _outside(self) -> str:
        return "\n".join(line for n, line in enumerate(self.bare) if line and at_line(self.spans, n) is None)


def _is_c(path: str) -> bool:
    return path.endswith((".c", ".h"))


@dataclass
class Edits:
    """All that some patches change."""

    functions: dict[_Key, Edited] = field(default_factory=dict)
    hunks: list[EditedHunk] = field(default_factory=list)
    versions: dict[str, Version] = field(default_factory=dict)  # of files, or of what hunks show of them

    def of_patch(self, patch: Patch) -> None:
        """Take in a patch of which nothing but its hunks is known."""
        for change in patch.files:
            for hunk in change.hunks:
                heading = "" if function_name(hunk.heading) == "" else hunk.heading
                c = _is_c(change.path)
                before, after = _FileText(hunk.old, c, heading), _FileText([line.text for line in hunk.new], c, heading)
                sides = _Sides(before, after, whole=False)
                self._settle(self._hunk(patch, change, hunk, sides, (0, 0)), sides)

    def of_pieces(self, change: FileChange, pieces: Iterable[PatchPiece]) -> None:
        """Take in the whole functions that hunks show."""
        for piece in pieces:
            if piece.source is not None:
                self.versions[f"{piece.source.file}:{piece.number}"] = Version(change.path, piece.before, piece.source)

    def of_change(self, patch: Patch, change: FileChange, before: Source, applied: Applied) -> None:
        """Take in the change of a file of a tree."""
        first = self.versions[change.path].before if change.path in self.versions else before.text
        self.versions[change.path] = Version(change.path, first, applied.source)
        old, new = (_FileText(text.split("\n"), _is_c(change.path)) for text in (before.text, applied.source.text))
        sides = _Sides(old, new, whole=True)
        shift, touched = 0, set()
        for hunk, place in zip(change.hunks, applied.places, strict=True):
            if place is None:
                self.skip(patch, change, [hunk], "it does not apply, and is outside the territory")
                continue
            touched |= self._hunk(patch, change, hunk, sides, (place - shift, place))
            shift += len(hunk.new) - len(hunk.old)
        self._settle(touched, sides)

    def skip(self, patch: Patch, change: FileChange, hunks: Iterable[Hunk], why: str) -> None:
        """Note hunks that are not applied."""
        for hunk in hunks:
            self.hunks.append(EditedHunk(patch.name, hunk.number, change.path, [function_name(hunk.heading)], why))

    def _hunk(self, patch: Patch, change: FileChange, hunk: Hunk, sides: _Sides, at: tuple[int, int]) -> set[_Key]:
        """Notes the lines that a hunk changes, whose first line is ``at`` on each side. The functions they are in."""
        is_c, (old, new) = _is_c(change.path), at
        names: dict[str, None] = {}
        touched = set()
        for line in hunk.lines:
            text, here = (sides.before, old) if line.mark == "-" else (sides.after, new)
            if line.mark != " " and here < len(text.lines):
                span = at_line(text.spans, here) if is_c else None
                edit = Edit(line.mark, text.bare[here] if is_c else line.text.strip(), line.number)
                name = span.name if span else ""
                names[name] = None
                if not is_c or name or edit.text:  # an empty line, or a comment, between functions counts nothing
                    one = self.functions.setdefault((change.path, name), Edited(patch.name, change.path, name, 0))
                    one.edits.append(edit)
                    one.patch = patch.name
                    touched.add((change.path, name))
            old, new = old + (line.mark != "+"), new + (line.mark != "-")
        self.hunks.append(EditedHunk(patch.name, hunk.number, change.path, list(names)))
        return touched

    def _settle(self, touched: Iterable[_Key], sides: _Sides) -> None:
        """What became of functions, all their changed lines being known."""
        for key in touched:
            one, name = self.functions[key], key[1]
            was, now, after = sides.before.code(name), sides.after.code(name), sides.after.span(name)
            one.removed = bool(name) and now is None
            if not sides.whole:
                one.line, one.same = one.edits[-1].number, False
                continue
            one.line, one.same = after.start + 1 if after else 0, was == now
            told = {edit.text for edit in one.edits}
            was_in, now_in = (Counter((text or "").split("\n")) for text in (was, now))
            one.hidden = [line for line in [*(was_in - now_in), *(now_in - was_in)] if line and line not in told]


def unnamed_of(change: FileChange, hunk: Hunk) -> bool:
    """True for a hunk of the territory that changes lines inside a function whose name it does not show."""
    if not _is_c(change.path) or not territory().has_file(change.path) or function_name(hunk.heading):
        return False
    seen = [line.text for line in hunk.lines]
    inside = begins_inside(seen)
    return any(line.mark != " " and line.text[:1] in ("\t", " ") and line.text.strip() for line in hunk.lines[:inside])


@dataclass(frozen=True)
class _Sides:
    """A text before and after a change."""

    before: _FileText
    after: _FileText
    whole: bool  # whole files
