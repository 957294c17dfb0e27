"""What a patch changes, function by function: told from whole files where there is a tree, else from what each hunk shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pasidlab.designs.intake.patch import Applied, FileChange, Hunk, Patch, PatchPiece
from pasidlab.designs.intake.spans import FunctionSpan, at_line, bare_lines, begins_inside, function_name, functions_in
from pasidlab.lang.c.territory import territory
from pasidlab.lang.c.tokens import Source


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

    def function(self, name: str) -> str | None:
        """The code of a function; None if it is not there."""
        found = [span for span in self.spans if span.name == name]
        return "\n".join(line for span in found for line in self.bare[span.start : span.end] if line) if found else None

    def outside(self) -> str:
        """The code outside functions."""
        return "\n".join(line for n, line in enumerate(self.bare) if line and at_line(self.spans, n) is None)


def _is_c(path: str) -> bool:
    return path.endswith((".c", ".h"))


@dataclass
class Edits:
    """All that some patches change."""

    functions: dict[tuple[str, str], Edited] = field(default_factory=dict)
    hunks: list[EditedHunk] = field(default_factory=list)
    versions: dict[str, Version] = field(default_factory=dict)  # of files, or of what hunks show of them

    def of_patch(self, patch: Patch) -> None:
        """Take in a patch of which nothing but its hunks is known."""
        for change in patch.files:
            for hunk in change.hunks:
                heading = "" if function_name(hunk.heading) == "" else hunk.heading
                c = _is_c(change.path)
                before, after = _FileText(hunk.old, c, heading), _FileText([line.text for line in hunk.new], c, heading)
                self._hunk(patch, change, hunk, _Sides(before, after, 0, 0, whole=False))

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
        shift = 0
        for hunk, place in zip(change.hunks, applied.places, strict=True):
            if place is None:
                self.skip(patch, change, [hunk], "it does not apply, and is outside the territory")
                continue
            self._hunk(patch, change, hunk, _Sides(old, new, place - shift, place, whole=True))
            shift += len(hunk.new) - len(hunk.old)

    def skip(self, patch: Patch, change: FileChange, hunks: Iterable[Hunk], why: str) -> None:
        """Note hunks that are not applied."""
        for hunk in hunks:
            self.hunks.append(EditedHunk(patch.name, hunk.number, change.path, [function_name(hunk.heading)], why))

    def _hunk(self, patch: Patch, change: FileChange, hunk: Hunk, sides: _Sides) -> None:
        told = EditedHunk(patch.name, hunk.number, change.path)
        is_c = _is_c(change.path)
        old, new = sides.old_at, sides.new_at
        for line in hunk.lines:
            text, at = (sides.before, old) if line.mark == "-" else (sides.after, new)
            if line.mark != " " and at < len(text.lines):
                span = at_line(text.spans, at) if is_c else None
                edit = Edit(line.mark, text.bare[at] if is_c else line.text.strip(), line.number)
                name = span.name if span else ""
                if is_c and not name and not edit.text:
                    pass  # an empty line, or a comment, between functions
                else:
                    self._add(patch, change, name, edit, sides)
                if name not in told.functions:
                    told.functions.append(name)
            old, new = old + (line.mark != "+"), new + (line.mark != "-")
        self.hunks.append(told)

    def _add(self, patch: Patch, change: FileChange, name: str, edit: Edit, sides: _Sides) -> None:
        key = (change.path, name)
        one = self.functions.setdefault(key, Edited(patch.name, change.path, name, 0))
        one.edits.append(edit)
        one.patch = patch.name
        after = next((span for span in sides.after.spans if span.name == name), None)
        if sides.whole:
            one.line = after.start + 1 if after else 0
        else:
            one.line = edit.number
        was, now = (sides.before.function(name), sides.after.function(name)) if name else (sides.before.outside(), sides.after.outside())
        one.removed = bool(name) and now is None
        one.same = was == now if sides.whole else False
        if sides.whole:
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
    """A text before and after a hunk, and where the hunk's first line is in each, from 0."""

    before: _FileText
    after: _FileText
    old_at: int
    new_at: int
    whole: bool  # whole files
