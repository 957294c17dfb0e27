"""One mail: its text and that of its parts, decoded, in time that grows with its length.

The standard library parses headers. It is not asked for the parts, since each line then costs as much as parts are nested (RFC 2046);
nor for a long header, whose grammar it goes down by recursion (RFC 5322).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.parser import Parser
from functools import cached_property
from itertools import islice

from pasidlab.errors import PasidlabError

_READ = ("content-type", "content-transfer-encoding", "content-disposition", "subject")
"""Headers that count; but for the last one they say what a part is."""
_LONGEST_NAME = 100
_MOST_HEADER, _DEEPEST, _MOST_PARTS = 4_000, 10, 1_000
_NO_TEXT = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
"""Names that Python knows as encodings of text, and no mail means."""


class Mail:
    """One message of ``file``; ``first`` is the number of its first line there. PasidlabError where it cannot be read."""

    def __init__(self, file: str, first: int, raw: bytes) -> None:
        self._file = file
        self._message = self._parsed(raw.decode("ascii", "surrogateescape"))
        encoding = str(self._message.get("content-transfer-encoding", "7bit")).strip().lower()
        as_it_stands = encoding in ("7bit", "8bit", "binary") and self._message.get_param("format") != "flowed"
        self.plain = as_it_stands and not _has_parts(self._message)
        """True if the lines of the text are lines of the file."""
        head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
        self.shift = first + head.count(b"\n") + 1 if self.plain else 0
        """What the number of a line of the text lacks to that of a line of the file, if they are the same."""

    @cached_property
    def text(self) -> str:
        """The text of the message and of its attached patches."""
        parts = list(islice(self._leaves(self._message), _MOST_PARTS + 1))
        if len(parts) > _MOST_PARTS:
            raise PasidlabError(f"{self._file}: a message of more than {_MOST_PARTS} parts")
        pieces = (_decoded(part) for part in parts)
        return "\n".join(piece for piece in pieces if piece is not None).replace("\r\n", "\n").replace("\u00a0", " ")

    @property
    def subject(self) -> str:
        """The subject in one line."""
        return " ".join(str(self._header(self._message, "Subject") or "").split())

    def _parsed(self, text: str) -> EmailMessage:
        """Its headers, and the rest as it stands."""
        for name, size in _sizes_of_headers(text):
            if name in _READ and size > _MOST_HEADER:
                raise PasidlabError(f"{self._file}: a header {name.title()} of {size} characters", hint=f"at most {_MOST_HEADER} are read")
        try:
            message = Parser(policy=policy.default).parsestr(text, headersonly=True)
        except RecursionError:  # it looks into Content-Type
            raise self._unreadable("Content-Type") from None
        assert isinstance(message, EmailMessage)
        for name in _READ[:-1]:
            self._header(message, name.title())
        return message

    def _header(self, message: EmailMessage, name: str) -> object:
        """The header as the library understands it; None if there is none."""
        try:
            return message.get(name)
        except Exception:  # RecursionError, and what else the library meets in a header that is wrong
            raise self._unreadable(name) from None

    def _unreadable(self, name: str) -> PasidlabError:
        return PasidlabError(f"{self._file}: a header {name} that cannot be read")

    def _leaves(self, message: EmailMessage, depth: int = 0) -> Iterator[EmailMessage]:
        """The parts that have no parts, in their order."""
        if not _has_parts(message):
            yield message
            return
        if depth == _DEEPEST:
            raise PasidlabError(f"{self._file}: parts within parts of a message, more than {_DEEPEST} deep")
        body = str(message.get_payload())
        boundary = message.get_boundary()
        for piece in [body] if boundary is None else _pieces(body, boundary):
            part = self._parsed(piece)
            if message.get_content_subtype() == "digest":
                part.set_default_type("message/rfc822")
            yield from self._leaves(part, depth + 1)


def _sizes_of_headers(text: str) -> Iterator[tuple[str, int]]:
    """The name of each header, in small letters, and how many characters it has with all its lines."""
    name, size, at = "", 0, 0
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        if text[at] not in " \t":
            yield name, size
            if not text[at:end].strip():
                return
            name, size = text[at : min(end, at + _LONGEST_NAME)].partition(":")[0].strip().lower(), 0
        size += end - at
        at = end
    yield name, size


def _has_parts(message: EmailMessage) -> bool:
    kind = message.get_content_maintype()
    return kind == "message" or (kind == "multipart" and message.get_boundary() is not None)


def _pieces(body: str, boundary: str) -> Iterator[str]:
    """What stands between the lines of a boundary, up to the one that closes it."""
    begin = None
    for line in re.finditer(rf"(?m)^--{re.escape(boundary)}(--)?[ \t]*\r?$", body):
        if begin is not None:
            yield body[begin : max(line.start() - 1, begin)]
        if line[1]:
            return
        begin = line.end() + 1
    if begin is not None:
        yield body[begin:]


def _decoded(part: EmailMessage) -> str | None:
    """The text of a part; None if it has none."""
    if part.get_content_maintype() != "text" and not (part.get_filename() or "").endswith((".patch", ".diff")):
        return None
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return None
    text = payload.decode(_encoding(part.get_content_charset() or "utf-8"), "replace")
    return re.sub(r"(?m)(?<=\S) \n(?![>+\- @])", " ", text) if part.get_param("format") == "flowed" else text


def _encoding(charset: str) -> str:
    """The charset if it is one, else UTF-8."""
    try:
        found = codecs.lookup(charset)
        "".encode(charset)  # LookupError for what does not encode text, such as zlib
    except (LookupError, ValueError):
        return "utf-8"
    return "utf-8" if found.name.replace("-", "_") in _NO_TEXT else charset
