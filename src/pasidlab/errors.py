"""Errors meant for the person at the keyboard, and how they are worded; everything else is a bug in pasidlab."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Position:
    """A place in a source file. Lines and columns count from 1; column 0 means the whole line."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


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


def counted(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
