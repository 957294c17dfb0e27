"""Designs that are known to be bad: each has a scope of its own, and a promise that it breaks there.

A kernel model in which one of them breaks it no more has lost behaviour (``mutation.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mutants import MUTANTS
from wrong_holds import DESIGNS, IMPORTS

from pasidlab.designs import Design
from pasidlab.model.scope import Scope
from pasidlab.zoo.catalogue import CATALOGUE
from pasidlab.zoo.specimen import buggy

LARGE = {"fork_keeps_last_cpu", "task given up too early"}
"""Half a minute each."""


@dataclass(frozen=True)
class KnownBad:
    """A bad design and how it shows."""

    name: str
    design: Design
    scope: Scope
    broken: str  # a property


def _all() -> list[KnownBad]:
    mistakes = [KnownBad(m.name, Design(m.name, Path(f"{m.name}.py"), text=m.text()), m.scope, m.broken) for m in MUTANTS]
    once = [
        KnownBad(name, Design(name, Path("once.py"), text=IMPORTS + text), _scope(events), min(broken))
        for name, (events, broken, text) in DESIGNS.items()
    ]
    bugs = [KnownBad(bug.name, buggy(bug), bug.scope, bug.breaks) for bug in CATALOGUE if bug.breaks]
    return [bad for bad in (*mistakes, *once, *bugs) if bad.name not in LARGE]


def _scope(events: str) -> Scope:
    return Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset(events.split()))


KNOWN_BAD = {bad.name: bad for bad in _all()}
