"""Which reductions a check uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reductions:
    """Each can be switched off: the verdicts stay, the states are more. docs/what-holds-means.md has their conditions."""

    merging: bool = True  # boundaries of steps that nobody can tell go (lang/lowering/merge)
    symmetry: bool = True  # states that differ only in which CPU, task or mm is which are one (lang/lowering/symmetry)
    forgetting: bool = True  # contents nobody may rely on are one (lang/lowering/forget)
    local_first: bool = True  # a CPU whose next step concerns nobody else goes first (lang/lowering/independence)


ALL = Reductions()
EVERY_STEP = Reductions(local_first=False)
"""A graph in which no step of any CPU waits for another."""
