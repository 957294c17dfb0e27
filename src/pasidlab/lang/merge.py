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
from pasidlab.lang.flow import Code, simplify
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
    handlers: dict[str, tuple[Code, set[str]]] = field(default_factory=dict)  # contexts that nest: their code and entry labels

    def add(self, source: str, code: Code) -> None:
        """Count every access of a piece of code."""
        self.by_source[source] |= accesses_of(code)


def accesses_of(code: Code) -> set[Access]:
    """Every access of a piece of code."""
    relations = relation_of_locals(code)
    return {access for instr in code if (access := access_of(instr, relations))}


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
    relations = dict.fromkeys(sources, OWN_TASK)
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
        self.handlers = traffic.handlers
        every = [access for accesses in traffic.by_source.values() for access in accesses]
        self.written_from_afar = {a.field for a in every if a.write and a.relation == OTHER}
        self._under: dict[tuple[str, frozenset[tuple[str, int]]], set[Access]] = {}
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
        facts = self._settled(masks)
        nesting = [context for context, possible in (("hardirq", masks.irqs_possible), ("softirq", masks.softirq_possible)) if possible]
        if any(_conflict(mine, theirs) for context in nesting for theirs in self._handler(context, facts)):
            return True
        if not masks.preemption_possible:
            return False
        sources = ("schedule", "predicate") if mine.relation == OWN_TASK else ("schedule", "predicate", "task", "user")
        return any(_conflict(mine, theirs) for source in sources for theirs in self._others(source, mine.field))

    def _settled(self, masks: Masks) -> frozenset[tuple[str, int]]:
        """What handlers that nest here will find: facts no handler changes while they hold (irq_fpu_usable() is false, say)."""
        facts = masks.facts if masks.preempt or masks.bh else frozenset()
        facts = frozenset(fact for fact in facts if fact[0] not in self.written_from_afar)
        if masks.bh:
            facts |= {(MASK_FIELDS["bh"], masks.bh)}
        while facts:
            written = {a.field for context in self.handlers for a in self._handler(context, facts) if a.write}
            kept = frozenset(fact for fact in facts if fact[0] not in written)
            if kept == facts:
                break
            facts = kept
        return facts

    def _handler(self, context: str, facts: frozenset[tuple[str, int]]) -> set[Access]:
        """Accesses a nesting context can make given the facts: its code with the facts put in and simplified."""
        if context not in self.handlers:
            return set()
        key = (context, facts)
        if key not in self._under:
            code, roots = self.handlers[context]
            known = dict(facts)
            assumed = [
                Instr("copy", (i.args[0], known[str(i.args[1])]), i.site)
                if i.op == "load" and i.args[2] == CPU and i.args[1] in known
                else i
                for i in code
            ]
            self._under[key] = accesses_of(simplify(assumed, roots))
        return self._under[key]


def _tightens(instr: Instr) -> bool:
    return str(instr.args[0]).endswith("off")


def _still_open(instr: Instr, masks: Masks) -> bool:
    """Whether something this change forbids is possible before it."""
    kind = str(instr.args[0]).split("_")[0]
    return {"irqs": masks.irqs_possible, "bh": masks.softirq_possible, "preempt": masks.preemption_possible}[kind]
