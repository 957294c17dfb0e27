"""Breadth first over all states: the least number of steps that breaks each property."""

from __future__ import annotations

from dataclasses import dataclass, field

from reference.frames import ModelError
from reference.world import State, World


@dataclass
class Found:
    """What the search found. ``complete``: every state was looked at."""

    complete: bool = True
    states: int = 0
    steps: int = 0
    depth: int = 0
    violations: dict[str, int] = field(default_factory=dict)  # property -> least steps
    reached: set[str] = field(default_factory=set)
    error: int | None = None  # least steps to a model error
    sentence: str = ""
    before: dict[State, tuple[State, str] | None] = field(default_factory=dict, repr=False)

    def violate(self, names: set[str] | frozenset[str], steps: int) -> None:
        """Properties that are broken after so many steps."""
        for name in names:
            self.violations.setdefault(name, steps)

    def fail(self, error: ModelError, steps: int) -> None:
        """A model error after so many steps."""
        if self.error is None:
            self.error, self.sentence = steps, str(error)


def search(world: World, most: int = 1 << 60) -> Found:
    """Look at every state, or give up once there are more than ``most``."""
    found = Found()
    level = sorted(world.initial(), key=repr)
    found.before = dict.fromkeys(level)
    while level:
        following: dict[State, None] = {}
        for state in level:
            _look(world, state, found, following)
        if len(found.before) > most:
            found.complete = False
            break
        level = list(following)
        found.depth += bool(level)
    found.states = len(found.before)
    return found


def _look(world: World, state: State, found: Found, following: dict[State, None]) -> None:
    """One state: its steps, and what it breaks."""
    stuck = True
    try:
        for step in world.steps(state):
            found.violate(step.failures, found.depth + 1)
            found.reached |= step.reached
            stuck = stuck and not (step.obliged and (step.state is not None or step.failures))  # a crash is a step
            if step.state is None:
                continue
            found.steps += 1
            if step.state not in found.before:
                found.before[step.state] = state, step.who
                following[step.state] = None
    except ModelError as error:
        stuck = False
        found.fail(error, found.depth + 1)
    try:
        found.violate(world.broken(state, stuck), found.depth)
    except ModelError as error:
        found.fail(error, found.depth)
