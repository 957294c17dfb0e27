"""Between the preprocessor and the parser: what a grammar of C without headers cannot know is put into words that it can.

The grammar takes ``(u32)-1`` for a subtraction and ``(u32)(x)`` for a call, since any name may be a variable. Integer typedefs become C's
own words, ``typeof(...)`` one word that is remembered by its place, ``case A ... B`` a call, ``scoped_guard()`` a loop that is one.
Every token keeps its place in the source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pasidlab.lang.c.ctype import TYPE_WORDS, by_words
from pasidlab.lang.c.tokens import Token

TYPEOF = "max_align_t"  # a type to the grammar, and used by no kernel
CASE_RANGE = "__case_range"
SCOPED_GUARD = "__scoped_guard"
_TYPEOF = ("typeof", "__typeof__", "__typeof", "__typeof_unqual__", "typeof_unqual")
_TYPE_FIRST = ("min_t", "max_t", "clamp_t")  # their first argument is a type: it becomes a cast of 0
_NOT_A_TYPE_AFTER = (".", "->", "struct", "union", "enum", "goto")


@dataclass
class Rewritten:
    """The tokens to parse, and the tokens between the brackets of each ``typeof`` by the number of its token."""

    tokens: list[Token]
    typeofs: dict[int, list[Token]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)  # with those the file itself declares


def rewritten(tokens: Sequence[Token], types: Mapping[str, str]) -> Rewritten:
    """``types``: names of integer types, and the words of C they stand for."""
    return _Rewriter(tokens, types).run()


class _Rewriter:
    def __init__(self, tokens: Sequence[Token], types: Mapping[str, str]) -> None:
        self.tokens, self.types = tokens, dict(types)
        self.out = Rewritten([], {}, self.types)

    def run(self) -> Rewritten:
        i, before = 0, ""
        while i < len(self.tokens):
            token = self.tokens[i]
            taken = self._name(i, token, before) if token.kind == "name" else 0
            if not taken:
                self.out.tokens.append(token)
                taken = 1
            if token.kind not in ("space", "newline"):
                before = token.text
            i += taken
        return self.out

    def _name(self, i: int, token: Token, before: str) -> int:
        """How many tokens a name and what belongs to it were replaced; 0: none."""
        if token.text in self.types and before not in _NOT_A_TYPE_AFTER:
            self._put(token, self.types[token.text])
            return 1
        if token.text in TYPE_WORDS:
            return self._words(i, token)
        if token.text in _TYPEOF:
            return self._typeof(i, token)
        if token.text in _TYPE_FIRST:
            return self._type_first(i, token)
        if token.text == "typedef":
            self._typedef(i)
        elif token.text == "case":
            return self._case(i, token)
        elif token.text == "scoped_guard" and self._next(i + 1, "(") is not None:
            self._put(token, f"while({SCOPED_GUARD}")
            return self._bracketed(i)
        return 0

    def _words(self, i: int, token: Token) -> int:
        """``long unsigned int`` in the order the grammar knows."""
        found, end, n = [token.text], i + 1, i + 1
        while n < len(self.tokens) and (self.tokens[n].kind in ("space", "newline") or self.tokens[n].text in TYPE_WORDS):
            if self.tokens[n].text in TYPE_WORDS:
                found.append(self.tokens[n].text)
                end = n + 1
            n += 1
        type_ = by_words(" ".join(found))
        if len(found) == 1 or type_ is None:
            return 0
        self._put(token, str(type_))
        return end - i

    def _put(self, like: Token, text: str, kind: str = "name") -> None:
        self.out.tokens.append(replace(like, text=text, kind=kind))

    def _next(self, i: int, text: str) -> int | None:
        """Where the next token is, if it is the one named."""
        while i < len(self.tokens) and self.tokens[i].kind in ("space", "newline"):
            i += 1
        return i if i < len(self.tokens) and self.tokens[i].text == text else None

    def _closing(self, start: int) -> int | None:
        depth = 0
        for i in range(start, len(self.tokens)):
            text = self.tokens[i].text
            depth += (text == "(") - (text == ")")
            if depth == 0:
                return i
        return None

    def _bracketed(self, i: int) -> int:
        """The brackets behind a name as they are, and one bracket more."""
        start = self._next(i + 1, "(")
        end = self._closing(start) if start is not None else None
        if start is None or end is None:
            return 1
        inner = _Rewriter(self.tokens[start : end + 1], self.types).run()
        self.out.typeofs |= {number + len(self.out.tokens): found for number, found in inner.typeofs.items()}
        self.out.tokens += inner.tokens
        self._put(self.tokens[end], ")", "punct")
        return end + 1 - i

    def _typeof(self, i: int, token: Token) -> int:
        start = self._next(i + 1, "(")
        end = self._closing(start) if start is not None else None
        if start is None or end is None:
            return 0
        self.out.typeofs[len(self.out.tokens)] = list(self.tokens[start + 1 : end])
        self._put(token, TYPEOF)
        return end + 1 - i

    def _type_first(self, i: int, token: Token) -> int:
        start = self._next(i + 1, "(")
        comma = next((n for n in range(start, len(self.tokens)) if self.tokens[n].text in (",", ";")), None) if start is not None else None
        if start is None or comma is None or self.tokens[comma].text == ";":
            return 0
        self._put(token, token.text)
        self._put(token, "((")
        inner = _Rewriter(self.tokens[start + 1 : comma], self.types).run()
        self.out.typeofs |= {number + len(self.out.tokens): found for number, found in inner.typeofs.items()}
        self.out.tokens += inner.tokens
        self._put(token, ")0")
        return comma - i

    def _typedef(self, i: int) -> None:
        """Learn a name that stands for words of C, for another such name, or for a struct or enum with a tag."""
        end = next((n for n in range(i, len(self.tokens)) if self.tokens[n].text == ";"), len(self.tokens))
        words = [t.text for t in self.tokens[i + 1 : end] if t.kind not in ("space", "newline") and t.text not in ("const", "volatile")]
        if len(words) < 2 or not all(word.replace("_", "a").isalnum() for word in words):
            return
        *given, name = words
        if all(word in TYPE_WORDS for word in given):
            self.types[name] = str(by_words(" ".join(given)) or " ".join(given))
        elif len(given) == 1 and given[0] in self.types:
            self.types[name] = self.types[given[0]]
        elif len(given) == 2 and given[0] in ("struct", "union", "enum"):
            self.types[name] = " ".join(given)

    def _case(self, i: int, token: Token) -> int:
        """``case A ... B:`` becomes ``case __case_range(A,B):``."""
        end = next((n for n in range(i, len(self.tokens)) if self.tokens[n].text in (":", ";", "{")), len(self.tokens))
        dots = next((n for n in range(i, end) if self.tokens[n].text == "..."), None)
        if dots is None or end == len(self.tokens) or self.tokens[end].text != ":":
            return 0
        self._put(token, "case ")
        self._put(token, f"{CASE_RANGE}(")
        self.out.tokens += _Rewriter(self.tokens[i + 1 : dots], self.types).run().tokens
        self._put(self.tokens[dots], ",", "punct")
        self.out.tokens += _Rewriter(self.tokens[dots + 1 : end], self.types).run().tokens
        self._put(self.tokens[end], ")", "punct")
        return end - i
