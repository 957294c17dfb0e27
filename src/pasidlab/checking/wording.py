"""What was found, in words: of a property, of the parts of a scope, of the evidence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pasidlab.checking.findings import Evidence, PartResult, PropertyResult
from pasidlab.errors import counted
from pasidlab.trace.look import PAGE, PLAIN, Look

MARKS = {"holds": "holds", "violated": "VIOLATED", "inconclusive": "inconclusive"}

WHY = {
    "max_states": "a larger --max-states explores more",
    "max_memory": "a larger --max-memory explores more",
    "disk_full": "more room in the folder of --spill explores more",
    "timeout": "a larger --timeout explores more",
    "interrupted": "the check was interrupted",
    "model error": "a later step is a mistake of the model or the design",
    "broken": "something else is broken, --property NAME asks for one alone",
    "complete": "the scope was explored, but does not settle it",
    "simulated": "random walks prove nothing, and have no end in which to see that a request waits for ever; without --simulate the scope "
    "is explored",
}
"""What kept a part from a verdict -> what to say of it."""


def verdict_of(p: PropertyResult, broken: str = "VIOLATED") -> str:
    """Holds, violated (or another word for that) in so many steps, or not settled."""
    if p.holds is None:
        return "not settled"
    return "holds" if p.holds else f"{broken} in {counted(p.steps or 0, 'step')}"


def obstacle(part: PartResult) -> str:
    """What keeps a part from a verdict: a key of WHY."""
    if part.walks:
        return "simulated"
    if part.error:
        return "model error"
    if part.reason != "complete" and any(p.holds is False for p in part.properties):
        return "broken"
    return part.reason if part.reason in WHY else "complete"


def parts_text(parts: Sequence[PartResult], missing: Sequence[str], look: Look = PLAIN) -> list[str]:
    """The scopes explored, and how far."""
    lines = []
    for part in parts:
        how, sizes = _how(part), f"{part.states:>12,} states {part.transitions:>13,} steps  depth {part.depth:>3}"
        if part.walks:
            sizes = f"{part.transitions:>12,} steps, {part.depth:,} in the longest walk"
        line = f"  {part.name:<7} {sizes} {part.seconds:5.1f} s  {how}"
        lines += [line] if look.table is None or len(line) <= look.table else look.prose(" ".join(line.split()), "  ", "    ")
        scope = str(part.scope) if look.page == PAGE else ", ".join(re.split(", ?", str(part.scope)))
        lines += look.prose(scope, " " * 10, " " * 10)
        for note in part.notes:
            lines += look.prose(f"note: {note}", " " * 10, " " * 12)
    return lines + [f"  {name:<7} not explored" for name in missing]


def _how(part: PartResult) -> str:
    """How a part's search, or its walks, came to an end."""
    why = "model error" if part.error else part.reason
    if why in ("complete", "simulated"):
        return str(part.walks) if part.walks else "explored to the end"
    return f"stopped ({why}); {part.settled}"


def evidence_text(evidence: Sequence[Evidence], look: Look = PLAIN) -> list[str]:
    """For each property and part the mistake (of the kernel, or one that a model declares) that is caught there."""
    lines = look.prose("Evidence, the same with one mistake:")
    for name in dict.fromkeys(one.property for one in evidence):
        lines += look.prose(f"{name}:", "  ", "  ")
        for one in (one for one in evidence if one.property == name):
            caught = f"VIOLATED in {counted(one.steps, 'step')} by {one.mistake}" if one.mistake else no_mistake(one)
            tried = f", {counted(len(one.tried), 'mistake')} tried" if not one.mistake and one.tried else ""
            lines += look.prose(f"{one.part}: {caught}{tried}", "    ", "      ")
    return lines


def no_mistake(one: Evidence) -> str:
    """What is said where no mistake is caught."""
    return "not put to the test" if one.settled else "not settled, the search was cut"
