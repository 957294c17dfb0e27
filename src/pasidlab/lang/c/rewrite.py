"""Between the preprocessor and the parser: what a grammar of C without headers cannot know is put into words that it can.

The grammar takes ``(u32)-1`` for a subtraction and ``(u32)(x)`` for a call, since any name may be a variable. Integer typedefs become C's
own words. ``typeof(...)`` becomes one word that is remembered by its place, ``case A ... B`` a call, ``scoped_guard()`` a loop that is
one. The grammar takes ``(a * (b)) & c`` for a cast of &c, ``(a)+(b)*c`` for one of a product; ``(a *+ (b)) & c`` and ``a+(b)*c`` have the
same value. Every token keeps its place in the source.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import merge

from pasidlab.lang.c.ctype import QUALIFIERS, TYPE_WORDS, by_words
from pasidlab.lang.c.tokens import Token

TYPEOF = "max_align_t"  # a type to the grammar, and used by no kernel
UNNAMED = "__unnamed"
CASE_RANGE = "__case_range"
SCOPED_GUARD = "__scoped_guard"
_TYPEOF = ("typeof", "__typeof__", "__typeof", "__typeof_unqual__", "typeof_unqual")
_TYPE_FIRST = ("min_t", "max_t", "clamp_t")  # their first argument is a type: it becomes a cast of 0
_BEFORE_EXPRESSIONS = ("return", "case", "else", "do")
_SOUGHT = (",", ":", ";", "...", "(", ")", "{", "}", "typedef")
_MOST_WORDS = 8  # of an integer type: "long long unsigned int" has four
_NOT_A_TYPE_AFTER = (".", "->", "struct", "union", "enum", "goto")


@dataclass
class Rewritten:
    """The tokens to parse, and the tokens between the brackets of each ``typeof`` by the number of its token."""

    tokens: list[Token]
    typeofs: dict[int, list[Token]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)  # with those the file itself declares
    clash: tuple[Token, str] | None = None  # a name that stands for a type and for something else, and what


def rewritten(tokens: Sequence[Token], types: Mapping[str, str]) -> Rewritten:
    """``types``: names of integer types, and the words of C they stand for."""
    return _Rewriter(tokens, types).run()


class _Rewriter:
    def __init__(self, tokens: Sequence[Token], types: Mapping[str, str]) -> None:
        self.tokens, self.types = tokens, dict(types)
        self.out = Rewritten([], {}, self.types)
        self.declared: set[int] = set()  # the names that typedefs give
        self.own: dict[str, str] = {}  # what typedefs of this text say
        self.untagged: dict[int, str] = {}  # ``struct`` without a tag -> the tag it gets
        self.pairs: dict[str, dict[int, int]] = {}  # by the bracket that opens: where each is closed
        self.closes: set[int] = set()  # brackets behind which another one is closed
        self.places: dict[str, list[int]] = {text: [] for text in _SOUGHT}
        for n, token in enumerate(tokens):
            if token.text in _SOUGHT:
                self.places[token.text].append(n)

    def run(self) -> Rewritten:
        i, before = 0, ""
        behind_bracket = ""  # a name that stands right behind an opening bracket
        while i < len(self.tokens):
            token = self.tokens[i]
            if token.kind in ("space", "newline"):
                self.out.tokens.append(token)
                i += 1
                continue
            taken = self._name(i, token, before) if token.kind == "name" else self._operand(i, token, before)
            if not taken:
                self.out.tokens.append(token)
                taken = 1
            if token.text == "," and self._next(i + 1, ":") is not None:
                self._put(token, UNNAMED)  # ``u32 a:1, :3;``
            if token.text == "*" and before == behind_bracket != "" and self._next(i + 1, "(") is not None:
                self._put(token, "+", "punct")
            last = self.out.tokens[-1]
            if last.kind not in ("space", "newline"):
                behind_bracket = last.text if before == "(" and last.kind == "name" and not self._names_type(last.text) else ""
                before = last.text
            if i in self.closes:
                self._put(token, ")", "punct")
            i += taken
        return self.out

    def _operand(self, i: int, token: Token, before: str) -> int:
        """``(a)`` before an operator that has a form with one operand becomes ``a``, where a is no type: how many tokens that takes."""
        called = before[:1].isalnum() or before[:1] in ("_", ")", "]")
        if token.text != "(" or (called and before not in _BEFORE_EXPRESSIONS):
            return 0
        found = [n for n in range(i, min(i + 8, len(self.tokens))) if self.tokens[n].kind not in ("space", "newline")][:4]
        texts = [self.tokens[n].text for n in found]
        if len(found) < 4 or texts[2] != ")" or texts[3] not in ("+", "-", "*", "&") or self.tokens[found[1]].kind != "name":
            return 0
        if self._names_type(texts[1]):
            return 0
        self._put(self.tokens[found[1]], texts[1])
        return found[2] + 1 - i

    def _names_type(self, name: str) -> bool:
        return name in self.types or name in TYPE_WORDS or name in QUALIFIERS or name in _NOT_A_TYPE_AFTER

    def _name(self, i: int, token: Token, before: str) -> int:
        """How many tokens a name and what belongs to it were replaced; 0: none."""
        if i in self.untagged:
            self._put(token, f"{token.text} {self.untagged[i]}")
            return 1
        if token.text in self.types and before not in _NOT_A_TYPE_AFTER and i not in self.declared:
            if before.rpartition(" ")[2] in TYPE_WORDS:  # two types in a row: the second is declared
                self.out.clash = self.out.clash or (token, "a type and of something else")
            return self._unnamed(i, i + 1, self.types[token.text], token) or self._put(token, self.types[token.text])
        if token.text in TYPE_WORDS:
            return self._words(i, token) or self._unnamed(i, i + 1, token.text, token)
        if token.text in _TYPEOF:
            return self._typeof(i, token)
        if token.text in _TYPE_FIRST:
            return self._type_first(i, token)
        if token.text == "__attribute__":
            return self._fallthrough(i)
        if token.text == "typedef":
            self._typedef(i)
        elif token.text == "case":
            return self._case(i, token)
        elif token.text == "scoped_guard" and self._next(i + 1, "(") is not None:
            self._put(token, f"while({SCOPED_GUARD}")
            return self._bracketed(i)
        return 0

    def _fallthrough(self, i: int) -> int:
        """``__attribute__((fallthrough));`` is an empty statement. How many tokens come before its end; 0 for another attribute."""
        rest = [(n, t.text) for n, t in enumerate(self.tokens[i + 1 : i + 20], i + 1) if t.kind not in ("space", "newline")][:6]
        words = [text for _, text in rest]
        if len(words) == 6 and words[:2] + words[3:] == ["(", "(", ")", ")", ";"] and words[2].strip("_") == "fallthrough":
            return rest[5][0] - i
        return 0

    def _words(self, i: int, token: Token) -> int:
        """``long unsigned int`` in the order the grammar knows."""
        found, end, n = [token.text], i + 1, i + 1
        while n < len(self.tokens) and len(found) < _MOST_WORDS:
            if self.tokens[n].kind not in ("space", "newline") and self.tokens[n].text not in TYPE_WORDS:
                break
            if self.tokens[n].text in TYPE_WORDS:
                found.append(self.tokens[n].text)
                end = n + 1
            n += 1
        type_ = by_words(" ".join(found))
        if len(found) == 1 or type_ is None:
            return 0
        return self._unnamed(i, end, str(type_), token) or self._put(token, str(type_)) * (end - i)

    def _unnamed(self, i: int, end: int, type_: str, token: Token) -> int:
        """``u16 :4;``: bits without a name get one that nobody can write. How many tokens that takes; 0: there are none."""
        if self._next(end, ":") is None:
            return 0
        self._put(token, f"{type_} {UNNAMED}")
        return end - i

    def _put(self, like: Token, text: str, kind: str = "name") -> int:
        self.out.tokens.append(replace(like, text=text, kind=kind))
        return 1

    def _next(self, i: int, text: str) -> int | None:
        """Where the next token is, if it is the one named."""
        while i < len(self.tokens) and self.tokens[i].kind in ("space", "newline"):
            i += 1
        return i if i < len(self.tokens) and self.tokens[i].text == text else None

    def _first(self, i: int, *texts: str) -> int:
        """Where the first token from the ``i``-th on is that is one of these; the number of tokens if there is none."""
        found = ((self.places[text], bisect_left(self.places[text], i)) for text in texts)
        return min((places[n] for places, n in found if n < len(places)), default=len(self.tokens))

    def _closing(self, start: int, opening: str = "(", closing: str = ")") -> int | None:
        """Where the bracket that opens at ``start`` is closed."""
        return self._pairs(opening, closing).get(start)

    def _pairs(self, opening: str, closing: str) -> dict[int, int]:
        if opening not in self.pairs:
            self.pairs[opening], open_ones = {}, []
            for n in merge(self.places[opening], self.places[closing]):
                if self.tokens[n].text == opening:
                    open_ones.append(n)
                elif open_ones:
                    self.pairs[opening][open_ones.pop()] = n
        return self.pairs[opening]

    def _bracketed(self, i: int) -> int:
        """The brackets behind a name get one bracket more at their end."""
        start = self._next(i + 1, "(")
        if start is not None and (end := self._closing(start)) is not None:
            self.closes.add(end)
        return 1

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
        comma = self._first(start or 0, ",", ";")
        if start is None or comma == len(self.tokens) or self.tokens[comma].text == ";":
            return 0
        self._put(token, token.text)
        self._put(token, "((")
        inner = _Rewriter(self.tokens[start + 1 : comma], self.types).run()
        self.out.typeofs |= {number + len(self.out.tokens): found for number, found in inner.typeofs.items()}
        self.out.tokens += inner.tokens
        self._put(token, ")0")
        return comma - i

    def _typedef(self, i: int) -> None:
        """Learn a name that stands for words of C, for another such name, or for a struct or enum."""
        end = self._first(i, ";", "{")
        if self._first(i + 1, "typedef") < end:
            return
        if end < len(self.tokens) and self.tokens[end].text == "{":
            self._typedef_of(i, end)
            return
        given = [n for n in range(i + 1, end) if self.tokens[n].kind not in ("space", "newline")]
        words = [self.tokens[n].text for n in given if self.tokens[n].text not in ("const", "volatile")]
        const = "const " if any(self.tokens[n].text == "const" for n in given) else ""
        self.declared |= set(given[-1:])
        if len(words) < 2 or not all(word.replace("_", "a").isalnum() for word in words):
            return
        before = words[:-1]
        if all(word in TYPE_WORDS for word in before):
            self._learn(given[-1], const + str(by_words(" ".join(before)) or " ".join(before)))
        elif len(before) == 1 and before[0] in self.types:
            self._learn(given[-1], const + self.types[before[0]])
        elif len(before) == 2 and before[0] in ("struct", "union", "enum"):
            self._learn(given[-1], const + " ".join(before))

    def _learn(self, at: int, type_: str) -> None:
        """The name at a token stands for a type, to the end of the file: names of blocks are not kept apart."""
        name = self.tokens[at].text
        if self.own.setdefault(name, type_) != type_:
            self.out.clash = self.out.clash or (self.tokens[at], "two types")
        self.types[name] = type_

    def _typedef_of(self, i: int, brace: int) -> None:
        """``typedef struct { ... } name;``: one without a tag gets the name for it."""
        before = [n for n in range(i + 1, brace) if self.tokens[n].kind not in ("space", "newline")]
        end = self._closing(brace, "{", "}")
        names = [n for n in range(end or brace, len(self.tokens)) if self.tokens[n].kind not in ("space", "newline")][1:3]
        if len(names) < 2 or self.tokens[names[0]].kind != "name" or self.tokens[names[1]].text != ";" or not before:
            return
        name, words = self.tokens[names[0]].text, [self.tokens[n].text for n in before]
        self.declared.add(names[0])
        if len(words) == 1:
            self.untagged[before[0]] = name
        self.types[name] = f"{words[0]} {words[1] if len(words) > 1 else name}"

    def _case(self, i: int, token: Token) -> int:
        """``case A ... B:`` becomes ``case __case_range(A,B):``."""
        end, dots = self._first(i, ":", ";", "{"), self._first(i, "...")
        if dots > end or end == len(self.tokens) or self.tokens[end].text != ":":
            return 0
        self._put(token, "case ")
        self._put(token, f"{CASE_RANGE}(")
        self.out.tokens += _Rewriter(self.tokens[i + 1 : dots], self.types).run().tokens
        self._put(self.tokens[dots], ",", "punct")
        self.out.tokens += _Rewriter(self.tokens[dots + 1 : end], self.types).run().tokens
        self._put(self.tokens[end], ")", "punct")
        return end - i
