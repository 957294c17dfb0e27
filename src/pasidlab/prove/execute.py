"""Symbolic execution of one step of a model for any number of CPUs and tasks: every way through its code.

A loop over all elements either finds one, which becomes a new name, or goes through: then what let it go on holds for every element.
Which one is found first is left open. That allows more steps than there are, never fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import z3

from pasidlab.lang.ir import BINARY, SOUND, Action, Instr
from pasidlab.lang.lowering.flow import liveness
from pasidlab.lang.types import Domain, Ref
from pasidlab.prove.access import Accesses
from pasidlab.prove.general import EVERY, General
from pasidlab.prove.state import Fields, SymbolicState
from pasidlab.prove.values import (
    MOST_VALUES,
    Element,
    SymbolicNumber,
    SymbolicValue,
    Truth,
    binary,
    nobody,
    number,
    of_truth,
    refused,
    sort,
    truth,
)
from pasidlab.prove.ways import Feasible, PathEnd, SymbolicPath, Universal, possible

MOST_ROUNDS = 4096
"""Instructions of one way through a step: more are a loop that does not end here."""
MOST_WAYS = 2000


@dataclass(frozen=True)
class _Loop:
    """Where a loop over all elements goes on to the next one, and the instructions it has."""

    first: int
    test: int
    last: int
    done: int


@dataclass
class SymbolicExecutor:
    """Executes actions of a model. ``feasible`` says of conditions whether some state may meet them."""

    general: General
    fields: Fields
    feasible: Feasible
    numbers: Iterator[int] = field(default_factory=count)

    def fresh(self, sort_: str, hint: str) -> Element:
        """A new name for an element."""
        return Element(z3.Const(f"{hint}_{next(self.numbers)}", sort(sort_)), sort_)

    def parameters(self, action: Action) -> dict[str, SymbolicValue]:
        """New names for an action's parameters."""
        return {name: self.parameter(name, domain) for name, domain in action.params}

    def parameter(self, name: str, domain: Domain) -> SymbolicValue:
        """A new name for a parameter; of a reference to one of a fixed number, a number from 1."""
        hint = name.replace("%", "")
        if sort_ := self.general.sort_of(domain):
            return self.fresh(sort_, hint)
        low = {0} if isinstance(domain, Ref) else set()
        values = frozenset(v for v in (domain.value(c) for c in range(1 << domain.bits)) if domain.contains(v)) - low
        return SymbolicNumber(z3.Int(f"{hint}_{next(self.numbers)}"), values)

    def run(self, action: Action, state: SymbolicState, given: dict[str, SymbolicValue]) -> list[PathEnd]:
        """Every way through an action."""
        conditions = [_among(value) for value in given.values()]
        path = SymbolicPath(state, dict(given), elements=tuple(v for v in given.values() if isinstance(v, Element)))
        endings = []
        for ending in _ActionCode(self, action).walk(path.where(*conditions), 0):
            endings.append(ending)
            if len(endings) > MOST_WAYS:
                raise refused(action.code[0], f"{action.name} has more than {MOST_WAYS} ways through it")
        return endings


def _limits(value: SymbolicValue) -> tuple[int, int] | None:
    """The least and the greatest a number may be; None: it is not known."""
    if isinstance(value, int):
        return value, value
    return (min(value.values), max(value.values)) if isinstance(value, SymbolicNumber) and value.values else None


def _among(value: SymbolicValue) -> Truth:
    if isinstance(value, SymbolicNumber):
        assert value.values is not None
        return z3.Or([value.term == v for v in sorted(value.values)])
    return truth(value)


@dataclass(frozen=True)
class _Left:
    """A walk that reached the end of a round (``at`` is the loop's test), or left the loop."""

    path: SymbolicPath
    at: int


