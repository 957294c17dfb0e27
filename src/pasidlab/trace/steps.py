"""Moves, the steps they make, and counterexamples, which are lists of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pasidlab.errors import counted, printable
from pasidlab.lang.back.layout import State


@dataclass(frozen=True)
class Move:
    """What to do in a state: an action, its parameters, and what ``choose`` answers in it, in order."""

    action: str
    params: tuple[int, ...] = ()
    choices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Change:
    """One field that a step changed: ``T0.need_fpu_load`` from ``0`` to ``1``."""

    name: str
    old: str
    new: str
    aside: bool = False  # need not be told


@dataclass(frozen=True)
class Frame:
    """Where execution stands in one function."""

    function: str
    file: str
    line: int
    source: str

    @property
    def file_name(self) -> str:
        """The file's name without its folder, in characters that can be printed."""
        return printable(Path(self.file).name)


@dataclass(frozen=True)
class Line:
    """A source line a step executed, with the calls that led to it: the outermost function comes first."""

    frames: tuple[Frame, ...]
    loads: tuple[tuple[str, str], ...] = ()  # what it looked at, and what it saw
    changes: tuple[Change, ...] = ()
    stored: bool = False
    failed: bool = False  # it asks for what does not hold

    @property
    def here(self) -> Frame:
        """The line itself."""
        return self.frames[-1]


@dataclass(frozen=True)
class Enabled:
    """A move that can be made in a state: what it is, in words, and where; ``breaks`` names the properties it breaks ("": an error)."""

    move: Move
    cpu: int | None
    task: int | None
    words: str
    place: Frame | None = None
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """What a move does. ``cpu`` is None for steps of the environment, ``task`` None for an idle CPU."""

    move: Move
    cpu: int | None
    context: str  # user, kernel, schedule, softirq, hardirq, event
    task: int | None
    lines: tuple[Line, ...]
    changes: tuple[Change, ...]
    state: State = field(repr=False)
    over: bool = False  # kernel code: it has come to its end
    stacks: tuple[tuple[str, ...], ...] = ()  # for each CPU, the contexts active after it, the innermost last; (): user mode
    others: tuple[Enabled, ...] = field(default=(), repr=False)  # what could have been done instead
    words: str = ""  # what it is; for kernel code the function
    place: Frame | None = None  # of a rule that is told by its name: where it stands

    @property
    def main(self) -> Frame | None:
        """The line that says best what the step does: the last one that stored something, else the first."""
        stored = [line for line in self.lines if line.stored]
        best = stored[-1:] or self.lines[:1]
        return best[0].here if best else None


@dataclass(frozen=True)
class Recipe:
    """What makes a counterexample again: the moves from an initial state, and how they break the property.

    With an empty ``property`` it is a mere path; ``initial`` says from where, where that is known.
    """

    property: str
    sentence: str
    moves: tuple[Move, ...]
    broken_by_step: bool = False
    loop: int | None = None
    exact: bool = True
    initial: State | None = None
    shortest: bool = True


@dataclass(frozen=True)
class Counterexample:
    """A way to break a property: ``sentence`` says how, ``steps`` how it came to that."""

    property: str
    sentence: str
    initial: State = field(repr=False)
    steps: tuple[Step, ...] = ()
    broken_by_step: bool = False
    loop: int | None = None  # liveness: the last step leads back to the state after this many steps
    final: tuple[tuple[str, str], ...] = ()  # the state at the end: (field of element, value) where not the default
    seen: tuple[tuple[str, str], ...] = ()  # what the broken promise looked at, and saw
    exact: bool = True  # False: shows only with contents nobody may rely on replaced by what no task expects
    shortest: bool = True  # False: there may be shorter ones

    def __repr__(self) -> str:
        """One line: ``Counterexample('served', 60 steps)``."""
        return f"Counterexample({self.property!r}, {counted(len(self.steps), 'step')})"

    def recipe(self) -> Recipe:
        """What makes the counterexample again."""
        moves = tuple(step.move for step in self.steps)
        return Recipe(
            self.property, self.sentence, moves, broken_by_step=self.broken_by_step, loop=self.loop, exact=self.exact,
            shortest=self.shortest,
        )  # fmt: skip


def joined_line(first: Line, then: Line) -> Line:
    """A line executed on: what it looked at, and what it changed from first to last."""
    changes = {c.name: c for c in first.changes}
    for c in then.changes:
        changes[c.name] = replace(changes.get(c.name, c), new=c.new)
    loads = tuple(dict.fromkeys(first.loads + then.loads))
    return Line(first.frames, loads, tuple(changes.values()), first.stored or then.stored, first.failed or then.failed)
