"""Mails and mailboxes: the text of each message as mail archives keep it, with the lines it had in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage

from pasidlab.designs.intake.patch import FileChange, Hunk, Patch, PatchLine, looks_like_fragment, looks_like_patch, read_patch
from pasidlab.designs.intake.spans import FunctionSpan, functions_in
from pasidlab.errors import PasidlabError, Position

_QUOTE = re.compile(r"^(> ?)+")
_HEADER = re.compile(r"diff --git |--- (a/|/dev/null)|\+\+\+ (b/|/dev/null)|@@ -\d")
_SERIES = re.compile(r"\[[^]]*PATCH[^]]*?(\d+)/(\d+)[^]]*\]", re.IGNORECASE)


def looks_like_mail(text: str) -> bool:
    """Whether a text begins as a mail or a mailbox does."""
    head = text[:4000].lstrip()
    return head.startswith("From ") or bool(
        re.match(r"(?:[A-Za-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*){2,}", head) and re.search(r"(?mi)^(subject|from|date):", head)
    )


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """The messages of a mailbox, each with the number of its first line; a single mail is a mailbox of one."""
    starts = [match.end() for match in re.finditer(rb"(?m)^From [^\n]*\d\d:\d\d[^\n]*\n|\AFrom [^\n]*\n", data)]
    if not data.startswith(b"From ") or not starts:
        return [(1, data)]
    ends = [data.rfind(b"\nFrom ", 0, start - 1) + 1 or start for start in starts[1:]] + [len(data)]
    return [
        (data.count(b"\n", 0, start) + 1, re.sub(rb"(?m)^>(>*From )", rb"\1", data[start:end]))
        for start, end in zip(starts, ends, strict=True)
        if data[start:end].strip()
    ]


def patches(data: bytes, name: str, shown: dict[str, tuple[str, ...]]) -> list[Patch]:
    """The patches of a mail or mailbox, in the order of the series. Lines are those of the file, unless a message is encoded."""
    found: list[tuple[int, Patch]] = []
    seen = messages(data)
    for number, (first, raw) in enumerate(seen):
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        text = _text(message)
        if not looks_like_patch(text) and not looks_like_fragment(text):
            continue
        subject = " ".join(str(message.get("subject", "")).split())
        head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].count(b"\n") + 2
        if _is_plain(message):
            label, shift = name, first - 1 + head
            shown[label] = tuple(data.decode("utf-8", "replace").splitlines())
        else:
            label, shift = (f"{name} (decoded)" if len(seen) == 1 else f"{name}[{number + 1}] (decoded)"), 0
            shown[label] = tuple(text.splitlines())
        patch = read_patch([(line + shift, content) for line, content in numbered(text)], label)
        patch.subject = subject
        match = _SERIES.search(subject)
        found.append((int(match.group(1)) if match else number, patch))
    if not found and (bare := _bare_functions(data, name, shown)) is not None:
        return [bare]
    if not found:
        raise PasidlabError(
            f"{name} holds no patch", hint=f"{len(seen)} message{'s' if len(seen) != 1 else ''} read, none with a unified diff"
        )
    return [patch for _, patch in sorted(found, key=lambda pair: pair[0])]


def _bare_functions(data: bytes, name: str, shown: dict[str, tuple[str, ...]]) -> Patch | None:
    """Functions, and macros, that stand in the text of mails without a diff; the last of one name counts. None: there are none."""
    lines: list[PatchLine] = []
    for first, raw in messages(data):
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].count(b"\n") + 2
        shift = first - 1 + head if _is_plain(message) else 0
        text = _text(message).split("\n")
        taken = [span for span in functions_in(text) if span.whole]
        _must_be_one(taken, text, name, shift)
        macros = [n for n, line in enumerate(text) if line.startswith("#define ") or (n and _goes_on(text, n - 1))]
        wanted = sorted({n for span in taken for n in range(span.start, span.end)} | set(macros if taken else []))
        lines += [PatchLine("+", text[n], n + 1 + shift) for n in wanted]
        if lines:
            shown[name] = tuple((data.decode("utf-8", "replace") if _is_plain(message) else _text(message)).splitlines())
    if not lines:
        return None
    note = f"{name}:{lines[0].number}: no diff: the functions in the text are taken as they stand"
    return Patch(name, [FileChange("fragment.c", hunks=[Hunk(1, "", lines[0].number, lines)])], [note])


def _must_be_one(functions: Sequence[FunctionSpan], text: Sequence[str], name: str, shift: int) -> None:
    """PasidlabError for a message that has a function twice: which one is meant is not to be told."""
    for n, one in enumerate(functions):
        other = next((span for span in functions[:n] if span.name == one.name), None)
        if other is not None and not any(line.startswith("#") for line in text[other.end : one.start]):
            raise PasidlabError(
                f"{one.name}() is given twice, here and in line {other.start + 1 + shift}", position=Position(name, one.start + 1 + shift),
                hint="leave one of them in the file",
            )  # fmt: skip


def _goes_on(text: list[str], n: int) -> bool:
    """True if a line is of a macro that the next one goes on with."""
    while n >= 0 and text[n].rstrip().endswith("\\"):
        if text[n].startswith("#define "):
            return True
        n -= 1
    return False


def _is_plain(message: EmailMessage) -> bool:
    """Whether the lines of the text are lines of the file."""
    encoding = str(message.get("content-transfer-encoding", "7bit")).strip().lower()
    return not message.is_multipart() and encoding in ("7bit", "8bit", "binary") and message.get_param("format") != "flowed"


def _text(message: EmailMessage) -> str:
    """The text of a message and of its attached patches, decoded."""
    pieces = []
    for part in message.walk():
        if part.get_content_maintype() == "text" or (part.get_filename() or "").endswith((".patch", ".diff")):
            payload = part.get_payload(decode=True)
            if not isinstance(payload, bytes):
                continue
            charset = part.get_content_charset() or "utf-8"
            try:
                pieces.append(payload.decode(charset, "replace"))
            except LookupError:
                pieces.append(payload.decode("utf-8", "replace"))
            if part.get_param("format") == "flowed":
                pieces[-1] = re.sub(r"(?m)(?<=\S) \n(?![>+\- @])", " ", pieces[-1])
    return "\n".join(pieces).replace("\r\n", "\n").replace("\u00a0", " ")


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
