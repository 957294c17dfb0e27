"""A context that stands between two steps: a generator, known by what it will do and not by how it came to be.

Generators cannot be copied. A frame remembers one way that leads to it, and goes it again when it is asked for an answer it has not
had yet. Two generators that stand at the same stop with the same locals are the same frame, on whatever way they got there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from reference.requests import Current, End, Load, LoadHere, Request
from reference.values import Element, NoMeaning

Running = Generator[Request, Any, Any]
Start = Callable[[], Running]
REFUSED = (TypeError, AttributeError, UnboundLocalError, IndexError, NameError)
UNDEFINED = (ZeroDivisionError, ValueError, OverflowError)


class ModelError(Exception):
    """A step that has no outcome: a value outside its domain, a division by zero."""


@dataclass(frozen=True)
class Finished(End):
    """The function has returned."""

    value: Any = None


@dataclass(frozen=True)
class Undefined(End):
    """The function has divided by zero, or the like."""

    sentence: str


@dataclass(eq=False)
class Frame:
    """``stop`` is what it asks; ``depth`` how many instructions of the machine it is inside of."""

    stop: Request
    depth: int
    before: Frame | None
    answer: Any  # given to ``before``
    start: Start
    after: dict[Any, Frame] = field(default_factory=dict)
    number: int = 0  # its program counter, once something stands here between two steps
    place: tuple[bool, int] | None = None  # a load: on the executing CPU or not, and where in the state


class Frames:
    """All frames of one model. ``instructions`` are the code objects of functions that execute as one step."""

    def __init__(self, instructions: frozenset[CodeType], offsets: dict[tuple[str, str], int]) -> None:
        self.instructions, self.offsets = instructions, offsets
        self._known: dict[Any, Frame] = {}

    def first(self, start: Start) -> Frame:
        """A frame of its own that has executed nothing yet."""
        generator = start()
        return self._frame(generator, lambda: next(generator), None, None, start)

    def go(self, frame: Frame, answer: Any) -> Frame:
        """The frame at the next stop."""
        if answer not in frame.after:
            generator = _again(frame)
            found = self._frame(generator, lambda: generator.send(answer), frame, answer, frame.start)
            frame.after[answer] = self._known.setdefault(_key(generator, found.stop), found)
        return frame.after[answer]

    def _frame(self, generator: Running, go: Callable[[], Request], before: Frame | None, answer: Any, start: Start) -> Frame:
        stop: Request
        try:
            stop = go()
        except StopIteration as end:
            stop = Finished(end.value)
        except UNDEFINED as error:
            stop = Undefined(str(error))
        except REFUSED as error:
            raise NoMeaning(str(error)) from error
        depth = sum(g.gi_code in self.instructions for g in _chain(generator))
        return Frame(stop, depth, before, answer, start, place=self._place(stop))

    def _place(self, stop: Request) -> tuple[bool, int] | None:
        """Where a load finds its value; None for what is no load, or may fail."""
        match stop:
            case Load(Element() as element, name) if (element.struct.name, name) in self.offsets:
                return False, self.offsets[element.struct.name, name] + element.number
            case LoadHere(name) if ("Cpu", name) in self.offsets:
                return True, self.offsets["Cpu", name]
            case Current():
                return True, self.offsets["Cpu", "current"]
        return None


def _again(frame: Frame) -> Running:
    """A generator that stands where the frame stands."""
    answers = []
    while frame.before is not None:
        answers.append(frame.answer)
        frame = frame.before
    generator = frame.start()
    next(generator)
    for answer in reversed(answers):
        generator.send(answer)
    return generator


def _chain(generator: Running) -> Iterator[Running]:
    """The generator and those it waits for, innermost last."""
    at: Running | None = generator
    while at is not None and at.gi_frame is not None:
        yield at
        at = at.gi_yieldfrom  # type: ignore[assignment]


def _key(generator: Running, stop: Request) -> Any:
    if isinstance(stop, Finished | Undefined):
        return stop
    stand = [(g.gi_code, g.gi_frame.f_lasti, g.gi_frame.f_locals) for g in _chain(generator)]
    return tuple((code, at, tuple(sorted(names.items(), key=lambda item: item[0]))) for code, at, names in stand)
