"""Which step boundaries nobody could tell apart.

In the unmerged model every access to state is a step of its own. Leaving out a boundary before access B of program P makes B happen
together with the access before it. That is done if in every state in which P stands there

1. B can be taken: no ``require``, ``wait``, ``take`` or choice of B may fail;
2. B commutes with every step that is possible there and not P's own: it touches nothing that B writes and writes nothing that B
   reads, and does not change which element B accesses; B switches off no event that may happen there;
3. no predicate that may be true there reads what B writes;
4. P does not go round in circles without a boundary.

Why that is sound: take a run of the unmerged model. Move each such B to the place right behind the access before it (2). If the run ends
before B is taken, add B there (1). The result is a run of the merged model. Its last state differs from the other's at most in what B
writes: what was violated is (3). The other way round a merged step is several unmerged ones.

What is possible at a boundary: steps of other CPUs; handlers that nest on this one where the masks allow; and rules of the
environment. Where the masks allow preemption the task may be moved, and everything else may run. How B's element was found tells who can
reach what B touches (``owners``). Rules and predicates are run on what is known there (``cases``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pasidlab.lang.ir import Instr
from pasidlab.lang.lowering.cases import AtBoundary, Cases, Question, arguments, may_be
from pasidlab.lang.lowering.contexts import MASK_FIELDS, ON_CPU, Masks, mask_change
from pasidlab.lang.lowering.flow import Code
from pasidlab.lang.lowering.knowledge import FoundAccess, KnownOrSome, Some
from pasidlab.lang.lowering.owners import Owner, Owners, owner_of


@dataclass(frozen=True)
class StateAccess:
    """One access: the field, whose element it is, and whether it is written."""

    field: str
    owner: Owner
    write: bool


@dataclass
class ProgramAccesses:
    """A program, by what it may access wherever it stands."""

    context: str
    accesses: dict[str, set[StateAccess]] = field(default_factory=lambda: defaultdict(set))

    def add(self, code: Code, owners: Sequence[Owners]) -> None:
        """Count every access of a piece of code."""
        for instr, known in zip(code, owners, strict=True):
            for access in accesses_of(instr, known):
                self.accesses[access.field].add(access)


CpuFacts = frozenset[tuple[str, int]]
"""What fields of the executing CPU hold."""


@dataclass
class Behaving:
    """A rule, a user's instruction, a predicate or a handler: its role, its parameters (name, how many values), and its code."""

    role: str
    params: tuple[tuple[str, int], ...]
    cases: Cases
    fields: dict[str, bool]  # every field it may access: whether it may write it
    uses_cpu: bool
    arrival: Mapping[str, KnownOrSome] = field(default_factory=dict)  # of a handler: what its arrival has done to its CPU


ARRIVAL: dict[str, dict[str, KnownOrSome]] = {
    "hardirq": {MASK_FIELDS["irqs"]: 1, "Cpu.hardirq_pc": Some(1)},
    "softirq": {MASK_FIELDS["irqs"]: 0, MASK_FIELDS["bh"]: 1, "Cpu.softirq_pc": Some(1)},
}
"""What the arrival of a handler does to its CPU (``arrivals``)."""


@dataclass
class Traffic:
    """Everything that may happen while a program stands at a boundary."""

    cpus: int
    tasks: int
    programs: list[ProgramAccesses] = field(default_factory=list)
    rules: list[Behaving] = field(default_factory=list)
    handlers: dict[str, Behaving] = field(default_factory=dict)  # contexts that nest

    def standings(self, context: str, masks: Masks, mine: StateAccess, facts: CpuFacts) -> Iterable[AtBoundary]:
        """The ways to number the CPU (0 where the task may be moved), the current task and a taken one, as far as there must be one."""
        tasks = range(1, self.tasks + 1)
        for cpu in [0] if masks.preemption_possible else range(1, self.cpus + 1):
            if mine.owner is Owner.TAKEN:
                pairs = [(task, taken) for task in tasks for taken in tasks if task != taken]
                pairs += [] if context == "task" else [(0, taken) for taken in tasks]
            else:
                pairs = [(task, 0) for task in tasks] if context == "task" or mine.owner is Owner.CURRENT else [(0, 0)]
            for task, taken in pairs:
                yield AtBoundary(context, masks, cpu, task=task, taken=taken, facts=facts)


def fields_of(code: Code) -> dict[str, bool]:
    """Every field a piece of code may access: whether it may write it."""
    found: dict[str, bool] = {}
    for instr in code:
        for access in accesses_of(instr, {}):
            found[access.field] = found.get(access.field, False) or access.write
    return found


def accesses_of(instr: Instr, owners: Owners) -> list[StateAccess]:
    """The accesses an instruction makes."""
    if instr.op == "mask":
        return [StateAccess(mask_change(instr).field, Owner.CPU, True)]
    if instr.op == "enter":
        return [StateAccess("Task.pc", owner_of(instr.args[0], owners), True)]
    if instr.op == "take":
        return [StateAccess(ON_CPU, Owner.OTHER, True)]
    if instr.op == "release":
        return [StateAccess(ON_CPU, owner_of(instr.args[0], owners), True)]
    if instr.field is None:
        return []
    return [StateAccess(instr.field, owner_of(instr.element, owners), instr.op == "store")]


