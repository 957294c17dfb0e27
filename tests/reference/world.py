"""One model in one scope: the state's layout, what may happen in it, and what must not be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from reference.declared import Declared, Function
from reference.frames import Finished, Frame, Frames, ModelError
from reference.requests import Choose, Meet, Pause, StoreHere
from reference.rewrite import accesses, generators, mentions_cpu
from reference.run import Run, ways
from reference.values import Domain, Element, Number

State = tuple[Any, ...]
CONTEXTS = ("hardirq", "softirq", "schedule", "task")  # topmost first
ARRIVALS = "arrivals.py"


@dataclass(frozen=True)
class Scope:
    """Sizes, the events that happen, and how often."""

    sizes: dict[str, int]
    events: frozenset[str]
    limits: dict[str, int]


@dataclass(frozen=True)
class Step:
    """One step out of a state. ``state`` is None if the step ended in a NULL dereference or could not be taken to its end."""

    state: State | None
    failures: frozenset[str]
    reached: frozenset[str]
    repeated: frozenset[str]
    who: str
    cpu: Element | None
    obliged: bool
    """Somebody must take it some time: it is no event, and no instruction of a program."""


@dataclass(frozen=True)
class Rule:
    """A guarded atomic step: a ``@rule`` or a ``@user`` instruction."""

    function: Function
    params: tuple[Domain, ...]
    on_cpu: bool
    user: bool
    event: str


class World:
    """A model ready to be searched."""

    def __init__(self, paths: Iterable[Path], scope: Scope, arrivals: Path) -> None:
        self.scope = scope
        self.declared = self._declared([arrivals, *paths], scope)
        self.offsets: dict[tuple[str, str], int] = {}
        self.domains: list[Domain] = []
        self.default: State = ()
        self._lay_out()
        self.functions = generators(self.declared, scope.events)
        instructions = [self.functions[f.name].__code__ for f in self.declared.functions.values() if f.has("instruction")]
        self.frames = Frames(frozenset(instructions), self.offsets)
        self.cpus = self.declared.structs["Cpu"].elements if "Cpu" in self.declared.structs else []
        self.has_contexts = ("Cpu", "hardirq_pc") in self.offsets
        self.rules = [self._rule(f, role) for role in ("rule", "user") for f in self._with(role)]
        self.standing: dict[str, list[Frame]] = {}  # by context: the frame of each program counter, from 1
        if self.has_contexts:
            self.entries = [f.name for f in self._with("entry")]
            self._programs()
        self._atomic: dict[tuple[str, tuple[Any, ...]], Frame] = {}
        self.predicates = [(role, f, self._params(f)) for role in ("never", "stuck") for f in self._with(role)]

    def _declared(self, paths: list[Path], scope: Scope) -> Declared:
        declared = Declared(scope.sizes)
        declared.read(paths)
        if "Cpu" in declared.structs and "hardirq_pc" in declared.structs["Cpu"].fields:
            return declared
        declared = Declared(scope.sizes)  # a model without contexts has no use for the arrivals
        declared.read(path for path in paths if path.name != ARRIVALS)
        return declared

    def _lay_out(self) -> None:
        values: list[Any] = []
        for struct in self.declared.structs.values():
            for name, (domain, default) in struct.fields.items():
                self.offsets[struct.name, name] = len(values)
                wide = Number(0, 1 << 40) if name.endswith("pc") and isinstance(domain, Number) and domain.high > 255 else domain
                self.domains += [wide] * struct.count
                values += [default] * struct.count
        for event, limit in self.scope.limits.items():
            self.offsets["Events", event] = len(values)
            self.domains.append(Number(0, limit))
            values.append(limit)
        self.default = tuple(values)

    def _with(self, role: str) -> list[Function]:
        """Functions with that role whose event is in the scope, in order of their source."""
        found = []
        for function in self.declared.functions.values():
            roles = [r for r in function.roles if r.name == role]
            if roles and {roles[0].event, roles[0].follows} - {""} <= self.scope.events:
                found.append(function)
        return found

    def _params(self, function: Function) -> tuple[Domain, ...]:
        return tuple(self.declared.domain(a.annotation) for a in function.node.args.args if a.annotation is not None)

    def _rule(self, function: Function, role: str) -> Rule:
        event = next(r.event for r in function.roles if r.name == role)
        user = role == "user"
        return Rule(function, self._params(function), user or mentions_cpu(function, self.declared), user, event)

    # Programs: what runs in contexts

    def _handlers(self, kind: str) -> tuple[str, ...]:
        return tuple(f.name for f in self._with("context") if any(r.texts[:1] == (kind,) for r in f.roles))

    def _programs(self) -> None:
        leave = [f.name for f in self._with("exit_to_user")]
        self._stand("task", [partial(self._task, name, tuple(leave)) for name in ("", *self.entries)])
        for kind in ("schedule", "softirq"):
            self._stand(kind, [partial(self._handler, self._handlers(kind), f"return_from_{kind}")])
        hard = [partial(self._handler, self._handlers(kind), "return_from_hardirq") for kind in ("hardirq", "ipi")]
        self._stand("hardirq", hard)

    def _stand(self, context: str, starts: list[Callable[[], Any]]) -> None:
        self.standing[context] = [self.frames.first(start) for start in starts]
        for number, frame in enumerate(self.standing[context], start=1):
            frame.number = number

    def _task(self, entry: str, leave: tuple[str, ...]) -> Any:
        """From an entry point back to user mode; without one, the way back alone."""
        if entry:
            yield from self.functions[entry]()
        else:
            if any(accesses(self.declared.functions[name].node, self.declared, free=True) for name in self.entries):
                yield Meet()
        for name in leave:
            yield from self.functions[name]()
        yield StoreHere("irqs_off", False)

    def _handler(self, handlers: tuple[str, ...], leave: str) -> Any:
        """One of the handlers, then back to what it interrupted."""
        if handlers:
            name = handlers[0] if len(handlers) == 1 else (yield Choose(handlers))
            yield from self.functions[name]()
        yield from self.functions[leave]()

    def entry_number(self, name: str) -> int:
        """The program counter of an entry point."""
        return self.entries.index(name) + 2

    def is_exception(self, name: str) -> bool:
        """Whether the CPU enters it with interrupts off."""
        return any(r.name == "entry" and r.texts == ("exception",) for r in self.declared.functions[name].roles)

    def is_asleep(self, pc: int) -> bool:
        """Whether a task with that program counter waits asleep."""
        if not pc:
            return False
        stop = self.standing["task"][pc - 1].stop
        return isinstance(stop, Pause) and stop.asleep

    # Steps

    def initial(self) -> set[State]:
        """All initial states."""
        runs = [Run(self, self.default, "rule", None)]
        for function in self._with("initial"):
            runs = [after for run in runs for after, frame in ways(run, self._frame(function.name, ())) if frame is not None]
        return {tuple(run.memory) for run in runs}

    def _frame(self, name: str, arguments: tuple[Any, ...]) -> Frame:
        key = name, arguments
        if key not in self._atomic:
            self._atomic[key] = self.frames.first(partial(self.functions[name], *arguments))
        return self._atomic[key]

    def steps(self, state: State) -> Iterator[Step]:
        """Every step out of a state; ModelError if one has no meaning."""
        if self.has_contexts:
            for cpu in self.cpus:
                yield from self._program(state, cpu)
        for rule in self.rules:
            for cpu in self.cpus if rule.on_cpu else [None]:
                if not rule.user or self._in_user_mode(state, cpu):
                    yield from self._taken(state, cpu, rule)

    def value(self, state: State, element: Element, name: str) -> Any:
        """A field of an element in a state."""
        return state[self.offsets[element.struct.name, name] + element.number]

    def _top(self, state: State, cpu: Element) -> str:
        """The context on top of a CPU's stack."""
        return next((c for c in CONTEXTS[:3] if self.value(state, cpu, f"{c}_pc")), "task")

    def _in_user_mode(self, state: State, cpu: Element | None) -> bool:
        assert cpu is not None
        task = self.value(state, cpu, "current")
        return task is not None and self._top(state, cpu) == "task" and not self.value(state, task, "pc")

    def _program(self, state: State, cpu: Element) -> Iterator[Step]:
        """The context on top of the CPU's stack moves."""
        context = self._top(state, cpu)
        owner, name = (self.value(state, cpu, "current"), "pc") if context == "task" else (cpu, f"{context}_pc")
        if owner is None or not (number := self.value(state, owner, name)):
            return
        frame = self.standing[context][number - 1]
        for run, after in ways(Run(self, state, context, cpu), frame):
            if after is not None:
                run.store(owner, name, self._number(context, after))
            yield self._step(run, context, after is not None, obliged=True)

    def _number(self, context: str, frame: Frame) -> int:
        """The program counter of a frame that stands between two steps; 0 once it is finished."""
        if isinstance(frame.stop, Finished):
            return 0
        if not frame.number:
            self.standing[context].append(frame)
            frame.number = len(self.standing[context])
        return frame.number

    def _taken(self, state: State, cpu: Element | None, rule: Rule) -> Iterator[Step]:
        for arguments in product(*(domain.each() for domain in rule.params)):
            start = Run(self, state, "rule", cpu)
            if rule.event in self.scope.limits:
                left = self.offsets["Events", rule.event]
                if not start.memory[left]:
                    return
                start.memory[left] -= 1
            for run, after in ways(start, self._frame(rule.function.name, arguments)):
                if after is not None or run.failures:
                    yield self._step(run, rule.function.name, after is not None, obliged=not rule.user and not rule.event)

    def _step(self, run: Run, who: str, taken: bool, obliged: bool) -> Step:
        state = tuple(run.memory) if taken else None
        reached = frozenset(run.reached) if taken else frozenset()
        return Step(state, frozenset(run.failures), reached, frozenset(run.repeated), who, run.cpu, obliged)

    # Properties

    def broken(self, state: State, stuck: bool) -> set[str]:
        """Properties whose predicates are true in the state; ModelError if one follows NULL."""
        found = set()
        for role, function, params in self.predicates:
            if role == "stuck" and not stuck:
                continue
            for arguments in product(*(domain.each() for domain in params)):
                for run, after in ways(Run(self, state, "rule", None), self._frame(function.name, arguments)):
                    if run.failures:
                        raise ModelError(f"{function.name} follows NULL")
                    if after is not None and isinstance(after.stop, Finished) and after.stop.value:
                        found.add(next(r.texts[0] for r in function.roles if r.name == role))
        return found
