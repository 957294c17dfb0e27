"""One thing to be shown: that one way through one step leads to nothing forbidden, from any state the clauses allow.

All is quantifier-free: the elements the step looks at; those the forbidden thing is about; for "some CPU refers to it" one that does.
Clauses hold for all elements; the instances at these elements are what is assumed. What follows from instances follows from the clauses,
so a proof is one for any number of elements. Too few instances can only make a proof fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import z3

from pasidlab.lang.ir import Site
from pasidlab.lang.types import BOOL, Domain, Field, Int
from pasidlab.prove.mined import Clause
from pasidlab.prove.state import Fields, SymbolicState
from pasidlab.prove.values import Truth, bound_of, nobody, sort, unknown_function, values_of
from pasidlab.prove.views import NOBODY, OTHER, OUTSIDE, Feature, Plain, Structs, ViewRow, Views
from pasidlab.prove.ways import SymbolicPath

Terms = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Goal:
    """Something that must not be possible: a fault on the way, or a property that is broken afterwards."""

    property: str
    sentence: str
    formula: Truth


@dataclass
class Obligation:
    """One way through a step. ``goals`` are its own; that clauses go on to hold is asked of those with ``keeps``."""

    views: Views
    name: str
    site: Site
    path: SymbolicPath
    goals: tuple[Goal, ...]
    subjects: Terms  # new names, by sort, that clauses are about
    more: Terms  # other elements that matter
    keeps: bool
    solver: Any = field(default_factory=lambda: z3.SolverFor("QF_UFLIA"))
    instances: dict[tuple[Clause, tuple[Any, ...]], Truth] = field(default_factory=dict)
    done: dict[Clause | int, frozenset[Clause]] = field(default_factory=dict)
    """What is shown, goals of its own by number and clauses that go on to hold, and with which clauses."""
    _broken: dict[Clause, Truth] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fields: Fields = self.path.state.fields
        self.before = SymbolicState(self.fields)
        self.after = self.path.state.settled()
        self.terms: dict[str, list[Any]] = {name: [] for name in self.views.general.sorts}
        for name in self.terms:
            looked_at = [e.term for e in self.path.elements if e.sort == name]
            for term in (*looked_at, *self.more.get(name, ()), *self.subjects[name]):
                if not any(term.eq(other) for other in self.terms[name]):
                    self.terms[name].append(term)
        self.first = {name: len(terms) for name, terms in self.terms.items()}
        self.assumed = list(self._assumed())
        self.solver.add(*self.assumed)

    @property
    def place(self) -> str:
        """Where in the source the step ends."""
        return str(self.site.position)

    def _assumed(self) -> Iterator[Truth]:
        """All but the clauses."""
        yield from self.path.conditions
        for name, terms in self.subjects.items():
            yield from (term != nobody(name) for term in terms)
        yield from self._witnesses()
        for universal in self.path.universals:
            for term in self.terms[universal.sort]:
                yield z3.Implies(term != nobody(universal.sort), universal.fact(term))
        yield from self._domains()

    def _domains(self) -> Iterator[Truth]:
        """Every field holds what its domain has."""
        for f in self.views.fields.values():
            if self.views.general.sort_of(f.domain) or f.domain == BOOL or self.fields.defaults:
                continue
            if not self.views.general.any_number(f):
                yield from (self._domain(f, at) for at in range(1, f.count + 1))
                continue
            for at in self.terms[f.struct]:
                yield self.fields.fact(f"domain.{f.path}", (at,), partial(self._domain, f, at))

    def _domain(self, f: Field, at: Any) -> Truth:
        return _in_domain(self.before.read(f.path, at), f.domain)

    def references(self) -> Iterator[tuple[str, str, str]]:
        """Fields of CPUs and tasks that refer to such: path, struct, target."""
        for f in self.views.fields.values():
            if self.views.general.any_number(f) and (target := self.views.general.sort_of(f.domain)):
                yield f.path, f.struct, target

    def some(self, path: str, at: Any) -> Truth:
        """Some element's field refers to this one, before the step."""
        return unknown_function(f"some.{path}", at.sort().name(), z3.BoolSort())(at)

    def _another(self, path: str, at: Any) -> Truth:
        """Some element's field refers to this one, and the step does not store to it."""
        return unknown_function(f"another.{path}", at.sort().name(), z3.BoolSort())(at)

    def some_after(self, path: str, at: Any) -> Truth:
        """Some element's field refers to this one, after the step."""
        written = self.after.written(path)
        if not written:
            return self.some(path, at)
        hits = [z3.And(w != nobody(w.sort().name()), self.after.read(path, w) == at) for w in written]
        return z3.Or([*hits, self._another(path, at)])

    def _witnesses(self) -> Iterator[Truth]:
        """What "some" means: where it is true there is such an element; where it is false none of those known is one."""
        known = {name: list(terms) for name, terms in self.terms.items()}
        facts: list[Truth] = []
        for path, struct, target in self.references():
            written = self.after.written(path)
            for at in known[target]:
                facts += self._witness(path, struct, at, self.some(path, at), "who", ())
                if written:
                    facts += self._witness(path, struct, at, self._another(path, at), "whoelse", written)
        yield from facts
        for path, struct, target in self.references():
            written = self.after.written(path)
            for at in known[target]:
                for term in self.terms[struct]:
                    yield self.fields.fact(f"some.{path}", (at, term), partial(self._refers, path, struct, at, term))
                    if written:
                        others = [term != w for w in written]
                        yield z3.Implies(z3.And(self._there(path, struct, at, term), *others), self._another(path, at))

    def _refers(self, path: str, struct: str, at: Any, term: Any) -> Truth:
        """A formula: if this element's field refers to that, some element's does."""
        return z3.Implies(self._there(path, struct, at, term), self.some(path, at))

    def _there(self, path: str, struct: str, at: Any, term: Any) -> Truth:
        """A formula: this element is there, and its field refers to that."""
        return z3.And(term != nobody(struct), self.before.read(path, term) == at)

    def _witness(self, path: str, struct: str, at: Any, claim: Truth, word: str, but: Sequence[Any]) -> list[Truth]:
        found = unknown_function(f"{word}.{path}", at.sort().name(), sort(struct))(at)
        self.terms[struct].append(found)
        if not but:
            return [self.fields.fact(f"{word}.{path}", (at,), lambda: z3.Implies(claim, self._there(path, struct, at, found)))]
        return [z3.Implies(claim, z3.And(self._there(path, struct, at, found), *(found != w for w in but)))]

    def literal(self, feature: Feature, value: int, kind: Structs, at: Sequence[Any], *, after: bool = False) -> Truth:
        """A formula: a column of a view has a value, before or after the step."""
        state = self.after if after else self.before
        if feature.what == "some":
            some = (self.some_after if after else self.some)(feature.path, at[feature.slot])
            return some if value else z3.Not(some)
        f = self.views.fields[feature.path]
        term = state.read(f.path, self.element(f.path, feature.slot, at))
        if feature.what == "equal":
            path, slot = feature.other
            same = term == state.read(path, self.element(path, slot, at))
            return same if value else z3.Not(same)
        if target := self.views.general.sort_of(f.domain):
            if value not in (NOBODY, OTHER):
                return term == at[value - 1]
            others = [at[n] for n, name in enumerate(kind) if name == target] if value == OTHER else []
            nothing = term == nobody(target)
            return z3.And(z3.Not(nothing), *(term != other for other in others)) if value == OTHER else nothing
        if f.domain == BOOL:
            return term if value else z3.Not(term)
        return term == f.domain.value(value)

    def element(self, path: str, slot: int, at: Sequence[Any]) -> Any:
        return at[slot] if self.views.general.any_number(self.views.fields[path]) else slot + 1

    def forbidden(self, clause: Clause, at: Sequence[Any], *, after: bool = False) -> Truth:
        """A formula: the clause is broken at these elements."""
        features = self.views.features[clause.kind]
        return z3.And([self._among(features[column], values, clause.kind, at, after) for column, values in clause.literals])

    def _among(self, feature: Feature, values: Sequence[int], kind: Structs, at: Sequence[Any], after: bool) -> Truth:
        column = self.views.features[kind].index(feature)
        every = self.views.values(kind, column)
        others = [value for value in every if value not in values]
        if every and len(others) < len(values):
            return z3.And([z3.Not(self.literal(feature, value, kind, at, after=after)) for value in others])
        return z3.Or([self.literal(feature, value, kind, at, after=after) for value in values])

    def subject(self, kind: Structs) -> tuple[Any, ...]:
        """The new names a clause of a kind is about."""
        used = dict.fromkeys(kind, 0)
        found = []
        for name in kind:
            found.append(self.subjects[name][used[name]])
            used[name] += 1
        return tuple(found)

    def instance(self, clause: Clause, at: Sequence[Any]) -> Truth:
        """The clause at some elements: if they are there and distinct, they do not break it."""
        there = [term != nobody(name) for term, name in zip(at, clause.kind, strict=True)]
        return z3.Not(z3.And(*there, *self._apart(clause.kind, at), self.forbidden(clause, at)))

    def _apart(self, kind: Structs, at: Sequence[Any]) -> list[Truth]:
        """Formulas: the elements of a struct are distinct."""
        return [at[m] != at[n] for n in range(len(at)) for m in range(n) if kind[m] == kind[n]]

    def broken_after(self, clause: Clause) -> Truth:
        """A formula: the clause is broken after the step, by the subjects."""
        if clause not in self._broken:
            at = self.subject(clause.kind)
            self._broken[clause] = z3.And(*self._apart(clause.kind, at), self.forbidden(clause, at, after=True))
        return self._broken[clause]

    def open(self, clauses: Iterable[Clause]) -> dict[Clause | int, Truth]:
        """What is left to be shown, and the formula that must be impossible."""
        mine: dict[Clause | int, Truth] = {n: goal.formula for n, goal in enumerate(self.goals) if n not in self.done}
        if self.keeps:
            mine |= {clause: self.broken_after(clause) for clause in clauses if clause not in self.done}
        return mine

    def assume(self, clause: Clause, at: Sequence[Any]) -> bool:
        """Adds an instance of a clause; False if it is there."""
        assert not self.fields.defaults, "no clause holds before the initial states"
        key = (clause, tuple(term.get_id() for term in at))
        if key in self.instances:
            return False
        self.instances[key] = self.instance(clause, at)
        self.solver.add(z3.Implies(_flag(clause), self.instances[key]))
        return True

    def model(self, goals: Sequence[Truth], clauses: Iterable[Clause]) -> tuple[Any, frozenset[Clause]]:
        """A state and step that reach one of the goals; or none, and the clauses that exclude it."""
        self.solver.push()
        self.solver.add(z3.Or(list(goals)))
        flags = {_flag(clause).decl().name(): clause for clause in clauses}
        try:
            answer = self.solver.check(*(z3.Bool(name) for name in sorted(flags)))
            if answer == z3.unknown:
                raise RuntimeError(f"z3 gives up: {self.solver.reason_unknown()}")
            if answer == z3.sat:
                return self.solver.model(), frozenset()
            return None, frozenset(flags[flag.decl().name()] for flag in self.solver.unsat_core())
        finally:
            self.solver.pop()


