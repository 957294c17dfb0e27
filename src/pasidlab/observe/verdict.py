"""What `observe verify` has found, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from pasidlab.observe.automaton import Hidden
from pasidlab.observe.coverage import Coverage


@dataclass(frozen=True)
class Contradiction:
    """The first event that no behaviour of the model explains. ``number`` counts events from 1."""

    number: int
    event: tuple[int, ...]
    sentence: str
    places: tuple[str, ...] = ()
    """Where the task may have stood before."""
    expected: tuple[str, ...] = ()
    """Events that could have come instead."""
    history: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """Events of that task and of that CPU before, with their numbers."""


@dataclass
class Verdict:
    """What was found. ``hidden``: the fewest hidden steps that explain the events."""

    kernel: str
    events: int = 0
    judged: int = 0
    of_fpu: int = 0
    """Those of the judged events that are x86_fpu's."""
    lost: int = 0
    blind: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    """Functions whose calls the function tracer told: what they do is not guessed."""
    assumed: tuple[str, ...] = ()
    """What the user says that this kernel does not do: names of ASSUMPTIONS."""
    unsure_from: int = 0
    """The first event after which events were lost; 0: none were, or nobody knows where."""
    unseen: int = 0
    """Switches to and from blind tasks that are not in the recording."""
    offline: int = 0
    """How often a CPU was switched off: no event tells of its last switch."""
    unmade: int = 0
    """Tasks that no event made, while some task is blind."""
    exchanges: int = 0
    """Tasks that took over their leader's pid at an exec."""
    untold: int = 0
    """Of these: those whose exec is not in the recording."""
    hidden: dict[Hidden, int] = field(default_factory=dict)
    contradiction: Contradiction | None = None
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def status(self) -> int:
        """The exit code: 0 conforms, 1 a contradiction, 3 cannot decide."""
        if self.contradiction:
            return 1
        return 3 if self.lost or self.untold or not self.of_fpu else 0
