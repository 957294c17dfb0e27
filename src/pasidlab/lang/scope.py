"""What the compiler must know beside the source: sizes, and which events happen."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bounds:
    """``sizes`` answers ``size("tasks")``; ``events`` answers ``event("fork")``; ``limits`` how often one may happen.

    ``known`` are the events there are, in this scope or not: another name is a mistake. None: any name is an event.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    events: frozenset[str] = frozenset()
    limits: dict[str, int] = field(default_factory=dict)
    known: frozenset[str] | None = None
