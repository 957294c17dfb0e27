"""A model of one's own: its sizes, events, mistakes and properties, and the scopes in which it can be explored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pasidlab.errors import PasidlabError
from pasidlab.lang.events import EventChoice
from pasidlab.lang.ir import SOUND, Property
from pasidlab.lang.names import nearest
from pasidlab.lang.scope import Bounds
from pasidlab.lang.words import Words

SOUND_KERNEL = Property(SOUND, "no step follows None, and none gets to crash() or breaks a rule of the language")
"""What the language itself asks of every model."""
CONTEXT_EVENTS = {
    "preempt": "a task loses its CPU",
    "softirq": "a softirq",
    "hardirq": "a hard interrupt",
    "ipi": "an inter-processor interrupt that another CPU has sent arrives",
}
"""Events of contexts (``arrivals``). Those that a model does not declare never happen in it."""
MOST = 1_000_000  # of a size


@dataclass(frozen=True)
class OwnScope:
    """A finite scope of a model of one's own. ``bounds`` limits how often an event may happen; the others may any number of times."""

    sizes: Mapping[str, int]
    events: frozenset[str]
    bounds: Mapping[str, int] = field(default_factory=dict)

    @property
    def cpus(self) -> int:
        """The size of that name; 0: there is none."""
        return self.sizes.get("cpus", 0)

    @property
    def tasks(self) -> int:
        """The size of that name; 0: there is none."""
        return self.sizes.get("tasks", 0)

    def __str__(self) -> str:
        events = ",".join(f"{e}:{self.bounds[e]}" if e in self.bounds else e for e in sorted(self.events))
        sizes = ", ".join(f"{name}={count}" for name, count in self.sizes.items())
        return f"{sizes or 'no sizes'}; {events or 'no events'}"


@dataclass(frozen=True)
class Part:
    """A part of both copies: its name, the fields of Cpu and of Task that hold it, and what those hold that are not told.

    ``wanted`` is the field of Task that says what the copy that counts must hold; empty: there is none.
    """

    name: str
    cpu: str
    task: str
    empty: str
    wanted: str = ""


@dataclass(frozen=True)
class Copies:
    """Fields that are two copies of one thing. Those of a CPU pass for a task's where ``owner`` and ``last`` point to each other.

    ``load`` is the field of a task that says that its own copy counts; empty: that counts while the task does not run. ``unless`` is the
    field of a CPU that says that ``owner`` means something else for now; empty: never.
    """

    owner: str
    last: str
    load: str
    parts: tuple[Part, ...]
    unless: str = ""


@dataclass(frozen=True)
class OwnModel:
    """What the file says of itself. Names come with what they mean; ``not_counted`` says why some have no limit."""

    sizes: Mapping[str, int]
    events: Mapping[str, str]
    mistakes: Mapping[str, str]
    properties: tuple[Property, ...]
    not_counted: Mapping[str, str]
    words: Words
    contexts: bool = False
    made: frozenset[str] = frozenset()
    """Mistakes that are in it whatever the scope says."""
    copies: Copies | None = None

    def scope(self) -> OwnScope:
        """The scope in which it is explored if nothing else is asked for: no mistake is made in it."""
        return OwnScope(dict(self.sizes), frozenset(self.events))

    def changed(self, sizes: Mapping[str, int], events: str | None) -> OwnScope:
        """The model's scope with other sizes, and other events as the command line names them. PasidlabError for a name that it has not."""
        scope = self.scope()
        if events is not None:
            chosen, bounds = self._choice().read(events.split(","), scope.events, scope.bounds)
            scope = replace(scope, events=chosen, bounds={name: most for name, most in bounds.items() if name in chosen})
        scope = replace(scope, sizes={**scope.sizes, **sizes})
        self.compiler_bounds(scope)
        return scope

    def _choice(self) -> EventChoice:
        return EventChoice((*self.events, *self.mistakes), frozenset(self.events), self.not_counted)

    def compiler_bounds(self, scope: OwnScope) -> Bounds:
        """What the compiler needs to know. PasidlabError if the scope is not one of this model."""
        for name, count in scope.sizes.items():
            if name not in self.sizes:
                raise PasidlabError(f"unknown size '{name}'", hint=nearest(name, self.sizes) if self.sizes else "the model has none")
            if not 0 <= count <= MOST:
                raise PasidlabError(f"{name}={count} is outside 0..{MOST}")
        if missing := [name for name in self.sizes if name not in scope.sizes]:
            raise PasidlabError(f"the scope has no size '{missing[0]}'")
        known = {*self.events, *self.mistakes}
        for name in (*scope.events, *scope.bounds):
            if name not in known:
                raise PasidlabError(f"unknown event '{name}'", hint=nearest(name, known))
        limits = {name: most for name, most in scope.bounds.items() if name in scope.events}
        every = frozenset(known | (CONTEXT_EVENTS.keys() if self.contexts else set()))
        return Bounds(dict(scope.sizes), scope.events | self.made, limits, every)
