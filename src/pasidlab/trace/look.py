"""How text looks where it is read: the width of the terminal, and colour where it is wanted."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

PAGE = 80
"""Columns of a trace, and of prose."""
NARROWEST = 20
SGR = {"good": "32", "bad": "1;31", "open": "33", "dim": "2", "strong": "1"}
"""Manner -> ECMA-48 Select Graphic Rendition."""
VERDICTS = {"holds": "good", "violated": "bad", "inconclusive": "open"}


@dataclass(frozen=True)
class Look:
    """``terminal`` is the width of the terminal; None: a file, a pipe or an assertion reads it."""

    terminal: int | None = None
    colour: bool = False

    @property
    def page(self) -> int:
        """Columns a trace and prose may take."""
        return max(NARROWEST, min(PAGE, self.terminal or PAGE))

    @property
    def table(self) -> int | None:
        """Columns a table may take; None: as many as it likes."""
        return max(NARROWEST, self.terminal) if self.terminal else None

    def paint(self, manner: str, text: str) -> str:
        """The text in a manner of SGR, if colour is wanted. It takes no more columns."""
        return f"\x1b[{SGR[manner]}m{text}\x1b[0m" if self.colour and text.strip() else text

    def prose(self, text: str, first: str = "", then: str = "") -> list[str]:
        """A paragraph, in lines."""
        return wrapped(text, self.page, first, then)

    def broken(self, line: str) -> list[str]:
        """One line, in as many as the terminal needs; it goes on below where its text begins."""
        indent = " " * (len(line) - len(line.lstrip()))
        return wrapped(line, self.table or PAGE, "", f"{indent}  ") or [line]

    def titled(self, title: str, rest: str, manner: str = "") -> list[str]:
        """``title: rest``, the rest in a manner of SGR; below each other where they do not fit on one line."""
        told = self.paint(manner, rest)
        if len(f"{title}: {rest}") <= self.page:
            return [f"{self.paint('strong', title)}: {told}"]
        return [*(self.paint("strong", line) for line in self.prose(f"{title}:")), f"  {told}"]

    def definitions(self, entries: Mapping[str, str]) -> list[str]:
        """Names and what they mean, side by side; one below the other where there is no room."""
        column = max((len(name) for name in entries), default=0) + 4
        if self.page < 2 * column:
            return [line for name, meaning in entries.items() for line in (f"  {name}", *self.prose(meaning, "    ", "    "))]
        return [line for name, meaning in entries.items() for line in self.prose(meaning, f"  {name:<{column - 2}}", " " * column)]


PLAIN = Look()


class _CodeWrapper(textwrap.TextWrapper):
    """Breaks names too long for a line where they have a bracket or a dot."""

    wordsep_simple_re = re.compile(r"(\s+)|(?<=[(.])(?=\w)")


class _Names(textwrap.TextWrapper):
    """Breaks names also at other marks that stand in them."""

    wordsep_simple_re = re.compile(r"(\s+)|(?<=[(._,:/=-])(?=\w)|(?<=\w)(?=\()")


def wrapped(text: str, width: int, first: str, then: str) -> list[str]:
    """A paragraph in lines; a word too long for a line is broken where its parts meet."""
    room = width - max(len(first), len(then))
    kinds = [kind(width, first, then, break_on_hyphens=False) for kind in (textwrap.TextWrapper, _CodeWrapper, _Names)]
    fitting = (kind for kind in kinds if all(len(piece) <= room for piece in kind.wordsep_simple_re.split(text) if piece and piece.strip()))
    return next(fitting, kinds[-1]).wrap(text)


def look_of(stream: TextIO | None) -> Look:
    """The look for a stream; None is one that is closed. NO_COLOR (no-color.org) and TERM=dumb switch colour off."""
    if stream is None or stream.closed or not stream.isatty():
        return PLAIN
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
    return Look(shutil.get_terminal_size((PAGE, 24)).columns, not plain)


def lines_of(blocks: Iterable[Iterable[str]]) -> str:
    """Blocks of lines with an empty line between them."""
    return "\n\n".join("\n".join(block) for block in blocks)
