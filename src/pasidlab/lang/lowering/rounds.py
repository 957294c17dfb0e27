"""Loops over the elements of a struct, and whether it matters in which order they are visited.

A loop is shown to be independent of the order if, of its body (one round):

1.  nothing is carried from round to round: every local it assigns and reads it assigns first in the same round;
2.  what is read after the loop it assigns one fixed value, and on the way to an early exit certainly;
3.  it leaves early to one place only, and then it has no effect but that: no store, check, choice, guard, nor anything that could fault;
4.  a field it stores to is stored to and read at the visited element only; or is given one fixed value and not read; or is added to;
5.  a guard stands in it only where nothing could fault and nothing is checked; a check only where nothing could fault;
6. it changes no mask, takes, releases and enters nothing, and has no step boundary of its own. (A loop that others could watch half way is
   found where the boundaries are set.)

Then rounds commute: by 1 and 4 a round reads nothing that another one writes; writes of two rounds go to different places, or are the
same, or are sums; by 2, 3 and 5 the loop ends the same way whichever round comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pasidlab.lang.ir import CPU, DIVISIONS, SHIFTS, Instr, Operand
from pasidlab.lang.lowering.flow import Code, successors
from pasidlab.lang.types import Domain, Field, Int, Ref

NOT_IN_A_ROUND = {
    "pause": "has a step boundary", "wait": "waits", "mask": "changes what may interrupt it", "take": "takes a task",
    "release": "releases a task", "enter": "enters the kernel", "return": "returns", "end": "ends the step",
}  # fmt: skip


@dataclass(frozen=True)
class FlatCode:
    """Code with its calls inlined, not simplified. ``current``: it runs for a task, so ``current`` is not None."""

    code: Code
    locals: dict[str, Domain | None]
    current: bool = False

    @cached_property
    def after(self) -> list[list[int]]:
        """Where control may go from each instruction."""
        return successors(self.code)

    @cached_property
    def assignments(self) -> dict[str, list[int]]:
        """Where each local is assigned."""
        return _indexed((str(i.dst), n) for n, i in enumerate(self.code) if i.dst)

    @cached_property
    def reads(self) -> dict[str, list[int]]:
        """Where each local is read."""
        return _indexed((o, n) for n, i in enumerate(self.code) for o in i.operands() if isinstance(o, str))

    @cached_property
    def there(self) -> frozenset[str]:
        """Locals that never are None, whatever the path: elements visited or picked, parameters, a task's ``current``."""
        found = {CPU, *self.assignments, *self.reads}
        changed = True
        while changed:
            lost = {name for name in found for n in self.assignments.get(name, ()) if not self._gives(self.code[n], found)}
            found, changed = found - lost, bool(lost)
        return frozenset(found)

    def _gives(self, instr: Instr, there: set[str]) -> bool:
        args = instr.args
        if instr.op == "copy":
            return args[1] in there if isinstance(args[1], str) else args[1] > 0
        if instr.op == "load":
            return self.current and args[1:] == ("Cpu.current", CPU)
        if instr.op == "choose":
            return isinstance(args[1], int) and args[1] > 0
        return instr.op == "take" or (instr.op == "add" and args == (args[0], args[0], 1))


