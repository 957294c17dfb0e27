"""What is known on one way through code: the values of locals and fields, as far as they can be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pasidlab.lang.ir import Instr


@dataclass(eq=False, frozen=True)
class Some:
    """A number that is not known, but is at least ``low``, at most ``high`` and none of ``but``.

    Locals that hold the same object are equal. ``told``: an access that counts only where something depends on which number it is.
    """

    low: int = -(1 << 63)
    but: frozenset[int] = frozenset()
    high: int = (1 << 63) - 1
    told: FoundAccess | None = None

    def is_not(self, number: int) -> bool:
        """True if the value is certainly another than the number."""
        return not self.low <= number <= self.high or number in self.but

    def without(self, numbers: Iterable[int]) -> Some:
        """The value once it is known to be none of the numbers."""
        return replace(self, but=self.but | frozenset(numbers))


KnownOrSome = int | Some
FoundAccess = tuple[str, KnownOrSome, bool]
"""An access: field, number of the element as far as it is known, whether it is written."""


@dataclass
class Knowledge:
    """One way through the code: what locals and fields are known to hold, and what it has accessed."""

    at: int
    locals: dict[str, KnownOrSome]
    fields: dict[tuple[str, int], KnownOrSome]
    gone: frozenset[str]  # fields an unknown element of which was stored to
    found: list[FoundAccess] = field(default_factory=list)
    visited: dict[int, int] = field(default_factory=dict)
    checked: bool = False  # a check on it may fail

    def hold(self, path: str, element: KnownOrSome, instr: Instr, value: KnownOrSome, at_once: bool) -> None:
        """A load: the local holds the value, and within one step the field keeps it."""
        self.locals[str(instr.args[0])] = value
        if at_once and isinstance(element, int):
            self.fields[path, element] = value

    def learn(self, value: Some, better: KnownOrSome) -> None:
        """What was not known of a value is: in every local that holds it."""
        self.locals = {name: better if held is value else held for name, held in self.locals.items()}
        self.fields = {place: better if held is value else held for place, held in self.fields.items()}

    def fork(self, at: int) -> Knowledge:
        return Knowledge(
            at, dict(self.locals), dict(self.fields), gone=self.gone, found=list(self.found), visited=dict(self.visited),
            checked=self.checked,
        )  # fmt: skip
