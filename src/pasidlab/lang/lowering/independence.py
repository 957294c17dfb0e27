"""Local first: where a CPU's next step concerns nobody else, the other CPUs and the environment wait.

A CPU is private in a state if its topmost context is a program that stands at a boundary of ``local_counters``. Then only the steps of
that CPU are explored: of its program, and of what may interrupt it. Write B for the boundary and S for the program's step from it.
The boundary is one of them if, whatever others do while the program stands at B,

1. S does the same: nobody else writes what S reads or writes, and nobody else reads what S writes;
2. the same arrivals interrupt it: nobody else writes what decides about them, and nobody else accesses what they write;
3. each way in which a predicate may be true there reads nothing S writes; or only what nobody else writes: so it is true there already;
4. no task sleeps at B, nor does S end where one sleeps;
5. from B the program comes to a boundary that is none of them, or to its end, whatever it decides.

If S cannot be taken in a state, the state is explored in full.

Why that is sound: take a run from a private state to a violation. If the run has a step of the private CPU, the first one can be moved to
the front (1, 2): it leads to the same end. If it contains none, S can be put in front: the run goes on as before (1). What was violated is
violated behind S as well, or was in the private state itself (3). By 5 this ends in a state explored in full. A state without successors
is reached likewise. So verdicts are those of the full search; distances are not.

All this is said of the model that forgets nothing. What is forgotten may depend on where a CPU stands; while nobody looks at it, the search
that forgets finds what the exact one does (``forget``), and where somebody does, its verdicts are void.

A rule that is obliged where a predicate is true leads only where the rule as such leads. So what that predicate looks at does not count
(``Cases.only_looks``).

What relies on merging's rules holds for this too (``owners``): a task is current on one CPU, and nobody else takes it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pasidlab.lang.ir import ASLEEP, CPU, Action
from pasidlab.lang.lowering.cases import ANY, EXIT_ENTRY, TASK_PC, AtBoundary, Cases, Question, arguments, may_be
from pasidlab.lang.lowering.contexts import ON_CPU, Masks
from pasidlab.lang.lowering.knowledge import FoundAccess, KnownOrSome, Some
from pasidlab.lang.lowering.merge import Behaving, StateAccess, Traffic, fields_of
from pasidlab.lang.lowering.owners import Owner
from pasidlab.lang.lowering.programs import Lowered
from pasidlab.lang.lowering.stretches import Stretch, counter_write, stretches
from pasidlab.lang.roles import PREDICATES

SCHEDULE = "schedule"
NO_MASKS = Masks(None, None, None)


def local_counters(program: Lowered, judge: Judge) -> frozenset[int]:
    """The program counters of one program at which its CPU is private."""
    context = program.program.context
    every = judge.stretches[context]
    asleep = set(program.sleeping)
    local = {s.counter for s in every if not asleep & {s.counter, *s.leads} and judge.local(context, s)}
    return frozenset(_without_circles(local, {s.counter: s.leads for s in every}))


def _without_circles(local: set[int], leads: dict[int, frozenset[int]]) -> set[int]:
    """The counters without those where a circle among them closes."""
    done: set[int] = set()
    for start in sorted(local):
        way, work = [start], [iter(sorted(leads[start] & local))]
        while work and start not in done:
            following = next(work[-1], None)
            if following is None:
                done.add(way.pop())
                work.pop()
            elif following in way:
                local.discard(following)
            elif following not in done and following in local:
                way.append(following)
                work.append(iter(sorted(leads[following] & local)))
    return local


@dataclass(frozen=True)
class Touched:
    """Something accessed: a field of an element, by number as far as known, and whether it is written."""

    path: str
    element: KnownOrSome
    write: bool


class Judge:
    """Decides which stretches concern nobody else. ``asleep``: predicates of those who sleep, which look at a task's counter."""

    def __init__(self, traffic: Traffic, programs: Iterable[Lowered], asleep: Iterable[Action], elements: Elements) -> None:
        self.traffic, self.elements = traffic, elements
        self.stretches = {low.program.context: stretches(low.program) for low in programs}
        self._counters = [counter_write(source.context) for source in traffic.programs]
        self.predicates = [rule for rule in traffic.rules if rule.role in ("never", "pending")]
        self.predicates += [_sleeper(action) for action in asleep]
        self.rules = [rule for rule in traffic.rules if rule.role not in PREDICATES]
        self._found: dict[tuple[int, AtBoundary, bool], frozenset[FoundAccess] | None] = {}
        self._watched: dict[AtBoundary, frozenset[FoundAccess] | None] = {}
        self._arrivals: dict[AtBoundary, bool] = {}
        self._others: dict[tuple[Touched, AtBoundary], bool] = {}
        self._steps: dict[AtBoundary, frozenset[FoundAccess] | None] = {}

    def local(self, context: str, stretch: Stretch) -> bool:
        """Whether conditions 1 to 3 hold for a stretch of a context's program."""
        if any(access.owner is Owner.OTHER and self.found_by_program(access) for access in stretch.accesses):
            return False
        return all(self._fine(standing, stretch) for standing in self.elements.standings(context, stretch))

    def _fine(self, standing: AtBoundary, stretch: Stretch) -> bool:
        places = (place for access in stretch.accesses for place in self.places(access, standing))
        return self._arrivals_fine(standing) and all(self.concerns_nobody(place, standing) for place in places)

    def concerns_nobody(self, place: Touched, standing: AtBoundary) -> bool:
        return not self._by_others(place, standing) and not (place.write and self._looked_at(place, standing))

    def places(self, access: StateAccess, standing: AtBoundary) -> Iterator[Touched]:
        """What an access may touch."""
        element = {Owner.CPU: standing.cpu, Owner.CURRENT: standing.task, Owner.TAKEN: standing.taken}.get(access.owner, 0)
        yield Touched(access.field, element or Some(), access.write)

    def _arrivals_fine(self, standing: AtBoundary) -> bool:
        """Condition 2: for every rule of the CPU that may be taken there."""
        if standing not in self._arrivals:
            own = (rule for rule in self.rules if rule.uses_cpu and rule.role == "rule")
            self._arrivals[standing] = all(self._arrival_fine(rule, standing) for rule in own)
        return self._arrivals[standing]

    def _arrival_fine(self, rule: Behaving, standing: AtBoundary) -> bool:
        found = self.accesses(rule, standing, own=True)
        return found is not None and not any(self._by_others(Touched(*place), standing) for place in found)

    def _by_others(self, mine: Touched, standing: AtBoundary) -> bool:
        """Whether another CPU or the environment may write what is read there, or access what is written."""
        if mine.path == ON_CPU and not mine.write and mine.element in (standing.task, standing.taken):
            return False  # who has a task for itself keeps it
        key = (mine, standing)
        if key not in self._others:
            self._others[key] = self._by_program(mine, standing) or any(self._by_rule(mine, rule, standing) for rule in self.rules)
        return self._others[key]

    def _by_program(self, mine: Touched, standing: AtBoundary) -> bool:
        """Programs of other CPUs: they reach what this one owns only by finding it, and then know that somebody has it."""
        access = _access(mine, standing)
        if not self.found_by_program(access):
            return False
        return access.owner is Owner.OTHER or _meets(mine, self._elsewhere(standing))

    def found_by_program(self, mine: StateAccess) -> bool:
        return any(
            Owner.OTHER in (mine.owner, theirs.owner) and (mine.write or theirs.write)
            for source in self.traffic.programs
            for theirs in (*source.accesses.get(mine.field, ()), *(c for c in self._counters if c.field == mine.field))
        )

    def _elsewhere(self, standing: AtBoundary) -> frozenset[FoundAccess] | None:
        """What any step of a program of another CPU may access; None if that cannot be told."""
        owned = AtBoundary(ANY, NO_MASKS, standing.cpu, standing.task, standing.taken)
        if owned not in self._steps:
            self._steps[owned] = all_of(
                stretch.cases.accesses(Question(owned, self.elements.locals(stretch, owned, cpu)))
                for every in self.stretches.values()
                for stretch in every
                for cpu in self.elements.others(owned.cpu)
            )
        return self._steps[owned]

    def _by_rule(self, mine: Touched, rule: Behaving, standing: AtBoundary) -> bool:
        write = rule.fields.get(mine.path)
        if write is None or not (mine.write or write):
            return False
        return _meets(mine, self.accesses(rule, standing, own=False))

    def _looked_at(self, mine: Touched, standing: AtBoundary) -> bool:
        """Condition 3: whether a predicate may tell, and others may change what it says."""
        if standing not in self._watched:
            self._watched[standing] = all_of(
                self._watched_by(rule, standing, assigned)
                for rule in self.predicates
                for assigned in self.elements.assigned(rule)
                if not (rule.role == ASLEEP and standing.context == "task" and standing.task in assigned.values())
            )  # the task itself does not sleep where it stands
        return _meets(mine, self._watched[standing])

    def _watched_by(self, rule: Behaving, standing: AtBoundary, assigned: dict[str, KnownOrSome]) -> frozenset[FoundAccess] | None:
        """What a predicate looks at on the ways to true that others may open or close; None if that cannot be told."""
        ways = rule.cases.true_ways(Question(standing, assigned))
        if ways is None:
            return None
        return frozenset(found for way in set(ways) if any(self._by_others(Touched(*one), standing) for one in way) for found in way)

    def accesses(self, rule: Behaving, standing: AtBoundary, *, own: bool) -> frozenset[FoundAccess] | None:
        """What a rule may access: that of the standing's CPU if ``own``, else those of other CPUs and of none."""
        key = (id(rule), standing, own)
        if key not in self._found:
            arguments_ = self.elements.assigned(rule, standing.cpu, own=own)
            self._found[key] = all_of(rule.cases.accesses(Question(standing, assigned, rule.role == "user")) for assigned in arguments_)
        return self._found[key]


