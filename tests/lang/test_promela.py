"""SPIN explores what a model is exported as, and finds what the search finds: states, steps, what is broken."""

import os

import pytest
import random_contexts
import random_programs
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


HEAD = """\
from typing import Annotated

@struct(count=size("n"))
class Box:
    n: Annotated[int, Range(-2, 3)] = -2
    next: Box = NULL

@struct(count=1)
class Top:
    register: Annotated[int, Bits((1 << 31) | 3)] = 1 << 31
    done: bool = False

top = singleton(Top)

@initial
def begin() -> None:
    at(Box, 0).n = choose(-2, -1)
    at(Box, 1).next = at(Box, 0)
"""
CASES = {
    "choices and negative numbers": """
@rule()
def add(b: Box) -> None:
    more = choose(0, 2)
    require(b.n + more < 3 and not top.done)
    b.n = b.n + more
    top.done = maybe()

@rule()
def again() -> None:
    require(top.done)
    top.done = False
""",
    "the sign of 32 bits": """
@rule()
def toggle(b: Box) -> None:
    require(b.n < 0)
    top.register = top.register ^ ((1 << 31) | choose(0, 3))
    check("p", top.register < (1 << 31) + 2)
    check("q", (top.register & ~(1 << 31)) <= 3)
""",
    "null": """
@rule()
def follow(b: Box) -> None:
    b.n = 3
    b.next.n = 2
""",
    "a failed check, then impossible": """
@rule()
def fail(b: Box) -> None:
    b.n = 0
    check("q", b.next is None)
    require(b.next is None)
    top.done = True
""",
    "stuck": """
@rule()
def once() -> None:
    require(not top.done)
    top.done = True

@stuck("p", "the end")
def at_the_end() -> bool:
    return top.done
""",
    "out of its domain": """
@rule()
def grow(b: Box) -> None:
    b.n = b.n + 1
""",
}
BROKEN = {"the sign of 32 bits": {"p"}, "null": {"sound_kernel"}, "a failed check, then impossible": {"q"}, "stuck": {"p"},
          "out of its domain": {"a model error"}}  # fmt: skip


@pytest.mark.parametrize("name", some(CASES, 2))
def test_what_is_difficult_in_promela(name, tmp_path):
    both = by_both(build(tmp_path, HEAD + CASES[name]), tmp_path)
    assert both is not None
    assert both[0] == both[1]
    assert both[0][2] == BROKEN.get(name, set())


def test_what_32_bits_cannot_hold_is_refused(tmp_path):
    text = HEAD + "@rule()\ndef far(b: Box) -> None:\n    require((top.register << 20) % 7 == 1)\n    top.register = 1\n"
    with pytest.raises(PasidlabError, match=r"model.py:21.*numbers of Promela have 32 bits"):
        promela(build(tmp_path, text))
