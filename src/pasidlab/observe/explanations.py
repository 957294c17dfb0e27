"""The sets of nodes of the automaton that events of a task permit. Sets are numbered, and a table leads from set to set.

A set also knows by how many hidden steps each of its nodes is worse explained than its best one. What the best one cost is the charge
of the transition: summed over a whole recording these are the hidden steps of the best explanation. Sets are made as events ask for them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pasidlab.observe.automaton import Automaton, Hidden, HiddenCounts, Letter, closure, cost, minus, plus
from pasidlab.observe.kinds import BH_OFF, IRQS_OFF, IS_FPU, Kind

MISSING, IMPOSSIBLE = -1, -2
"""Entries of the table: not asked for yet; no behaviour goes on like that."""
ANY_RUNNING, ANY_AWAY, NEW_TASK, GONE, EXECUTING, EXECUTING_AWAY = range(6)
"""Sets that are there from the beginning: nothing is known; a task that has never run; one that never runs again; one in an execve(2)."""

NOT_SO, AS_IT_WAS, EITHER = range(3)
"""Of the owner, and of last_cpu, of a task that comes to a CPU: not the task, not the CPU; what they were; nobody knows."""

SET_BY_TRACER = Hidden("fpu_force_restore", "tracer_sets_registers")

CountedNode = tuple[int, HiddenCounts]


def letter_number(kind: int, of_current: bool, load_fpu: bool, irqs_off: bool, bh_off: bool) -> int:
    """The number of a letter. sched_switch tells whether the task is traced, kvm_fpu "load" or not; signals: a handler, and SIGSEGV."""
    if kind == Kind.signal_deliver:
        return kind * 16 + load_fpu * 4 + irqs_off * 2
    if kind in (Kind.sched_switch, Kind.kvm_fpu):
        return kind * 16 + load_fpu * 4
    if kind not in IS_FPU:
        return kind * 16
    return kind * 16 + of_current * 8 + load_fpu * 4 + irqs_off * 2 + bh_off


def in_words(known: int) -> str:
    """A letter by its code, ``x86_fpu_regs_activated load: 1, interrupts off``."""
    kind, flags = divmod(known, 16)
    if kind == Kind.signal_deliver:
        return f"signal_deliver{' of SIGSEGV' if flags & 2 else ''}, {'with a' if flags & 4 else 'no'} handler"
    if kind == Kind.kvm_fpu:
        return f"kvm_fpu {'load' if flags & 4 else 'unload'}"
    if kind not in IS_FPU:
        return f"{Kind(kind).name}{' of a traced task' if flags & 4 else ''}"
    words = [f"{Kind(kind).name} load: {int(bool(flags & 4))}"]
    words += ["interrupts off"] if flags & 2 else []
    words += ["BH off"] if flags & 1 else []
    words += [] if flags & 8 or kind == Kind.x86_fpu_copy_dst else ["of another fpu"]
    return ", ".join(words)


class Explanations:
    """The sets that one automaton needs for the events of a recording."""

    def __init__(self, automaton: Automaton, flags: int = IRQS_OFF | BH_OFF, excluded: frozenset[Hidden] = frozenset()) -> None:
        """``flags``: those that the recording tells. Letters that differ in others only are one. ``excluded``: steps that nothing does."""
        self.automaton = automaton
        self._excluded = excluded
        self._told = ~((0 if flags & IRQS_OFF else 2) | (0 if flags & BH_OFF else 1))
        letters = {edge.letter for edges in automaton.edges for edge in edges if edge.letter}
        self.codes = sorted({self.code(letter) for letter in letters if not is_arrival(letter)})
        self.column = np.full(16 * len(Kind), IMPOSSIBLE, np.int64)
        """Column of the table by the code of a letter."""
        for number, known in enumerate(self.codes):
            self.column[known] = number
        self.enter = len(self.codes)
        """First of twice nine columns: a task comes to a CPU; owner * 3 + last_cpu. In the second nine a tracer may have set registers."""
        self.leave = self.enter + 18
        """The column of a task that leaves its CPU."""
        self.columns = self.leave + 1
        self.pairs: NDArray[np.int64] = np.zeros((len(self.codes) + 1, len(self.codes) + 1), np.int64)
        """How often a task showed one letter after another; row 0: nobody knows what it showed before."""
        self.sets: list[tuple[CountedNode, ...]] = []
        self._numbers: dict[tuple[CountedNode, ...], int] = {}
        self.table: NDArray[np.int64] = np.full((64, self.columns), MISSING, np.int64)
        self.uses: NDArray[np.int64] = np.zeros((64, self.columns), np.int64)
        self.charges: dict[tuple[int, int], HiddenCounts] = {}
        self._ways: dict[int, dict[int, dict[int, HiddenCounts]]] = {}
        nodes = range(len(automaton.edges))
        alive = [node for node in nodes if automaton.away[node] and not automaton.dead[node]]
        for beginning in (
            [node for node in nodes if automaton.running[node]], alive, [automaton.child],
            [node for node in nodes if automaton.away[node] and automaton.dead[node]],
            [node for node in nodes if automaton.running[node] and automaton.executing[node]],
            [node for node in alive if automaton.executing[node]],
        ):  # fmt: skip
            self._number(dict.fromkeys(beginning, ()))

    def exclude(self, hidden: Hidden) -> None:
        """Nothing of the recording does this; said before the first entry is filled."""
        self._excluded |= {hidden}

    def code(self, letter: Letter) -> int:
        """The number of a letter, without the flags that the recording does not tell."""
        return letter_number(*letter) & self._told if letter.kind in IS_FPU else letter_number(*letter)

    def fill(self, number: int, column: int) -> None:
        """Find one entry of the table."""
        found = self._next(number, column)
        if not found:
            self.table[number, column] = IMPOSSIBLE
            return
        best = min(found.values(), key=lambda counts: (cost(counts), counts))
        to = self._number({node: minus(counts, best) for node, counts in found.items()})
        self.table[number, column] = to
        if best:
            self.charges[number, column] = best

    def possible(self, number: int) -> list[str]:
        """The events that a task may show next, in words."""
        found = []
        for column, known in enumerate(self.codes):
            if self.table[number, column] == MISSING:
                self.fill(number, column)
            if self.table[number, column] != IMPOSSIBLE:
                found.append(in_words(known))
        return found

    def _next(self, number: int, column: int) -> dict[int, HiddenCounts]:
        found: dict[int, HiddenCounts] = {}
        for node, counts in self.sets[number]:
            for to, more in self._leads(node, column).items():
                whole = plus(counts, more)
                known = found.get(to)
                if known is None or (cost(whole), whole) < (cost(known), known):
                    found[to] = whole
        if column == self.leave and found and all(self.automaton.dead[node] for node in found):
            return dict.fromkeys((node for node, _ in self.sets[GONE]), ())
        return found

    def _leads(self, node: int, column: int) -> dict[int, HiddenCounts]:
        """Where one node leads, with the hidden steps on the way; all columns of a node are found at once."""
        if node not in self._ways:
            self._ways[node] = self._all_ways(node)
        return self._ways[node].get(column, {})

    def _all_ways(self, node: int) -> dict[int, dict[int, HiddenCounts]]:
        ways: dict[int, dict[int, HiddenCounts]] = {}
        if self.automaton.away[node]:
            for column in range(self.enter, self.leave):
                moved = self._moved(node, *divmod((column - self.enter) % 9, 3))
                excluded = self._excluded if column - self.enter >= 9 else self._excluded | {SET_BY_TRACER}
                ways[column] = self._by_column(closure(self.automaton, [(to, ()) for to in moved], excluded)).get(self.enter, {})
            return ways
        reached = closure(self.automaton, [(node, ())], self._excluded | {SET_BY_TRACER})  # that is looked at when the task comes back
        ways = self._by_column(reached)
        ways[self.leave] = {to: counts for to, counts in reached.items() if self._rests(to)}
        return ways

    def _rests(self, node: int) -> bool:
        """A task that has left its CPU stands here first: what happens to it meanwhile is looked at when it comes back."""
        return self.automaton.away[node]

    def _by_column(self, reached: dict[int, HiddenCounts]) -> dict[int, dict[int, HiddenCounts]]:
        """The nodes behind each event that can come next; one column stands for all ways in which a task comes to a CPU."""
        ways: dict[int, dict[int, HiddenCounts]] = {}
        for node, counts in reached.items():
            for edge in self.automaton.edges[node]:
                if edge.letter:
                    column = self.enter if is_arrival(edge.letter) else int(self.column[self.code(edge.letter)])
                    into = ways.setdefault(column, {})
                    known = into.get(edge.to)
                    if known is None or (cost(counts), counts) < (cost(known), known):
                        into[edge.to] = counts
        return ways

    def _moved(self, node: int, owner: int, last: int) -> set[int]:
        """The node where the task is now, by what is known of the owner and of last_cpu there."""
        was_owner, was_last = self.automaton.copied[node]
        owners = {NOT_SO: [False], AS_IT_WAS: [was_owner], EITHER: [False, True]}[owner]
        lasts = {NOT_SO: [False], AS_IT_WAS: [was_last], EITHER: [False, True]}[last]
        moves = self.automaton.relocated
        return {moves[node, o, n] for o in owners for n in lasts if (node, o, n) in moves}

    def _number(self, nodes: dict[int, HiddenCounts]) -> int:
        key = tuple(sorted(nodes.items()))
        if key not in self._numbers:
            self._numbers[key] = len(self.sets)
            self.sets.append(key)
            if len(self.sets) > len(self.table):
                self.table = np.concatenate((self.table, np.full_like(self.table, MISSING)))
                self.uses = np.concatenate((self.uses, np.zeros_like(self.uses)))
        return self._numbers[key]


def is_arrival(letter: Letter) -> bool:
    """The sched_switch that gives the task a CPU; the CPU had no task before."""
    return letter.kind == Kind.sched_switch and not letter.of_current
