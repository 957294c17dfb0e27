"""Macros, and what their expansion does with lists of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.conditions import ENABLED, c_constant
from pasidlab.lang.c.tokens import Token

PAINTED = "painted"
"""The kind of a name that is no macro any more, wherever it goes: it was met while that macro was being replaced (C11 6.10.3.4)."""


@dataclass(frozen=True)
class Macro:
    """A #define: ``params`` is None for an object-like macro."""

    name: str
    params: tuple[str, ...] | None
    body: tuple[Token, ...]
    variadic: bool = False


def text(tokens: Sequence[Token]) -> str:
    """The spelling of tokens."""
    return "".join(token.text for token in tokens).strip()


def same(a: str, b: str) -> bool:
    """Whether two texts are the same constant."""
    return a == b or (c_constant(a) is not None and c_constant(a) == c_constant(b))


def unpainted(tokens: list[Token]) -> list[Token]:
    """Tokens whose names may be macros again."""
    return [replace(token, kind="name") if token.kind == PAINTED else token for token in tokens]


def quoted(tokens: Sequence[Token]) -> str:
    """``#x``: the spelling of each token, one space where there is space between two (C11 6.10.3.2)."""
    text = ""
    for token in tokens:
        if token.kind in ("space", "newline"):
            text = text if text.endswith(" ") else text + " "
        else:
            text += token.text.replace("\\", "\\\\").replace('"', '\\"') if token.kind in ("string", "char") else token.text
    return f'"{text.strip()}"'


def paste(left: Token, right: Token, at: Token) -> Token:
    """Two tokens made one by ##."""
    text = left.text + right.text
    if text[0].isalpha() or text[0] == "_":
        return Token("name", text, at.offset)
    return Token("number" if text[0].isdigit() else "punct", text, at.offset)


def shielded(tokens: Sequence[Token]) -> list[Token]:
    """In #if the operand of defined() is not expanded, nor that of IS_ENABLED(); not in the body of a macro either."""
    out, name_next = [], False
    for token in tokens:
        if token.kind == "name":
            out.append(replace(token, kind="shield") if name_next else token)
            name_next = token.text == "defined" or token.text in ENABLED
        else:
            out.append(token)
            name_next = name_next and (token.kind == "space" or token.text == "(")
    return out


def stripped(tokens: list[Token]) -> list[Token]:
    """Tokens without the space around."""
    start, end = 0, len(tokens)
    while start < end and tokens[start].kind in ("space", "newline"):
        start += 1
    while end > start and tokens[end - 1].kind in ("space", "newline"):
        end -= 1
    return tokens[start:end]


def beside_paste(body: Sequence[Token], n: int) -> bool:
    """Whether a token of a macro's body stands beside ##."""
    return (n + 1 < len(body) and body[n + 1].text == "##") or (n > 0 and body[n - 1].text == "##")


def bracketed(tokens: Sequence[Token], i: int) -> tuple[bool, int, list[list[Token]]]:
    """From an opening bracket: whether there is one, the index after the closing one (-1: none), and what the commas divide."""
    while i < len(tokens) and tokens[i].kind in ("space", "newline"):
        i += 1
    if i >= len(tokens) or tokens[i].text != "(":
        return False, i, []
    depth, pieces = 0, [[]]  # type: tuple[int, list[list[Token]]]
    while i < len(tokens):
        text = tokens[i].text
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
            if depth == 0:
                return True, i + 1, pieces
        if text == "," and depth == 1:
            pieces.append([])
        elif depth > 1 or text != "(":
            pieces[-1].append(tokens[i])
        i += 1
    return True, -1, pieces


def define(rest: Sequence[Token], at: Position) -> Macro:
    """The macro a #define line makes."""
    names = [n for n, t in enumerate(rest) if t.kind != "space"]
    if not names or rest[names[0]].kind != "name":
        raise PasidlabError("#define needs a name", position=at)
    first = names[0]
    name = rest[first].text
    body = list(rest[first + 1 :])
    params: tuple[str, ...] | None = None
    variadic = False
    if body and body[0].text == "(":
        _, after, pieces = bracketed(body, 0)
        if after < 0:
            raise PasidlabError(f"the parameters of macro {name} have no end", position=at)
        found = ["".join(t.text for t in piece if t.kind != "space") for piece in pieces]
        variadic = bool(found) and found[-1].endswith("...")
        params = tuple("__VA_ARGS__" if p == "..." else p.removesuffix("...") for p in found if p)
        body = body[after:]
    trimmed = [t for t in body if t.kind != "newline"]
    while trimmed and trimmed[0].kind == "space":
        trimmed.pop(0)
    while trimmed and trimmed[-1].kind == "space":
        trimmed.pop()
    return Macro(name, params, tuple(trimmed), variadic)
