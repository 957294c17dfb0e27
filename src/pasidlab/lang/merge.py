"""Which step boundaries nobody could tell apart.

In the unmerged model every access to state is a step of its own. A boundary before access B may go when no event that can
happen there touches what B touches (one of them writing): B then commutes with every such event, so running B together with
the access before it reaches the same states in which anything is still able to happen. Properties speak of a CPU and its
current task only where the CPU is open (nothing masked), so inside a masked section they count as no event; everywhere
else what a predicate reads counts as read by others.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from pasidlab.lang.contexts import MASK_FIELDS, Masks
from pasidlab.lang.flow import Code
from pasidlab.lang.ir import CPU, Instr

OWN_CPU, OWN_TASK, OTHER = "own cpu", "own task", "other"


@dataclass(frozen=True)
class Access:
    """One access: the field, how its element was found, and whether it is written."""

    field: str
    relation: str
    write: bool


@dataclass
class Traffic:
    """Who accesses a field: per source (context name, ``rule``, ``user``, ``predicate``) the accesses made."""

    by_source: dict[str, set[Access]] = field(default_factory=lambda: defaultdict(set))

    def add(self, source: str, code: Code) -> None:
        """Count every access of a piece of code."""
        relations = relation_of_locals(code)
        for instr in code:
            access = access_of(instr, relations)
            if access:
                self.by_source[source].add(access)


def relation_of_locals(code: Code) -> dict[str, str]:
    """How each local that is always ``current`` was found: a load of Cpu.current of this CPU, or a copy of such a local."""
    sources: dict[str, set[str]] = defaultdict(set)
    for instr in code:
        if instr.dst:
            if instr.op == "take" or (instr.op == "load" and instr.args[1] == "Cpu.current" and instr.args[2] == CPU):
                sources[instr.dst].add(OWN_TASK)
            elif instr.op == "copy" and instr.args[1] == 0:
                sources[instr.dst].add(OWN_TASK)  # None: nothing is accessed through it
            elif instr.op == "copy" and isinstance(instr.args[1], str):
                sources[instr.dst].add("=" + instr.args[1])
            else:
                sources[instr.dst].add(OTHER)
    relations = {name: OWN_TASK for name in sources}
    changed = True
    while changed:
        changed = False
        for name, origins in sources.items():
            fine = all(o == OWN_TASK or (o[0] == "=" and relations.get(o[1:]) == OWN_TASK) for o in origins)
            if not fine and relations[name] == OWN_TASK:
                relations[name], changed = OTHER, True
    return relations


def access_of(instr: Instr, relations: dict[str, str]) -> Access | None:
    """The access an instruction makes, if it is a load or store."""
    if instr.op == "mask":
        kind = str(instr.args[0]).split("_")[0]
        return Access(MASK_FIELDS[kind], OWN_CPU, True)
    if instr.op in ("take", "release"):
        return Access("Task.on_cpu", OTHER, True)
    if instr.field is None:
        return None
    element = instr.args[2] if instr.op == "load" else instr.args[1]
    relation = OWN_CPU if element == CPU else relations.get(element, OTHER) if isinstance(element, str) else OTHER
    return Access(instr.field, relation, instr.op == "store")


def _conflict(a: Access, b: Access) -> bool:
    return a.field == b.field and (a.write or b.write)


class Visibility:
    """Decides for each access of a program whether a boundary before it could matter."""

    def __init__(self, traffic: Traffic, merged: bool) -> None:
        self.merged = merged
        self.by_source: dict[str, dict[str, set[Access]]] = {}
        for source, accesses in traffic.by_source.items():
            table: dict[str, set[Access]] = defaultdict(set)
            for access in accesses:
                table[access.field].add(access)
            self.by_source[source] = table

    def _others(self, source: str, field_path: str) -> set[Access]:
        return self.by_source.get(source, {}).get(field_path, set())

    def visible(self, instr: Instr, access: Access, masks: Masks) -> bool:
        """Whether some event possible before this access conflicts with it."""
        if not self.merged:
            return True
        if instr.op == "mask":
            return _tightens(instr) and _still_open(instr, masks)
        return self._remote(access) or self._local(access, masks)

    def _remote(self, mine: Access) -> bool:
        """Steps of other CPUs and of the environment."""
        for source in self.by_source:
            if source == "predicate" and mine.relation != OTHER:
                continue
            for theirs in self._others(source, mine.field):
                meets = theirs.relation == OTHER or (mine.relation == OTHER)
                if meets and _conflict(mine, theirs):
                    return True
        return False

    def _local(self, mine: Access, masks: Masks) -> bool:
        """Contexts that may nest on this CPU here, and after preemption whatever else may run on it."""
        sources = []
        if masks.irqs_possible:
            sources += ["hardirq", "ipi"]
        if masks.softirq_possible:
            sources.append("softirq")
        if masks.preemption_possible:
            sources += ["schedule", "predicate"]
        if any(_conflict(mine, theirs) for source in sources for theirs in self._others(source, mine.field)):
            return True
        if not masks.preemption_possible or mine.relation == OWN_TASK:
            return False
        return any(_conflict(mine, theirs) for source in ("task", "user") for theirs in self._others(source, mine.field))


def _tightens(instr: Instr) -> bool:
    return str(instr.args[0]).endswith("off")


def _still_open(instr: Instr, masks: Masks) -> bool:
    """Whether something this change forbids is possible before it."""
    kind = str(instr.args[0]).split("_")[0]
    return {"irqs": masks.irqs_possible, "bh": masks.softirq_possible, "preempt": masks.preemption_possible}[kind]
