"""The interpreter: the definition of what an action does. Slow and obvious; the native engine must agree with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from typing import Literal, NamedTuple

from pasidlab.lang.back.layout import Layout, State
from pasidlab.lang.emit import computed
from pasidlab.lang.ir import BINARY, DIVISIONS, LOOKED_AT, SOUND, Action, Instr, Model, Operand, Predicate, Site
from pasidlab.lang.lowering.symmetry import Symmetry
from pasidlab.lang.types import Domain

FUEL = 20_000
"""Rounds of loops one step may make before it counts as endless."""
CHOICE_DEPTH = 16
"""Choices one step may make one after the other."""
MOST_OUTCOMES = 64
"""States one step with choices may lead to."""
ErrorKind = Literal["", "null", "domain", "endless", "element"]
"""The kind of a model error, where there is advice for that kind."""


@dataclass
class Failure:
    """A property broken by a step, or a model error (``property`` empty)."""

    property: str
    sentence: str
    site: Site
    kind: ErrorKind = ""


class Touch(NamedTuple):
    """One thing a step did to state, or asked of it: a load (``old`` is ``new``), a store, or a ``check`` that failed (no field)."""

    op: str
    site: Site
    field: str = ""
    element: int = 0  # from 0
    old: int = 0
    new: int = 0


@dataclass
class Outcome:
    """What one step did. ``state`` is None when the step ended in an error, or broke a property and then could not be completed."""

    action: str
    params: tuple[int, ...]
    state: State | None
    failures: list[Failure] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)
    path: list[Touch] = field(default_factory=list)  # in the order of execution
    result: int = 0
    choices: tuple[int, ...] = ()

    @property
    def error(self) -> Failure | None:
        """The model error that ended the step, if any."""
        return next((f for f in self.failures if not f.property), None)


class _Disabled(Exception):
    """The step cannot be taken."""


class _Stop(Exception):
    """The step ended in an error."""


class Interpreter:
    """Executes the actions of a model on States."""

    def __init__(self, model: Model, *, symmetric: bool = False) -> None:
        self.model = model
        self.layout = Layout(model.fields)
        self.symmetry = Symmetry(self.layout, model.symmetric if symmetric else ())
        self.fields = model.field_table()
        self.offsets = {}
        offset = 0
        for f in model.fields:
            self.offsets[f.path] = offset
            offset += f.count
        self.observers = [(self.offsets[f.path], f.count, f.default) for f in model.fields if f.observer]  # anew in each step
        self.default: State = tuple(f.default for f in model.fields for _ in range(f.count))
        self._labels = {id(a): _labels(a) for a in self._all_actions()}
        self._loops = {id(a): loop_labels(a) for a in self._all_actions()}

    def _all_actions(self) -> list[Action]:
        model = self.model
        others = [*(p.action for p in model.predicates), *model.pending.values(), *model.asleep.values()]
        return [*model.actions, model.init, *others, *(one for one in (model.forget, model.private) if one)]

    def initial_states(self) -> list[State]:
        """All initial states, in canonical order, without duplicates."""
        states = {o.state for o in self.run(self.model.init, (), self.default) if o.state is not None}
        return sorted(states, key=self.layout.pack)

    def canonical(self, state: State) -> tuple[int, ...]:
        """The packed words that stand for a state in the search: its own, or its class's where symmetry is used."""
        return self.symmetry.canonical(state) if self.symmetry.structs else self.layout.pack(state)

    def successors(self, state: State) -> list[Outcome]:
        """Every step out of a state."""
        return self.outcomes(self.model.actions, state)

    def outcomes(self, actions: Iterable[Action], state: State) -> list[Outcome]:
        """Every step out of a state by some of the actions."""
        return [outcome for action in actions for params in param_values(action) for outcome in self.run(action, params, state)]

    def is_stuck(self, state: State) -> bool:
        """Whether no obliged step can be taken: only events may change something, and they need not happen. A crash is a step."""
        obliged = [action for action in self.model.actions if action.obliged]
        return not any(self.run(action, params, state) for action in obliged for params in param_values(action))

    def violations(self, state: State) -> list[tuple[str, str, tuple[int, ...]]]:
        """State predicates that hold but must not: (property, sentence, parameters)."""
        return [(predicate.property, predicate.sentence, outcome.params) for predicate, outcome in self.broken(state)]

    def broken(self, state: State) -> Iterator[tuple[Predicate, Outcome]]:
        """The predicates that hold but must not, and how that was found out."""
        for predicate in self.model.predicates:
            if predicate.stuck and not self.is_stuck(state):
                continue
            for params in param_values(predicate.action):
                if outcome := next((o for o in self.run(predicate.action, params, state) if o.result), None):
                    yield predicate, outcome

    def unanswered(self, state: State) -> list[Failure]:
        """Model errors of predicates that cannot say yes or no in this state, because they follow NULL, say."""
        found = [(p.action, p.stuck) for p in self.model.predicates] + [(action, False) for action in self.model.pending.values()]
        stuck = self.is_stuck(state)
        return [
            replace(failure, property="")
            for action, only_stuck in found
            if stuck or not only_stuck
            for params in param_values(action)
            for outcome in self.run(action, params, state)
            for failure in outcome.failures
            if not failure.property.startswith(LOOKED_AT)
        ]

    def run(self, action: Action, params: tuple[int, ...], state: State) -> list[Outcome]:
        """All outcomes of an action with given parameters: one for each way its choices can go."""
        outcomes: list[Outcome] = []
        digits: list[int] = []
        limits: list[int] = []
        while True:
            run = _Execution(self, action, params, list(state), digits, limits)
            outcome = run.execute()
            if outcome and outcome.state is not None and sum(o.state is not None for o in outcomes) == MOST_OUTCOMES:
                run.fail("", f"this step has more than {MOST_OUTCOMES} outcomes", run.site)
                outcome.state = None
            if outcome:
                outcome.choices = tuple(digits[: run.used])
                if outcome.state is not None and self.model.forget is not None and action is not self.model.forget:
                    forgotten = self.run(self.model.forget, (), outcome.state)[0]
                    outcome.failures += [replace(failure, property="") for failure in forgotten.failures]
                    outcome.state = forgotten.state or outcome.state
                outcomes.append(outcome)
                if outcome.error:
                    return outcomes
            del digits[run.used :], limits[run.used :]
            while digits and digits[-1] == limits[-1]:
                digits.pop()
                limits.pop()
            if not digits:
                return outcomes
            digits[-1] += 1


