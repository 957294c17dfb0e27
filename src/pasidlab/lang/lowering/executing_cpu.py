"""Where a local that was given the executing CPU still is the executing CPU.

``cpu = this_cpu`` is the CPU of that moment. The task may move wherever it may be preempted or sleeps, and the local does not
move with it. Elsewhere the local and the executing CPU are the same, and the code says so: it needs no place in the state then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pasidlab.lang.ir import CPU, Instr
from pasidlab.lang.lowering.flow import Code, successors

LocalNames = frozenset[str]


def executing_cpu(code: Code, starts: Iterable[int], moves: Sequence[bool]) -> Code:
    """The code with locals that certainly are the executing CPU replaced by it; the very code given if there are none.

    ``moves[i]``: the task may find itself on another CPU right before instruction i. ``starts``: where control enters.
    """
    if not any(instr.op == "copy" and instr.args[1] == CPU for instr in code):
        return code
    after = successors(code)
    before: list[LocalNames | None] = [None] * len(code)
    work = list(starts)
    for start in work:
        before[start] = frozenset()
    while work:
        i = work.pop()
        out = _after(code[i], _still(before[i], moves[i]))
        for j in after[i]:
            known = before[j]
            merged = out if known is None else known & out
            if merged != known:
                before[j] = merged
                work.append(j)
    replaced = [_replaced(instr, _still(names, moved)) for instr, names, moved in zip(code, before, moves, strict=True)]
    return replaced if any(new is not old for new, old in zip(replaced, code, strict=True)) else code


def asks_cpu(instr: Instr) -> bool:
    """Whether an instruction takes the executing CPU as a value: an access to where the task is, which moving it writes."""
    return CPU in (a for kind, a in instr.shaped() if kind == "a")


def _still(names: LocalNames | None, moved: bool) -> LocalNames:
    return frozenset() if moved or names is None else names


def _after(instr: Instr, names: LocalNames) -> LocalNames:
    if instr.dst is None:
        return names
    same = instr.op == "copy" and (instr.args[1] == CPU or instr.args[1] in names)
    return names | {instr.dst} if same else names - {instr.dst}


def _replaced(instr: Instr, names: LocalNames) -> Instr:
    if not any(operand in names for operand in instr.operands()):
        return instr
    return instr.with_args(*(CPU if kind in "ai" and a in names else a for kind, a in instr.shaped()))
