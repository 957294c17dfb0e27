"""Coming late: where what led a CPU's scheduler to a boundary concerns nobody else, it might have come later, so the others wait.

A boundary L of the scheduler's program is late if

1. all that leads to L, the rules that begin the program and its steps, reads nothing that others write while the CPU stands there. It
   writes nothing that others access there, nor what a predicate looks at that others may make true;
2. L is the program's entry, or is reached by way of late boundaries only. So it is not part of a circle;
3. no rule of the CPU changes anything while it stands there. So a CPU is at L by such a step only.

Then only the steps of that CPU are explored, unless the program below the scheduler stands at a local counter (``independence``). So the
CPU comes from a state that is explored in full. If its program's step cannot be taken, the state is explored in full.

Why that is sound: take a run to a violation from a state that is explored in full, in which a CPU comes to L. Its steps to L can be done
later, just before its next step (1), which is its program's (3). If there is none, they can be left out: what was violated is violated
without them, or was right behind them (1). So the run begins with another step, or the CPU goes on at L at once. By 2 this ends in a state
explored in full. So verdicts are those of the full search; distances are not. The last such L is where the scheduler takes a task.

All this is said of the model that forgets nothing, as ``independence`` says.
"""

from __future__ import annotations

from dataclasses import replace

from pasidlab.lang.lowering.cases import ANY, EXIT_ENTRY, TASK_PC, AtBoundary
from pasidlab.lang.lowering.contexts import CURRENT, counter_field
from pasidlab.lang.lowering.independence import NO_MASKS, SCHEDULE, Judge, Touched, all_of
from pasidlab.lang.lowering.merge import Behaving
from pasidlab.lang.lowering.owners import Owner
from pasidlab.lang.lowering.programs import Lowered
from pasidlab.lang.lowering.stretches import Stretch

SCHEDULE_PC = counter_field(SCHEDULE)


def late_counters(program: Lowered, judge: Judge) -> frozenset[int]:
    """The program counters of the scheduler that are late."""
    every = {s.counter: s for s in judge.stretches[SCHEDULE]}
    ways_to: dict[int, list[Stretch]] = {counter: [] for counter in every}
    for stretch in every.values():
        for counter in stretch.leads & every.keys():
            ways_to[counter].append(stretch)
    late: set[int] = set()
    entries = range(1, len(program.program.entries) + 1)
    todo = [every[entry] for entry in entries if entry in every and not ways_to[entry] and _begins_late(judge, every[entry])]
    while todo:
        late.add((found := todo.pop()).counter)
        for counter in found.leads & every.keys():
            ways = ways_to[counter]
            if counter not in late and all(w.counter in late and _goes_late(judge, w, every[counter]) for w in ways):
                todo.append(every[counter])
    return frozenset(late)


def _begins_late(judge: Judge, entry: Stretch) -> bool:
    """Whether the scheduler comes late to its entry: rules of its CPU begin it, and nothing else."""
    begins = [rule for rule in judge.rules if rule.fields.get(SCHEDULE_PC)]
    programs = (access for source in judge.traffic.programs for access in source.accesses.get(SCHEDULE_PC, ()))
    if any(rule.role != "rule" or not rule.uses_cpu for rule in begins) or any(access.write for access in programs):
        return False
    return all(
        _left_alone(judge, standing) and all(_rule_late(judge, rule, standing) for rule in begins)
        for standing in judge.elements.switching(entry)
    )


def _rule_late(judge: Judge, rule: Behaving, standing: AtBoundary) -> bool:
    """What a rule of the CPU does before the program stands there; it leaves a task in the kernel where it is."""
    before = AtBoundary(ANY, NO_MASKS, standing.cpu, standing.task, 0, facts=frozenset({(CURRENT, standing.task)}))
    found = judge.accesses(rule, before, own=True)
    if found is None:
        return False
    places = [Touched(*place) for place in found]
    leaves = Touched(TASK_PC, standing.task, True)
    left = replace(standing, left=True) if leaves in places and _leaves_user_mode(judge, rule, standing) else standing
    return all(judge.concerns_nobody(place, left if place == leaves else standing) for place in places)


def _leaves_user_mode(judge: Judge, rule: Behaving, standing: AtBoundary) -> bool:
    """Whether a rule changes the current task's counter only where it was in user mode: to that of the way back."""
    stores = [i.args[2] for i in rule.cases.code if i.op == "store" and i.field == TASK_PC]
    inside = [AtBoundary("task", NO_MASKS, standing.cpu, standing.task, 0, at_exit=at_exit) for at_exit in (False, True)]
    found = all_of(judge.accesses(rule, one, own=True) for one in inside)
    return set(stores) == {EXIT_ENTRY} and found is not None and not any(path == TASK_PC and write for path, _, write in found)


def _goes_late(judge: Judge, way: Stretch, behind: Stretch) -> bool:
    """Whether a program's step comes late to where another one begins."""
    if any(access.owner is Owner.OTHER and judge.found_by_program(access) for access in way.accesses):
        return False
    return all(
        _left_alone(judge, standing)
        and all(judge.concerns_nobody(place, standing) for access in way.accesses for place in judge.places(access, standing))
        for standing in judge.elements.switching(behind)
    )


def _left_alone(judge: Judge, standing: AtBoundary) -> bool:
    """Condition 3 for the rules."""
    found = all_of(judge.accesses(rule, standing, own=True) for rule in judge.rules if rule.uses_cpu and rule.role == "rule")
    return found is not None and not any(write for _, _, write in found)
