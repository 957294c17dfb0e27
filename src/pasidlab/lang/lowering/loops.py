"""Loops of flat code that may go round for ever: those that do not count something up to a limit."""

from __future__ import annotations

from dataclasses import dataclass

from pasidlab.lang.lowering.flow import Code, successors
from pasidlab.lang.types import ANY
from pasidlab.search.components import components


def endless_loops(code: Code) -> set[int]:
    """Labels at which every loop that has no ``pause`` inside and does not count begins anew, by index."""
    after = [[] if instr.op == "pause" else following for instr, following in zip(code, successors(code), strict=True)]
    tops: set[int] = set()
    while circle := next((e for c in _circles(after, range(len(code))) if (e := _endless(code, after, c))), None):
        top = next((i for i in circle if code[i].op == "label"), circle[0])
        tops.add(top)
        after[top] = []
    return tops


def _circles(after: list[list[int]], members: range | list[int]) -> list[list[int]]:
    """The strongly connected sets of some instructions that have an edge inside."""
    number = {i: n for n, i in enumerate(members)}
    edges = [(number[i], number[j]) for i in members for j in after[i] if j in number]
    if not edges:
        return []
    label = components([i for i, _ in edges], [j for _, j in edges], len(number)).tolist()
    inside = {label[i] for i, j in edges if label[i] == label[j]}
    groups: dict[int, list[int]] = {}
    for i, n in number.items():
        if (group := label[n]) in inside:
            groups.setdefault(group, []).append(i)
    return list(groups.values())


@dataclass(frozen=True)
class _Counter:
    """A local that each round makes greater by a step; ``places`` are the instructions that do. ``most``: what its C type can hold."""

    names: frozenset[str]  # the local, and its copies of this round
    step: int
    most: int
    places: tuple[int, ...]


def _endless(code: Code, after: list[list[int]], circle: list[int]) -> list[int] | None:
    """The loop that may go round for ever: this one, or one inside of one that counts; None if there is none.

    A loop counts if each round adds a constant to a local, and the last comes before a limit is passed; inner loops likewise.
    """
    found: list[int] = circle
    inside = set(circle)
    made: dict[str, list[int]] = {}
    for i in circle:
        if (dst := code[i].dst) is not None:
            made.setdefault(dst, []).append(i)
    for counter in filter(None, (_counter(code, name, made) for name in made)):
        ends = _limit_tests(code, circle, counter, made)
        branches = [i for i in circle if code[i].op == "branch" and len(after[i]) == 2 and code[i].args[0] in ends]
        for test in (i for i in branches if after[i][0 if ends[str(code[i].args[0])] else 1] not in inside):
            inner = [c for gone in (*counter.places, test) for c in _circles(after, [i for i in circle if i != gone])]
            endless = next((e for c in inner if (e := _endless(code, after, c))), None)
            if endless is None:
                return None
            found = endless if len(endless) < len(found) else found
    return found


def _counter(code: Code, name: str, made: dict[str, list[int]]) -> _Counter | None:
    """``name = name + step``, also with a conversion to a C type between the sum and the store; each made once in the loop."""
    places: list[int] = []
    most = ANY.high
    at = name
    while len(made.get(at, ())) == 1 and made[at][0] not in places:  # x = x is its own source
        instr = code[made[at][0]]
        places.append(made[at][0])
        if instr.op == "add" and isinstance(instr.args[2], int) and instr.args[2] > 0:
            copies = _copies_of(code, name, made)
            read = instr.args[1]
            if read != name and read not in copies:
                return None
            places += made[str(read)] if read != name else []
            return _Counter(frozenset({name, *copies}), instr.args[2], most, tuple(places))
        if instr.op == "sext" and isinstance(instr.args[2], int):
            most = min(most, (1 << instr.args[2] - 1) - 1)
        elif instr.op == "and" and isinstance(instr.args[2], int) and instr.args[2] & (instr.args[2] + 1) == 0:
            most = min(most, instr.args[2])
        elif instr.op != "copy":
            return None
        at = str(instr.args[1])
    return None


def _copies_of(code: Code, name: str, made: dict[str, list[int]]) -> list[str]:
    return [copy for copy, places in made.items() if len(places) == 1 and code[places[0]].op == "copy" and code[places[0]].args[1] == name]


def _limit_tests(code: Code, circle: list[int], counter: _Counter, made: dict[str, list[int]]) -> dict[str, bool]:
    """Locals that compare a counter with what does not change in the loop, and which outcome must come in the end."""
    tests: dict[str, bool] = {}
    for i in circle:
        instr = code[i]
        if instr.op not in ("eq", "le", "lt") or instr.dst is None or len(made[instr.dst]) != 1:
            continue
        other = [operand for operand in instr.operands() if operand not in counter.names]
        if len(other) != 1 or (isinstance(other[0], str) and other[0] in made):
            continue
        reachable = isinstance(other[0], int) and other[0] + counter.step <= counter.most and (instr.op != "eq" or counter.step == 1)
        if counter.most == ANY.high or reachable:
            tests[instr.dst] = instr.op == "eq" or instr.args[1] == other[0]
    return tests
