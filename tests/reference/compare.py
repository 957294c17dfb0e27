"""pasidlab's verdict on a model beside the reference's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pasidlab
from pasidlab.errors import PasidlabError
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.ir import Property
from pasidlab.lang.lowering import programs
from pasidlab.lang.lowering.loops import endless_loops
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds
from pasidlab.search.breadth_first import search
from pasidlab.search.result import Budget, SearchResult
from reference.random_models import RandomModel
from reference.search import Found
from reference.search import search as look_at_everything
from reference.world import Scope, World

ARRIVALS = Path(pasidlab.__file__).parent / "lang" / "arrivals.py"
PROPERTIES = (Property("p", "a promise"), Property("q", "another"), Property("sound_kernel", "no crash"))
MOST_STATES = 400_000


@dataclass(frozen=True)
class Verdict:
    """Least steps that break each property, what was reached, least steps to a model error."""

    broken: dict[str, int]
    reached: frozenset[str]
    error: int | None

    def names(self, most: int | None) -> frozenset[str]:
        """Properties broken before the search can have ended by an error after ``most`` steps."""
        return frozenset(name for name, steps in self.broken.items() if most is None or steps < most)


@dataclass
class Compared:
    """One model: what the reference says, and what pasidlab says by the name of what was reduced. ``None``: too much to explore."""

    reference: Verdict | None
    steps: bool  # least steps can be compared
    cut: bool = False  # a loop that does not count takes a step more in each round, so that there may be more
    answers: dict[str, Verdict | None] = field(default_factory=dict)
    refused: str = ""

    def differences(self) -> Iterator[str]:
        """What differs, in words."""
        mine = self.reference
        assert mine is not None
        for how, theirs in self.answers.items():
            if theirs is None:
                continue
            if (mine.error is None) != (theirs.error is None):
                yield f"{how}: model error {theirs.error}, reference {mine.error}"
            elif "line by line" not in how and mine.error is not None:  # what comes before the error is not the same where steps are merged
                if not (theirs.names(theirs.error) <= mine.broken.keys() and mine.names(mine.error) <= theirs.broken.keys()):
                    yield f"{how}: breaks {theirs.broken}, reference {mine.broken}"
            elif mine.names(mine.error) != theirs.names(theirs.error):
                yield f"{how}: breaks {theirs.broken}, reference {mine.broken}"
            elif mine.error is None and mine.reached != theirs.reached:
                yield f"{how}: reaches {sorted(theirs.reached)}, reference {sorted(mine.reached)}"
            elif self.steps and "line by line" in how and not self.as_long(theirs.broken, mine.broken):
                yield f"{how}: least steps {theirs.broken}, reference {mine.broken}"


    def as_long(self, theirs: dict[str, int], mine: dict[str, int]) -> bool:
        """Whether the least steps are those of the reference, or more where a loop is cut."""
        return theirs == mine or (self.cut and all(theirs[name] >= steps for name, steps in mine.items()))


def by_reference(model: RandomModel, path: Path, most: int) -> Verdict | None:
    """The reference's verdict; None if there are more states than ``most``."""
    scope = Scope(model.sizes, model.events, {e: n for e, n in model.limits.items() if e in model.events})
    found: Found = look_at_everything(World([path], scope, ARRIVALS), most)
    return Verdict(found.violations, frozenset(found.reached), found.error) if found.complete else None


def by_search(found: SearchResult) -> Verdict | None:
    """What the native search says."""
    if found.reason != "complete":
        return None
    names = [p.name for p in PROPERTIES]
    broken = {names[bit]: v.steps for bit, v in found.violations.items() if bit < len(names)}
    reached = frozenset(name for bit, name in enumerate(names) if found.reached >> bit & 1)
    return Verdict(broken, reached, found.error.steps if found.error else None)


def compared(model: RandomModel, path: Path, *, most: int = 6_000, every: bool = True) -> Compared:
    """One model, by the reference and by pasidlab: with ``every`` reduction on and off, else with none and with all.

    Least steps are compared where the code is lowered line by line: whatever is simplified may make the way shorter.
    """
    path.write_text(model.text, encoding="utf-8")
    result = Compared(by_reference(model, path, most), not model.asks_cpu)
    if result.reference is None:
        return result
    bounds = Bounds(model.sizes, model.events, {e: n for e, n in model.limits.items() if e in model.events})
    try:
        for merged, optimised in ((False, False), (False, True), (True, True)) if every else ((False, False), (True, True)):
            with patch.object(programs, "endless_loops", side_effect=endless_loops) as loops:
                built = build_model("model", [path], bounds, PROPERTIES, merged=merged, optimised=optimised, local_first=optimised)
            result.cut |= any(endless_loops(call.args[0]) for call in loops.call_args_list)
            whether = [False, True] if built.symmetric else [False]
            for symmetric in whether if every else whether[merged * (len(whether) - 1) :][:1]:
                for local_first in [False, True] if built.private else [False]:
                    native = compile_model(built, symmetric=symmetric, local_first=local_first)
                    found = search(native, jobs=1, budget=Budget(max_states=MOST_STATES))
                    how = _how(merged, symmetric, optimised) + ", local first" * local_first
                    result.answers[how] = by_search(found)
    except PasidlabError as error:
        result.refused = str(error)
    return result


def _how(merged: bool, symmetric: bool, optimised: bool) -> str:
    """The name of what was reduced."""
    words = ["merged"] * merged + ["symmetric"] * symmetric + ["line by line"] * (not optimised)
    return ", ".join(words) or "unreduced"
