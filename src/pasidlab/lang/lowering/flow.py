"""Control flow of flat code: simplification, liveness, and forward data flow."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeVar

from pasidlab.lang.emit import computed
from pasidlab.lang.ir import BINARY, SHIFTS, TERMINATORS, VALUES, Instr
from pasidlab.lang.lowering.copies import propagated

T = TypeVar("T")
Code = list[Instr]
FOLDABLE = BINARY | {"not", "branch"}


def successors(code: Code) -> list[list[int]]:
    """For each instruction the indices control may go to next."""
    where = {str(instr.args[0]): i for i, instr in enumerate(code) if instr.op == "label"}
    result: list[list[int]] = []
    for i, instr in enumerate(code):
        if instr.op in ("jump", "branch", "switch"):
            result.append([where[label] for label in instr.labels()])
        else:
            goes_on = instr.op not in TERMINATORS and i + 1 < len(code)
            result.append([i + 1] if goes_on else [])
    return result


def reachable(code: Code, roots: list[int]) -> list[bool]:
    """Which instructions control can reach from the roots."""
    after, seen, work = successors(code), [False] * len(code), list(roots)
    while work:
        i = work.pop()
        if not seen[i]:
            seen[i] = True
            work.extend(after[i])
    return seen


def simplify(code: Code, roots: set[str]) -> Code:
    """Propagate constants and copies, fold branches, thread jumps, drop what is unreachable or unused.

    ``roots`` are labels that must stay: entry points beside the first instruction.
    """
    size, changed = -1, True
    while size != len(code) or changed:
        size = len(code)
        code, changed = propagated(code, roots, folded)
        code = _thread(code, roots)
        code = _drop_unused(without_unreachable(code, roots))
    return code


def without_unreachable(code: Code, roots: set[str]) -> Code:
    """The instructions that control can reach from the first one and from the labels ``roots``, whatever the values."""
    starts = [i for i, instr in enumerate(code) if i == 0 or (instr.op == "label" and instr.args[0] in roots)]
    alive = reachable(code, starts)
    return [instr for instr, keep in zip(code, alive, strict=True) if keep]


def folded(instr: Instr) -> Instr:
    """The instruction with what its constants say carried out: a value, or where a branch goes."""
    if instr.op not in FOLDABLE:
        return instr
    operands = instr.operands()
    if instr.op in BINARY and all(isinstance(o, int) for o in operands):
        value = computed(instr.op, int(operands[0]), int(operands[1]))
        return instr if value is None else instr.with_args(instr.args[0], value, op="copy")
    if instr.op == "not" and isinstance(operands[0], int):
        return instr.with_args(instr.args[0], int(not operands[0]), op="copy")
    if instr.op == "branch" and isinstance(operands[0], int):
        return instr.with_args(instr.args[1 if operands[0] else 2], op="jump")
    if instr.op == "branch" and instr.args[1] == instr.args[2]:
        return instr.with_args(instr.args[1], op="jump")
    return instr


def _thread(code: Code, roots: set[str]) -> Code:
    """Jumps to jumps go to the end of the chain; jumps to the next instruction and unused labels vanish."""
    target: dict[str, str] = {}
    behind = None  # the instruction after the labels
    for instr in reversed(code):
        if instr.op != "label":
            behind = instr
        elif behind is not None and behind.op == "jump":
            target[str(instr.args[0])] = str(behind.args[0])
    for label in reversed(tuple(target)):
        chain, end = {label: None}, target[label]
        while end in target and end not in chain:
            chain[end] = None
            end = target[end]
        target |= dict.fromkeys(chain, end)
    out: Code = []
    for i, instr in enumerate(code):
        if instr.op in ("jump", "branch", "switch"):
            args = tuple(target.get(str(a), a) if kind == "l" else a for kind, a in instr.shaped())
            instr = instr.with_args(*args) if args != instr.args else instr
        if instr.op == "jump":
            j = i + 1
            while j < len(code) and code[j].op == "label" and code[j].args[0] != instr.args[0]:
                j += 1
            if j < len(code) and code[j].op == "label":
                continue
        out.append(instr)
    used = {label for instr in out if instr.op in ("jump", "branch", "switch") for label in instr.labels()} | roots
    return [instr for instr in out if instr.op != "label" or instr.args[0] in used]


def _pure(instr: Instr) -> bool:
    """Whether nothing but a value comes of an instruction: it can always be left out where nobody reads that."""
    if instr.op in SHIFTS:
        return isinstance(instr.args[2], int) and 0 <= instr.args[2] < 64
    return instr.op in VALUES


def _drop_unused(code: Code) -> Code:
    while True:
        used = {operand for instr in code for operand in instr.operands()}
        kept = [instr for instr in code if not (_pure(instr) and (instr.args[0] not in used or instr.args[:1] == instr.args[1:]))]
        if len(kept) == len(code):
            return code
        code = kept


def liveness(code: Code) -> list[frozenset[str]]:
    """For each instruction the locals whose value is still needed before it."""
    after = successors(code)
    before: list[frozenset[str]] = [frozenset()] * len(code)
    changed = True
    while changed:
        changed = False
        for i in range(len(code) - 1, -1, -1):
            out: frozenset[str] = frozenset().union(*(before[j] for j in after[i])) if after[i] else frozenset()
            dst = code[i].dst
            live = (out - {dst} if dst else out) | {o for o in code[i].operands() if isinstance(o, str)}
            if live != before[i]:
                before[i], changed = live, True
    return before


def forward(code: Code, start: dict[int, T], step: Callable[[Instr, T], T], merge: Callable[[T, T], T]) -> list[T | None]:
    """Forward data flow: what holds before each instruction; None where control cannot come."""
    after = successors(code)
    state: list[T | None] = [None] * len(code)
    for i, value in start.items():
        state[i] = value
    work = sorted(start)  # a heap: in the order of the text most instructions come after all that lead to them
    waiting = set(work)
    while work:
        i = heappop(work)
        waiting.remove(i)
        before = state[i]
        assert before is not None
        out = step(code[i], before)
        for j in after[i]:
            known = state[j]
            merged = out if known is None else merge(known, out)
            if merged != known:
                state[j] = merged
                if j not in waiting:
                    waiting.add(j)
                    heappush(work, j)
    return state
