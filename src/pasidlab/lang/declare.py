"""The vocabulary of models: decorators that give a function its role, and the primitives of the language.

The compiler recognises these by name in the source text. As ordinary Python the decorators return their function unchanged, and the
primitives act on live objects. So a checked design runs outside the checker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


NULL: Any = None
"""The default of a reference that may point to nothing: ``mm: Mm = NULL``."""


FORGOTTEN: Any = None
"""In a ``@forget`` function: ``x.field = FORGOTTEN`` gives the field a value that stands for any, which nobody may look at."""


@dataclass(frozen=True)
class Range:
    """Annotation of an integer field: ``Annotated[int, Range(low, high)]``."""

    low: int
    high: int


@dataclass(frozen=True)
class Bits:
    """Annotation of a register: ``Annotated[int, Bits(mask)]``, no bit outside the mask is ever set."""

    mask: int


current: Any = None
"""The task that executes: ``current`` of the CPU, in every context."""


this_cpu: Any = None
"""The CPU that executes."""


def model(
    *,
    sizes: Mapping[str, int] | None = None,
    events: Mapping[str, str] | None = None,
    mistakes: Mapping[str, str] | None = None,
    copies: Mapping[str, str] | None = None,
) -> None:
    """At the top of a file: it is a model of its own, and no design for the kernel.

    ``sizes`` answer ``size("cpus")`` where nothing else is asked for. ``events`` happen unless they are switched off, ``mistakes`` are
    made only where they are asked for; each with what it means.

    ``copies`` says which fields are two copies of one thing, for the picture of the page: ``owner`` (of Cpu: whose the CPU's copy is;
    ``"field unless flag"`` where a flag of Cpu gives the field another meaning), ``last_cpu`` (of Task: where its copy was last), ``load``
    (of Task, may be left out: its own copy counts), and under any other name a part of the copies, ``"field of Cpu = field of Task"``.
    A second field of Task, ``"register = saved = expected"``, is what the copy that counts must hold: the picture shows where it does not.
    """


def size(name: str) -> int:
    """A number the scope gives (``cpus``, ``tasks`` ...). Outside the checker there is no bound: 2**20."""
    return 1 << 20


def struct(*, count: int, symmetric: bool = False) -> Callable[[type[T]], type[T]]:
    """A class whose annotated attributes are state, in ``count`` elements.

    ``symmetric``: they are interchangeable; only the initial states may tell them apart by number (``at``, ``index``).
    """
    return lambda cls: cls


def base(cls: type[T]) -> type[T]:
    """A class whose annotated attributes structs may inherit."""
    return cls


def singleton(cls: type[T]) -> T:
    """The one element of a struct."""
    return cls()


def rule(*, event: str = "", follows: str = "", obliged: str = "") -> Callable[[F], F]:
    """A guarded atomic step, taken for every value of its parameters; ``require`` is the guard.

    ``event``: the step is an occurrence of this event, and counts where the scope limits how many there are. ``follows``: the step exists
    where the event does. An earlier occurrence has made it due, so no limit holds it up.

    An event comes as it likes, or never. A step that is no event happens some time if it can again and again (liveness). ``obliged``:
    only where this predicate of the model is true; elsewhere it comes as it likes.
    """
    return lambda function: function


def user(*, event: str = "", follows: str = "") -> Callable[[F], F]:
    """One instruction that ``current`` may execute in user mode; ``event`` and ``follows`` as for a rule."""
    return lambda function: function


def entry(kind: str) -> Callable[[F], F]:
    """A kernel entry point: ``syscall`` (interrupts on), ``exception`` (interrupts off), ``fork`` (first run of a new task)."""
    return lambda function: function


def context(kind: str, *, event: str = "") -> Callable[[F], F]:
    """What runs in a context above the task: ``hardirq``, ``softirq``, ``ipi``, ``schedule``."""
    return lambda function: function


def exit_to_user(function: F) -> F:
    """The way back to user mode, run after every entry point and after an interrupt of user mode."""
    return function


def initial(function: F) -> F:
    """Sets up the initial states (with ``choose``, several)."""
    return function


def instruction(function: F) -> F:
    """One instruction of the machine: no step boundary inside."""
    return function


def forget(function: F) -> F:
    """Run at the end of every step: forgets contents nobody may rely on, so that states differing only there are one.

    A step or predicate that uses a forgotten content is found; the model is then explored without forgetting.
    """
    return function


def never(name: str, sentence: str) -> Callable[[F], F]:
    """A state predicate that must be false for every value of its parameters. It may not follow NULL: ask first whether it is there."""
    return lambda function: function


def stuck(name: str, sentence: str) -> Callable[[F], F]:
    """A predicate that must be false where nobody is obliged to take a step: what is still to be done may never be.

    Kernel code that can go on is obliged to, and a rule that is no event. Events and instructions of programs are not. A crash is a step.
    """
    return lambda function: function


def pending(name: str) -> Callable[[F], F]:
    """Liveness: true while parameter 0 waits for what the property promises."""
    return lambda function: function


class StepNotTaken(Exception):
    """A ``require`` or ``wait_until`` that does not hold, outside the checker."""


def require(condition: bool) -> None:
    """The guard: where it is false the step cannot be taken."""
    if not condition:
        raise StepNotTaken


def wait_until(condition: bool, how: str = "sleep") -> None:
    """A step of its own, taken once the condition holds: ``sleep`` gives the CPU up meanwhile, ``spin`` keeps it."""
    require(condition)


def choose(low: int, high: int) -> int:
    """Any value of ``low`` .. ``high``. Outside the checker the first."""
    return low


def maybe() -> bool:
    """True or false; the checker tries both. Outside the checker false."""
    return False


def pick(cls: type[T]) -> T:
    """Any element of a struct. There are none to pick from outside the checker."""
    raise StepNotTaken


def each(cls: type[T]) -> Iterator[T]:
    """All elements of a struct."""
    return iter(())


def at(cls: type[T], index: int) -> T:
    """Element ``index`` (from 0) of a struct."""
    raise StepNotTaken


def index(element: object) -> int:
    """The number, from 0, of an element of a struct."""
    return 0


def event(name: str) -> bool:
    """Whether the scope includes this event; a constant to the checker."""
    return False


def happens(name: str) -> bool:
    """Whether the event occurs here. The checker tries both, as often as the scope's limit allows. Outside the checker false."""
    return False


