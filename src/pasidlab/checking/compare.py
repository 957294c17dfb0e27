"""Before and after a patch, property by property: what got better, what got worse."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pasidlab.checking.findings import PropertyResult
from pasidlab.checking.result import CheckResult
from pasidlab.checking.wording import verdict_of

NO_DIFFERENCE = "the patch makes no difference in this scope: same verdicts, states, depth and steps"


class Effect(Enum):
    """What a patch does to one property."""

    BETTER = "better"
    PROVED = "still holds"
    BROKEN = "still broken"
    WORSE = "worse"
    OPEN = "not settled"


@dataclass(frozen=True)
class Compared:
    """One property before and after."""

    before: PropertyResult
    after: PropertyResult

    @property
    def name(self) -> str:
        """The property."""
        return self.after.name

    @property
    def change(self) -> Effect:
        """What the patch does to it."""
        if self.after.holds is None:
            return Effect.OPEN
        if self.after.holds:
            return Effect.PROVED if self.before.holds else Effect.BETTER
        return Effect.BROKEN if self.before.holds is False else Effect.WORSE


@dataclass(frozen=True)
class Comparison:
    """Two results of the same scope."""

    before: CheckResult
    after: CheckResult

    @property
    def properties(self) -> tuple[Compared, ...]:
        """Each property before and after."""
        return tuple(Compared(old, new) for old, new in zip(self.before.properties, self.after.properties, strict=True))

    def of(self, change: Effect) -> tuple[str, ...]:
        """The properties to which that happened."""
        return tuple(one.name for one in self.properties if one.change is change)

    @property
    def is_same(self) -> bool:
        """True if the patch makes no difference: the same states, depth and steps in every part, and the same verdicts."""
        sides = [[(part.name, part.states, part.depth, part.transitions) for part in one.parts] for one in (self.before, self.after)]
        verdicts = [[(p.holds, p.reached, p.steps) for p in one.properties] for one in (self.before, self.after)]
        return sides[0] == sides[1] and verdicts[0] == verdicts[1] and not self.after.walked

    @property
    def is_expected(self) -> bool:
        """True if no difference is expected: each change is acknowledged, or means nothing by the rules of C."""
        return self.after.judged is not None and all(item.allowed or item.is_equivalent for item in self.after.judged.related)

    @property
    def exit_code(self) -> int:
        """0: nothing got worse, and something got better or stayed proved. 1: something did, or all is as broken as before.

        3: something is not settled or not judged, or the patch makes no difference.
        """
        if self.of(Effect.WORSE):
            return 1
        if self.of(Effect.OPEN) or (self.after.judged is not None and self.after.judged.open):
            return 3
        if self.of(Effect.PROVED) and self.is_same and not self.is_expected:
            return 3
        return 0 if self.of(Effect.BETTER) or self.of(Effect.PROVED) else 1

    def sentences(self) -> list[str]:
        """The comparison in words, the worst first."""
        said = [NO_DIFFERENCE] if self.is_same else []
        for change in (Effect.WORSE, Effect.BETTER, Effect.BROKEN, Effect.OPEN, Effect.PROVED):
            names = self.of(change)
            if names:
                said.append(f"{change.value}: {', '.join(names)}")
        judged = self.after.judged
        changed = [item.name for item in judged.related] if judged else []
        if changed:
            said.append(f"changed: {', '.join(changed)}")
        return said


def state_of(p: PropertyResult) -> str:
    """Holds, broken in so many steps, or not settled."""
    return verdict_of(p, "broken")