def _in_domain(term: Any, domain: Domain) -> Truth:
    """A formula: a number is one that a domain has."""
    values = values_of(domain)
    if isinstance(domain, Int):
        return z3.And(term >= domain.low, term <= domain.high)
    if values is not None:
        return z3.Or([term == value for value in sorted(values)])
    return z3.And(term >= 0, term <= bound_of(domain))


def _flag(clause: Clause) -> Any:
    return z3.Bool(f"use {clause.kind} {clause.literals}")


@dataclass(frozen=True)
class Concrete:
    """The elements of a model that z3 found, and what is seen of them."""

    terms: dict[str, list[Any]]  # one for each element
    seen: Plain
    nearest: dict[str, list[int]]  # elements the step or the goal names; the others only bear witness


def concrete(obligation: Obligation, model: Any) -> Concrete:
    """The state before the step, in a model that z3 found."""
    terms: dict[str, list[Any]] = {}
    numbers: dict[str, dict[int, int]] = {}
    nearest: dict[str, list[int]] = {}

    def value(term: Any) -> Any:
        return model.eval(term, model_completion=True)

    for name, known in obligation.terms.items():
        nothing = value(nobody(name)).get_id()
        terms[name], numbers[name], nearest[name] = [], {nothing: 0}, []
        for place, term in enumerate(known):
            which = value(term).get_id()
            if which not in numbers[name]:
                terms[name].append(term)
                numbers[name][which] = len(terms[name])
                if place < obligation.first[name]:
                    nearest[name].append(len(terms[name]) - 1)
    counts = {name: len(found) for name, found in terms.items()}
    columns: dict[tuple[str, int], int] = {}
    for f in obligation.views.fields.values():
        of_sort = obligation.views.general.sort_of(f.domain)
        elements = terms[f.struct] if obligation.views.general.any_number(f) else list(range(1, f.count + 1))
        counts.setdefault(f.struct, f.count)
        for n, at in enumerate(elements):
            found = value(obligation.before.read(f.path, at))
            if of_sort:
                code = numbers[of_sort].get(found.get_id(), OUTSIDE)
            else:
                code = int(z3.is_true(found)) if f.domain == BOOL else f.domain.code(found.as_long())
            columns[f.path, n] = code
    some = {}
    for path, struct, target in obligation.references():
        for n, at in enumerate(terms[target]):
            refers = any(columns[path, m] == n + 1 for m in range(counts[struct]))
            some[path, n] = int(refers or z3.is_true(value(obligation.some(path, at))))
    return Concrete(terms, Plain(counts, columns, some), nearest)


def after_row(obligation: Obligation, model: Any, kind: Structs) -> ViewRow:
    """What the subjects look like after the step, in a model that z3 found."""
    at = obligation.subject(kind)

    def holds(feature: Feature, value: int) -> bool:
        literal = obligation.literal(feature, value, kind, at, after=True)
        return bool(z3.is_true(model.eval(literal, model_completion=True)))

    row = []
    for feature in obligation.views.features[kind]:
        f = obligation.views.fields[feature.path]
        if feature.what != "field" or f.domain == BOOL:
            choices = [0, 1]
        elif target := obligation.views.targets[feature.path]:
            choices = [NOBODY, OTHER, *(n + 1 for n, name in enumerate(kind) if name == target)]
        else:
            term = obligation.after.read(f.path, obligation.element(f.path, feature.slot, at))
            choices = [f.domain.code(model.eval(term, model_completion=True).as_long())]
        row.append(next(choice for choice in choices if holds(feature, choice)))
    return tuple(row)
