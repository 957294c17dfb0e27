"""Designs out of C files, patches, mailboxes and source trees: what ``check``, ``replay`` and their relatives open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pasidlab import designs
from pasidlab.designs.kernel_c import compared, design_of, gathered, is_c
from pasidlab.errors import PasidlabError, counted
from pasidlab.lang.c.judged import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pasidlab.designs import Design
    from pasidlab.lang.c.gather import Gathered


def open_design(
    name: str,
    *,
    base: str | None = None,
    config: Iterable[str] = (),
    stubs: Iterable[str] = (),
    kernel: str | None = None,
    allow_unjudged: Iterable[str] = (),
    reverse: bool = False,
    side: str = "",
    tell: Callable[[str], None] | None = None,
    verbose: bool = False,
) -> Design:
    """The design of a name on the command line: built in, a Python file, or anything the C front end reads.

    With an empty name and a tree, the tree's own design. ``reverse`` takes a patch out of the tree. ``side`` is ``before`` or ``after``
    for one side of a comparison. ``tell`` is given the provenance and the notes.
    """
    config, stubs, allowed = tuple(config), tuple(stubs), tuple(allow_unjudged)
    if not is_c(name) and not (kernel and not name):
        if base or config or stubs or kernel or allowed or reverse or side:
            what = "--base, --config, --stub, --kernel, --allow-unjudged, --compare and -R"
            raise PasidlabError(f"{what} are for C files, patches and trees; {name} is none")
        return designs.find(name)
    if side:
        sides = compared(name, base, config, stubs, kernel, reverse)
        found, around = sides[0] if side == "before" else sides[1]
        if found is None:
            return around
    else:
        found, around = gathered(name, base, config, stubs, kernel, reverse)
    _try_once(found, around)
    if tell is not None:
        tell(_about(found, around, verbose))
    return design_of(found, around, name or str(kernel), allowed)


def _try_once(found: Gathered, around: Design) -> None:
    """Compile for the smallest scope: errors come before anything is explored, and a tree learns what stays built in."""
    from pasidlab.check.model import kernel_files
    from pasidlab.check.scope import Scope
    from pasidlab.lang import source
    from pasidlab.lang.lower import ARRIVALS
    from pasidlab.lang.names import Names

    space = source.collect([ARRIVALS, *kernel_files(), around.path])
    found.functions(Names(space, Scope(cpus=1, tasks=1, mms=1, pasids=1).compiler_bounds()))


def _about(found: Gathered, around: Design, verbose: bool) -> str:
    """The base, the notes and, for a tree, the provenance table."""
    lines = [f"{found.name}: C functions in the kernel around '{around.name}'"]
    lines += [f"  note: {note}" for note in found.notes]
    if found.tree is not None:
        lines[0] = f"{found.name}: Linux {found.tree.tree.version} in the kernel around '{around.name}'"
        rows = found.provenance()
        width = max(len(row.function) for row in rows)
        lines += [f"  {row.function:<{width}}  {row.place or 'built in: ' + row.why}" for row in rows]
        lines += _built_in(found, {row.function.partition(" ")[0] for row in rows}, verbose)
    return "\n".join(lines) + "\n"


def _built_in(found: Gathered, told: set[str], verbose: bool) -> list[str]:
    """What else of the territory the tree has: how much, or all of it by the reason why it stays built in."""
    reasons: dict[str, list[str]] = {}
    for item in found.judged().items:
        if item.fate is Fate.BUILT_IN and not item.changed and item.function not in told:
            reasons.setdefault(item.why, []).append(item.function)
    if not verbose:
        count = sum(len(names) for names in reasons.values())
        return [f"  {counted(count, 'other function')} that matter stay built in: -v names them, with the reason"] if count else []
    return [f"  built in, {why}: {', '.join(sorted(names))}" for why, names in reasons.items()]
