"""When a step can be taken, as a condition on the state before it: for every way its choices can go.

In the IR a step may turn out to be impossible half way (``require``); in Promela only the first statement of a step may. So the step is
followed along every path while something can still make it impossible. Expressions take the place of values there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pasidlab.errors import PasidlabError
from pasidlab.lang.back.numbers import Expression32, binary, impossible, literal, of_domain, outside, truth, unary
from pasidlab.lang.back.places import Variables
from pasidlab.lang.back.ranges import refusing
from pasidlab.lang.emit import computed
from pasidlab.lang.ir import BINARY, SILENT, Instr, Operand
from pasidlab.lang.lowering.flow import successors

MOST_PATHS = 20_000
MOST_INSTRUCTIONS = 1_000_000
DECIDING = frozenset({"require", "wait", "choose"})

Ways = dict[tuple[int, ...], list[str]]
"""For each sequence of choices the conditions under which it can be taken; any of them will do."""


@dataclass
class _Path:
    """A path half way: what is known where it stands."""

    at: int
    locals: dict[str, Expression32]
    stores: tuple[tuple[str, Expression32, Expression32], ...] = ()  # field, element, value; the last one is the newest
    facts: Mapping[str, bool] = field(default_factory=dict)  # conditions that were decided on the way
    conditions: tuple[str, ...] = ()
    choices: tuple[int, ...] = ()
    broken: bool = False  # a check has failed

    def went(self, at: int, condition: str, holds: bool) -> _Path:
        """This path, a condition being decided, at its next instruction."""
        if condition in self.facts:
            return replace(self, at=at)
        text = condition if holds else f"!{condition}"
        facts = {**self.facts, condition: holds}
        return replace(self, at=at, locals=dict(self.locals), facts=facts, conditions=(*self.conditions, text))

    def if_possible(self, at: int, condition: str) -> list[_Path]:
        """This path, the condition holding; nothing if it is known not to."""
        return [] if self.facts.get(condition) is False else [self.went(at, condition, True)]


def ways(code: Sequence[Instr], locals_: Mapping[str, Expression32], places: Variables) -> Ways:
    """Every way a step can be taken. ``locals_`` are its parameters."""
    return _Walk(code, places).ways(locals_)


class _Walk:
    """Follows one step's code."""

    def __init__(self, code: Sequence[Instr], places: Variables) -> None:
        self.code, self.places = code, places
        self.labels = {str(i.args[0]): n for n, i in enumerate(code) if i.op == "label"}
        self.open = _deciding_ahead(code)
        self.found: Ways = {}
        self.work: list[_Path] = []
        self.followed = 0
        self.dividing = {
            "branch": self._branch, "switch": self._switch, "require": self._require, "wait": self._require,
            "check": self._check, "choose": self._choose,
        }  # fmt: skip

    def ways(self, locals_: Mapping[str, Expression32]) -> Ways:
        self.work, paths = [_Path(0, dict(locals_))], 0
        while self.work:
            self._follow(self.work.pop())
            paths += 1
            if paths > MOST_PATHS:
                raise self._endless(self.code[0])
        return self.found

    def _endless(self, instr: Instr) -> PasidlabError:
        what = f"too many ways lead through {instr.site.function} before it is known whether this step can be taken"
        return PasidlabError(what, position=instr.site.position, hint="decide what the step requires first")

    def _taken(self, path: _Path) -> None:
        self.found.setdefault(path.choices, []).append(" && ".join(path.conditions) or "true")

    def _follow(self, path: _Path) -> None:
        """Go on until the path ends or divides."""
        while True:
            if not self.open[path.at]:
                self._taken(path)
                return
            instr = self.code[path.at]
            self.followed += 1
            if self.followed > MOST_INSTRUCTIONS:
                raise self._endless(instr)
            with refusing(instr):
                if instr.op in self.dividing:
                    self.dividing[instr.op](path, instr)
                    return
                if not self._step(path, instr):
                    return

    def _step(self, path: _Path, instr: Instr) -> bool:
        """One instruction that does not divide the path by what it decides; False once the path has ended."""
        op, args = instr.op, instr.args
        if op == "jump":
            path.at = self.labels[str(args[0])]
            return True
        if op in ("load", "store", "deref") and not self._exists(path, instr):
            return False
        if op == "load":
            path.locals[str(args[0])] = self._loaded(path, str(args[1]), self._value(path, args[2]))
        elif op == "store":
            path.stores = (*path.stores, (str(args[0]), self._value(path, args[1]), self._value(path, args[2])))
        elif op == "copy":
            path.locals[str(args[0])] = self._value(path, args[1])
        elif op in ("not", "inv"):
            path.locals[str(args[0])] = self._unary(op, self._value(path, args[1]))
        elif op in BINARY:
            if not self._binary(path, instr):
                return False
        else:
            assert op == "deref" or op in SILENT, op
        path.at += 1
        return True

    def _value(self, path: _Path, operand: Operand) -> Expression32:
        if isinstance(operand, int):
            return literal(operand)
        return path.locals.get(operand, literal(0))

    def _unary(self, op: str, a: Expression32) -> Expression32:
        if a.known:
            return literal(int(not a.low) if op == "not" else ~a.low)
        return unary(op, a)

    def _binary(self, path: _Path, instr: Instr) -> bool:
        a, b = (self._value(path, operand) for operand in instr.operands())
        if a.known and b.known:
            value = computed(instr.op, a.low, b.low)
            if value is None:
                self._taken(path)
                return False
            result = literal(value)
        else:
            result = binary(instr.op, a, b)
            for wrong in (impossible(instr.op, a, b), outside(instr.op, a, b, result.text)):
                if wrong and not self._decided(path, wrong, False):
                    return False
        path.locals[str(instr.args[0])] = literal(result.low) if result.known else result
        return True

    def _decided(self, path: _Path, condition: str, wanted: bool) -> bool:
        """Goes on as if the condition were as wanted; where it is not, the step can be taken, but ends in an error."""
        if condition in path.facts:
            if path.facts[condition] != wanted:
                self._taken(path)
            return path.facts[condition] == wanted
        self._taken(path.went(path.at, condition, not wanted))
        path.facts = {**path.facts, condition: wanted}
        path.conditions = (*path.conditions, condition if wanted else f"!{condition}")
        return True

    def _exists(self, path: _Path, instr: Instr) -> bool:
        """Whether the element is there; where it is not, the step can be taken, but ends in an error."""
        element = self._value(path, instr.element)
        count = int(instr.args[1]) if instr.op == "deref" else self.places.field(str(instr.field)).count
        there = self.places.there(element, count)
        if there == "true":
            return True
        if there == "false":
            self._taken(path)
            return False
        return self._decided(path, there, True)

    def _loaded(self, path: _Path, name: str, element: Expression32) -> Expression32:
        """What a field's element holds after the stores so far."""
        domain = self.places.field(name).domain
        value = of_domain(self.places.text(name, element), domain)
        for stored, where, what in path.stores:
            if stored != name:
                continue
            if where.text == element.text:
                value = what
            elif not (where.known and element.known):
                same = binary("eq", where, element).text
                value = Expression32(f"({same} -> {what.text} : {value.text})", value.low, value.high).or_(what)
        return value

    def _truth(self, path: _Path, operand: Operand) -> bool | str:
        """A value's truth where it is known, else the condition for it."""
        value = self._value(path, operand)
        if value.known:
            return value.low != 0
        if value.low > 0 or value.high < 0:
            return True
        condition = truth(value)
        return path.facts.get(condition, condition)

    def _both(self, path: _Path, condition: bool | str, yes: int, no: int) -> None:
        """Go on at ``yes`` where the condition holds, at ``no`` where it does not."""
        if isinstance(condition, bool):
            path.at = yes if condition else no
            self.work.append(path)
            return
        self.work += [path.went(no, condition, False), path.went(yes, condition, True)]

    def _branch(self, path: _Path, instr: Instr) -> None:
        self._both(path, self._truth(path, instr.args[0]), *(self.labels[label] for label in instr.labels()))

    def _switch(self, path: _Path, instr: Instr) -> None:
        value = self._value(path, instr.args[0])
        for number, label in enumerate(instr.labels()):
            if value.known and value.low == number:
                self.work.append(replace(path, at=self.labels[label]))
            elif value.low <= number <= value.high and not value.known:
                self.work += path.if_possible(self.labels[label], f"({value.text} == {number})")

    def _require(self, path: _Path, instr: Instr) -> None:
        condition = self._truth(path, instr.args[0])
        if condition is not True and path.broken:
            self._taken(path if condition is False else path.went(path.at, condition, False))
        if condition is not False:
            self.work.append(replace(path, at=path.at + 1) if condition is True else path.went(path.at + 1, condition, True))

    def _check(self, path: _Path, instr: Instr) -> None:
        condition = self._truth(path, instr.args[1])
        if condition is not True:
            failed = replace(path, at=path.at + 1) if condition is False else path.went(path.at + 1, condition, False)
            self.work.append(replace(failed, broken=True))
        if condition is not False:
            self.work.append(replace(path, at=path.at + 1) if condition is True else path.went(path.at + 1, condition, True))

    def _choose(self, path: _Path, instr: Instr) -> None:
        low, high = (self._value(path, operand) for operand in instr.operands())
        for value in range(low.low, high.high + 1):
            possible = [path]
            for smaller, greater in ((low, literal(value)), (literal(value), high)):
                if smaller.high > greater.low:
                    possible = [q for p in possible for q in p.if_possible(path.at, binary("le", smaller, greater).text)]
            for chosen in possible:
                locals_ = {**chosen.locals, str(instr.args[0]): literal(value)}
                self.work.append(replace(chosen, at=path.at + 1, locals=locals_, choices=(*path.choices, value)))


def _deciding_ahead(code: Sequence[Instr]) -> list[bool]:
    """Before which instructions something may still make the step impossible, or divide it by a choice."""
    after, ahead, changed = successors(list(code)), [instr.op in DECIDING for instr in code], True
    while changed:
        changed = False
        for i in range(len(code) - 1, -1, -1):
            if not ahead[i] and any(ahead[j] for j in after[i]):
                ahead[i] = changed = True
    return ahead
