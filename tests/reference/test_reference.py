"""The language means to pasidlab what it means to plain Python: case by case, and on random models."""

import pytest

from harness import LONG, some
from reference.cases import cases
from reference.compare import by_reference, compared
from reference.random_models import random_model

CASES = cases()
SEEDS = range(200 if LONG else 22)


@pytest.fixture(scope="module", autouse=True)
def cache_of_their_own(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.mark.parametrize("name", CASES)
def test_the_reference_knows_what_is_meant(tmp_path, name):
    path = tmp_path / "model.py"
    path.write_text(CASES[name].model.text, encoding="utf-8")
    found = by_reference(CASES[name].model, path, 6_000)
    assert found is not None and found.error is None
    assert set(found.broken) == CASES[name].broken


@pytest.mark.parametrize("name", some(CASES, 4))
def test_pasidlab_means_the_same(tmp_path, name):
    result = compared(CASES[name].model, tmp_path / "model.py")
    assert bool(result.refused) is CASES[name].refused
    assert result.reference is not None and None not in result.answers.values()
    assert list(result.differences()) == []


def test_random_models(tmp_path):
    results = {seed: compared(random_model(seed), tmp_path / "model.py", most=2_000, every=seed % 4 == 0) for seed in SEEDS}
    judged = {seed: r for seed, r in results.items() if r.reference is not None and not r.refused}
    assert {seed: list(r.differences()) for seed, r in judged.items() if list(r.differences())} == {}
    assert len(judged) >= 8  # and not for want of anything happening:
    broken = sum(bool(r.reference.broken) for r in judged.values())
    reached = sum(bool(r.reference.reached) for r in judged.values())
    assert broken >= 3 and reached >= 3


def test_a_loop_that_may_be_endless_inside_of_one_that_counts(tmp_path):
    """The inner loop alone gets a step more, where it begins anew; the outer one is as long as its text."""
    result = compared(random_model(20030), tmp_path / "model.py", every=False)
    assert result.reference is not None and result.reference.broken == {"q": 7} and list(result.differences()) == []
    assert result.answers["line by line"].broken == {"q": 7}


def test_a_local_that_is_its_own_source_in_a_loop_counts_nothing(tmp_path):
    """``first = first`` in a loop: whether the loop counts is decided, though the copy leads back to itself."""
    result = compared(random_model(40304), tmp_path / "model.py", every=False)
    assert not result.refused and not list(result.differences())


def test_where_a_crash_is_the_only_step_nothing_is_stuck(tmp_path):
    """A softirq that follows NULL, while nothing else can happen: the kernel ends there, nobody waits for ever."""
    result = compared(random_model(41132), tmp_path / "model.py", every=False)
    assert result.reference is not None and result.reference.broken == {"sound_kernel": 13} and list(result.differences()) == []
