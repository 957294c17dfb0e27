"""Each mistake in a kernel function breaks a promise; without it the promise holds in the same scope."""

from functools import cache

import pytest
from mutants import HARMLESS, MUTANTS

from harness import LONG, some
from pasidlab.checking.api import check
from pasidlab.designs import BUILT_IN, Design
from pasidlab.model.scope import Scope

LARGE = {"fork_keeps_last_cpu"}  # half a minute
SCOPES: dict[str, Scope] = {str(m.scope): m.scope for m in MUTANTS}


@pytest.fixture
def design(mutant, tmp_path) -> Design:
    path = tmp_path / f"{mutant.name}.py"
    path.write_text(mutant.text(), encoding="utf-8")
    return Design(mutant.name, path)


@cache
def broken_without_mistake(design: str, scope: str) -> frozenset[str]:
    return frozenset(c.property for c in check(BUILT_IN[design], SCOPES[scope]).counterexamples)


@pytest.mark.parametrize("mutant", [m for m in some(MUTANTS, 16) if LONG or m.name not in LARGE], ids=lambda m: m.name)
def test_the_mistake_is_caught_by_name(mutant, design):
    found = check(design, mutant.scope).counterexample(mutant.broken)
    assert found.exact and found.steps, "without forgetting as well"
    assert mutant.broken not in broken_without_mistake(mutant.design, str(mutant.scope))


@pytest.mark.parametrize("mutant", HARMLESS, ids=lambda m: m.name)
def test_a_redundant_line(mutant, design):
    assert check(design, mutant.scope).holds


def test_names_are_unique():
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 50