def param_values(action: Action) -> tuple[tuple[int, ...], ...]:
    """Every combination of an action's parameters, in order; references never take None."""
    return _combinations(action.params)


@cache
def _combinations(params: tuple[tuple[str, Domain], ...]) -> tuple[tuple[int, ...], ...]:
    ranges = []
    for _, domain in params:
        values = [domain.value(code) for code in range(1 << domain.bits)]
        ranges.append([v for v in values if domain.contains(v) and not (hasattr(domain, "struct") and v == 0)])
    return tuple(product(*ranges))


def _labels(action: Action) -> dict[str, int]:
    return {str(i.args[0]): n for n, i in enumerate(action.code) if i.op == "label"}


def loop_labels(action: Action) -> set[str]:
    """Labels some instruction behind them goes back to."""
    position = _labels(action)
    jumps = ((n, i) for n, i in enumerate(action.code) if i.op in ("jump", "branch", "switch"))
    return {label for n, i in jumps for label in i.labels() if position[label] <= n}


class _Execution:
    """One execution of an action with its choices prescribed by ``digits`` (extended with first values as needed)."""

    def __init__(
        self, owner: Interpreter, action: Action, params: tuple[int, ...], state: list[int], digits: list[int], limits: list[int]
    ) -> None:
        self.owner, self.action, self.state, self.digits, self.limits = owner, action, state, digits, limits
        self.labels, self.loops = owner._labels[id(action)], owner._loops[id(action)]
        self.locals: dict[str, int] = {name: value for (name, _), value in zip(action.params, params, strict=True)}
        self.outcome = Outcome(action.name, params, None)
        self.used = 0
        self.site = action.code[0].site  # of the last instruction executed
        for start, count, default in owner.observers:
            self.state[start : start + count] = [default] * count

    def value(self, operand: Operand) -> int:
        """A constant or a local; locals never assigned on this path are 0."""
        return operand if isinstance(operand, int) else self.locals.get(operand, 0)

    def execute(self) -> Outcome | None:
        """The outcome, or None when the step cannot be taken."""
        code, i, fuel = self.action.code, 0, FUEL
        try:
            while fuel:
                instr = code[i]
                fuel -= instr.op == "label" and instr.args[0] in self.loops
                if not fuel:
                    break
                self.site = instr.site
                if instr.op == "end":
                    self.outcome.state = tuple(self.state)
                    return self.outcome
                if instr.op == "return":
                    self.outcome.result = self.value(instr.args[0])
                    return self.outcome
                target = self.step(instr)
                i = self.labels[target] if target else i + 1
            self.fail("", "this step never ends (an infinite loop without access to shared state)", code[i].site, "endless")
        except _Disabled:  # a check that failed on the way was executed nevertheless
            self.outcome.reached.clear()
            self.outcome.repeated.clear()
            return self.outcome if self.outcome.failures else None
        except _Stop:
            return self.outcome
        return self.outcome

    def fail(self, name: str, sentence: str, site: Site, kind: ErrorKind = "") -> None:
        """Record a failure."""
        self.outcome.failures.append(Failure(name, sentence, site, kind))
        self.outcome.path.append(Touch("check", site))

    def step(self, instr: Instr) -> str | None:
        """Execute one instruction; a label to go to, or None for the next."""
        args = instr.args
        match instr.op:
            case "label" | "pause" | "atomic":
                return None
            case "copy":
                self.locals[str(args[0])] = self.value(args[1])
            case "not":
                self.locals[str(args[0])] = int(not self.value(args[1]))
            case "inv":
                self.locals[str(args[0])] = ~self.value(args[1])
            case "load":
                self.load(instr)
            case "store":
                self.store(instr)
            case "deref":
                self.follow(self.value(args[0]), int(args[1]), instr.text, instr.site)
            case "jump" | "branch" | "switch":
                return self.target(instr)
            case "choose":
                self.locals[str(args[0])] = self.choice(self.value(args[1]), self.value(args[2]), instr.site)
            case "require" | "wait":
                if not self.value(args[0]):
                    raise _Disabled
            case "check":
                if not self.value(args[1]):
                    self.fail(str(args[0]), instr.text, instr.site)
            case "crash":
                self.fail(SOUND, instr.text, instr.site)
                raise _Stop
            case "reach":
                self.outcome.reached.add(str(args[0]))
            case "repeat":
                self.outcome.repeated.add(str(args[0]))
            case op if op in BINARY:
                self.binary(instr)
            case op:
                raise AssertionError(f"operation {op} in a lowered action")
        return None

    def binary(self, instr: Instr) -> None:
        """Arithmetic within 64 bits."""
        a, b = self.value(instr.args[1]), self.value(instr.args[2])
        value = computed(instr.op, a, b)
        if value is None:
            self.fail("", "division by zero" if instr.op in DIVISIONS else f"shift by {b}", instr.site)
            raise _Stop
        self.locals[str(instr.args[0])] = value

    def address(self, path: str, element: Operand, instr: Instr) -> int:
        """Index into the state of a field's element."""
        number = self.value(element)
        self.follow(number, self.owner.fields[path].count, path, instr.site)
        return self.owner.offsets[path] + number - 1

    def follow(self, number: int, count: int, path: str, site: Site) -> None:
        """An element must be there to be accessed: following NULL is the kernel's fault, any other number the model's."""
        if not 1 <= number <= count:
            what = f"NULL pointer dereference: {path} of nothing" if number == 0 else f"{path}: no element {number - 1}"
            self.fail(SOUND if number == 0 else "", what, site, "null" if number == 0 else "element")
            raise _Stop

    def target(self, instr: Instr) -> str:
        """The label that a jump, a branch or a switch goes to."""
        if instr.op == "jump":
            return str(instr.args[0])
        chosen = self.value(instr.args[0])
        number = chosen if instr.op == "switch" else int(not chosen)
        return str(instr.args[1 + number])

    def load(self, instr: Instr) -> None:
        """A load, which the outcome's path remembers."""
        target, path, element = instr.args
        value = self.state[self.address(str(path), element, instr)]
        self.outcome.path.append(Touch("load", instr.site, str(path), element=self.value(element) - 1, old=value, new=value))
        self.locals[str(target)] = value

    def store(self, instr: Instr) -> None:
        """A store; a value outside the field's domain ends the step in an error."""
        path, element, operand = instr.args
        at = self.address(str(path), element, instr)
        value, f = self.value(operand), self.owner.fields[str(path)]
        if not f.domain.contains(value):
            self.fail("", f"{value} stored to {path}, whose domain is {f.domain}", instr.site, "domain")
            raise _Stop
        self.outcome.path.append(Touch("store", instr.site, str(path), element=self.value(element) - 1, old=self.state[at], new=value))
        self.state[at] = value

    def choice(self, low: int, high: int, site: Site) -> int:
        """The next prescribed choice; an empty range disables the step."""
        if low > high:
            raise _Disabled
        if self.used == CHOICE_DEPTH:
            self.fail("", f"this step makes more than {CHOICE_DEPTH} choices", site)
            raise _Stop
        if self.used == len(self.digits):
            self.digits.append(low)
            self.limits.append(high)
        self.used += 1
        return self.digits[self.used - 1]
