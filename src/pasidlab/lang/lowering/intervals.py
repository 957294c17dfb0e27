"""What a local may hold at each point of flat code: intervals, found by following the code until nothing changes.

A local that grows in a loop is followed a few rounds; then a bound that still moves is given up (widening). The branches bring bounds back:
behind ``i < 4`` i is at most 3. An interval holds every value that the local can have there, and is sound whatever is not followed: what an
operation does beyond 64 bits, or a load gives, is taken for anything in its domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from pasidlab.lang.emit import bounds, computed, result_domain
from pasidlab.lang.ir import BINARY, TRUTHS, Instr, Operand
from pasidlab.lang.lowering.flow import Code, successors
from pasidlab.lang.types import ANY, BOOL, Domain, Int, Ref

KnownIntervals = dict[str, tuple[int, int]]  # locals that are not here may hold anything
Test = tuple[str, Operand, Operand]
ANYTHING = (ANY.low, ANY.high)
ENDS = ("label", "jump", "branch", "switch", "pause", "end", "return", "crash")  # where a straight line of code ends
ROUNDS = 40
"""How often a label is looked at before a bound that still moves there is given up: more than a loop that counts to a small number."""


def intervals(code: Code, starts: list[int], domains: Mapping[str, Domain | None], wanted: Set[str]) -> list[KnownIntervals | None]:
    """The intervals of the locals wanted before each instruction; None where control cannot come. ``domains`` says what is known anyway."""
    return _Intervals(code, domains, wanted).run(starts)


def widest(code: Code, found: list[KnownIntervals | None], name: str, at: list[int]) -> Int | None:
    """An interval for a local that holds at all the places given; None if there is none."""
    known = [found[i] for i in at]
    pairs = [one.get(name, ANYTHING) for one in known if one is not None]
    if not pairs or ANYTHING in pairs:
        return None
    return Int(min(low for low, _ in pairs), max(high for _, high in pairs))


class _Intervals:
    def __init__(self, code: Code, domains: Mapping[str, Domain | None], wanted: Set[str]) -> None:
        self.code, self.domains = code, domains
        self.after = successors(code)
        self.before: list[KnownIntervals | None] = [None] * len(code)
        self.seen = [0] * len(code)
        self.tests = _tests(code)
        self.heads = _heads(code)
        self.followed = _sources(code, self.tests, wanted)

    def run(self, starts: list[int]) -> list[KnownIntervals | None]:
        """Follow the code from its entries."""
        work = list(starts)
        for start in starts:
            self.before[start] = {}
        while work:
            i = work.pop()
            known = self.before[i]
            assert known is not None
            for j, out in self._next(i, known):
                if self._merge(j, out):
                    work.append(j)
        return self.before

    def _next(self, i: int, known: KnownIntervals) -> list[tuple[int, KnownIntervals]]:
        instr = self.code[i]
        if instr.op == "branch" and len(self.after[i]) == 2:
            sides = [(j, self._behind(instr, known, wanted)) for j, wanted in zip(self.after[i], (True, False), strict=True)]
            return [(j, out) for j, out in sides if out is not None]
        return [(j, self._step(instr, known)) for j in self.after[i]]

    def _merge(self, j: int, out: KnownIntervals) -> bool:
        old = self.before[j]
        if old is None:
            self.before[j] = out
            return True
        merged = {n: (min(old[n][0], out[n][0]), max(old[n][1], out[n][1])) for n in old.keys() & out.keys()}
        if merged == old:
            return False
        self.seen[j] += 1
        if self.seen[j] > ROUNDS and j in self.heads:
            moved = {n: (pair[0] if pair[0] == old[n][0] else ANY.low, pair[1] if pair[1] == old[n][1] else ANY.high)
                     for n, pair in merged.items()}  # fmt: skip
            merged = {n: pair for n, pair in moved.items() if pair != ANYTHING}
            if merged == old:
                return False
        self.before[j] = merged
        return True

    def _interval(self, operand: Operand, known: KnownIntervals) -> tuple[int, int]:
        if isinstance(operand, int):
            return operand, operand
        if operand in known:
            return known[operand]
        domain = self.domains.get(operand)
        return bounds(domain) if domain is not None else ANYTHING

    def _step(self, instr: Instr, known: KnownIntervals) -> KnownIntervals:
        if instr.dst not in self.followed:
            return known
        pair = self._result(instr, known)
        if pair == ANYTHING:
            return {n: p for n, p in known.items() if n != instr.dst} if instr.dst in known else known
        return {**known, instr.dst: pair}

    def _result(self, instr: Instr, known: KnownIntervals) -> tuple[int, int]:
        declared = self.domains.get(str(instr.dst))
        limits = bounds(declared) if declared is not None else ANYTHING
        if isinstance(declared, Ref):
            return limits
        if instr.op == "copy":
            found = self._interval(instr.args[1], known)
        elif instr.op == "not" or instr.op in TRUTHS:
            found = bounds(BOOL)
        elif instr.op in BINARY:
            found = self._computed(instr, known)
        else:
            return limits
        return max(found[0], limits[0]), min(found[1], limits[1])

    def _computed(self, instr: Instr, known: KnownIntervals) -> tuple[int, int]:
        a, b = self._interval(instr.args[1], known), self._interval(instr.args[2], known)
        if a[0] == a[1] and b[0] == b[1] and (value := computed(instr.op, a[0], b[0])) is not None:
            return value, value
        if instr.op == "and" and a[0] >= 0 and b[0] == b[1] and b[0] >= a[1] and b[0] & (b[0] + 1) == 0:
            return a  # a conversion that changes nothing
        return bounds(result_domain(instr.op, Int(*a), Int(*b)))

    # ---- branches

    def _behind(self, instr: Instr, known: KnownIntervals, wanted: bool) -> KnownIntervals | None:
        """What is known where a branch goes; None if it never goes there."""
        condition = instr.args[0]
        if isinstance(condition, int):
            return known if bool(condition) == wanted else None
        low, high = self._interval(condition, known)
        if (wanted and low == high == 0) or (not wanted and (low > 0 or high < 0)):
            return None
        out = {**known, condition: (0, 0)} if not wanted and condition in self.followed else known
        for test in self.tests.get(condition, ()):
            narrowed = self._narrowed(test, out, wanted)
            if narrowed is None:
                return None
            out = narrowed
        return out

    def _narrowed(self, test: Test, known: KnownIntervals, wanted: bool) -> KnownIntervals | None:
        op, a, b = test
        if op in ("eq", "ne"):
            return self._equal(a, b, known, wanted == (op == "eq"))
        if not wanted:  # not a < b: b <= a
            op, a, b = ("le" if op == "lt" else "lt"), b, a
        (low, high), (least, most) = self._interval(a, known), self._interval(b, known)
        strict = op == "lt"
        return self._with(known, a, (low, min(high, most - strict)), b, (max(least, low + strict), most))

    def _equal(self, a: Operand, b: Operand, known: KnownIntervals, same: bool) -> KnownIntervals | None:
        first, second = self._interval(a, known), self._interval(b, known)
        if same:
            both = max(first[0], second[0]), min(first[1], second[1])
            return self._with(known, a, both, b, both)
        if second[0] == second[1]:
            n = second[0]
            first = first[0] + (first[0] == n), first[1] - (first[1] == n)
        return self._with(known, a, first, b, second)

    def _with(
        self, known: KnownIntervals, a: Operand, first: tuple[int, int], b: Operand, second: tuple[int, int]
    ) -> KnownIntervals | None:
        out = dict(known)
        for operand, pair in ((a, first), (b, second)):
            if pair[0] > pair[1]:
                return None
            if isinstance(operand, str) and operand in self.followed and pair != ANYTHING:
                out[operand] = pair
        return out


def _heads(code: Code) -> frozenset[int]:
    """The labels that control comes back to."""
    where = {str(i.args[0]): n for n, i in enumerate(code) if i.op == "label"}
    jumps = [(n, i) for n, i in enumerate(code) if i.op in ("jump", "branch", "switch")]
    return frozenset(where[label] for n, i in jumps for label in i.labels() if where[label] <= n)


def _tests(code: Code) -> dict[str, list[Test]]:
    """Conditions that are set once, by a comparison of locals that nothing assigns between it and the one branch on it.

    A local that is compared may have been copied to another just before, which then is compared, too.
    """
    found: dict[str, list[Test]] = {}
    makers: dict[str, list[int]] = {}
    branches: dict[str, int] = {}
    for i, instr in enumerate(code):
        if instr.dst is not None:
            makers.setdefault(instr.dst, []).append(i)
        if instr.op == "branch" and isinstance(instr.args[0], str):
            branches[instr.args[0]] = -1 if instr.args[0] in branches else i
    for name, i in branches.items():
        made = makers.get(name, [])
        if len(made) == 1 and made[0] < i and code[made[0]].op in ("eq", "ne", "lt", "le"):
            op, (_, a, b) = code[made[0]].op, code[made[0]].args
            between = code[made[0] + 1 : i]
            if not any(one.dst in (a, b) or one.op in ENDS for one in between):
                found[name] = [(op, a, b), *((op, c, b) for c in _copies(code, a, i)), *((op, a, c) for c in _copies(code, b, i))]
    return found


def _copies(code: Code, name: Operand, end: int) -> list[str]:
    """Locals that are copies of a local at a place, made in the straight line of code before it."""
    found: list[str] = []
    assigned: set[str] = set()
    for instr in reversed(code[:end]):
        if instr.op in ENDS or instr.dst == name:
            break
        if instr.op == "copy" and instr.args[1] == name and instr.dst is not None and instr.dst not in assigned:
            found.append(instr.dst)
        assigned |= {instr.dst} if instr.dst is not None else set()
    return found


def _sources(code: Code, tests: dict[str, list[Test]], wanted: Set[str]) -> frozenset[str]:
    """The locals that what is wanted is computed from or compared with."""
    feeds: dict[str, set[str]] = {}
    for instr in code:
        if instr.dst is not None:
            feeds.setdefault(instr.dst, set()).update(o for o in instr.operands() if isinstance(o, str))
    for condition, pairs in tests.items():
        for one, other in [(a, b) for _, a, b in pairs] + [(b, a) for _, a, b in pairs]:
            if isinstance(one, str):
                feeds.setdefault(one, set()).update({condition, other} if isinstance(other, str) else {condition})
    found, work = set[str](), list(wanted)
    while work:
        name = work.pop()
        if name not in found:
            found.add(name)
            work += feeds.get(name, ())
    return frozenset(found)
