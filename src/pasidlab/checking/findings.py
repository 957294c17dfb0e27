"""What the exploration of one scope found, property by property."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pasidlab.designs import AnyScope
from pasidlab.errors import PasidlabError, counted
from pasidlab.lang.interpreter import ErrorKind
from pasidlab.lang.ir import Site
from pasidlab.trace.steps import Counterexample, Step

if TYPE_CHECKING:
    from pasidlab.search.result import StopReason

VerdictWord = Literal["holds", "violated", "inconclusive"]

HINTS: dict[ErrorKind, str] = {
    "": "",
    "null": "ask first: 'x is not None and ...'",
    "domain": "correct the value, or widen the domain it is stored to",
    "endless": "let the loop end, or let it ask what another step changes: wait_until(condition) in Python, READ_ONCE() in C",
    "element": "correct the number, or test it first",
}
"""Kind of a model error -> what to do."""


@dataclass(frozen=True)
class PropertyResult:
    """One property: does it hold, was it put to the test, and the length of the shortest counterexample."""

    name: str
    holds: bool | None  # None: not settled within what was explored
    reached: bool  # False: it holds vacuously
    steps: int | None = None
    sentence: str = ""  # what it means


@dataclass(frozen=True)
class ModelError:
    """A mistake in the design or the model, not a verdict: a value outside its domain, an endless step, a property that follows NULL."""

    sentence: str
    site: Site
    way: tuple[Step, ...] = field(repr=False)  # to the state where it shows
    kind: ErrorKind = ""

    @property
    def steps(self) -> int:
        """After how many steps it shows."""
        return len(self.way)

    def raised(self) -> PasidlabError:
        """The error to end with."""
        return PasidlabError(str(self), position=self.site.position, hint=HINTS[self.kind])

    def __str__(self) -> str:
        return f"{self.sentence}, in {self.site.function}() after {counted(self.steps, 'step')}"


@dataclass(frozen=True)
class WalkFigures:
    """Random walks: how many, and the seed they came from."""

    count: int
    seed: int

    def __str__(self) -> str:
        return f"{self.count:,} random walks from seed {self.seed}"


@dataclass(frozen=True)
class PartResult:
    """The exploration of one scope."""

    name: str
    scope: AnyScope
    reason: StopReason
    states: int
    transitions: int
    depth: int
    depth_completed: int
    seconds: float = field(compare=False)
    bytes_per_state: float = field(compare=False)
    properties: tuple[PropertyResult, ...]
    counterexamples: tuple[Counterexample, ...]
    error: ModelError | None = None  # no counterexample is longer than the way to it
    executed: frozenset[tuple[str, int]] = field(default=frozenset(), repr=False)
    present: frozenset[tuple[str, int]] = field(default=frozenset(), repr=False)
    notes: tuple[str, ...] = ()  # reductions that are left out, and why
    local_first: bool = False  # then a depth is a number of levels of that search, not of steps
    walks: WalkFigures | None = None  # then nothing was stored: the steps are those of random walks, the depth is that of the longest

    @property
    def reach(self) -> str:
        """How far everything has been explored, in words."""
        return f"level {self.depth_completed} of local steps first" if self.local_first else f"depth {self.depth_completed}"

    @property
    def settled(self) -> str:
        """What is complete, in words."""
        if self.walks:
            return f"{self.walks}, no proof"
        return f"complete to {self.reach}" if self.depth_completed >= 0 else "before the first step"


@dataclass(frozen=True)
class Evidence:
    """A property that holds in a part: the mistake of the kernel that breaks it there, and after how many steps."""

    property: str
    part: str
    mistake: str = ""  # in words; empty: none that was tried is caught
    steps: int = 0
    tried: tuple[str, ...] = ()  # in vain
    settled: bool = True  # False: a search ended at a limit, by time or by Ctrl-C, so that some mistake may be caught after all


def in_order(found: Iterable[Counterexample], names: Sequence[str]) -> tuple[Counterexample, ...]:
    """Counterexamples, shortest first; of the same length in the order of the properties' names."""
    return tuple(sorted(found, key=lambda c: (len(c.steps), names.index(c.property))))