@dataclass(frozen=True)
class Elements:
    """How many CPUs and tasks there are; ``alike``: the structs whose elements are interchangeable, so that the first stands for all."""

    cpus: int
    tasks: int
    alike: frozenset[str]

    def standings(self, context: str, stretch: Stretch) -> Iterator[AtBoundary]:
        """The ways to number the CPU, the current task and a task that was taken, as far as there are any."""
        owners = {access.owner for access in stretch.accesses}
        tasks = range(1, self.tasks + 1)
        firsts = tasks[:1] if "Task" in self.alike else tasks
        current = firsts if context == "task" or Owner.CURRENT in owners else [0]
        for cpu in range(1, 2 if "Cpu" in self.alike else self.cpus + 1):
            for task in current:
                others = [other for other in tasks if other != task] if Owner.TAKEN in owners else [0]
                for taken in others:
                    yield AtBoundary(context, stretch.masks, cpu, task, taken, at_exit=context == "task" and stretch.counter == EXIT_ENTRY)

    def switching(self, stretch: Stretch) -> Iterator[AtBoundary]:
        """The ways to number the CPU of a scheduler's program and the task that it switches from, if there is one."""
        for cpu in range(1, 2 if "Cpu" in self.alike else self.cpus + 1):
            for task in range((1 if "Task" in self.alike else self.tasks) + 1):
                yield AtBoundary(SCHEDULE, stretch.masks, cpu, task, 0)

    def others(self, cpu: int) -> list[int]:
        """The other CPUs; one of them where they are interchangeable."""
        found = [n for n in range(1, self.cpus + 1) if n != cpu]
        return found[:1] if "Cpu" in self.alike else found

    def locals(self, stretch: Stretch, standing: AtBoundary, cpu: int) -> dict[str, KnownOrSome]:
        """What the locals of another CPU's program hold where a stretch begins: its tasks are none of those standing here."""
        not_mine = frozenset({standing.task, standing.taken} - {0})
        return {CPU: cpu, **{name: Some(1, not_mine) for name in stretch.owned}}

    def assigned(self, rule: Behaving, cpu: int = 0, *, own: bool = False) -> Iterator[dict[str, KnownOrSome]]:
        """The parameters of a rule; of the CPU's own rules, or of all but those."""
        every = list(range(1, self.cpus + 1))
        others = self.others(cpu) if cpu else every
        cpus = [cpu] if own else others
        return arguments(rule.params, cpus, rule.uses_cpu)


