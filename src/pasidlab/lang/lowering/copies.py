"""Constants and copies put where they are read, along the paths that lead there.

At a read, what was copied to a local may replace it only if the copy came last on every path. Neither the local nor its source has been
assigned since. "Assigned once in the text" is not that: a loop executes the text again. The executing CPU is never put in the place of a
local here: a task may have moved since (``here`` knows where it cannot).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from pasidlab.lang.ir import CPU, TERMINATORS, Instr, Operand

KnownCopies = dict[str, Operand]  # local -> the constant or local it equals
Rewrite = Callable[[Instr], Instr]


def propagated(code: list[Instr], roots: set[str], fold: Rewrite) -> tuple[list[Instr], bool]:
    """The code with known operands replaced, each instruction then given to ``fold``; and whether anything changed.

    Control enters at the first instruction and at the labels ``roots``.
    """
    blocks = _Blocks(code, roots)
    before = blocks.known_before(fold)
    result: list[Instr] = []
    for number, (start, end) in enumerate(blocks.spans):
        known = _Copies(before[number] or {})
        result += [known.step(code[i], fold) for i in range(start, end)]
    return result, any(new is not old for new, old in zip(result, code, strict=True))


class _Copies:
    """What is known at one point of the code."""

    def __init__(self, known: KnownCopies) -> None:
        self.known = dict(known)
        self.readers: dict[Operand, set[str]] = {}  # source -> locals that equal it
        for name, source in known.items():
            self.readers.setdefault(source, set()).add(name)

    def step(self, instr: Instr, fold: Rewrite) -> Instr:
        """The instruction with what is known put in; afterwards what is known behind it."""
        known = self.known
        for operand in instr.operands():
            if operand in known:
                args = (known.get(a, a) if kind in "ai" and isinstance(a, str) else a for kind, a in instr.shaped())
                instr = instr.with_args(*args)
                break
        instr = fold(instr)
        dst = instr.dst
        if dst is None:
            return instr
        source = instr.args[1] if instr.op == "copy" else CPU
        if known.get(dst, dst) == source:
            return instr  # assigned what it equals already
        self._forget(dst)
        if source not in (CPU, dst):
            known[dst] = source
            self.readers.setdefault(source, set()).add(dst)
        return instr

    def _forget(self, name: str) -> None:
        source = self.known.pop(name, None)
        if source is not None:
            self.readers[source].discard(name)
        for reader in self.readers.pop(name, ()):
            del self.known[reader]


class _Blocks:
    """The basic blocks of a piece of code."""

    def __init__(self, code: list[Instr], roots: set[str]) -> None:
        self.code = code
        starts = {0} | {i for i, instr in enumerate(code) if instr.op == "label"}
        starts |= {i + 1 for i, instr in enumerate(code) if instr.op in TERMINATORS}
        edges = sorted(start for start in starts if start < len(code))
        self.spans = list(zip(edges, [*edges[1:], len(code)], strict=True))
        self.at = {str(code[start].args[0]): n for n, (start, _) in enumerate(self.spans) if code[start].op == "label"}
        self.entries = {n for n, (start, _) in enumerate(self.spans) if start == 0 or code[start].args[:1] in {(r,) for r in roots}}
        self.wide = self._read_from_afar()

    def after(self, number: int) -> Iterable[int]:
        """The blocks control may go to next."""
        last = self.code[self.spans[number][1] - 1]
        if last.op in ("jump", "branch", "switch"):
            return [self.at[label] for label in last.labels()]
        return [] if last.op in TERMINATORS or number + 1 == len(self.spans) else [number + 1]

    def _read_from_afar(self) -> frozenset[str]:
        """Locals some block reads before it assigns them: only these must be known beyond a block."""
        found: set[str] = set()
        for start, end in self.spans:
            mine: set[Operand] = set()
            for instr in self.code[start:end]:
                found.update(o for o in instr.operands() if isinstance(o, str) and o not in mine)
                if instr.dst:
                    mine.add(instr.dst)
        return frozenset(found)

    def known_before(self, fold: Rewrite) -> list[KnownCopies | None]:
        """What is known at the head of each block; None where control cannot come."""
        before: list[KnownCopies | None] = [{} if n in self.entries else None for n in range(len(self.spans))]
        work = sorted(self.entries)  # a heap: in the order of the text most blocks come after all that lead to them
        while work:
            number = heappop(work)
            state = _Copies(before[number] or {})
            for i in range(*self.spans[number]):
                state.step(self.code[i], fold)
            out = {name: source for name, source in state.known.items() if name in self.wide}
            for successor in self.after(number):
                held = before[successor]
                merged = out if held is None else {name: s for name, s in held.items() if out.get(name) == s}
                if merged != held:
                    before[successor] = merged
                    if successor not in work:
                        heappush(work, successor)
        return before
