"""The expressions of #if: integers, defined(), IS_ENABLED() and the CONFIG_ options of a kernel configuration."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.ctype import Integer, fitting
from pasidlab.lang.c.tokens import Token
from pasidlab.lang.emit import EXACT, wrapped_to_64

ENABLED = ("IS_ENABLED", "IS_BUILTIN", "IS_MODULE", "IS_REACHABLE")
_LEVELS = (("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", ">", "<=", ">="), ("<<", ">>"), ("+", "-"), ("*", "/", "%"))
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_ARITHMETIC = {"|": "or", "^": "xor", "&": "and", "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod"}
_INTEGER = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)([uU]?(?:l|L|ll|LL)?|(?:l|L|ll|LL)[uU])")

_MOST_DIGITS = 22  # of 64 bits, in octal


def constant(text: str) -> tuple[int, Integer] | None:
    """The value and the type of a C integer constant, or None."""
    match = _INTEGER.fullmatch(text)
    if match is None or re.fullmatch(r"0[0-7]*[89][0-9]*", match[1]):
        return None
    if match[1].isdecimal() and len(match[1].lstrip("0")) > _MOST_DIGITS:
        return None
    octal = re.fullmatch(r"0[0-7]+", match[1]) is not None
    value = int(match[1], 8 if octal else 0)
    type_ = fitting(value, octal or match[1][:2] in ("0x", "0X", "0b", "0B"), match[2].lower())
    return (value, type_) if type_ is not None else None


def c_constant(text: str) -> int | None:
    """The value of a C integer constant, or None."""
    found = constant(text)
    return found[0] if found is not None else None


def character(text: str) -> int | None:
    """The value of a C character constant, or None."""
    body = text[text.index("'") + 1 : -1]
    try:
        value = body.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return None
    if body == "\\e":  # gcc's
        return 27
    return ord(value) if len(value) == 1 and ord(value) < 256 and not body.startswith(("\\N", "\\u", "\\U")) else None


def is_set(option: str, config: Mapping[str, str]) -> bool:
    """Whether include/generated/autoconf.h has a #define of this name: of an option that is not a module, or that plus _MODULE."""
    value = config.get(option, "n")
    return value not in ("n", "m") or (value == "n" and config.get(option.removesuffix("_MODULE")) == "m" and option.endswith("_MODULE"))


def answered(test: str, option: str, config: Mapping[str, str]) -> bool:
    """IS_ENABLED() and its relatives (include/linux/kconfig.h), for code that is built in."""
    value = config.get(option, "n")
    return {"IS_ENABLED": value in ("y", "m"), "IS_MODULE": value == "m"}.get(test, value == "y")


@dataclass(frozen=True)
class IntMax:
    """A value in #if: of intmax_t, or of uintmax_t."""

    value: int
    unsigned: bool = False

    @classmethod
    def of(cls, value: int, unsigned: bool = False) -> IntMax:
        """The lowest 64 bits."""
        return cls(value % (1 << 64) if unsigned else wrapped_to_64(value), unsigned)