def _access(place: Touched, standing: AtBoundary) -> StateAccess:
    """A place by its owner."""
    owned = {("Cpu", standing.cpu): Owner.CPU, ("Task", standing.task): Owner.CURRENT, ("Task", standing.taken): Owner.TAKEN}
    struct = place.path.split(".")[0]
    owner = owned.get((struct, place.element), Owner.OTHER) if isinstance(place.element, int) and place.element else Owner.OTHER
    return StateAccess(place.path, owner, place.write)


def all_of(each: Iterable[frozenset[FoundAccess] | None]) -> frozenset[FoundAccess] | None:
    """All of them; None if one is not known."""
    every: set[FoundAccess] = set()
    for found in each:
        if found is None:
            return None
        every |= found
    return frozenset(every)


def _meets(mine: Touched, found: frozenset[FoundAccess] | None) -> bool:
    """Whether accesses may be to the place, one of the two a write; anything may if they are not known."""
    return found is None or any(
        path == mine.path and (mine.write or write) and _may_meet(mine.element, element) for path, element, write in found
    )


def _may_meet(a: KnownOrSome, b: KnownOrSome) -> bool:
    if isinstance(a, int):
        return may_be(b, a)
    return may_be(a, b) if isinstance(b, int) else True


def _sleeper(action: Action) -> Behaving:
    """The predicate of those who sleep. By condition 4 no step changes whether a counter is one of a sleeper."""
    code = list(action.code)
    fields = {path: write for path, write in fields_of(code).items() if path != TASK_PC}
    params = tuple((name, getattr(domain, "count", 0)) for name, domain in action.params)
    return Behaving(ASLEEP, params, Cases(code, predicate=True), fields, False)