class Visibility:
    """Decides for each access of a program whether a boundary before it could matter."""

    def __init__(self, traffic: Traffic, merged: bool) -> None:
        self.traffic, self.merged = traffic, merged
        writes = (a for source in traffic.programs for accesses in source.accesses.values() for a in accesses)
        self._from_afar = {a.field for a in writes if a.write and a.owner is not Owner.CPU}
        self._from_afar |= {path for rule in traffic.rules for path, write in rule.fields.items() if write}
        self._found: dict[tuple[int, AtBoundary], frozenset[FoundAccess] | None] = {}

    def visible(self, instr: Instr, context: str, masks: Masks, owners: Owners) -> bool:
        """Whether something possible before this instruction could tell, or keep it from being taken."""
        if not self.merged or instr.op == "take":
            return True
        if instr.op == "mask" and mask_change(instr).off and _still_open(instr, masks):
            return True
        return any(self._access_visible(access, context, masks) for access in accesses_of(instr, owners))

    def _access_visible(self, mine: StateAccess, context: str, masks: Masks) -> bool:
        if mine.owner is Owner.CPU and masks.preemption_possible:
            return True
        return self._programs(mine, masks) or self._nested(mine, context, masks) or self._rules(mine, context, masks)

    def _programs(self, mine: StateAccess, masks: Masks) -> bool:
        """Programs on other CPUs; of a task that may be off its CPU, whoever switches, takes or runs it."""
        movable = masks.preemption_possible
        if self.traffic.cpus == 1 and not movable:
            return False
        for source in self.traffic.programs:
            for theirs in source.accesses.get(mine.field, ()):
                found = Owner.OTHER in (mine.owner, theirs.owner)
                handled = movable and mine.owner is Owner.CURRENT and (theirs.owner is Owner.TAKEN or source.context != "task")
                if (found or handled) and (mine.write or theirs.write):
                    return True
        return False

    def _nested(self, mine: StateAccess, context: str, masks: Masks) -> bool:
        """Handlers that may interrupt this CPU here, a hard interrupt also inside a softirq."""
        handlers = self.traffic.handlers
        softirq = handlers.get("softirq") if masks.softirq_possible else None
        hardirq = handlers.get("hardirq") if masks.irqs_possible else None
        facts = frozenset(fact for fact in masks.facts if fact[0] not in self._from_afar)
        if softirq and hardirq and not masks.preemption_possible:
            return any(_conflict(mine, handler) for handler in (softirq, hardirq))
        return any(self._met(mine, handler, context, masks, facts) for handler in (softirq, hardirq) if handler)

    def _rules(self, mine: StateAccess, context: str, masks: Masks) -> bool:
        """Rules and predicates."""
        return any(self._met(mine, rule, context, masks, frozenset()) for rule in self.traffic.rules)

    def _met(self, mine: StateAccess, rule: Behaving, context: str, masks: Masks, facts: CpuFacts) -> bool:
        """Whether a behaviour may write what is accessed, or read what is written, while the program stands there."""
        if not _conflict(mine, rule):
            return False
        for standing in self.traffic.standings(context, masks, mine, facts):
            element = {Owner.CPU: standing.cpu, Owner.CURRENT: standing.task, Owner.TAKEN: standing.taken}.get(mine.owner)
            found = self._accesses(rule, standing)
            if found is None or any(
                path == mine.field and (mine.write or write) and (not element or may_be(theirs, element)) for path, theirs, write in found
            ):
                return True
        return False

    def _accesses(self, rule: Behaving, standing: AtBoundary) -> frozenset[FoundAccess] | None:
        key = (id(rule), standing)
        if key not in self._found:
            self._found[key] = self._followed(rule, standing)
        return self._found[key]

    def _followed(self, rule: Behaving, standing: AtBoundary) -> frozenset[FoundAccess] | None:
        cpus = [n for n in range(1, self.traffic.cpus + 1) if rule.role != "user" or n != standing.cpu]
        if rule.arrival and standing.cpu:
            cpus = [standing.cpu]
        every: set[FoundAccess] = set()
        for assigned in arguments(rule.params, cpus, rule.uses_cpu):
            found = rule.cases.accesses(Question(standing, assigned, rule.role == "user", rule.arrival if standing.cpu else {}))
            if found is None:
                return None
            every |= found
        return frozenset(every)


def _conflict(mine: StateAccess, rule: Behaving) -> bool:
    """Whether a behaviour may write what is accessed, or read what is written, whoever's it is."""
    write = rule.fields.get(mine.field)
    return write is not None and (mine.write or write)


def _still_open(instr: Instr, masks: Masks) -> bool:
    """Whether something this change forbids is possible before it."""
    possible = {"irqs": masks.irqs_possible, "bh": masks.softirq_possible, "preempt": masks.preemption_possible}
    return possible[mask_change(instr).mask]
