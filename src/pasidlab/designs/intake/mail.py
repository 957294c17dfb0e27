"""Mails and mailboxes as mail archives keep them: their patches, with the lines they had in the file."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from pasidlab.designs.intake.message import Mail
from pasidlab.designs.intake.patch import FileChange, Hunk, Patch, PatchLine, looks_like_fragment, looks_like_patch, read_patch
from pasidlab.designs.intake.spans import FunctionSpan, functions_in
from pasidlab.errors import PasidlabError, Position, counted

_QUOTE = re.compile(r"^(> ?)+")
_HEADER = re.compile(r"diff --git |--- (a/|/dev/null)|\+\+\+ (b/|/dev/null)|@@ -\d")
_BRACKETS, _OF = re.compile(r"\[([^]]*)\]"), re.compile(r"(\d+)/\d")
_CLOCK = re.compile(rb"\d\d:\d\d")
_FROM = re.compile(rb"^>(>*From )")  # as a mailbox writes a line that begins with From


def looks_like_mail(text: str) -> bool:
    """Whether a text begins as a mail or a mailbox does."""
    head = text[:4000].lstrip()
    return head.startswith("From ") or bool(
        re.match(r"(?:[A-Za-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*){2,}", head) and re.search(r"(?mi)^(subject|from|date):", head)
    )


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """The messages of a mailbox, each with the number of its first line; a single mail is a mailbox of one."""
    if not data.startswith(b"From "):
        return [(1, data)]
    lines = data.split(b"\n")
    starts = [n + 1 for n, line in enumerate(lines) if not n or (line.startswith(b"From ") and _CLOCK.search(line))]
    found = zip(starts, [start - 1 for start in starts[1:]] + [len(lines)], strict=True)
    each = [(start + 1, b"\n".join(_FROM.sub(rb"\1", line) for line in lines[start:end])) for start, end in found]
    return [(first, raw) for first, raw in each if raw.strip()]


def patches(data: bytes, name: str, shown: dict[str, tuple[str, ...]]) -> list[Patch]:
    """The patches of a mail or mailbox, in the order of the series. Lines are those of the file, unless a message is encoded."""
    found: list[tuple[int, Patch]] = []
    mails = [Mail(name, first, raw) for first, raw in messages(data)]
    lines = tuple(data.decode("utf-8", "replace").splitlines())
    for number, mail in enumerate(mails):
        if not looks_like_patch(mail.text) and not looks_like_fragment(mail.text):
            continue
        label = name
        if not mail.plain:
            label = f"{name} (decoded)" if len(mails) == 1 else f"{name}[{number + 1}] (decoded)"
        shown[label] = lines if mail.plain else tuple(mail.text.splitlines())
        patch = read_patch([(line + mail.shift, content) for line, content in numbered(mail.text)], label)
        patch.subject = mail.subject
        place = _place_in_series(mail.subject)
        found.append((number if place is None else place, patch))
    if not found and (bare := _bare_functions(mails, lines, name, shown)) is not None:
        return [bare]
    if not found:
        raise PasidlabError(f"{name} holds no patch", hint=f"{counted(len(mails), 'message')} read, none with a unified diff")
    return [patch for _, patch in sorted(found, key=lambda pair: pair[0])]


def _place_in_series(subject: str) -> int | None:
    """2 of ``[PATCH v3 2/5]``; None if it does not say."""
    for brackets in _BRACKETS.findall(subject):
        _, said, rest = brackets.upper().partition("PATCH")
        if said and (match := _OF.search(rest)):
            return int(match.group(1))
    return None


def _bare_functions(
    mails: Sequence[Mail], file: tuple[str, ...], name: str, shown: dict[str, tuple[str, ...]]
) -> Patch | None:
    """Functions, and macros, that stand in the text of mails without a diff; the last of one name counts. None: there are none."""
    lines: list[PatchLine] = []
    for mail in mails:
        text = mail.text.split("\n")
        taken = [span for span in functions_in(text) if span.whole]
        _must_be_one(taken, text, name, mail.shift)
        wanted = sorted({n for span in taken for n in range(span.start, span.end)} | set(_macro_lines(text) if taken else []))
        lines += [PatchLine("+", text[n], n + 1 + mail.shift) for n in wanted]
        if lines:
            shown[name] = file if mail.plain else tuple(mail.text.splitlines())
    if not lines:
        return None
    note = f"{name}:{lines[0].number}: no diff: the functions in the text are taken as they stand"
    return Patch(name, [FileChange("fragment.c", hunks=[Hunk(1, "", lines[0].number, lines)])], [note])


def _must_be_one(functions: Sequence[FunctionSpan], text: Sequence[str], name: str, shift: int) -> None:
    """PasidlabError for a message that has a function twice: which one is meant is not to be told."""
    conditions = [n for n, line in enumerate(text) if line.startswith("#")]
    first: dict[str, FunctionSpan] = {}
    for one in functions:
        other = first.setdefault(one.name, one)
        if other is not one and bisect_left(conditions, other.end) == bisect_left(conditions, one.start):
            raise PasidlabError(
                f"{one.name}() is given twice, here and in line {other.start + 1 + shift}", position=Position(name, one.start + 1 + shift),
                hint="leave one of them in the file",
            )  # fmt: skip


def _macro_lines(text: Sequence[str]) -> Iterator[int]:
    """The lines of macros, counted from 0."""
    goes_on = False
    for n, line in enumerate(text):
        if goes_on or line.startswith("#define "):
            yield n
            goes_on = line.rstrip().endswith("\\")


def numbered(text: str) -> list[tuple[int, str]]:
    """The lines of a text with their numbers; of a diff quoted in a reply only the lines quoted as often as the diff itself, bare."""
    lines = list(enumerate(text.split("\n"), start=1))
    if any(line.startswith("@@ -") for _, line in lines):
        return lines
    diff = any(_HEADER.match(_QUOTE.sub("", line)) for _, line in lines)
    depth = 0
    found = []
    for number, line in lines:
        marks = _QUOTE.match(line)
        bare = line[marks.end() :] if marks else line
        here = marks.group().count(">") if marks else 0
        if _HEADER.match(bare) if diff else bare.startswith("+"):
            depth = here
        if here == depth:
            found.append((number, bare))
    return found
