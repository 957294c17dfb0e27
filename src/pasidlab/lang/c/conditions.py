"""The expressions of #if: integers, defined(), IS_ENABLED() and the CONFIG_ options of a kernel configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.tokens import Token

ENABLED = ("IS_ENABLED", "IS_BUILTIN", "IS_REACHABLE")
_LEVELS: tuple[dict[str, Callable[[int, int], int]], ...] = (
    {"||": lambda a, b: int(bool(a) or bool(b))},
    {"&&": lambda a, b: int(bool(a) and bool(b))},
    {"|": lambda a, b: a | b},
    {"^": lambda a, b: a ^ b},
    {"&": lambda a, b: a & b},
    {"==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b)},
    {"<": lambda a, b: int(a < b), ">": lambda a, b: int(a > b), "<=": lambda a, b: int(a <= b), ">=": lambda a, b: int(a >= b)},
    {"<<": lambda a, b: a << min(b, 63), ">>": lambda a, b: a >> min(b, 63)},
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"*": lambda a, b: a * b, "/": lambda a, b: a // b if b else 0, "%": lambda a, b: a % b if b else 0},
)


def number(text: str) -> int | None:
    """The value of a C integer constant, or None."""
    body = re.sub(r"[uUlL]+$", "", text)
    try:
        return int(body, 8) if re.fullmatch(r"0[0-7]+", body) else int(body, 0)
    except ValueError:
        return None


def character(text: str) -> int | None:
    """The value of a C character constant, or None."""
    body = text[text.index("'") + 1 : -1]
    try:
        value = body.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return None
    return ord(value) if len(value) == 1 else None


def is_enabled(option: str, config: Mapping[str, str]) -> bool:
    """IS_ENABLED(): built in or a module."""
    return config.get(option, "n") in ("y", "m")


class Condition:
    """Evaluates the tokens of one #if line, macros already expanded."""

    def __init__(self, tokens: Sequence[Token], defined: Callable[[str], bool], config: Mapping[str, str], at: Position) -> None:
        self.tokens = [t for t in tokens if t.kind != "space"]
        self.defined, self.config, self.where = defined, config, at
        self.next = 0

    def value(self) -> int:
        """The value of the whole line."""
        result = self._ternary()
        if self.next < len(self.tokens):
            raise self._error(f"'{self.tokens[self.next].text}' does not belong in #if")
        return result

    def _error(self, what: str) -> PasidlabError:
        return PasidlabError(what, position=self.where)

    def _peek(self) -> str:
        return self.tokens[self.next].text if self.next < len(self.tokens) else ""

    def _take(self, wanted: str) -> None:
        if self._peek() != wanted:
            raise self._error(f"'{wanted}' expected in #if, not '{self._peek() or 'the end of the line'}'")
        self.next += 1

    def _ternary(self) -> int:
        test = self._binary(0)
        if self._peek() != "?":
            return test
        self._take("?")
        yes = self._ternary()
        self._take(":")
        no = self._ternary()
        return yes if test else no

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._peek() in _LEVELS[level]:
            operator = _LEVELS[level][self._peek()]
            self.next += 1
            left = operator(left, self._binary(level + 1))
        return left

    def _unary(self) -> int:
        if self.next >= len(self.tokens):
            raise self._error("an expression is missing in #if")
        token = self.tokens[self.next]
        self.next += 1
        match token.text:
            case "!":
                return int(not self._unary())
            case "-":
                return -self._unary()
            case "+":
                return self._unary()
            case "~":
                return ~self._unary()
            case "(":
                value = self._ternary()
                self._take(")")
                return value
        if token.kind in ("number", "char"):
            constant = number(token.text) if token.kind == "number" else character(token.text)
            if constant is None:
                raise self._error(f"'{token.text}' is no integer")
            return constant
        if token.kind != "name":
            raise self._error(f"'{token.text}' does not belong in #if")
        return self._name(token.text)

    def _name(self, name: str) -> int:
        if name == "defined" or name in ENABLED:
            bracket = self._peek() == "("
            if bracket:
                self.next += 1
            argument = self._peek()
            self.next += 1
            if bracket:
                self._take(")")
            return int(self.defined(argument) if name == "defined" else is_enabled(argument, self.config))
        if self._peek() == "(":  # a function-like macro nobody defined: no value to rely on
            raise self._error(f"'{name}' is not defined")
        return 0
