"""What a rule, a predicate or a handler can access while a program stands at a boundary. Running the code on what is known there tells.

The CPU, its current task and a task it has taken are numbered (``AtBoundary``); what is known of them is data; everything else has
an unknown value, and both ways of a branch are followed. A way to a ``require`` that is known to fail is never taken, unless something on
it may break a property: what a failed check says stands although the step does not. A predicate that is known to be false looks at
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pasidlab.lang.emit import computed
from pasidlab.lang.ir import BINARY, CPU, SHIFTS, VALUES, Instr, Operand
from pasidlab.lang.lowering.contexts import CURRENT, MASK_FIELDS, ON_CPU, Masks, counter_field, mask_change
from pasidlab.lang.lowering.flow import Code
from pasidlab.lang.lowering.knowledge import FoundAccess, Knowledge, KnownOrSome, Some
from pasidlab.lang.lowering.meeting import Meet, Met, meetings_of

FOLLOWING = frozenset({"load", "store", "take", "release", "deref"})
"""Operations that fault where their element is None."""
LOOKING = frozenset({"load", "label", "jump", "branch", "switch", "atomic", "return"}) | VALUES - SHIFTS
"""Operations that compute, and cannot fail where their element is there."""
MOST_WAYS = 10_000
"""Ways through one behaviour that are followed before it counts as doing anything it may do at all."""
FEW_WAYS = 16
"""Ways that are followed before it is worth looking where they meet (``meeting``)."""
MOST_ROUNDS = 30
"""Rounds of a loop, likewise."""
EXIT_ENTRY = 1
"""The counter of a task that was interrupted in user mode: it takes the way back next (``arrivals``)."""
TASK_PC = "Task.pc"
NOTHING = ""
"""What is accessed where None is followed: no field."""
ANY = ""
"""A context nothing is known of."""
FIRST_BOUNDARY = 2
"""No boundary of the task's program has a smaller program counter: the first numbers are those of the entries (``arrivals``)."""


class _TooMany(Exception):
    """There are more ways than are worth following."""


@dataclass(frozen=True)
class AtBoundary:
    """A program at a boundary: its context and masks, its CPU, and the tasks it owns by number (0: none that is certain).

    ``cpu`` is 0 where the task may be moved: then its masks say nothing of any CPU. ``facts``: what fields of its CPU hold.
    """

    context: str
    masks: Masks
    cpu: int
    task: int
    taken: int
    facts: frozenset[tuple[str, int]] = frozenset()
    at_exit: bool = False  # the task's counter is that of the way out, which it has not begun to go
    left: bool = False  # the task has been interrupted in user mode, and its counter was or was not yet set to that

    def known(self) -> dict[tuple[str, int], KnownOrSome]:
        """What is certain of the numbered elements as long as the program stands there."""
        known: dict[tuple[str, int], KnownOrSome] = {}
        if self.context == "task":
            known[TASK_PC, self.task] = EXIT_ENTRY if self.at_exit else Some(FIRST_BOUNDARY)
        if self.left:
            known[TASK_PC, self.task] = Some(0, high=EXIT_ENTRY, told=(TASK_PC, self.task, False))
        if not self.cpu:
            return known
        mine: dict[str, KnownOrSome] = {}
        if self.masks.irqs_off is not None:
            mine[MASK_FIELDS["irqs"]] = int(self.masks.irqs_off)
        counts = {"preempt": self.masks.preempt, "bh": self.masks.bh}  # at least: what was left over when the kernel was entered adds up
        mine |= {MASK_FIELDS[name]: Some(count) for name, count in counts.items() if count}
        mine |= {counter_field(name): Some(1) if name == self.context else 0 for name in self._at_or_above()}
        if self.context == "task":
            mine[CURRENT] = self.task
        known |= {(path, self.cpu): value for path, value in [*mine.items(), *self.facts]}
        known |= {(ON_CPU, owned): 1 for owned in (self.task, self.taken) if owned}
        return known

    def _at_or_above(self) -> tuple[str, ...]:
        """The contexts this one is or that would run in its place if they were active."""
        above = {"softirq": ("softirq", "hardirq"), "hardirq": ("hardirq",), ANY: ()}
        return above.get(self.context, ("schedule", "softirq", "hardirq"))

    def current(self, cpu: KnownOrSome) -> list[KnownOrSome]:
        """What Cpu.current of a CPU may hold: the task that stands there, or another one or none."""
        owned = frozenset({self.task, self.taken} - {0})
        if self.cpu and _not(cpu, self.cpu):
            return [Some(0, owned)]  # a task is current on one CPU only
        return [*owned, Some(0, owned)]


@dataclass(frozen=True)
class Question:
    """What a behaviour is asked with: where the other program stands, the arguments, and whether its own task is in user mode."""

    standing: AtBoundary
    arguments: dict[str, KnownOrSome]
    in_user_mode: bool = False
    arrival: Mapping[str, KnownOrSome] = field(default_factory=dict)  # of a handler: what its arrival has done to the CPU's fields


