"""SPIN explores what a model is exported as, and finds what the search finds: states, steps, what is broken."""

import os

import pytest
import random_contexts
import random_programs
from difficult_models import BROKEN, CASES, HEAD
from hypothesis import HealthCheck, assume, given, settings
from small_models import PROPERTIES, build

from harness import some
from pasidlab.checking.spin import export_explored, export_verifier, spin_is_there
from pasidlab.errors import PasidlabError
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.back.promela import promela
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds
from pasidlab.search.breadth_first import search
from pasidlab.search.result import Budget

pytestmark = pytest.mark.skipif(not spin_is_there(), reason="spin or a C compiler is not installed")
BUDGET = Budget(max_states=100_000)
EXAMPLES = int(os.environ.get("PASIDLAB_SPIN_EXAMPLES", "3"))
RANDOM = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def by_both(model, folder):
    """States, steps and what is broken: by SPIN, and by the search. None if the search gives up."""
    found = search(compile_model(model), jobs=1, budget=BUDGET)
    if found.reason != "complete":
        return None
    export = promela(model)
    spin = export_explored(export_verifier(export, folder), export)
    assert spin.errors == 0
    broken = {model.properties[bit].name for bit in found.violations} | ({"a model error"} if found.error else set())
    steps = spin.transitions if not broken else max(spin.transitions, found.transitions)  # of SPIN also those that break down half way
    return (spin.states, steps, set(spin.broken)), (found.states, found.transitions if not broken else steps, broken)


def test_models_with_contexts(tmp_path_factory):
    path, counted = tmp_path_factory.getbasetemp() / "model.py", []

    @RANDOM
    @given(random_contexts.models())
    def compare(made):
        text, events = made
        path.write_text(text, encoding="utf-8")
        bounds = Bounds({"cpus": 2, "tasks": 2}, frozenset(events.split()))
        model = build_model("model", [path], bounds, PROPERTIES, optimised=False)
        both = by_both(model, tmp_path_factory.mktemp("spin"))
        assume(both is not None)
        assert both[0] == both[1]
        counted.append(both[0][0])

    compare()
    assert max(counted) > 100


def test_models_of_rules(tmp_path_factory):
    path, counted = tmp_path_factory.getbasetemp() / "model.py", []

    @RANDOM
    @given(random_programs.models())
    def compare(text):
        path.write_text(text, encoding="utf-8")
        model = build_model("model", [path], Bounds({"n": 2}), PROPERTIES, optimised=False)
        both = by_both(model, tmp_path_factory.mktemp("spin"))
        assume(both is not None)
        assert both[0] == both[1]
        counted.append(both[0][0])

    compare()
    assert max(counted) > 10


@pytest.mark.parametrize("name", some(CASES, 2))
def test_what_is_difficult_in_promela(name, tmp_path):
    both = by_both(build(tmp_path, HEAD + CASES[name], events="coin"), tmp_path)
    assert both is not None
    assert both[0] == both[1]
    assert both[0][2] == BROKEN.get(name, set())


def test_what_32_bits_cannot_hold_is_refused(tmp_path):
    text = HEAD + "@rule()\ndef far(b: Box) -> None:\n    require((top.register << 20) % 7 == 1)\n    top.register = 1\n"
    with pytest.raises(PasidlabError, match=r"model.py:21.*numbers of Promela and of TLC have 32 bits"):
        promela(build(tmp_path, text))