def _indexed(pairs: Iterator[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, n in pairs:
        found.setdefault(name, []).append(n)
    return found


@dataclass(frozen=True)
class ElementLoop:
    """``for x in each(struct)``: instructions ``head`` to ``end``; the round ends at the test ``last``."""

    counter: str
    struct: str
    head: int
    last: int
    end: int

    @property
    def own(self) -> range:
        """The instructions that count."""
        return range(self.last - 1, self.end + 1)


def loops_of(text: FlatCode) -> list[ElementLoop]:
    """The loops over elements, as the front ends write them; anything else that counts elements is arithmetic on them."""
    where = {str(i.args[0]): n for n, i in enumerate(text.code) if i.op == "label"}
    found = []
    for n, instr in enumerate(text.code):
        domain = text.locals.get(str(instr.args[0])) if instr.op == "add" else None
        if isinstance(domain, Ref) and instr.args == (instr.args[0], instr.args[0], 1):
            counter = str(instr.args[0])
            firsts = [text.code[k] for k in text.assignments[counter] if k != n]
            before = [i.op for i in text.code[n - 3 : n]]
            if before != ["eq", "branch", "label"] or [i.args for i in firsts] != [(counter, 1)] or text.code[n + 1].op != "jump":
                continue
            if text.code[n - 3].args[1:] == (counter, domain.count):
                found.append(ElementLoop(counter, domain.struct, where[str(text.code[n + 1].args[0])], n - 2, n + 1))
    return found


class Round:
    """The body of one loop."""

    def __init__(self, text: FlatCode, loop: ElementLoop, fields: dict[str, Field]) -> None:
        self.text, self.loop, self.fields = text, loop, fields
        self.inside = range(loop.head, loop.last - 1)
        self.body = [text.code[n] for n in self.inside]
        self.assigned = {i.dst for i in self.body if i.dst}
        self.before = self._assigned_before()
        self.visited = self._visited()

    def why_ordered(self) -> str:
        """What about the loop is not shown to be independent of the order; empty if all of it is."""
        for instr in self.body:
            if instr.op in NOT_IN_A_ROUND:
                return NOT_IN_A_ROUND[instr.op]
        return self._carried() or self._left_behind() or self._endings() or self._stores()

    def _assigned_before(self) -> dict[int, frozenset[str]]:
        """Locals this round has certainly assigned before each instruction of the body."""
        before = {self.loop.head: frozenset[str]()}
        work = [self.loop.head]
        while work:
            n = work.pop()
            dst = self.text.code[n].dst
            out = before[n] | {dst} if dst else before[n]
            for m in self.text.after[n]:
                if m in self.inside and (merged := out & before.get(m, out)) != before.get(m):
                    before[m] = merged
                    work.append(m)
        return before

    def _visited(self) -> set[str]:
        """Locals that are the visited element throughout the round."""
        found = {self.loop.counter}
        changed = True
        while changed:
            changed = False
            for name in self.assigned - found:
                made = [self.text.code[n] for n in self.text.assignments[name] if n in self.inside]
                if all(i.op == "copy" and i.args[1] in found for i in made):
                    found.add(name)
                    changed = True
        return found

    def _carried(self) -> str:
        for n, known in self.before.items():
            for name in self.text.code[n].operands():
                if isinstance(name, str) and name in self.assigned and name not in known:
                    return f"carries '{name_in_source(name)}' from one round to the next"
        return ""

    def _exits(self) -> list[tuple[int, int]]:
        """Edges out of the loop in the middle of a round."""
        return [(n, m) for n in self.before for m in self.text.after[n] if m not in range(self.loop.head, self.loop.end + 1)]

    def _left_behind(self) -> str:
        """Locals assigned in the loop and read after it."""
        exits = self._exits()
        ways = [*exits, *((self.loop.last, m) for m in self.text.after[self.loop.last] if m > self.loop.end)]
        for name in sorted(self.assigned):
            outside = [n for n in self.text.reads.get(name, ()) if not self.loop.head <= n <= self.loop.end]
            read = [n for n, m in ways if outside and self._read_after(m, name)]
            if not read:
                continue
            values = {self.text.code[n].args[1] if self.text.code[n].op == "copy" else name
                      for n in self.text.assignments[name] if n in self.inside}  # fmt: skip
            if len(values) > 1 or not self._fixed(*values):
                return f"leaves in '{name_in_source(name)}' what depends on the elements visited before"
            if any(name not in self.before[n] for n in read if n != self.loop.last):
                return f"may leave before or after it has set '{name_in_source(name)}'"
        return "leaves early to more than one place" if len({m for _, m in exits}) > 1 else ""

    def _read_after(self, start: int, name: str) -> bool:
        seen, work = set[int](), [start]
        while work:
            n = work.pop()
            if n in seen:
                continue
            seen.add(n)
            if name in self.text.code[n].operands():
                return True
            if self.text.code[n].dst != name:
                work += self.text.after[n]
        return False

    def _fixed(self, value: Operand) -> bool:
        return isinstance(value, int) or value not in self.assigned | {self.loop.counter, CPU}

    def _endings(self) -> str:
        """Early exits, guards, checks and faults that do not go together."""
        ops = {i.op for i in self.body}
        faults, guards = any(self._may_fault(i) for i in self.body), "require" in ops or any(map(_may_be_empty, self.body))
        if self._exits():
            if faults:
                return "may leave early or fault, whichever comes first"
            if guards or ops & {"store", "check", "reach", "repeat", "choose"}:
                return "leaves early, and does more than look"
        if faults and (guards or "check" in ops):
            return "may fault before or after it is asked something else"
        return "checks before or after a guard" if guards and "check" in ops else ""

    def _may_fault(self, instr: Instr) -> bool:
        if instr.op in SHIFTS | DIVISIONS:
            return not isinstance(instr.args[2], int)  # constants are asked when they are compiled
        if instr.op in ("load", "store", "deref"):
            element = instr.element
            if isinstance(element, str) and element not in self.text.there:
                return True
        if instr.op == "store":
            value, domain = instr.args[2], self.fields[str(instr.field)].domain
            given = Int(value, value) if isinstance(value, int) else self.text.locals.get(value)
            return given != domain and not (isinstance(given, Int) and domain.contains(given.low) and domain.contains(given.high))
        return instr.op == "crash"

    def _stores(self) -> str:
        for path in sorted({str(i.field) for i in self.body if i.op == "store"}):
            stores = [i for i in self.body if i.op == "store" and i.field == path]
            loads = [i for i in self.body if i.op == "load" and i.field == path]
            own = all(i.args[1] in self.visited for i in stores) and all(i.args[2] in self.visited for i in loads)
            values = {i.args[2] for i in stores}
            if not (own or self._adds(stores, loads) or (not loads and len(values) == 1 and self._fixed(*values))):
                return f"stores to {path}, which another round may read or store to"
        return ""

    def _adds(self, stores: list[Instr], loads: list[Instr]) -> bool:
        """Whether all that happens to a field is that fixed numbers are added to it."""
        used: list[Instr] = []
        for store in stores:
            total = self._made(store.args[2])
            held = self._made(total.args[1]) if total and total.op in ("add", "sub") and self._fixed(total.args[2]) else None
            if held is None or held not in loads or held.args[2] != store.args[1] or not self._made_once(store.args[1]):
                return False
            used.append(held)
        return len(used) == len(loads) and all(i in used for i in loads)

    def _made(self, value: Operand) -> Instr | None:
        """The one instruction that makes a value which is read once."""
        if not isinstance(value, str) or len(self.text.assignments.get(value, ())) != 1 or len(self.text.reads.get(value, ())) != 1:
            return None
        return self.text.code[self.text.assignments[value][0]]

    def _made_once(self, element: Operand) -> bool:
        return isinstance(element, int) or sum(n in self.inside for n in self.text.assignments.get(element, ())) <= 1


def _may_be_empty(instr: Instr) -> bool:
    low, high = instr.args[1:] if instr.op == "choose" else (0, 0)
    return not (isinstance(low, int) and isinstance(high, int) and low <= high)


def name_in_source(name: str) -> str:
    """A local as its source text calls it."""
    return name.split(".")[0] if not name.startswith("%") else "a value"
