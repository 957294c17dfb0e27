"""What a model function asks of the machine: each is a stop of its generator, and the answer is sent back.

A request that ``counts`` is an access to state: a step begins before it, unless the step has not touched anything yet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference.values import Element, Struct

if TYPE_CHECKING:
    from reference.run import Run

OWN = frozenset({"irqs_off", "preempt_count", "softirq_count", "hardirq_pc", "softirq_pc", "schedule_pc"})
"""What a CPU keeps of its own contexts: no other context changes it while the one that reads it runs."""


class Request(ABC):
    """One stop. ``answers`` performs it; several answers are choices."""

    touches = True  # a step has begun to access something

    def counts(self, run: Run) -> bool:
        """Whether a step boundary lies before it."""
        return True

    @abstractmethod
    def answers(self, run: Run) -> list[Any]:
        """What may come of it."""


class Free(Request):
    """No access: no boundary before it."""

    touches = False

    def counts(self, run: Run) -> bool:
        return False


class End(Free):
    """The function is over: nobody asks for an answer."""

    def answers(self, run: Run) -> list[Any]:
        raise AssertionError(f"{self} is answered")


@dataclass(frozen=True)
class ThisCpu(Request):
    """``this_cpu`` as a value: where the task is. That is an access where the task may be moved."""

    def counts(self, run: Run) -> bool:
        masked = any(run.load(run.here(), name) for name in ("irqs_off", "preempt_count", "softirq_count"))
        return run.context == "task" and not masked

    def answers(self, run: Run) -> list[Any]:
        return [run.here()]


@dataclass(frozen=True)
class Current(Request):
    """``current``: only the scheduler changes it under those who read it."""

    def counts(self, run: Run) -> bool:
        return run.context == "schedule"

    def answers(self, run: Run) -> list[Any]:
        return [run.load(run.here(), "current")]


@dataclass(frozen=True)
class Load(Request):
    """``element.name``."""

    element: Element | None
    name: str

    def answers(self, run: Run) -> list[Any]:
        return [run.load(self.element, self.name)]


@dataclass(frozen=True)
class LoadHere(Request):
    """``this_cpu.name``: of the CPU that executes when the access happens."""

    name: str

    def counts(self, run: Run) -> bool:
        return self.name not in OWN and (self.name != "current" or run.context == "schedule")

    def answers(self, run: Run) -> list[Any]:
        return [run.load(run.here(), self.name)]


@dataclass(frozen=True)
class Store(Request):
    """``element.name = value``."""

    element: Element | None
    name: str
    value: Any

    def answers(self, run: Run) -> list[Any]:
        run.store(self.element, self.name, self.value)
        return [None]


@dataclass(frozen=True)
class StoreHere(Request):
    """``this_cpu.name = value``."""

    name: str
    value: Any

    def answers(self, run: Run) -> list[Any]:
        run.store(run.here(), self.name, self.value)
        return [None]


@dataclass(frozen=True)
class Mask(Request):
    """local_irq_disable() and the like."""

    name: str
    off: bool

    def answers(self, run: Run) -> list[Any]:
        here = run.here()
        if self.name == "irqs_off":
            run.store(here, self.name, self.off)
            return [None]
        count = run.load(here, self.name)
        if not self.off and count == 0:
            run.fail("sound_kernel")
            return [None]
        run.store(here, self.name, count + 1 if self.off else count - 1)
        return [None]


@dataclass(frozen=True)
class Choose(Free):
    """``choose``, ``maybe``, ``pick``, and which of several handlers runs."""

    values: tuple[Any, ...]

    def answers(self, run: Run) -> list[Any]:
        return list(self.values)


def choose_number(low: int, high: int) -> Choose:
    """Any number of low .. high."""
    return Choose(tuple(range(low, high + 1)))


def choose_element(struct: Struct) -> Choose:
    """Any element."""
    return Choose(tuple(struct.elements))


@dataclass(frozen=True)
class Require(Free):
    """The step cannot be taken unless the condition holds."""

    condition: Any

    def answers(self, run: Run) -> list[Any]:
        return [None] if self.condition else []


@dataclass(frozen=True)
class Check(Free):
    """A property demands the condition here."""

    name: str
    condition: Any

    def answers(self, run: Run) -> list[Any]:
        if not self.condition:
            run.fail(self.name)
        return [None]


@dataclass(frozen=True)
class Reached(Free):
    """A witness of a property; ``again``: a step that breaks its promise if it is repeated for ever."""

    name: str
    again: bool = False

    def answers(self, run: Run) -> list[Any]:
        (run.repeated if self.again else run.reached).add(self.name)
        return [None]


@dataclass(frozen=True)
class SleepCheck(Free):
    """Nothing may be masked where a task is about to sleep."""

    touches = True

    def answers(self, run: Run) -> list[Any]:
        here = run.here()
        if any(run.load(here, name) for name in ("irqs_off", "preempt_count", "softirq_count")):
            run.fail("sound_kernel")
        return [None]


@dataclass(frozen=True)
class Pause(Free):
    """A step boundary, also inside an instruction. ``asleep``: the task that stands here has given its CPU up."""

    asleep: bool = False
    waits: bool = False  # what follows up to ``Waited`` is the condition, looked at as one

    def answers(self, run: Run) -> list[Any]:
        run.quiet = self.waits
        return [None]


@dataclass(frozen=True)
class Waited(Free):
    """The condition has been looked at."""

    touches = True
    condition: Any

    def answers(self, run: Run) -> list[Any]:
        run.quiet = False
        return [None] if self.condition else []


@dataclass(frozen=True)
class Meet(Free):
    """Ways through the text meet here, and some of them access something: boundaries are where the text has them, not the way."""

    touches = True

    def answers(self, run: Run) -> list[Any]:
        return [None]


@dataclass(frozen=True)
class Begin(Request):
    """An instruction of the machine begins. ``accesses``: there is something in it that counts."""

    touches = False
    accesses: bool

    def counts(self, run: Run) -> bool:
        return self.accesses

    def answers(self, run: Run) -> list[Any]:
        return [None]


@dataclass(frozen=True)
class Take(Request):
    """A free task becomes this context's own."""

    task: Element | None

    def answers(self, run: Run) -> list[Any]:
        if run.load(self.task, "on_cpu"):
            return []
        run.store(self.task, "on_cpu", True)
        return [self.task]


