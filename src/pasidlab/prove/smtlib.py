"""The proof as SMT-LIB 2: one query for each way through each step, and ``unsat`` is the answer expected of all.

A solver that shares nothing with z3 can confirm it. A query holds what is known of the step and the instances of clauses it needs. Then
comes the claim that a forbidden thing follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import z3

from pasidlab.prove.mined import Clause
from pasidlab.prove.obligation import Obligation
from pasidlab.prove.views import Views
from pasidlab.prove.words import sentence


def query(obligation: Obligation, clauses: Sequence[Clause]) -> Any:
    """A solver with one query. The clauses are all there are."""
    solver = z3.SolverFor("QF_UFLIA")
    solver.add(*obligation.assumed)
    kept = set(clauses)
    solver.add(*(formula for (clause, _), formula in obligation.instances.items() if clause in kept))
    wrong = [goal.formula for goal in obligation.goals]
    wrong += [obligation.broken_after(clause) for clause in clauses] if obligation.keeps else []
    solver.add(z3.Or(wrong))
    return solver


def script(name: str, views: Views, clauses: Sequence[Clause], obligations: Sequence[Obligation]) -> str:
    """All queries of a proof, each between push and pop."""
    lines = [f"; {name} for any number of CPUs and tasks, one at least of each", "; Every (check-sat) must answer unsat.", ";"]
    lines += ["; The invariant, which holds initially and after every step:"]
    lines += [f";   {n}. {sentence(views, clause)}" for n, clause in enumerate(clauses, start=1)]
    lines += ["(set-logic QF_UFLIA)"]
    for obligation in obligations:
        lines += ["", f"; {query_comment(obligation)}", "(push 1)", *_body(query(obligation, clauses)), "(check-sat)", "(pop 1)"]
    return "\n".join([*lines, ""])


def query_comment(obligation: Obligation) -> str:
    """Which step it is about, and what must not follow."""
    said = dict.fromkeys(goal.sentence for goal in obligation.goals)
    claim = "no clause is broken" if obligation.keeps else "impossible: " + "; ".join(said)
    return " ".join(f"{obligation.name}: {claim}".split())


def _body(solver: Any) -> list[str]:
    """Declarations and assertions, without what surrounds them."""
    text = solver.to_smt2()
    return [line for line in text.splitlines() if line and not line.startswith((";", "(set-info", "(set-logic", "(check-sat", "(exit"))]
