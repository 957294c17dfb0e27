"""The ``format`` files of tracefs: the number of an event, and where its fields lie in the record."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pasidlab.errors import PasidlabError

MOST_DIGITS = 6
"""Of an offset or a size: no record is longer than its page."""
_FIELD = re.compile(r"\s*field:\s*(.*?)\s*;\s*offset:\s*(\d+)\s*;\s*size:\s*(\d+)\s*;(?:\s*signed:\s*([01])\s*;)?")


@dataclass(frozen=True)
class FormatField:
    """A field of a record: bytes from its start, length in bytes."""

    offset: int
    size: int
    signed: bool


@dataclass(frozen=True)
class Format:
    """One event's record."""

    name: str
    number: int
    fields: dict[str, FormatField]

    def place(self, wanted: str) -> FormatField | None:
        """Where a field lies; ``name+8`` is 8 bytes into it. None if the record has no such field."""
        name, _, into = wanted.partition("+")
        found = self.fields.get(name)
        if found is None:
            return None
        start = int(into or 0)
        return FormatField(found.offset + start, min(found.size - start, 8), found.signed)


def parse_format(text: str) -> Format:
    """The format that a ``format`` file describes. PasidlabError if the text is none."""
    name = re.search(r"^name: (\S+)", text, re.M)
    number = re.search(r"^ID: (\d+)", text, re.M)
    if not name or not number:
        raise PasidlabError(f"not an event's format: {text[:40]!r}", hint="the recording is damaged")
    return Format(name[1], int(number[1]), _fields(text))


def parse_header_page(text: str) -> Format:
    """The layout of a page of the ring buffer (``events/header_page``); it has no name and no number."""
    return Format("header_page", 0, _fields(text))


def _fields(text: str) -> dict[str, FormatField]:
    found = {}
    for declared, offset, size, signed in _FIELD.findall(text):
        name = re.sub(r"\[.*\]$", "", declared.split()[-1]).lstrip("*")
        if max(len(offset), len(size)) > MOST_DIGITS:
            raise PasidlabError(f"field {name} at {offset[:20]}, {size[:20]} bytes", hint="the recording is damaged")
        found[name] = FormatField(int(offset), int(size), signed == "1")
    return found
