"""Whether kernel code comes to an end: which loops over program counters a context could go round for ever.

The graph of a program's counters is taken from its action: an edge for each way from one boundary to the next, with the choices
made on it. Fairness: a choice that is made again and again goes each way again and again. So a loop is left at a counter if each way that
stays in the loop makes one choice there, one outcome of that choice always leads out, and nothing can disable the step after that outcome.
What loops remain may be endless, or may end for reasons that only a search sees.

A step that can be disabled may stand where it is for ever. Only files that are trusted not to do so may have such a step.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from pasidlab.lang.emit import computed
from pasidlab.lang.ir import BINARY, Action, Instr, Operand
from pasidlab.lang.lowering.flow import liveness
from pasidlab.search.components import components

MOST_WAYS = 4000
"""Ways from one boundary that are followed; a program with more counts as one that may go on for ever."""

ChoiceOutcome = tuple[int, int]
"""A choice, by its place in the code, and what it came to."""


Known = Mapping[str, int | str]
"""What is known of locals: a value, or the local of which it is a copy."""


@dataclass(frozen=True)
class Way:
    """A way from one counter to another."""

    source: int
    target: int
    choices: frozenset[ChoiceOutcome]


@dataclass(frozen=True)
class WaysOn:
    """The ways from one counter, and the outcomes of choices after which the step may turn out to be none."""

    ways: frozenset[Way]
    unsure: frozenset[ChoiceOutcome]


@dataclass(frozen=True)
class _Code:
    """The instructions of a program, where its labels are, and which locals are needed before each instruction."""

    instrs: Sequence[Instr]
    labels: dict[str, int]
    live: Sequence[frozenset[str]]
    trusted: Container[str]


def endless(action: Action, pc_field: str, trusted: Container[str]) -> tuple[int, ...]:
    """The counters at which a program may stay or go round for ever; empty if every activation ends. Counter 0 is the end.

    A program that waits by spinning may wait for ever: it counts as one that may go round where it waits. So does a step that can be
    disabled, but for one of the files ``trusted``: there some outcome of the step's choices is always possible.
    """
    switch = next(i for i in action.code if i.op == "switch")
    labels = {str(i.args[0]): n for n, i in enumerate(action.code) if i.op == "label"}
    code = _Code(action.code, labels, liveness(list(action.code)), trusted)
    edges: list[Way] = []
    unsure: set[ChoiceOutcome] = set()
    found: set[int] = set()
    for counter, label in enumerate(switch.args[1:]):
        if counter == 0:
            continue
        ways = _ways(code, code.labels[str(label)], counter, pc_field)
        if ways is None:
            found.add(counter)
        else:
            edges += ways.ways
            unsure |= ways.unsure
    return tuple(sorted(found | _circles(edges, unsure)))


def _ways(code: _Code, start: int, counter: int, pc_field: str) -> WaysOn | None:
    """Every way from a boundary to the next; None if there are too many, or one of them spins or may be disabled."""
    work: list[tuple[int, Known, frozenset[ChoiceOutcome], int]] = [(start, {}, frozenset(), 0)]
    seen: set[tuple[int, frozenset[tuple[str, int | str]], frozenset[ChoiceOutcome], int]] = set()
    edges: set[Way] = set()
    unsure: frozenset[ChoiceOutcome] = frozenset()
    while work:
        at, every, choices, target = work.pop()
        known = {name: value for name, value in every.items() if name in code.live[at]}
        key = at, frozenset(known.items()), choices, target
        if key in seen:
            continue
        seen.add(key)
        if len(seen) > MOST_WAYS:
            return None
        instr = code.instrs[at]
        if _may_disable(instr, known):
            if (instr.op == "wait" and instr.args[1] == "spin") or (instr.op != "wait" and instr.site.position.file not in code.trusted):
                return None
            unsure |= choices
        if instr.op == "end":
            edges.add(Way(counter, target, choices))
        elif instr.op in ("jump", "branch", "switch"):
            work += [(code.labels[label], learnt, choices, target) for label, learnt in _targets(instr, known)]
        elif instr.op == "choose" and all(isinstance(o, int) for o in instr.args[1:]):
            low, high = int(instr.args[1]), int(instr.args[2])
            rest = _without(known, str(instr.args[0]))
            work += [(at + 1, {**rest, str(instr.args[0]): n}, choices | {(at, n)}, target) for n in range(low, high + 1)]
        elif instr.op not in ("crash", "return") and not (instr.op == "require" and _value(instr.args[0], known) == 0):
            if instr.op == "store" and instr.args[0] == pc_field and isinstance(instr.args[2], int):
                target = instr.args[2]
            work.append((at + 1, _after(instr, known), choices, target))
    return WaysOn(frozenset(edges), unsure)


def _may_disable(instr: Instr, known: Known) -> bool:
    """Whether the step may turn out to be none at an instruction."""
    if instr.op in ("require", "wait"):
        return not _value(instr.args[0], known)
    if instr.op == "choose":
        low, high = instr.args[1:]
        return isinstance(low, int) and isinstance(high, int) and low > high
    return instr.op == "take"


def _targets(instr: Instr, known: Known) -> list[tuple[str, Known]]:
    """Where an instruction may lead, and what is known there."""
    labels = instr.labels()
    value = None if instr.op == "jump" else _value(instr.args[0], known)
    if instr.op == "branch":
        held, other = labels
        if value is None:
            return [(held, known), (other, _learnt(known, str(instr.args[0])))]
        return [(held if value else other, known)]
    return [(label, known) for label in (labels if value is None else labels[value : value + 1])]


def _value(operand: Operand, known: Known) -> int | None:
    value = operand if isinstance(operand, int) else known.get(operand)
    return value if isinstance(value, int) else None


def _first(name: str, known: Known) -> str:
    """The local of which another one, of unknown value, is a copy."""
    copied = known.get(name)
    return copied if isinstance(copied, str) else name


def _learnt(known: Known, name: str) -> Known:
    """What is known once a local is seen to be 0: so are its copies."""
    first = _first(name, known)
    return {**{n: 0 if value == first else value for n, value in known.items()}, first: 0, name: 0}


def _without(known: Known, name: str) -> Known:
    """What is still known once a local has got another value."""
    return {n: value for n, value in known.items() if name not in (n, value)}


def _after(instr: Instr, known: Known) -> Known:
    """What is known of locals after an instruction, as far as it follows from choices, constants and branches."""
    if instr.dst is None:
        return known
    values = [_value(operand, known) for operand in instr.operands()]
    result: int | str | None = None
    if instr.op in ("copy", "not") and values[0] is not None:
        result = values[0] if instr.op == "copy" else int(not values[0])
    elif instr.op == "copy" and instr.args[1] != instr.dst:
        result = _first(str(instr.args[1]), known)
    elif instr.op in BINARY and values[0] is not None and values[1] is not None:
        result = computed(instr.op, values[0], values[1])
    rest = _without(known, instr.dst)
    return rest if result is None or result == instr.dst else {**rest, instr.dst: result}


def _circles(edges: Sequence[Way], unsure: Container[ChoiceOutcome]) -> set[int]:
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
            left = {counter for counter in members if _is_left([e for e in edges if e.source == counter], members, unsure)}
            if not left:
                found |= members
            gone |= left or members
        if not gone:
            break
        inside = [e for e in inside if e.source not in gone and e.target not in gone]
    return found


def _is_left(ways: Sequence[Way], members: set[int], unsure: Container[ChoiceOutcome]) -> bool:
    """Whether each way inside the loop makes a choice that leads out if it goes otherwise."""
    inside = [way for way in ways if way.target in members]
    for place, number in {outcome for way in ways for outcome in way.choices if outcome not in unsure}:
        leads_out = all((place, number) not in way.choices for way in inside)
        if leads_out and all(any(place == at for at, _ in way.choices) for way in inside):
            return True
    return False


def _groups(edges: Sequence[Way]) -> dict[int, int]:
    """The strongly connected set each counter belongs to."""
    counters = sorted({c for e in edges for c in (e.source, e.target)})
    number = {c: n for n, c in enumerate(counters)}
    label = components([number[e.source] for e in edges], [number[e.target] for e in edges], len(counters))
    return {c: int(label[n]) for c, n in number.items()}
