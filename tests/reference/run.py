"""One step under way: a copy of the state, what executes, and what has been observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.frames import Finished, Frame, ModelError, Undefined
from reference.values import Element, NoMeaning

if TYPE_CHECKING:
    from reference.world import World

FUEL = 20_000  # rounds of loops in one step


class NullFollowed(Exception):
    """The step follows NULL: it ends there, and the kernel is at fault."""


class Run:
    """The state is a list here: every field of every element."""

    def __init__(self, world: World, state: tuple[Any, ...], context: str, cpu: Element | None) -> None:
        self.world, self.context, self.cpu = world, context, cpu
        self.atomic = context == "rule"
        self.memory = list(state)
        self.failures: set[str] = set()
        self.reached: set[str] = set()
        self.repeated: set[str] = set()
        self.touched = self.quiet = False
        self.fuel = FUEL

    def fork(self) -> Run:
        """A copy that may go another way."""
        other = Run(self.world, tuple(self.memory), self.context, self.cpu)
        other.failures, other.reached, other.repeated = set(self.failures), set(self.reached), set(self.repeated)
        other.touched, other.quiet, other.fuel = self.touched, self.quiet, self.fuel
        return other

    def here(self) -> Element:
        """The CPU that executes."""
        if self.cpu is None:
            raise NoMeaning("this_cpu where no CPU executes")
        return self.cpu

    def load(self, element: Element | None, name: str) -> Any:
        """A field's value."""
        return self.memory[self._at(element, name)]

    def store(self, element: Element | None, name: str, value: Any) -> None:
        """Change a field; ModelError for a value outside its domain."""
        at = self._at(element, name)
        if not self.world.domains[at].contains(value):
            raise ModelError(f"{value} stored to {element}.{name}")
        self.memory[at] = value

    def _at(self, element: Element | None, name: str) -> int:
        if element is None:
            raise NullFollowed
        if not isinstance(element, Element) or (element.struct.name, name) not in self.world.offsets:
            raise NoMeaning(f"{element!r} has no field {name}")
        return self.world.offsets[element.struct.name, name] + element.number

    def fail(self, name: str) -> None:
        """A property is broken."""
        self.failures.add(name)

    def spend(self) -> None:
        """One round of a loop."""
        self.fuel -= 1
        if not self.fuel:
            raise ModelError("this step never ends")

    def stops_before(self, frame: Frame) -> bool:
        """Whether a step boundary lies before what the frame asks."""
        from reference.requests import Begin, Pause

        if not self.touched or self.atomic:
            return False
        if isinstance(frame.stop, Pause):
            return True
        inside = frame.depth - isinstance(frame.stop, Begin)
        return not inside and not self.quiet and frame.stop.counts(self)


def ways(run: Run, frame: Frame) -> list[tuple[Run, Frame | None]]:
    """Every way one step can go from a frame: what was done, and where it stands afterwards.

    The frame is that of a ``Finished`` stop if the function has returned, and None if the step ended in an error or cannot be taken.
    """
    done: list[tuple[Run, Frame | None]] = []
    work = [(run, frame)]
    while work:
        run, frame = work.pop()
        while True:
            if run.atomic and frame.place is not None:
                frame = _loaded(run, frame)
                continue
            if isinstance(frame.stop, Undefined):
                raise ModelError(frame.stop.sentence)
            if isinstance(frame.stop, Finished) or run.stops_before(frame):
                done.append((run, frame))
                break
            run.touched |= frame.stop.touches
            try:
                answers = frame.stop.answers(run)
            except NullFollowed:
                run.fail("sound_kernel")
                answers = []
            if not answers:
                done.append((run, None))
                break
            work += [(run.fork(), run.world.frames.go(frame, answer)) for answer in answers[1:]]
            frame = run.world.frames.go(frame, answers[0])
    return done


def _loaded(run: Run, frame: Frame) -> Frame:
    """The frame after a load in an atomic step: what ``Load.answers`` does, in short."""
    assert frame.place is not None
    here, at = frame.place
    value = run.memory[at + run.here().number if here else at]
    return frame.after.get(value) or run.world.frames.go(frame, value)