@dataclass(frozen=True)
class Release(Request):
    """A taken task is free again."""

    task: Element | None

    def answers(self, run: Run) -> list[Any]:
        run.store(self.task, "on_cpu", False)
        return [None]


@dataclass(frozen=True)
class Enter(Request):
    """``enter(entry)`` and ``start(task, entry)``."""

    entry: str
    task: Element | None = None
    starts: bool = False

    def answers(self, run: Run) -> list[Any]:
        task = self.task if self.starts else run.load(run.here(), "current")
        run.store(task, "pc", run.world.entry_number(self.entry))
        if run.world.is_exception(self.entry) and not self.starts:
            run.store(run.here(), "irqs_off", True)
        return [None]


@dataclass(frozen=True)
class Sleeping(Free):
    """Whether a task with this program counter waits asleep."""

    pc: int

    def answers(self, run: Run) -> list[Any]:
        return [run.world.is_asleep(self.pc)]


@dataclass(frozen=True)
class Happens(Request):
    """Whether an event occurs here, as often as its limit allows. ``possible``: it is in the scope."""

    name: str
    possible: bool

    def counts(self, run: Run) -> bool:
        return self.name in run.world.scope.limits

    def answers(self, run: Run) -> list[Any]:
        left = not self.counts(run) or run.memory[run.world.offsets["Events", self.name]]
        return [False, True] if self.possible and left else [False]


@dataclass(frozen=True)
class Occurs(Free):
    """The event occurs: one less is left."""

    name: str

    def answers(self, run: Run) -> list[Any]:
        if self.name in run.world.scope.limits:
            run.memory[run.world.offsets["Events", self.name]] -= 1
        return [None]


@dataclass(frozen=True)
class Crash(Free):
    """The kernel ends here."""

    def answers(self, run: Run) -> list[Any]:
        run.fail("sound_kernel")
        return []


@dataclass(frozen=True)
class Loop(Free):
    """One more round of a loop."""

    def answers(self, run: Run) -> list[Any]:
        run.spend()
        return [None]
