"""Whether kernel code comes to an end: which loops over program counters a context could go round for ever.

The graph of a program's counters is taken from its action: an edge for each way from one boundary to the next, with the choices
made on it. Fairness: a choice that is made again and again goes each way again and again. So a loop is left if in some place of
it one outcome of a choice always leads out. What loops remain may be endless, or may end for reasons that only a search sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pasidlab.lang.emit import computed
from pasidlab.lang.ir import BINARY, Action, Instr, Operand
from pasidlab.search.components import components

MOST_WAYS = 4000
"""Ways from one boundary that are followed; a program with more counts as one that may go on for ever."""

ChoiceOutcome = tuple[int, int]
"""A choice, by its place in the code, and what it came to."""


@dataclass(frozen=True)
class Way:
    """A way from one counter to another."""

    source: int
    target: int
    choices: frozenset[ChoiceOutcome]


def endless(action: Action, pc_field: str) -> tuple[int, ...]:
    """The counters at which a program may go round for ever; empty if every activation ends. Counter 0 is the end.

    A program that waits by spinning may wait for ever: it counts as one that may go round where it waits.
    """
    switch = next(i for i in action.code if i.op == "switch")
    labels = {str(i.args[0]): n for n, i in enumerate(action.code) if i.op == "label"}
    edges: list[Way] = []
    found: set[int] = set()
    for counter, label in enumerate(switch.args[1:]):
        ways = _ways(action.code, labels, labels[str(label)], counter, pc_field) if counter else []
        if ways is None:
            found.add(counter)
        else:
            edges += ways
    return tuple(sorted(found | _circles(edges)))


def _ways(code: Sequence[Instr], labels: dict[str, int], start: int, counter: int, pc_field: str) -> list[Way] | None:
    """Every way from a boundary to the next; None if there are too many, or one of them spins."""
    work: list[tuple[int, dict[str, int], frozenset[ChoiceOutcome], int]] = [(start, {}, frozenset(), 0)]
    seen: set[tuple[int, frozenset[tuple[str, int]], frozenset[ChoiceOutcome], int]] = set()
    edges: set[Way] = set()
    while work:
        at, known, choices, target = work.pop()
        key = at, frozenset(known.items()), choices, target
        if key in seen:
            continue
        seen.add(key)
        if len(seen) > MOST_WAYS:
            return None
        instr = code[at]
        if instr.op == "wait" and instr.args[1] == "spin":
            return None
        if instr.op == "end":
            edges.add(Way(counter, target, choices))
        elif instr.op in ("jump", "branch", "switch"):
            work += [(labels[label], known, choices, target) for label in _targets(instr, known)]
        elif instr.op == "choose" and all(isinstance(o, int) for o in instr.args[1:]):
            low, high = int(instr.args[1]), int(instr.args[2])
            work += [(at + 1, {**known, str(instr.args[0]): n}, choices | {(at, n)}, target) for n in range(low, high + 1)]
        elif instr.op not in ("crash", "return") and not (instr.op == "require" and _value(instr.args[0], known) == 0):
            if instr.op == "store" and instr.args[0] == pc_field and isinstance(instr.args[2], int):
                target = instr.args[2]
            work.append((at + 1, _after(instr, known), choices, target))
    return list(edges)


def _targets(instr: Instr, known: dict[str, int]) -> Iterable[str]:
    labels = instr.labels()
    value = None if instr.op == "jump" else _value(instr.args[0], known)
    if value is None:
        return labels
    if instr.op == "branch":
        return labels[:1] if value else labels[1:]
    return labels[value : value + 1]


def _value(operand: Operand, known: dict[str, int]) -> int | None:
    return operand if isinstance(operand, int) else known.get(operand)


def _after(instr: Instr, known: dict[str, int]) -> dict[str, int]:
    """What is known of locals after an instruction, as far as it follows from choices and constants."""
    if instr.dst is None:
        return known
    values = [_value(operand, known) for operand in instr.operands()]
    result: int | None = None
    if instr.op in ("copy", "not") and values[0] is not None:
        result = values[0] if instr.op == "copy" else int(not values[0])
    elif instr.op in BINARY and values[0] is not None and values[1] is not None:
        result = computed(instr.op, values[0], values[1])
    rest = {name: value for name, value in known.items() if name != instr.dst} if instr.dst in known else known
    return rest if result is None else {**rest, instr.dst: result}


def _circles(edges: Sequence[Way]) -> set[int]:
    """The counters of loops that fairness does not end."""
    inside = [e for e in edges if e.target]
    found: set[int] = set()
    while inside:
        group = _groups(inside)
        loops: dict[int, set[int]] = {}
        for e in inside:
            if group[e.source] == group[e.target]:
                loops.setdefault(group[e.source], set()).update((e.source, e.target))
        gone: set[int] = set()
        for members in loops.values():
            left = {counter for counter in members if _is_left([e for e in edges if e.source == counter], members)}
            if not left:
                found |= members
            gone |= left or members
        if not gone:
            break
        inside = [e for e in inside if e.source not in gone and e.target not in gone]
    return found


def _is_left(ways: Sequence[Way], members: set[int]) -> bool:
    """Whether some outcome of a choice made at a counter always leads out of the loop."""
    outcomes = {outcome for e in ways for outcome in e.choices}
    return any(all(e.target not in members for e in ways if outcome in e.choices) for outcome in outcomes)


def _groups(edges: Sequence[Way]) -> dict[int, int]:
    """The strongly connected set each counter belongs to."""
    counters = sorted({c for e in edges for c in (e.source, e.target)})
    number = {c: n for n, c in enumerate(counters)}
    label = components([number[e.source] for e in edges], [number[e.target] for e in edges], len(counters))
    return {c: int(label[n]) for c, n in number.items()}
