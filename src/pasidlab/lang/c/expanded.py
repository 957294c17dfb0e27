"""Text behind the preprocessor: without directives and macros, every token with its place in the source."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from pasidlab.errors import Position
from pasidlab.lang.c.rewrite import Rewritten, rewritten
from pasidlab.lang.c.tokens import Source

_JOINED = frozenset([
    "++", "--", "->", "<<", ">>", "&&", "||", "//", "/*", "##", "..", "<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "==",
    "!=", "<=", ">=",
])  # fmt: skip


@dataclass
class Expanded:
    """Text without directives and macros, and where each of its tokens stood in the source."""

    text: str
    source: Source
    outs: list[int] = field(repr=False)
    ins: list[int] = field(repr=False)
    typeofs: dict[int, Expanded] = field(default_factory=dict, repr=False)  # place of the word in the text -> what is in its brackets

    def position(self, out: int) -> Position:
        """The place in the source of an offset in the text."""
        index = max(bisect_right(self.outs, out) - 1, 0)
        return self.source.position(self.ins[index] if self.ins else 0)

    def piece(self, before: str, start: int, end: int, behind: str) -> Expanded:
        """A part of the text, in bytes, with other text around; every place stays known."""
        first, last = bisect_left(self.outs, start), bisect_left(self.outs, end)
        shift = len(before) - start
        text = before + self.text.encode()[start:end].decode() + behind
        typeofs = {at + shift: found for at, found in self.typeofs.items() if start <= at < end}
        outs = [out + shift for out in self.outs[first:last]]
        return Expanded(text, self.source, outs, self.ins[first:last], typeofs)


def joined_tokens(tokens: Rewritten, source: Source) -> Expanded:
    """The text of tokens, and where each stood."""
    found = Expanded("", source, [], [])
    pieces: list[str] = []
    at = 0
    for number, token in enumerate(tokens.tokens):
        text = " " if token.kind == "space" else token.text
        if text != " " and pieces and pieces[-1] != " " and _would_join(pieces[-1], text):
            pieces.append(" ")  # ``-NEGATIVE`` is no ``--``
            at += 1
        if number in tokens.typeofs:
            found.typeofs[at] = joined_tokens(rewritten(tokens.typeofs[number], tokens.types), source)
        found.outs.append(at)
        found.ins.append(token.offset)
        pieces.append(text)
        at += len(text) if text.isascii() else len(text.encode())
    found.text = "".join(pieces)
    return found


def _would_join(left: str, right: str) -> bool:
    """Whether two tokens side by side would be read as one, or as a comment."""
    if left[-1:].isalnum() or left[-1:] == "_":
        return right[:1].isalnum() or right[:1] == "_"
    return left + right[:1] in _JOINED
