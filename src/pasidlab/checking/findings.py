"""What a check found: verdicts and counterexamples, property by property, part by part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pasidlab.checking.trace import Counterexample, Step
from pasidlab.designs.intake.judged import Judged
from pasidlab.errors import PasidlabError, counted
from pasidlab.lang.ir import Site
from pasidlab.model.promises import PROPERTIES
from pasidlab.model.scope import Scope

if TYPE_CHECKING:
    from pasidlab.search.result import StopReason

Verdict = Literal["holds", "violated", "inconclusive"]
NAMES = tuple(p.name for p in PROPERTIES)


HINTS = {
    "NULL pointer": "ask first: 'x is not None and ...'",
    "stored to": "correct the value, or widen the domain it is stored to",
    "never ends": "let the loop end, or wait for what another step does with wait_until(condition)",
    "no element": "correct the number, or test it first",
}
"""Words of a model error -> what to do."""


@dataclass(frozen=True)
class PropertyResult:
    """One property: does it hold, was it put to the test, and the length of the shortest counterexample."""

    name: str
    holds: bool | None  # None: not settled within what was explored
    reached: bool  # False: it holds vacuously
    steps: int | None = None


@dataclass(frozen=True)
class ModelError:
    """A mistake in the design or the model, not a verdict: a value outside its domain, an endless step, a property that follows NULL."""

    sentence: str
    site: Site
    way: tuple[Step, ...] = field(repr=False)  # to the state where it shows

    @property
    def steps(self) -> int:
        """After how many steps it shows."""
        return len(self.way)

    def raised(self) -> PasidlabError:
        """The error to end with."""
        hint = next((hint for part, hint in HINTS.items() if part in self.sentence), "")
        return PasidlabError(str(self), position=self.site.position, hint=hint)

    def __str__(self) -> str:
        return f"{self.sentence}, in {self.site.function}() after {counted(self.steps, 'step')}"


@dataclass(frozen=True)
class PartResult:
    """The exploration of one scope."""

    name: str
    scope: Scope
    reason: StopReason
    states: int
    transitions: int
    depth: int
    depth_completed: int
    seconds: float
    bytes_per_state: float
    properties: tuple[PropertyResult, ...]
    counterexamples: tuple[Counterexample, ...]
    error: ModelError | None = None  # no counterexample is longer than the way to it
    executed: frozenset[tuple[str, int]] = field(default=frozenset(), repr=False)
    present: frozenset[tuple[str, int]] = field(default=frozenset(), repr=False)
    notes: tuple[str, ...] = ()  # reductions that are left out, and why
    local_first: bool = False  # then a depth is a number of levels of that search, not of steps

    @property
    def reach(self) -> str:
        """How far everything has been explored, in words."""
        return f"level {self.depth_completed} of local steps first" if self.local_first else f"depth {self.depth_completed}"

    @property
    def settled(self) -> str:
        """What is complete, in words."""
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


@dataclass(frozen=True)
class CheckResult:
    """What a check found, over all parts of its scope."""

    design: str
    parts: tuple[PartResult, ...]
    unexecuted: tuple[tuple[str, int, str], ...] = ()  # lines of the design never executed: file, line, text
    missing: tuple[str, ...] = ()  # parts that were not explored: the check was interrupted, or ended in a model error
    evidence: tuple[Evidence, ...] = ()  # empty: none was looked for
    judged: Judged | None = None  # of a design out of C: what of the input is judged; None: all of it is

    @property
    def counterexamples(self) -> tuple[Counterexample, ...]:
        """The shortest counterexample for each broken property, shortest first."""
        best: dict[str, Counterexample] = {}
        for found in (c for part in self.parts for c in part.counterexamples):
            if found.property not in best or len(found.steps) < len(best[found.property].steps):
                best[found.property] = found
        return in_order(best.values())

    @property
    def properties(self) -> tuple[PropertyResult, ...]:
        """Each property over all parts."""
        joined = tuple(_joined([part.properties[i] for part in self.parts]) for i in range(len(self.parts[0].properties)))
        return tuple(replace(p, holds=None) if self.missing and p.holds else p for p in joined)

    @property
    def verdict(self) -> Verdict:
        """``holds`` is a proof over every part.

        ``inconclusive``: a budget ran out, nothing that was asked for is put to the test, or something that matters is not judged.
        """
        if self.counterexamples:
            return "violated"
        if self.judged is not None and self.judged.open:
            return "inconclusive"
        whole = not self.missing and self.error is None and all(part.reason == "complete" for part in self.parts)
        return "holds" if whole and any(self.is_tested(p) for p in self.properties) else "inconclusive"

    def is_tested(self, p: PropertyResult) -> bool:
        """Whether a property is put to the test: a mistake breaks it in some part, or, where none was looked for, a step tries to."""
        known = [bool(one.mistake) for one in self.evidence if one.property == p.name]
        return any(known) if known else p.reached

    @property
    def account(self) -> tuple[str, ...]:
        """What was judged and what not, in sentences; empty for a design of Python."""
        if self.judged is None:
            return ()
        idle = [f"{file}:{line}" for file, line, _ in self.unexecuted if (file, line) in self.judged.edited]
        return (*self.judged.sentences(), *([f"changed, but never executed in this scope: {', '.join(idle)}"] if idle else []))

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        ended = self.parts[-1].reason
        return ended == "interrupted" or (bool(self.missing) and self.error is None and ended != "timeout")

    @property
    def holds(self) -> bool:
        """Proved over the scope."""
        return self.verdict == "holds"

    @property
    def states(self) -> int:
        """Distinct states of all parts."""
        return sum(part.states for part in self.parts)

    @property
    def transitions(self) -> int:
        """Steps of all parts."""
        return sum(part.transitions for part in self.parts)

    @property
    def depth(self) -> int:
        """Largest distance from an initial state."""
        return max(part.depth for part in self.parts)

    @property
    def seconds(self) -> float:
        """Time spent exploring."""
        return sum(part.seconds for part in self.parts)

    def counterexample(self, name: str) -> Counterexample:
        """The counterexample for one property; KeyError if it is not violated."""
        for found in self.counterexamples:
            if found.property == name:
                return found
        raise KeyError(name)

    @property
    def error(self) -> ModelError | None:
        """The model error that ended the check, if any: what it found before is true all the same."""
        return next((part.error for part in self.parts if part.error), None)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from pasidlab.report.html import result_html  # the one way up: nothing below needs it

        return result_html(self)

    def __str__(self) -> str:
        """What a failing assertion shows."""
        from pasidlab.report.text import result_text

        return result_text(self)

    def scope_of(self, counterexample: Counterexample) -> Scope:
        """The scope of the part a counterexample was found in."""
        return next(part.scope for part in self.parts if counterexample in part.counterexamples)


def _joined(parts: list[PropertyResult]) -> PropertyResult:
    steps = [p.steps for p in parts if p.steps is not None]
    holds = False if steps else None if any(p.holds is None for p in parts) else True
    return PropertyResult(parts[0].name, holds, any(p.reached for p in parts), min(steps, default=None))


def in_order(found: Iterable[Counterexample]) -> tuple[Counterexample, ...]:
    """Counterexamples, shortest first."""
    return tuple(sorted(found, key=lambda c: (len(c.steps), NAMES.index(c.property))))