class Cases:
    """The code of a rule or predicate; with ``entries`` that of a handler; with ``start`` one step of a program that begins there."""

    def __init__(
        self, code: Code, *, predicate: bool = False, entries: Iterable[str] = (), start: int | None = None, meet: Meet | None = None
    ) -> None:
        self.code, self.predicate, self.meet = code, predicate, meet or meetings_of(code)  # those of one code may share it
        self.labels = {str(i.args[0]): n for n, i in enumerate(code) if i.op == "label"}
        self.starts = [self.labels[label] for label in entries] or [start or 0]
        self.one_step = start is not None  # what goes on behind a boundary is another step; a rule has none, a handler has many
        self.at_once = not entries  # a handler takes many steps: what it does not own may change meanwhile

    def accesses(self, asked: Question) -> frozenset[FoundAccess] | None:
        """What it may access; None if there are too many ways to tell."""
        try:
            ways = list(self._ways(asked))
        except _TooMany:
            return None
        looks = not self.predicate or any(true for _, true in ways)
        return frozenset(access for found, _ in ways for access in found) if looks else frozenset()

    def true_ways(self, asked: Question) -> list[frozenset[FoundAccess]] | None:
        """What a predicate looks at on each way that may end with true; None if there are too many to tell."""
        try:
            return [frozenset(found) for found, true in self._ways(asked) if true]
        except _TooMany:
            return None

    def only_looks(self) -> bool:
        """Whether the code does no more than compute: it has one outcome, follows nothing that may be None, keeps no record, and ends."""
        if not all(instr.op in LOOKING for instr in self.code):
            return False
        found = self.accesses(Question(AtBoundary(ANY, Masks(None, None, None), 0, 0, 0), {CPU: 1}))
        return found is not None and all(isinstance(element, int) and element > 0 for _, element, _ in found)

    def _ways(self, asked: Question) -> Iterator[tuple[list[FoundAccess], bool]]:
        """The accesses of each way that may be taken to its end, and whether it may end with true."""
        known = asked.standing.known() | {(path, asked.standing.cpu): value for path, value in asked.arrival.items()}
        work = [Knowledge(start, dict(asked.arguments), dict(known), frozenset()) for start in self.starts]
        followed, met = 0, None
        while work:
            way = work.pop()
            followed += 1
            if followed > MOST_WAYS:
                raise _TooMany
            met = met or (Met(self.meet()) if followed > FEW_WAYS else None)
            ended = self._follow(way, asked, work, met)
            if ended is not None:
                yield way.found, ended

    def _follow(self, way: Knowledge, asked: Question, work: list[Knowledge], met: Met | None) -> bool | None:
        """Follow one way to its end, leaving others for later. None: it adds nothing; else whether a predicate may be true.

        Following None is an end like any other: the step breaks a property, or a predicate cannot answer.
        """
        while True:
            instr = self.code[way.at]
            if met and instr.op == "label" and met.ends(way):
                return None
            if instr.op in ("end", "crash") or (instr.op == "pause" and self.one_step):
                return True
            if instr.op == "return":
                return self._decided(way, instr.args[0]) != 0
            if instr.op in ("require", "wait") and self._decided(way, instr.args[0]) == 0:
                return way.checked or None
            if instr.op in ("jump", "branch", "switch"):
                self._jump(way, instr, work)
                continue
            if instr.op in FOLLOWING and self._value(way, instr.element) == 0:
                way.found.append((NOTHING, 0, False))
                return True
            if instr.op in FOLLOWING and not self._access(way, instr, asked, work):
                return way.checked or None
            if instr.op == "check":
                way.checked |= may_be(self._decided(way, instr.args[1]), 0)
            if instr.op == "mask":
                self._mask(way, instr)
            elif instr.op not in ("load", "take", "store") and instr.dst is not None:
                way.locals[instr.dst] = self._computed(way, instr)
            way.at += 1

    def _jump(self, way: Knowledge, instr: Instr, work: list[Knowledge]) -> None:
        targets = [self.labels[label] for label in instr.labels()]
        if instr.op == "branch":
            value = self._value(way, instr.args[0])
            if isinstance(value, Some) and not value.is_not(0):
                self._decided(way, instr.args[0])
                other = way.fork(targets[1])
                other.learn(value, 0)
                work.append(other)
                way.learn(value, value.without({0}))
                targets = targets[:1]
            else:
                targets = targets[1:] if value == 0 else targets[:1]
        elif instr.op == "switch" and isinstance(value := self._decided(way, instr.args[0]), int):
            targets = targets[value : value + 1]
        work += [way.fork(target) for target in targets[1:]]
        way.at = targets[0]
        way.visited[way.at] = way.visited.get(way.at, 0) + 1
        if way.visited[way.at] > MOST_ROUNDS:
            raise _TooMany

    def _access(self, way: Knowledge, instr: Instr, asked: Question, work: list[Knowledge]) -> bool:
        """Note an access and its effect; False if the step cannot be taken."""
        path = instr.field or ON_CPU
        element = self._decided(way, instr.element)
        if instr.op == "deref":
            return True
        if instr.op == "take":
            return self._take(way, instr, element)
        if instr.op != "load":
            way.found.append((path, element, True))
        else:
            values = self._loaded(way, path, element, asked)
            if not any(isinstance(value, Some) and value.told for value in values):
                way.found.append((path, element, False))
            for value in values[1:]:
                other = way.fork(way.at + 1)
                other.hold(path, element, instr, value, self.at_once)
                work.append(other)
            way.hold(path, element, instr, values[0], self.at_once)
            return True
        if isinstance(element, Some):
            way.gone |= {path}
        elif self.at_once or (path, element) in way.fields:
            way.fields[path, element] = 0 if instr.op == "release" else self._value(way, instr.args[2])
        return True

    def _take(self, way: Knowledge, instr: Instr, element: KnownOrSome) -> bool:
        """A task is taken, which is none of those that somebody has; False if it is certain that somebody has it."""
        if isinstance(element, int):
            if way.fields.get((ON_CPU, element)) == 1:
                return False
        else:
            owned = {number for (held, number), value in way.fields.items() if held == ON_CPU and value == 1}
            way.learn(element, free := element.without(owned))
            element = free
        way.found += [(ON_CPU, element, True), (ON_CPU, element, False)]
        way.locals[str(instr.args[0])] = element
        return True

    def _mask(self, way: Knowledge, instr: Instr) -> None:
        """A program changes a mask of its CPU."""
        change = mask_change(instr)
        path, cpu = change.field, self._value(way, CPU)
        way.found.append((path, cpu, True))
        if not isinstance(cpu, int):
            way.gone |= {path}
            return
        old = way.fields.get((path, cpu), Some(0))
        if change.mask == "irqs":
            way.fields[path, cpu] = int(change.off)
        else:
            least = old if isinstance(old, int) else old.low
            way.fields[path, cpu] = Some(least + 1 if change.off else max(least - 1, 0))

    def _loaded(self, way: Knowledge, path: str, element: KnownOrSome, asked: Question) -> list[KnownOrSome]:
        """What a field may hold."""
        if path in way.gone:
            return [Some()]
        if isinstance(element, int) and (path, element) in way.fields:
            return [way.fields[path, element]]
        if path != CURRENT:
            return [Some()]
        standing = asked.standing
        if asked.in_user_mode and element == asked.arguments[CPU]:
            return [Some(1, frozenset({standing.task, standing.taken} - {0}))]
        return standing.current(element)

    def _decided(self, way: Knowledge, operand: Operand) -> KnownOrSome:
        """The value of an operand on which something depends."""
        value = self._value(way, operand)
        if isinstance(value, Some) and value.told:
            way.found.append(value.told)
        return value

    def _value(self, way: Knowledge, operand: Operand) -> KnownOrSome:
        return operand if isinstance(operand, int) else way.locals.setdefault(operand, Some())

    def _computed(self, way: Knowledge, instr: Instr) -> KnownOrSome:
        values = [self._value(way, operand) for operand in instr.operands()]
        if instr.op == "copy":
            return values[0]
        if instr.op == "not":
            value = values[0]
            if isinstance(value, int):
                return int(not value)
            return 0 if value.is_not(0) else Some(told=value.told)
        if instr.op in BINARY:
            a, b = values
            if isinstance(a, int) and isinstance(b, int):
                found = computed(instr.op, a, b)
                return Some() if found is None else found
            return _partly_known(instr.op, a, b)
        return _unknown(*values)


