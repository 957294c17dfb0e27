"""Finds an inductive invariant: clauses of views that small instances never show, as many as the proof needs.

A step may lead from an allowed state to a forbidden one. Either the state before it has a view that no small instance shows, or all its
views are shown. In the first case the shortest reason why that view does not occur is a new clause. In the second the clause that breaks
is not inductive, and is given up: the view after the step may occur. Where a property is broken so, there is no proof with views of this
size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import z3

from pasidlab.lang.ir import Action
from pasidlab.prove.execute import SymbolicExecutor
from pasidlab.prove.general import General
from pasidlab.prove.mined import Clause, Mined
from pasidlab.prove.obligation import Concrete, Goal, Obligation, after_row, concrete
from pasidlab.prove.state import Fields, SymbolicState
from pasidlab.prove.values import sort, truth
from pasidlab.prove.views import Views
from pasidlab.prove.ways import PathEnd

_FAR = 1_000_000  # names of a predicate's elements begin here, those of a step's at 0: the same in each step, so that formulas are shared
MOST_NEW = 8
"""Clauses proposed for one state: making one takes longer than asking z3 again."""


@dataclass(frozen=True)
class Unproved:
    """Why there is no proof: what stays possible, on which way through which step, from which views."""

    obligation: Obligation
    goal: Goal
    state: Concrete


@dataclass
class Induction:
    """The search for a proof."""

    general: General
    views: Views
    mined: Mined
    wanted: frozenset[str]
    deadline: float | None = None
    told: Callable[[str], None] | None = None
    clauses: dict[Clause, None] = field(default_factory=dict)
    dropped: int = 0
    rounds: int = 0
    all: list[Obligation] = field(default_factory=list)

    def obligations(self) -> list[Obligation]:
        """All that must be shown, for every action, from the states before any step on."""
        return list(_Obligations(self.general, self.views, self.wanted).all())

    def prove(self, obligations: list[Obligation]) -> Unproved | None:
        """Makes clauses until all is shown; or what stops it. TimeoutError once the deadline has passed."""
        self.all = obligations
        while True:
            open_ = [o for o in obligations if o.open(self.clauses)]
            if not open_:
                return None
            for obligation in open_:
                if stopped := self._show(obligation):
                    return stopped

    def _show(self, obligation: Obligation) -> Unproved | None:
        """Shows one obligation with the clauses there are, making more as it needs them."""
        while open_ := obligation.open(self.clauses):
            model, core = self._model(obligation, list(open_.values()), self.clauses)
            if model is None:
                obligation.done |= dict.fromkeys(open_, core)
                continue
            aim = next(n for n, formula in open_.items() if z3.is_true(model.eval(formula, model_completion=True)))
            if stopped := self._aim(obligation, aim, open_[aim]):
                return stopped
        return None

    def _model(self, obligation: Obligation, formulas: list[Any], clauses: Iterable[Clause]) -> tuple[Any, frozenset[Clause]]:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimeoutError
        self.rounds += 1
        return obligation.model(formulas, clauses)

    def _aim(self, obligation: Obligation, aim: Clause | int, formula: Any) -> Unproved | None:
        """Shows one thing: the clauses it needs become part of the invariant. A clause that cannot be shown is given up."""
        proposed: dict[Clause, None] = {}
        while True:
            model, core = self._model(obligation, [formula], [*self.clauses, *proposed])
            if model is None:
                break
            state = concrete(obligation, model)
            if self._refined(obligation, state, proposed):
                continue
            if isinstance(aim, int):
                return Unproved(obligation, obligation.goals[aim], state)
            self._give_up(obligation, model, aim)
            return None
        for clause in [c for c in proposed if c in core]:
            model, less = self._model(obligation, [formula], core - {clause})
            core = less if model is None else core
        self.clauses |= {clause: None for clause in proposed if clause in core}
        obligation.done[aim] = core
        if self.told:
            self.told(f"{len(self.clauses)} clauses, {self.dropped} given up")
        return None

    def _refined(self, obligation: Obligation, state: Concrete, proposed: dict[Clause, None]) -> bool:
        """Assumes what the state before the step breaks: clauses there are, else new ones. False: every view of it may occur.

        Before ``@initial`` there is no state yet, and no clause holds.
        """
        if obligation.fields.defaults:
            return False
        everyone = {name: range(len(terms)) for name, terms in state.terms.items()}
        for elements in (state.nearest, everyone):
            added, new = False, 0
            for kind, at, row in self.mined.of(state.seen, elements):
                if self.mined.occurs(kind, row):
                    continue
                clause = next((c for c in (*self.clauses, *proposed) if c.kind == kind and c.forbids(row)), None)
                if clause is None:
                    if new == MOST_NEW:
                        continue
                    new += 1
                    clause = self.mined.reason(kind, row)
                    proposed[clause] = None
                terms = tuple(state.terms[name][n] for n, name in zip(at, kind, strict=True))
                added |= obligation.assume(clause, terms)
            if added:
                return True
        return False

    def _give_up(self, obligation: Obligation, model: Any, aim: Clause) -> None:
        """Gives up a clause that the step breaks, and all others that forbid what is seen after it."""
        row = after_row(obligation, model, aim.kind)
        assert aim.forbids(row)
        self.mined.allow(aim.kind, np.array([row], dtype=np.int64))
        wrong = {c for c in self.clauses if c.kind == aim.kind and c.forbids(row)}
        self.dropped += len(wrong)
        for clause in wrong:
            del self.clauses[clause]
        for other in self.all:
            other.done = {what: used for what, used in other.done.items() if not used & wrong}


class _Obligations:
    """Makes the obligations of a model."""

    def __init__(self, general: General, views: Views, wanted: frozenset[str]) -> None:
        self.general, self.views, self.wanted = general, views, wanted
        table = general.model.field_table()
        self.fields = Fields(general, table)
        self.solver = z3.SolverFor("QF_UFLIA")
        self.executor = SymbolicExecutor(general, self.fields, self._feasible)

    def _feasible(self, conditions: tuple[Any, ...]) -> bool:
        self.solver.push()
        self.solver.add(*conditions)
        answer = self.solver.check()
        self.solver.pop()
        return bool(answer != z3.unsat)

    def all(self) -> Iterator[Obligation]:
        """Initial states first."""
        model = self.general.model
        initial = Fields(self.general, self.fields.table, defaults=True)
        yield from self._of(model.init, SymbolicState(initial))
        for action in model.actions:
            yield from self._of(action, SymbolicState(self.fields))

    def _of(self, action: Action, state: SymbolicState) -> Iterator[Obligation]:
        self.executor.numbers = count()
        for ending in self.executor.run(action, state, self.executor.parameters(action)):
            if ending.kind == "fault":
                if not ending.property or ending.property in self.wanted:
                    goal = Goal(ending.property, ending.sentence, z3.BoolVal(True))
                    yield self._obligation(action, ending, (goal,), {}, keeps=False)
                continue
            yield self._obligation(action, ending, (), {}, keeps=True)
            yield from self._predicates(action, ending)

    def _predicates(self, action: Action, ending: PathEnd) -> Iterator[Obligation]:
        """Obligations: no property is broken after a step. One whose fields the step does not store is as it was before."""
        after = ending.path.state.settled()
        for predicate in self.general.model.predicates:
            if predicate.stuck or predicate.property not in self.wanted:
                continue
            read = {i.field for i in predicate.action.code if i.op == "load"}
            if not after.fields.defaults and read.isdisjoint(after.stores):
                continue
            self.executor.numbers = count(_FAR)
            given, goals = self.executor.parameters(predicate.action), []
            more: dict[str, list[Any]] = {}
            for end in self.executor.run(predicate.action, after, given):
                value = truth(end.value) if end.kind == "answer" else z3.BoolVal(True)
                if z3.is_false(z3.simplify(value)):
                    continue
                sentence = predicate.sentence if end.kind == "answer" else f"{predicate.action.name} cannot be answered: {end.sentence}"
                goals.append(Goal(predicate.property, sentence, z3.And(*end.path.conditions, value)))
                for element in end.path.elements:
                    more.setdefault(element.sort, []).append(element.term)
            if goals:
                yield self._obligation(action, ending, tuple(goals), more, keeps=False)

    def _obligation(
        self, action: Action, ending: PathEnd, goals: tuple[Goal, ...], more: dict[str, list[Any]], *, keeps: bool
    ) -> Obligation:
        subjects = {}
        for name in self.general.sorts:
            number = max(kind.count(name) for kind in self.views.kinds) if keeps else 1
            subjects[name] = [z3.Const(f"any_{name}.{n}", sort(name)) for n in range(number)]
        site = next((i.site for i in action.code if i.site.position.line), ending.site) if ending.kind == "step" else ending.site
        return Obligation(self.views, action.name, site, path=ending.path, goals=goals, subjects=subjects, more=more, keeps=keeps)
