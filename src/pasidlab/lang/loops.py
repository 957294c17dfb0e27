"""Loops of flat code that may go round for ever: those that do not count something up to a limit."""

from __future__ import annotations

from pasidlab.lang.flow import Code, successors
from pasidlab.lang.graphs import components


def endless_loops(code: Code) -> set[int]:
    """Labels at which every loop that has no ``pause`` inside and does not count begins anew, by index."""
    after = [[] if instr.op == "pause" else following for instr, following in zip(code, successors(code), strict=True)]
    tops: set[int] = set()
    while circle := next((c for c in _circles(after, range(len(code))) if not _counts(code, after, c)), None):
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


def _counts(code: Code, after: list[list[int]], circle: list[int]) -> bool:
    """Whether each round counts a local up by a constant and may be the last when it reaches a limit; inner loops likewise."""
    inside = set(circle)
    made: dict[str, list[int]] = {}
    for i in circle:
        if (dst := code[i].dst) is not None:
            made.setdefault(dst, []).append(i)
    for name, places in made.items():
        instr = code[places[0]]
        if len(places) != 1 or instr.op != "add" or instr.args[1] != name or not (isinstance(instr.args[2], int) and instr.args[2] > 0):
            continue
        tests = _limit_tests(code, circle, name, made)
        leaving = [i for i in circle if code[i].op == "branch" and code[i].args[0] in tests and any(j not in inside for j in after[i])]
        for test in leaving:
            inner = [c for gone in (places[0], test) for c in _circles(after, [i for i in circle if i != gone])]
            if all(_counts(code, after, c) for c in inner):
                return True
    return False


def _limit_tests(code: Code, circle: list[int], name: str, made: dict[str, list[int]]) -> set[str]:
    """Locals that hold the outcome of comparing a counter with what does not change in the loop."""
    tests = set()
    for i in circle:
        instr = code[i]
        if instr.op in ("eq", "le", "lt") and instr.dst is not None and len(made[instr.dst]) == 1:
            other = [operand for operand in instr.operands() if operand != name]
            if len(other) == 1 and not (isinstance(other[0], str) and other[0] in made):
                tests.add(instr.dst)
    return tests
