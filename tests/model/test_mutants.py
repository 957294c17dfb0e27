"""Each mistake in a kernel function breaks a promise; without it the promise holds in the same scope."""

from functools import cache

import pytest
from mutants import HARMLESS, MUTANTS, Mutant

from pasidlab.check.api import check
from pasidlab.check.model import design_model
from pasidlab.check.scope import Scope
from pasidlab.check.search import search
from pasidlab.designs import BUILT_IN, Design
from pasidlab.lang.native import compile_model

SCOPES: dict[str, Scope] = {str(m.scope): m.scope for m in MUTANTS}


@pytest.fixture
def design(mutant, tmp_path) -> Design:
    path = tmp_path / f"{mutant.name}.py"
    path.write_text(mutant.text(), encoding="utf-8")
    return Design(mutant.name, path)


@cache
def broken_without_mistake(design: str, scope: str) -> frozenset[str]:
    return frozenset(c.property for c in check(BUILT_IN[design], SCOPES[scope]).counterexamples)


def steps_to_break(mutant: Mutant, design: Design) -> dict[str, int]:
    if not mutant.exact:
        return {c.property: len(c.steps) for c in check(design, mutant.scope).counterexamples}
    native = compile_model(design_model(design, mutant.scope, abstract=False), symmetric=True)
    return {native.properties[bit]: violation.steps for bit, violation in search(native).violations.items()}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_the_mistake_is_caught_by_name(mutant, design):
    assert steps_to_break(mutant, design).get(mutant.broken, 0) > 0
    assert mutant.broken not in broken_without_mistake(mutant.design, str(mutant.scope))


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.exact], ids=lambda m: m.name)
def test_contents_nobody_may_rely_on_end_in_a_verdict(mutant, design):
    broken = {c.property for c in check(design, mutant.scope).counterexamples}
    assert broken & {mutant.broken, "isolated"}, "what no task expects may show as another process's PASID instead"


@pytest.mark.parametrize("mutant", HARMLESS, ids=lambda m: m.name)
def test_a_redundant_line(mutant, design):
    assert check(design, mutant.scope).holds


def test_names_are_unique():
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 50
