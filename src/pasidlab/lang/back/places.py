"""The fields of a model as variables of Promela."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pasidlab.errors import PasidlabError
from pasidlab.lang.back.numbers import Expression32, of_domain, truth
from pasidlab.lang.types import Field

_TYPES = (("bit", 0, 1), ("byte", 0, 255), ("short", -(1 << 15), (1 << 15) - 1))


class Variables:
    """Where each field is: an array of its elements, or one variable where there is one element."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = {f.path: f for f in fields}
        self.names = {path: re.sub(r"\W", "_", path) for path in self.fields}
        if len(set(self.names.values())) < len(self.names):
            raise PasidlabError("two fields have the same name in Promela", hint="rename one of them")

    def field(self, path: str) -> Field:
        """The field of a path."""
        return self.fields[path]

    def text(self, path: str, element: Expression32) -> str:
        """The variable that holds a field of an element (from 1) that is there."""
        name = self.names[path]
        if self.fields[path].count == 1:
            return name
        return f"{name}[{element.low - 1}]" if element.known else f"{name}[{element.text} - 1]"

    def there(self, element: Expression32, count: int) -> str:
        """The condition that one of ``count`` elements has this number; ``true`` or ``false`` where that is known."""
        if element.low >= 1 and element.high <= count:
            return "true"
        if element.high < 1 or element.low > count:
            return "false"
        if element.low == 0 and element.high <= count:
            return truth(element)
        return f"({element.text} >= 1 && {element.text} <= {count})"

    def declarations(self, initial: Sequence[Sequence[int]] | None) -> list[str]:
        """Each variable with the values of its elements in the initial state; None: all begin with their defaults."""
        lines = []
        for number, f in enumerate(self.fields.values()):
            values = initial[number] if initial else [f.default] * f.count
            size = f"[{f.count}]" if f.count > 1 else ""
            lines.append(f"{_type(f)} {self.names[f.path]}{size}{_initial(values)};  /* {f.domain} */")
        return lines


def declarable(values: Sequence[int]) -> bool:
    """Whether a variable can be declared with these values of its elements: SPIN 6.5 takes no sign in a list."""
    return len(set(values)) == 1 or (min(values) >= 0 and max(values) < 1 << 31)


def _initial(values: Sequence[int]) -> str:
    if not any(values):
        return ""
    if len(set(values)) == 1:
        short = values[0] - (1 << 32) if values[0] >> 31 == 1 else values[0]
        return f" = {short}"
    return " = {" + ", ".join(map(str, values)) + "}"


def _type(f: Field) -> str:
    whole = of_domain("", f.domain)
    return next((name for name, low, high in _TYPES if low <= whole.low and whole.high <= high), "int")