class PropertyViolated(AssertionError):
    """A ``check`` failed outside the checker."""


def check(name: str, condition: bool, sentence: str = "") -> None:
    """The property ``name`` demands this here."""
    if not condition:
        raise PropertyViolated(f"{name}: {sentence}")


def crash(sentence: str) -> NoReturn:
    """The kernel ends here, as at BUG(): ``sound_kernel`` is broken, and nothing follows."""
    raise PropertyViolated(f"sound_kernel: {sentence}")


def reached(name: str) -> None:
    """A witness that the property was put to the test."""


def repeated(name: str) -> None:
    """Liveness: this step is one that, repeated for ever, breaks the promise."""


def enter(function: Callable[[], object]) -> None:
    """From user mode into a kernel entry point; it runs when the CPU gets to it."""
    function()


def start(task: object, function: Callable[[], object]) -> None:
    """A new task will begin at this entry point once it is scheduled."""


def take(task: T) -> T:
    """Has a task for itself that no CPU has: it cannot be scheduled, and nobody else touches what is its own, until released."""
    return task


def release(task: object) -> None:
    """Gives a taken task free for scheduling."""


def pause() -> None:
    """A step boundary."""


def local_irq_disable() -> None:
    """No interrupt on this CPU until local_irq_enable()."""


def local_irq_enable() -> None:
    """Interrupts may arrive on this CPU again."""


def preempt_disable() -> None:
    """No preemption of this CPU until the matching preempt_enable()."""


def preempt_enable() -> None:
    """Undoes one preempt_disable()."""


def local_bh_disable() -> None:
    """No softirq and no preemption on this CPU until the matching local_bh_enable()."""


def local_bh_enable() -> None:
    """Undoes one local_bh_disable()."""


def unreachable() -> NoReturn:
    """Code that must not be reached: a step that gets here cannot be taken."""
    raise StepNotTaken
