"""C source text as preprocessor tokens that remember where they stood."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from pasidlab.errors import PasidlabError, Position

MAX_BYTES = 4_000_000  # no source file of Linux that matters here is near this
MAX_NESTING = 200

_TOKEN = re.compile(
    r"""(?P<space>[ \t\f\v\r]+|\\\r?\n)
      |(?P<newline>\n)
      |(?P<comment>//(?:\\\r?\n|[^\n])*|/\*.*?\*/)
      |(?P<string>L?"(?:\\.|[^"\\\n])*")
      |(?P<char>L?'(?:\\.|[^'\\\n])+')
      |(?P<endless>"(?:\\.|[^"\\\n])*|'(?:\\.|[^'\\\n])+)
      |(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
      |(?P<number>\.?[0-9](?:[eEpP][+-]|[A-Za-z0-9_.])*)
      |(?P<punct>\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\#\#|/(?!\*)|[][(){}.&*+\-~!%<>^|?:;=,\#@`\\])
      |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A preprocessor token; ``offset`` is where it stands in the source, for a token out of a macro where that was used."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True)
class Source:
    """The text of one file. ``file`` is the name positions carry; ``first`` the number of its first line.

    ``places`` gives, for text put together from pieces (a patch), the file and line each line came from.
    """

    text: str
    file: str
    first: int = 1
    places: tuple[tuple[str, int], ...] = ()
    partial: bool = False  # a piece of a file: what is cut off at its edges is no error

    def __post_init__(self) -> None:
        starts = [0, *accumulate(len(line) + 1 for line in self.text.split("\n"))]
        object.__setattr__(self, "_starts", starts)

    def position(self, offset: int) -> Position:
        """The place of an offset."""
        starts: list[int] = self._starts  # type: ignore[attr-defined]
        line = bisect_right(starts, max(offset, 0)) - 1
        column = offset - starts[line] + 1
        if self.places:
            file, number = self.places[min(line, len(self.places) - 1)]
            return Position(file, number, column)
        return Position(self.file, self.first + line, column)


def tokens_of(source: Source) -> list[Token]:
    """The tokens of a file; comments count as space. PasidlabError for text that cannot be C.

    A quote without end is ``stray``: it may stand in what is skipped, or in the words of #error (C11 6.4).
    """
    check_size(len(source.text), source.file)
    found: list[Token] = []
    depth = 0
    for kind, text, at in _pieces(source.text):
        if kind == "other":
            if source.partial:
                continue
            if text in "\"'" and not source.text.startswith("/*", at):
                found.append(Token("stray", text, at))
                continue
            raise stray(source, at)
        if kind == "punct" and text in "([{":
            depth += 1
            if depth > MAX_NESTING:
                raise PasidlabError(f"brackets are nested more than {MAX_NESTING} deep", position=source.position(at))
        elif kind == "punct" and text in ")]}":
            depth -= 1
        found.append(Token("space" if kind == "comment" else kind, text, at))
    return found


def _pieces(text: str) -> Iterator[tuple[str, str, int]]:
    """The kind, the text and the place of each token. Where a quote or a comment has no end, no other like it up to there has one."""
    without_end = dict.fromkeys("\"'/", 0)
    at = 0
    while at < len(text):
        first = text[at]
        if at < without_end.get(first, 0) and (first != "/" or text.startswith("/*", at)):
            yield "other", first, at
            at += 1
            continue
        match = _TOKEN.match(text, at)
        assert match is not None
        kind, end = match.lastgroup or "other", match.end()
        if kind == "endless" or (kind == "other" and first == "/"):
            without_end[first] = end if kind == "endless" else len(text)
            kind, end = "other", at + 1
        yield kind, text[at:end], at
        at = end


def check_size(size: int, file: str) -> None:
    """PasidlabError for a file too large to be kernel source or a patch."""
    if size > MAX_BYTES:
        raise PasidlabError(
            f"{file} is too large: {size / 1e6:.1f} MB, at most {MAX_BYTES / 1e6:.0f} MB are read",
            hint="give the file or patch that matters",
        )


def stray(source: Source, offset: int, char: str = "") -> PasidlabError:
    """The error for a character that is no part of C: the one that stands there, or one out of a macro that is used there."""
    char = char or source.text[offset]
    if char in "\"'":
        what = f"this {'string' if char == chr(34) else 'character'} has no end on its line"
    else:
        what = "this comment never ends" if source.text.startswith("/*", offset) else f"{char!r} is no part of C"
    return PasidlabError(what, position=source.position(offset))