class Condition:
    """Evaluates the tokens of one #if line, macros already expanded."""

    def __init__(
        self, tokens: Sequence[Token], defined: Callable[[str], bool], config: Mapping[str, str], at: Position,
        valued: Callable[[str], bool],
    ) -> None:  # fmt: skip
        """``valued``: whether a name without a #define may have a value that is not known here."""
        self.valued = valued
        self.tokens = [t for t in tokens if t.kind != "space"]
        self.defined, self.config, self.where = defined, config, at
        self.next = 0
        self.decided = 0  # how many operators around have their value already: what stands behind them need not have one

    def value(self) -> int:
        """The value of the whole line."""
        result = self._ternary()
        if self.next < len(self.tokens):
            raise self._error(f"'{self.tokens[self.next].text}' does not belong in #if")
        return result.value

    def _error(self, what: str) -> PasidlabError:
        return PasidlabError(what, position=self.where)

    def _peek(self) -> str:
        return self.tokens[self.next].text if self.next < len(self.tokens) else ""

    def _take(self, wanted: str) -> None:
        if self._peek() != wanted:
            raise self._error(f"'{wanted}' expected in #if, not '{self._peek() or 'the end of the line'}'")
        self.next += 1

    def _ternary(self) -> IntMax:
        test = self._binary(0)
        if self._peek() != "?":
            return test
        self._take("?")
        yes = self._where(bool(test.value), self._ternary)
        self._take(":")
        no = self._where(not test.value, self._ternary)
        return IntMax.of((yes if test.value else no).value, yes.unsigned or no.unsigned)

    def _where(self, counts: bool, operand: Callable[[], IntMax]) -> IntMax:
        """An operand whose value counts, or is not evaluated (C11 6.5.13 to 6.5.15)."""
        self.decided += not counts
        found = operand()
        self.decided -= not counts
        return found

    def _binary(self, level: int) -> IntMax:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._peek() in _LEVELS[level]:
            sign = self._peek()
            self.next += 1
            counts = {"&&": left.value != 0, "||": left.value == 0}.get(sign, True)
            left = self._operated(sign, left, self._where(counts, lambda: self._binary(level + 1)))
        return left

    def _operated(self, sign: str, a: IntMax, b: IntMax) -> IntMax:
        if sign in ("&&", "||"):
            return IntMax(int(bool(a.value) and bool(b.value) if sign == "&&" else bool(a.value) or bool(b.value)))
        if sign in ("<<", ">>"):
            if not 0 <= b.value < 64:
                return self._none(f"a shift by {b.value} in #if")
            return IntMax.of(a.value << b.value if sign == "<<" else a.value >> b.value, a.unsigned)
        unsigned = a.unsigned or b.unsigned
        x, y = IntMax.of(a.value, unsigned).value, IntMax.of(b.value, unsigned).value
        if sign in _COMPARE:
            return IntMax(int(_COMPARE[sign](x, y)))
        if sign in ("/", "%") and y == 0:
            return self._none("division by zero in #if")
        return IntMax.of(EXACT[_ARITHMETIC[sign]](x, y), unsigned)

    def _none(self, what: str) -> IntMax:
        """No value: an error, unless it is not evaluated."""
        if not self.decided:
            raise self._error(what)
        return IntMax(0)

    def _unary(self) -> IntMax:
        if self.next >= len(self.tokens):
            raise self._error("an expression is missing in #if")
        token = self.tokens[self.next]
        self.next += 1
        match token.text:
            case "!":
                return IntMax(int(not self._unary().value))
            case "-":
                inner = self._unary()
                return IntMax.of(-inner.value, inner.unsigned)
            case "+":
                return self._unary()
            case "~":
                inner = self._unary()
                return IntMax.of(~inner.value, inner.unsigned)
            case "(":
                found = self._ternary()
                self._take(")")
                return found
        if token.kind in ("number", "char"):
            return self._constant(token)
        if token.kind != "name":
            raise self._error(f"'{token.text}' does not belong in #if")
        return IntMax(self._name(token.text))

    def _constant(self, token: Token) -> IntMax:
        if token.kind == "char":
            found = character(token.text)
            if found is not None:
                return IntMax(found)
        elif (typed := constant(token.text)) is not None:
            return IntMax(typed[0], not typed[1].signed and ("u" in token.text.lower() or typed[0] >= 1 << 63))
        raise self._error(f"'{token.text}' is no integer")

    def _name(self, name: str) -> int:
        if name == "defined" or name in ENABLED:
            bracket = self._peek() == "("
            if bracket:
                self.next += 1
            argument = self._peek()
            self.next += 1
            if bracket:
                self._take(")")
            return int(self.defined(argument) if name == "defined" else answered(name, argument, self.config))
        if self._peek() == "(":  # a function-like macro nobody defined: no value to rely on
            raise self._error(f"'{name}' is not defined")
        if not self.decided and (self.valued(name) or name.startswith("CONFIG_NR_CPUS")):
            raise self._error(f"the value of '{name}' in #if is not known here")
        return 0
