"""Errors meant for the person at the keyboard, and how they are worded; everything else is a bug in pasidlab."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Characters that act on a terminal, or that nobody sees: controls, changes of direction, lone surrogates."""


@dataclass(frozen=True)
class Position:
    """A place in a source file. Lines and columns count from 1; column 0 means the whole line."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        place = f"{printable(self.file)}:{self.line}"
        return f"{place}:{self.column}" if self.column else place


class PasidlabError(Exception):
    """Bad input or usage: printed as one message, exit code 2.

    ``what`` says what was met, ``hint`` what to write or do instead, ``position`` where (None: not in a file).
    """

    def __init__(self, what: str, *, hint: str = "", position: Position | None = None) -> None:
        self.what, self.hint, self.position = what, hint, position
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.position}: " if self.position else ""
        return f"{place}{self.what}" + (f"\n  hint: {self.hint}" if self.hint else "")


class UnknownName(PasidlabError):
    """A name in a source that nothing defines."""


def printable(text: str, keep: str = "") -> str:
    """``text`` with an escape for every character that acts on a terminal, as a name that anybody gave may have; but for ``keep``."""
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(), text)


def counted(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
