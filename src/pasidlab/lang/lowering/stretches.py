"""A program between its boundaries: what one step from each boundary may access, and where it leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pasidlab.lang.ir import Instr
from pasidlab.lang.lowering.cases import Cases
from pasidlab.lang.lowering.contexts import Masks, counter_field, mask_states
from pasidlab.lang.lowering.flow import successors
from pasidlab.lang.lowering.meeting import meetings_of
from pasidlab.lang.lowering.merge import StateAccess, accesses_of
from pasidlab.lang.lowering.owners import Owner, owners_at
from pasidlab.lang.lowering.programs import ContextProgram, boundary_counters


@dataclass(frozen=True)
class Stretch:
    """The code of a program from one boundary, or from an entry, to the next ones. ``leads``: the counters there; 0 is the end."""

    counter: int
    masks: Masks
    accesses: frozenset[StateAccess]
    leads: frozenset[int]
    cases: Cases
    owned: frozenset[str]  # locals that refer to tasks this program has for itself, where it begins


def stretches(program: ContextProgram) -> list[Stretch]:
    """All stretches of a program whose boundaries are set."""
    code, starts = program.code, program.starts()
    masks = mask_states(code, starts)
    owners = owners_at(code, masks, starts)
    after = successors(code)
    counter = boundary_counters(code, program.entries)
    begins = dict(enumerate(starts, start=1)) | {number: index + 1 for index, number in counter.items()}
    found, meet = [], meetings_of(code)
    for number, begin in begins.items():
        inside, leads = _until_boundary(code, after, begin, counter)
        accesses = {access for i in inside for access in accesses_of(code[i], owners[i])} | {counter_write(program.context)}
        known = masks[begin]
        if known is not None:
            owned = frozenset(name for name, owner in owners[begin].items() if owner in (Owner.CURRENT, Owner.TAKEN))
            cases = Cases(code, start=begin, meet=meet)
            found.append(Stretch(number, known, frozenset(accesses), leads=frozenset(leads), cases=cases, owned=owned))
    return found


def counter_write(context: str) -> StateAccess:
    """What every step of a program does without saying so: it changes the program's counter."""
    return StateAccess(counter_field(context), Owner.CURRENT if context == "task" else Owner.CPU, True)


def _until_boundary(code: Sequence[Instr], after: list[list[int]], begin: int, counter: dict[int, int]) -> tuple[set[int], set[int]]:
    inside, leads, work = set[int](), set[int](), [begin]
    while work:
        i = work.pop()
        if i in counter:
            leads.add(counter[i])
        elif i not in inside:
            inside.add(i)
            work += after[i]
            if not after[i]:
                leads.add(0)
    return inside, leads
