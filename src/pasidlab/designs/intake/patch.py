"""Unified diffs: reading them, applying them to files of a tree, and taking whole functions out of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.territory import territory
from pasidlab.lang.c.tokens import Source

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)")
_NARROW = 60  # no mailer wraps lines shorter than this
_FUZZ = 300  # lines a hunk may have moved
_TOP = frozenset(
    "arch block certs crypto Documentation drivers fs include init io_uring ipc kernel lib LICENSES mm net rust samples scripts security "
    "sound tools usr virt".split()
)  # folders at the top of Linux


@dataclass(frozen=True)
class PatchLine:
    """A line of a hunk: `` ``, ``+`` or ``-``, its text, and where it stands in the patch."""

    mark: str
    text: str
    number: int


@dataclass
class Hunk:
    """One hunk; ``start`` is its first line in the old file, ``heading`` the function git names after the @@."""

    start: int
    heading: str
    number: int
    lines: list[PatchLine] = field(default_factory=list)
    missing: int = 0  # lines cut off at its end
    new_start: int = 0  # its first line in the new file

    @property
    def old(self) -> list[str]:
        """The lines it expects."""
        return [one.text for one in self.lines if one.mark != "+"]

    @property
    def new(self) -> list[PatchLine]:
        """The lines it leaves."""
        return [one for one in self.lines if one.mark != "-"]


@dataclass
class FileChange:
    """All hunks of one file."""

    path: str
    new_file: bool = False
    hunks: list[Hunk] = field(default_factory=list)
    deleted: bool = False


@dataclass
class Patch:
    """What one diff changes. ``name`` is the file it was read from, ``notes`` what could not be recovered; ``taken_out``: turned round."""

    name: str
    files: list[FileChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    subject: str = ""
    taken_out: bool = False


def looks_like_patch(text: str) -> bool:
    """Whether a text contains a unified diff."""
    return any(_HUNK.match(re.sub(r"^(> ?)+", "", line)) for line in text.splitlines())


def read_patch(lines: Sequence[tuple[int, str]], name: str) -> Patch:
    """Read numbered lines that contain a diff; everything around it is prose."""
    patch = Patch(name)
    current: FileChange | None = None
    i = 0
    while i < len(lines):
        number, text = lines[i]
        if text.startswith("--- ") and i + 1 < len(lines) and lines[i + 1][1].startswith("+++ "):
            old, new = _path(text[4:]), _path(lines[i + 1][1][4:])
            current = FileChange(new if new != "/dev/null" else old, old == "/dev/null", deleted=new == "/dev/null")
            _must_stay_inside(current.path, Position(patch.name, number))
            patch.files.append(current)
            i += 2
            continue
        if text.startswith("rename from ") or (text.startswith("deleted file mode ") and not _shown(lines, i)):
            _must_be_told(text, lines[i - 1][1], Position(patch.name, number))
        match = _HUNK.match(text)
        if match:
            if current is None:
                raise PasidlabError(
                    "a hunk without the file it belongs to", position=Position(name, number), hint="the lines '---' and '+++' are missing"
                )
            i = _hunk(match, lines, i, current, patch)
            continue
        i += 1
    if not any(f.hunks for f in patch.files) and not _fragment(lines, patch):
        raise PasidlabError(f"{name} holds no patch", hint="a unified diff has lines '--- a/file', '+++ b/file' and '@@ -1,2 +1,3 @@'")
    return patch


def _fragment(lines: Sequence[tuple[int, str]], patch: Patch) -> bool:
    """Added lines without the hunk they belong to, as replies quote them."""
    added = [PatchLine("+", text[1:], number) for number, text in lines if text.startswith("+") and not text.startswith("+++ ")]
    if not any(line.text.startswith("{") for line in added):
        return False
    patch.files.append(FileChange("fragment.c", hunks=[Hunk(1, "", added[0].number, added)]))
    patch.notes.append(f"{patch.name}:{added[0].number}: no hunk around these lines: those marked + are taken as they stand")
    return True


def looks_like_fragment(text: str) -> bool:
    """Whether a text quotes added lines with a function among them."""
    return any(re.match(r"(> ?)*\+\{\s*$", line) for line in text.splitlines())


def _must_stay_inside(path: str, at: Position) -> None:
    if path.startswith(("/", "~")) or ".." in path.split("/"):
        what = f"the patch changes '{path}', which is outside the tree"
        raise PasidlabError(what, position=at, hint="paths begin at the top of the tree")


def _shown(lines: Sequence[tuple[int, str]], i: int) -> bool:
    """True if what a file loses follows its heading."""
    return any(text.startswith("--- ") for _, text in lines[i + 1 : i + 4])


def _must_be_told(text: str, before: str, at: Position) -> None:
    """PasidlabError for a file of the territory that goes away without its lines being shown."""
    renamed = text.startswith("rename from ")
    path = text.removeprefix("rename from ") if renamed else before.rpartition(" b/")[2]
    if territory().has_file(path):
        what = f"the patch {'renames' if renamed else 'deletes'} {path} and does not show its lines"
        raise PasidlabError(what, position=at, hint="git format-patch --no-renames, without -D, shows them")


def _path(text: str) -> str:
    """A path from the top of the tree: without quotes, and without the folder diffs put in front (a/, ./, linux-6.12.orig/)."""
    path = text.split("\t")[0].strip().strip('"')
    first, _, rest = path.partition("/")
    in_front = first in ("a", "b") or (first not in _TOP and first not in ("", "..", "~") and rest.partition("/")[0] in _TOP)
    return rest if rest and in_front else path


def _hunk(match: re.Match[str], lines: Sequence[tuple[int, str]], i: int, into: FileChange, patch: Patch) -> int:
    """Read one hunk; lines a mailer has wrapped are joined again."""
    old, new = int(match.group(2) or 1), int(match.group(4) or 1)
    hunk = Hunk(int(match.group(1)), match.group(5), lines[i][0], new_start=int(match.group(3)))
    i += 1
    while (old > 0 or new > 0) and i < len(lines):
        number, text = lines[i]
        mark = text[:1] or " "  # mailers strip the space of an empty line
        if mark == "\\":
            i += 1
            continue
        if mark not in " +-" or (text.startswith("-- ") and old == 0):
            if text.startswith("-- ") or not _wrapped(lines[i - 1][1], text):
                break
            if hunk.lines:  # before the first line it is what is left of the heading
                last = hunk.lines[-1]
                hunk.lines[-1] = PatchLine(last.mark, f"{last.text.rstrip()} {text.strip()}", last.number)
            i += 1
            continue
        hunk.lines.append(PatchLine(mark, text[1:], number))
        old, new = old - (mark != "+"), new - (mark != "-")
        i += 1
    hunk.missing = max(old, new)
    if not hunk.missing and _goes_on(lines, i):
        at = Position(patch.name, hunk.number)
        raise PasidlabError(f"this hunk of {into.path} has more lines than its heading says", position=at, hint="make the patch again")
    into.hunks.append(hunk)
    return i


def _goes_on(lines: Sequence[tuple[int, str]], i: int) -> bool:
    """True if changed lines follow a hunk that should be over before line ``i``."""
    for n in range(i, len(lines)):
        text = lines[n][1]
        if text[:1] not in ("+", "-", " ") or text.startswith(("--", "+++ ")) or not text.strip():
            return False
        if text[0] != " ":
            return True
    return False


def _wrapped(line: str, following: str) -> bool:
    """Whether a mailer has broken a line there: it was too long with the next word."""
    word = "".join(following.split()[:1])
    return len(line) + len(word) > _NARROW and not _HUNK.match(following) and not following.startswith(("diff ", "--- "))


def cut_short(patch: Patch) -> PasidlabError | None:
    """An error for the first hunk that is not all there."""
    for change in patch.files:
        for hunk in change.hunks:
            if hunk.missing:
                return _cut(change, hunk, patch)
    return None


def _cut(change: FileChange, hunk: Hunk, patch: Patch) -> PasidlabError:
    lines = f"{hunk.missing} line{'s are' if hunk.missing != 1 else ' is'} missing"
    return PasidlabError(f"this hunk of {change.path} is cut short: {lines}", position=Position(patch.name, hunk.number))


@dataclass(frozen=True)
class Applied:
    """A file with hunks applied; of each hunk its first line there, from 0, None where it did not fit and need not."""

    source: Source
    places: tuple[int | None, ...]


def apply(change: FileChange, source: Source, patch: Patch, needed: Callable[[Hunk], bool] = lambda hunk: True) -> Applied:
    """The file with the hunks applied; PasidlabError naming the first hunk that does not fit and is ``needed``."""
    lines = source.text.split("\n")
    bare = [line.rstrip() for line in lines]
    shift = 0
    places: list[int | None] = []
    for hunk in change.hunks:
        if hunk.missing and needed(hunk):
            raise _cut(change, hunk, patch)
        old = [text.rstrip() for text in hunk.old]
        wanted = hunk.start - 1 + shift
        place = None if hunk.missing else _find(bare, old, wanted)
        if place is None and needed(hunk):
            raise _misfit(change, hunk, patch, lines, wanted)
        places.append(place)
        if place is None:
            continue
        new = [one.text for one in hunk.new]
        lines[place : place + len(old)] = new
        bare[place : place + len(old)] = [text.rstrip() for text in new]
        shift += len(new) - len(old) + place - wanted
    return Applied(Source("\n".join(lines), source.file), tuple(places))


def _misfit(change: FileChange, hunk: Hunk, patch: Patch, lines: list[str], wanted: int) -> PasidlabError:
    """Why a hunk does not apply."""
    at = Position(patch.name, hunk.number)
    new = [one.text.rstrip() for one in hunk.new]
    if new and any(one.mark == "+" for one in hunk.lines) and _find([line.rstrip() for line in lines], new, wanted) is not None:
        what, hint = "has this change already", "the patch is given twice, or the tree has it: -R takes it out"
        if patch.taken_out:
            what, hint = "does not have this change", "the patch is given twice, or the tree is without it: leave out -R"
        return PasidlabError(f"{change.path} {what}, at line {hunk.start}", position=at, hint=hint)
    expected, there = _mismatch(lines, [text.rstrip() for text in hunk.old], wanted)
    return PasidlabError(
        f"the patch does not apply to {change.path} at line {hunk.start}: '{expected}' is expected, there is '{there}'",
        position=at, hint="give the tree the patch was made for, or leave --kernel out",
    )  # fmt: skip


def reversed_patch(patch: Patch) -> Patch:
    """The patch that takes this one out again."""
    swap = {"+": "-", "-": "+", " ": " "}

    def turned(hunk: Hunk) -> Hunk:
        lines = [PatchLine(swap[line.mark], line.text, line.number) for line in hunk.lines]
        return Hunk(hunk.new_start, hunk.heading, hunk.number, lines, hunk.missing, hunk.start)

    files = [FileChange(one.path, one.deleted, [turned(hunk) for hunk in one.hunks], one.new_file) for one in patch.files]
    return Patch(patch.name, files, patch.notes, patch.subject, not patch.taken_out)


def _find(lines: list[str], old: list[str], wanted: int) -> int | None:
    for distance in range(_FUZZ):
        for place in {wanted - distance, wanted + distance}:
            if place >= 0 and lines[place : place + len(old)] == old:
                return place
    return None


def _mismatch(lines: list[str], old: list[str], wanted: int) -> tuple[str, str]:
    """Where the lines fit best near their place: the first one that differs, and what stands there."""
    places = range(max(0, wanted - _FUZZ), min(len(lines), wanted + _FUZZ) + 1)

    def fitting(place: int) -> int:
        return next((n for n, text in enumerate(old) if place + n >= len(lines) or lines[place + n].rstrip() != text), len(old))

    best = max(places, key=lambda place: (fitting(place), -abs(place - wanted)), default=0)
    n = min(fitting(best), len(old) - 1) if old else 0
    there = lines[best + n].strip() if best + n < len(lines) else "the end of the file"
    return (old[n].strip()[:50] if old else ""), there[:50]


@dataclass(frozen=True)
class PatchPiece:
    """A run of lines of a hunk after the patch: whole functions, or the visible part of one that is not whole."""

    source: Source | None
    partial: str  # the name of a function only partly visible
    number: int
    before: str = ""  # all that the hunk shows of the old file


def pieces(change: FileChange, patch: Patch) -> list[PatchPiece]:
    """Cuts every hunk, as it reads after the patch, into whole functions. The kernel's braces at the left margin say where they end."""
    found: list[PatchPiece] = []
    for hunk in change.hunks:
        lines = hunk.new
        first = next((n for n, one in enumerate(lines) if one.text[:1] in "{}" and one.text[:1]), None)
        if first is not None and lines[first].text.startswith("}"):
            if any(one.mark != " " for one in _changed_part(hunk, lines[first].number)):
                found.append(PatchPiece(None, _function_name(hunk.heading), hunk.number))
            lines = lines[first + 1 :]
        elif first is None:
            if any(one.mark != " " for one in hunk.lines):
                found.append(PatchPiece(None, _function_name(hunk.heading), hunk.number))
            continue
        end = max((n for n, one in enumerate(lines) if one.text.startswith("}")), default=-1)
        rest = lines[end + 1 :]
        opened = next((n for n, one in enumerate(rest) if one.text.startswith("{")), None)
        if opened is not None and any(one.mark == "+" for one in rest[opened:]):
            head = " ".join(one.text for one in rest[:opened][-4:])
            found.append(PatchPiece(None, _function_name(head), rest[opened].number))
        whole = lines[: end + 1]
        if whole:
            text = "\n".join(one.text for one in _without_torn_comment(whole))
            places = tuple((patch.name, one.number) for one in whole)
            source = Source(text, patch.name, places=places, partial=True)
            found.append(PatchPiece(source, "", whole[0].number, "\n".join(hunk.old)))
    return found


def _changed_part(hunk: Hunk, until: int) -> list[PatchLine]:
    return [one for one in hunk.lines if one.number <= until]


def _without_torn_comment(lines: list[PatchLine]) -> list[PatchLine]:
    """Blanks the end of a comment whose beginning the hunk does not show."""
    for n, one in enumerate(lines):
        if "/*" in one.text:
            break
        if "*/" in one.text:
            return [PatchLine(" ", "", o.number) for o in lines[: n + 1]] + lines[n + 1 :]
    return lines


_CALLED = re.compile(r"\b(\w+)\s*\(")
_OF_ENTRY = re.compile(r"\b(\w+)\((?=(\w+))")


def _function_name(text: str) -> str:
    entries = [name for maker, name in _OF_ENTRY.findall(text) if "DEFINE_IDTENTRY" in maker]
    return str(next(iter(entries or _CALLED.findall(text)[-1:]), ""))
