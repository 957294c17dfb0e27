"""Proves the properties of a model for any number of CPUs and tasks, and checks the proof again from its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import z3

from pasidlab.checking.agreement import whole_model
from pasidlab.designs import AnyScope, Design
from pasidlab.lang.back.layout import Layout
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.ir import Model
from pasidlab.lang.own import OwnScope
from pasidlab.prove.general import generalised
from pasidlab.prove.induction import Induction, Unproved
from pasidlab.prove.mined import CHUNK, Clause, Mined
from pasidlab.prove.obligation import Obligation
from pasidlab.prove.smtlib import query
from pasidlab.prove.views import Seen, Views, seen_of
from pasidlab.search.breadth_first import search
from pasidlab.search.result import Budget, SearchResult

MOST_STATES = 200_000
"""Of each instance that clauses are mined from."""
BESIDE = ((1, 3), (3, 1))
"""Instances (CPUs, tasks) mined beside the scope asked for: views of two CPUs or tasks show a third one."""


@dataclass(frozen=True)
class ProofInstance:
    """A scope that clauses are mined from, and how many of its states are used: all of them, or the first ones."""

    scope: AnyScope
    states: int
    complete: bool


@dataclass(frozen=True)
class Proof:
    """What came of it. ``broken``: the scope in which a property is violated. ``stopped``: why there is no proof."""

    views: Views
    wanted: tuple[str, ...]
    not_covered: tuple[str, ...]  # properties that need more than an invariant
    not_tested: tuple[str, ...] = ()  # properties that no instance puts to the test
    instances: tuple[ProofInstance, ...] = ()
    seconds: float = 0.0
    broken: AnyScope | None = None
    stopped: Unproved | None = None
    out_of_time: bool = False
    clauses: tuple[Clause, ...] = ()
    given_up: int = 0
    queries: int = 0
    obligations: tuple[Obligation, ...] = field(default=(), repr=False)

    @property
    def asked(self) -> tuple[str, ...]:
        """The properties that were asked for."""
        return (*self.wanted, *self.not_covered)

    @property
    def proved(self) -> bool:
        """True if all that was asked for holds for any number. As `check` asks, something of it was put to the test."""
        vacuous = len(self.not_tested) == len(self.wanted)
        return not (self.broken or self.stopped or self.out_of_time or self.not_covered or vacuous)


def prove(
    design: Design, scope: AnyScope, wanted: Sequence[str], *, beside: Iterable[tuple[int, int]] = BESIDE,
    jobs: int | None = None, deadline: float | None = None, told: Callable[[str], None] | None = None,
) -> Proof:  # fmt: skip
    """Proves the properties wanted, or says what stops it. PasidlabError where a construct has no meaning for any number.

    ``beside`` are instances that clauses are mined from as well, ``deadline`` a time of ``time.monotonic()``.
    """
    began = time.monotonic()
    general = generalised(design, scope)
    views = Views(general)
    covered = {p.property for p in general.model.predicates if p.stuck} | general.model.pending.keys()
    start = Proof(views, tuple(name for name in wanted if name not in covered), tuple(name for name in wanted if name in covered))
    induction = Induction(general, views, Mined(views), wanted=frozenset(start.wanted), deadline=deadline, told=told)
    obligations = induction.obligations()  # refuses what it cannot use, before anything is explored
    start = _mined(start, induction.mined, design, _instances(scope, beside), jobs)
    if start.broken is not None:
        return replace(start, seconds=time.monotonic() - began)
    stopped, late = None, False
    try:
        stopped = induction.prove(obligations)
    except TimeoutError:
        late = True
    clauses = _needed(obligations, induction.clauses) if not (stopped or late) else tuple(induction.clauses)
    done = replace(
        start, stopped=stopped, out_of_time=late, clauses=clauses, given_up=induction.dropped, queries=induction.rounds,
        obligations=tuple(obligations),
    )  # fmt: skip
    if not (stopped or late):
        confirm(done)
    return replace(done, seconds=time.monotonic() - began)


def _mined(start: Proof, mined: Mined, design: Design, instances: Iterable[AnyScope], jobs: int | None) -> Proof:
    """Explores the instances, up to the first that is broken, and keeps their views. What they say of the properties."""
    seen: list[ProofInstance] = []
    tested: set[str] = set()
    for instance in instances:
        found, model = _explored(design, instance, jobs)
        seen.append(ProofInstance(instance, found.states, found.reason == "complete"))
        if found.error or any(model.properties[bit].name in start.asked for bit in found.violations):
            return replace(start, instances=tuple(seen), broken=instance)
        tested |= {p.name for bit, p in enumerate(model.properties) if found.reached >> bit & 1}
        for states in chunks(start.views, model, found):
            mined.add(states)
    return replace(start, instances=tuple(seen), not_tested=tuple(name for name in start.wanted if name not in tested))


def confirm(proof: Proof) -> None:
    """Checks every step of the proof again, each with a solver of its own. RuntimeError if one fails."""
    for obligation in proof.obligations:
        answer = query(obligation, proof.clauses).check()
        if answer != z3.unsat:
            raise RuntimeError(f"{obligation.name}: the proof does not hold when it is checked again ({answer})")


def chunks(views: Views, model: Model, found: SearchResult) -> Iterable[Seen]:
    """What is seen of all states of a search."""
    states = np.concatenate([part for depth in range(len(found.level_sizes)) for part in found.store.level(depth) if len(part)])
    layout = Layout(model.fields)
    for first in range(0, len(states), CHUNK):
        yield seen_of(views, layout, states[first : first + CHUNK])


def _explored(design: Design, scope: AnyScope, jobs: int | None) -> tuple[SearchResult, Model]:
    model = whole_model(design, scope)
    return search(compile_model(model, symmetric=False), jobs=jobs, budget=Budget(max_states=MOST_STATES)), model


def _instances(scope: AnyScope, beside: Iterable[tuple[int, int]]) -> list[AnyScope]:
    """The scope asked for, and those beside it, none twice."""
    found = [scope]
    for cpus, tasks in beside:
        if isinstance(scope, OwnScope):
            numbers = {name: n for name, n in (("cpus", cpus), ("tasks", tasks)) if name in scope.sizes}
            other: AnyScope = replace(scope, sizes={**scope.sizes, **numbers})
        else:
            other = replace(scope, cpus=cpus, tasks=tasks)
        if other not in found:
            found.append(other)
    return found


def _needed(obligations: Sequence[Obligation], clauses: Iterable[Clause]) -> tuple[Clause, ...]:
    """The clauses that the goals rest on, and those that these rest on."""
    needed: set[Clause] = set()
    work = [used for o in obligations for what, used in o.done.items() if isinstance(what, int)]
    while work:
        new = work.pop() - needed
        needed |= new
        work += [used for o in obligations for what, used in o.done.items() if what in new]
    return tuple(clause for clause in clauses if clause in needed)
