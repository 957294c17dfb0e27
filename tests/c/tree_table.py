"""The table of docs/kernel-developers.md: what of each source tree is judged, what of its protocol is not, and the verdict.

``python tests/c/tree_table.py TREE...`` prints it as Markdown; with PASIDLAB_LONG=1 in the default parts of ``pasidlab check``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from pasidlab.checking.api import check
from pasidlab.designs import Opening
from pasidlab.designs.intake.judged import Fate
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope

EVENTS = ["preempt", "softirq", "hardirq", "signal", "fault", "exec", "exit", "bind", "unbind"]
SCOPE = Scope(cpus=1, tasks=1, mms=2, pasids=2, events=frozenset(EVENTS))
HEAD = "| tree | judged | of its protocol not judged | verdict |\n|---|---|---|---|"


def row(path: str) -> str:
    """The line of one tree."""
    try:
        design = Opening("", kernel=path).design()
        result = check(design) if os.environ.get("PASIDLAB_LONG") else check(design, SCOPE)
    except PasidlabError as error:
        return f"| {path} | none | {str(error).splitlines()[0]} | bad input |"
    assert result.judged is not None
    items = result.judged.items
    judged = sum(item.fate is Fate.JUDGED for item in items)
    left = "; ".join(f"`{item.name}`: {item.why}" for item in result.judged.open) or "nothing"
    broken = ", ".join(f"{c.property} ({len(c.steps)})" for c in result.counterexamples)
    return f"| {design.name.removeprefix('linux-')} | {judged} of {len(items)} | {left} | {broken or result.verdict} |"


def table(trees: list[str]) -> Iterator[str]:
    """The lines of the table."""
    yield HEAD
    yield from map(row, trees)


if __name__ == "__main__":
    for line in table(sys.argv[1:]):
        print(line, flush=True)
