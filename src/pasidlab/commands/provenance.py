"""Where the functions of a design out of C come from, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from pasidlab.designs import Design
from pasidlab.designs.intake.judged import Fate
from pasidlab.errors import counted


def about(design: Design, verbose: bool) -> str:
    """The base, the notes and, for a tree, the provenance table."""
    lines = [f"{design.name}: C functions in the kernel around '{design.around}'"]
    lines += [f"  note: {note}" for note in design.notes]
    if design.version:
        lines[0] = f"{design.name}: Linux {design.version} in the kernel around '{design.around}'"
        width = max(len(function) for function, _, _ in design.provenance)
        lines += [f"  {function:<{width}}  {place or 'built in: ' + why}" for function, place, why in design.provenance]
        lines += _built_in(design, verbose)
    return "\n".join(lines) + "\n"


def _built_in(design: Design, verbose: bool) -> Iterator[str]:
    """What else of the territory the tree has: how much, or all of it by the reason why it stays built in."""
    told = {function.partition(" ")[0] for function, _, _ in design.provenance}
    reasons: dict[str, list[str]] = {}
    for item in design.account().items if design.account else ():
        if item.fate is Fate.BUILT_IN and not item.changed and item.function not in told:
            reasons.setdefault(item.why, []).append(item.function)
    if verbose:
        yield from (f"  built in, {why}: {', '.join(sorted(names))}" for why, names in reasons.items())
    elif count := sum(len(names) for names in reasons.values()):
        yield f"  {counted(count, 'other function')} that matter stay built in: -v names them, with the reason"