class _ActionCode:
    """The code of one action."""

    def __init__(self, executor: SymbolicExecutor, action: Action) -> None:
        self.x, self.code = executor, list(action.code)
        self.labels = {str(i.args[0]): n for n, i in enumerate(self.code) if i.op == "label"}
        self.alive = liveness(self.code)
        self.accesses = Accesses(executor.general, executor.fields, executor.feasible)

    def walk(self, path: SymbolicPath, at: int) -> Iterator[PathEnd]:
        """Every ending from an instruction on."""
        for found in self._walk(path, at, None, 0):
            assert isinstance(found, PathEnd)
            yield found

    def _walk(self, path: SymbolicPath, at: int, loop: _Loop | None, fuel: int) -> Iterator[PathEnd | _Left]:
        while True:
            if loop and (at == loop.test or not loop.first <= at <= loop.last):
                yield _Left(path, at)
                return
            instr = self.code[at]
            fuel += 1
            if fuel > MOST_ROUNDS:
                raise refused(instr, "a loop that depends on the state")
            if instr.op == "end":
                yield PathEnd("step", path, instr.site)
                return
            if instr.op == "return":
                yield PathEnd("answer", path, instr.site, path.value(instr.args[0]))
                return
            if instr.op == "le" and str(instr.args[2]).startswith(EVERY):
                for left in self._each(path, at, fuel):
                    if isinstance(left, PathEnd):
                        yield left
                    else:
                        yield from self._walk(left.path, left.at, loop, fuel)
                return
            if instr.op in ("branch", "switch"):
                yield from self._beyond(path, instr)
                for condition, target in self._targets(path, instr):
                    if (taken := possible(path, self.x.feasible, condition)) is not None:
                        yield from self._walk(taken, target, loop, fuel)
                return
            if instr.op == "jump":
                at = self.labels[str(instr.args[0])]
                continue
            after: SymbolicPath | None = None
            for found in self._simple(path, instr):
                if isinstance(found, PathEnd):
                    yield found
                else:
                    after = found
            if after is None:
                return
            path, at = after, at + 1

    def _targets(self, path: SymbolicPath, instr: Instr) -> Iterator[tuple[Truth, int]]:
        value = path.value(instr.args[0])
        labels = [self.labels[label] for label in instr.labels()]
        if instr.op == "branch":
            yield truth(value), labels[0]
            yield z3.Not(truth(value)), labels[1]
            return
        for n, target in enumerate(labels):
            yield number(value, instr) == n, target

    def _beyond(self, path: SymbolicPath, instr: Instr) -> Iterator[PathEnd]:
        """A fault where a switch has no label for a value."""
        if instr.op == "switch":
            value = number(path.value(instr.args[0]), instr)
            wrong = possible(path, self.x.feasible, z3.Or(value < 0, value >= len(instr.labels())))
            if wrong is not None:
                yield PathEnd("fault", wrong, instr.site, sentence="a switch has no label for a value")

    def _simple(self, path: SymbolicPath, instr: Instr) -> Iterator[SymbolicPath | PathEnd]:
        """What an instruction without a target does: faults first, then the path that goes on, if one does."""
        args = instr.args
        match instr.op:
            case "label" | "reach" | "repeat":
                yield path
            case "copy":
                yield path.assigned(args[0], path.value(args[1]))
            case "not":
                yield path.assigned(args[0], of_truth(z3.Not(truth(path.value(args[1])))))
            case "require" | "wait":
                taken = possible(path, self.x.feasible, truth(path.value(args[0])))
                if taken is not None:
                    yield taken
            case "check":
                wrong = possible(path, self.x.feasible, z3.Not(truth(path.value(args[1]))))
                if wrong is not None:
                    yield PathEnd("fault", wrong, instr.site, property=str(args[0]), sentence=instr.text)
                yield path
            case "crash":
                yield PathEnd("fault", path, instr.site, property=SOUND, sentence=instr.text)
            case "choose":
                yield from self._choose(path, instr)
            case "load" | "store" | "deref":
                yield from self.accesses.access(path, instr)
            case op if op in BINARY:
                value, wrong_ = binary(instr, path.value(args[1]), path.value(args[2]))
                taken = possible(path, self.x.feasible, wrong_)
                if taken is not None and not z3.is_false(z3.simplify(wrong_)):
                    yield PathEnd("fault", taken, instr.site, sentence=f"'{op}' has no value")
                yield path.where(z3.Not(wrong_)).assigned(args[0], value)
            case op:
                raise refused(instr, f"the operation '{op}'")

    def _choose(self, path: SymbolicPath, instr: Instr) -> Iterator[SymbolicPath]:
        name, low, high = instr.args
        if str(high).startswith(EVERY):
            found = self.x.fresh(str(high).removeprefix(EVERY), "picked")
            yield path.assigned(name, found).where(found.term != nobody(found.sort)).with_element(found)
            return
        first, last = path.value(low), path.value(high)
        limits = [_limits(value) for value in (first, last)]
        if limits[0] is None or limits[1] is None or limits[1][1] - limits[0][0] > MOST_VALUES:
            raise refused(instr, "a choice among many values")
        least, most = limits[0][0], limits[1][1]
        chosen = z3.Int(f"chosen_{next(self.x.numbers)}")
        conditions = (chosen >= number(first, instr), chosen <= number(last, instr))
        taken = possible(path, self.x.feasible, *conditions)
        if taken is not None:
            yield taken.assigned(name, SymbolicNumber(chosen, frozenset(range(least, most + 1))))

    def _each(self, path: SymbolicPath, at: int, fuel: int) -> Iterator[PathEnd | _Left]:
        """A loop over all elements of a struct: it finds one and leaves, or goes through."""
        instr = self.code[at]
        counter, sort_ = str(instr.args[1]), str(instr.args[2]).removeprefix(EVERY)
        loop = self._loop(at, counter)
        mark = next(self.x.numbers)
        found = self.x.fresh(sort_, "each")
        inner = replace(path.assigned(counter, found), elements=(*path.elements, found)).where(truth(found))
        facts: list[Truth] | None = []
        base = len(inner.conditions)
        for left in self._walk(inner, loop.first, loop, fuel):
            if isinstance(left, PathEnd) or left.at != loop.test:
                yield left
                continue
            self._forgets(path, left.path, loop, instr)
            new = left.path.conditions[base:]
            fresh = len(left.path.elements) > len(inner.elements) or len(left.path.universals) > len(inner.universals)
            if fresh or any(_chosen_since(c, mark) for c in new):
                facts = None  # what was chosen differs from round to round: nothing is known of all elements
            elif facts is not None:
                facts.append(z3.And(list(new)))
        if facts is None:
            yield _Left(path, loop.done)
            return
        fact, name = z3.simplify(z3.Or(facts)), found.term
        universal = Universal(sort_, lambda term: z3.substitute(fact, (name, term)))
        known = () if z3.is_true(fact) else (universal,)
        yield _Left(replace(path, universals=(*path.universals, *known)), loop.done)

    def _forgets(self, before: SymbolicPath, after: SymbolicPath, loop: _Loop, instr: Instr) -> None:
        """Refuses a loop of which a round leaves something behind."""
        if after.state.stores is not before.state.stores and after.state.stores != before.state.stores:
            raise refused(instr, "a loop over all elements that stores something in each round", "a loop may test all, or find one")
        needed = (self.alive[loop.done] | self.alive[loop.first]) - {str(instr.args[1])}
        for name in needed:
            old, new = before.locals.get(name, 0), after.locals.get(name, 0)
            if old is not new and old != new:
                shown = name.split(".")[0]
                raise refused(instr, f"a loop over all elements that keeps '{shown}' from round to round", "leave it with break, or return")

    def _loop(self, at: int, counter: str) -> _Loop:
        """The shape ``for x in each(...)`` is compiled to."""
        _, branch = self.code[at], self.code[at + 1]
        first, done = (self.labels[label] for label in branch.labels())
        test = next(
            n for n in range(first, len(self.code))
            if self.code[n].op == "eq" and self.code[n].args[1] == counter and str(self.code[n].args[2]).startswith(EVERY)
        )  # fmt: skip
        last = next(n for n in range(test, len(self.code)) if self.code[n].op == "jump" and self.labels[str(self.code[n].args[0])] == first)
        return _Loop(first, test, last, done)


def _chosen_since(term: Any, mark: int) -> bool:
    """Whether a formula speaks of something that was chosen after a name of that number was made."""
    work, seen = [term], set()
    while work:
        part = work.pop()
        if part.get_id() not in seen:
            seen.add(part.get_id())
            work += part.children()
            name = part.decl().name() if z3.is_const(part) else ""
            if name.startswith("chosen_") and int(name.removeprefix("chosen_")) > mark:
                return True
    return False