def may_be(element: KnownOrSome, number: int) -> bool:
    """Whether an element may be the one with the number."""
    return not _not(element, number)


def _not(value: KnownOrSome, number: int) -> bool:
    return value.is_not(number) if isinstance(value, Some) else value != number


def _partly_known(op: str, a: KnownOrSome, b: KnownOrSome) -> KnownOrSome:
    known, other = (a, b) if isinstance(a, int) else (b, a)
    if op in ("eq", "ne") and (a is b or (isinstance(known, int) and _not(other, known))):
        return int((op == "eq") == (a is b))
    if op == "and" and known == 0:
        return 0
    if op in ("lt", "le"):
        (least_a, most_a), (least_b, most_b) = _bounds(a), _bounds(b)
        strict = op == "lt"
        if most_a + strict <= least_b:
            return 1
        if least_a + strict > most_b:
            return 0
    return _unknown(a, b)


def _bounds(value: KnownOrSome) -> tuple[int, int]:
    return (value.low, value.high) if isinstance(value, Some) else (value, value)


def _unknown(*values: KnownOrSome) -> Some:
    """What is computed of values that are not all known."""
    return Some(told=next((value.told for value in values if isinstance(value, Some) and value.told), None))


def arguments(params: Iterable[tuple[str, int]], cpus: Iterable[int], uses_cpu: bool) -> Iterator[dict[str, KnownOrSome]]:
    """Every assignment of the parameters (name, how many values; 0: not to be listed) and of the executing CPU."""
    names = [(name, count) for name, count in params if count]
    assigned: list[dict[str, KnownOrSome]] = [{CPU: cpu} for cpu in cpus] if uses_cpu else [{}]
    for name, count in names:
        assigned = [{**one, name: number} for one in assigned for number in range(1, count + 1)]
    yield from assigned
