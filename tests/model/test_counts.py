"""Exact numbers: LazyReg, and every design in small scopes (``counts.py`` records them)."""

import json
from pathlib import Path

import pytest
from counts import SCOPES, SOME, TABLE, measured

import pasidlab
from harness import LONG, some
from pasidlab import designs
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.ir import Property
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds
from pasidlab.search.breadth_first import search

LAZYREG = Path(pasidlab.__file__).parent / "examples" / "lazyreg.py"
PROPERTIES = tuple(Property(name, name) for name in ("owner", "msrval", "coherent"))
RECORDED = json.loads(TABLE.read_text(encoding="utf-8"))


def lazyreg(tasks: int, *events: str):
    bounds = Bounds({"cpus": 2, "tasks": tasks}, frozenset(events))
    return search(compile_model(build_model("lazyreg", [LAZYREG], bounds, PROPERTIES)))


def test_lazyreg():
    two, three = lazyreg(2), lazyreg(3)
    assert (two.states, two.violations, two.reason) == (39_886, {}, "complete")
    assert (three.states, three.transitions, three.depth, three.violations) == (3_020_393, 12_993_552, 35, {})


def test_lazyreg_with_its_bug():
    assert {PROPERTIES[bit].name: v.steps for bit, v in lazyreg(3, "bug").violations.items()}["coherent"] == 12


LARGE = {("eager-ipi", "fork"), ("task-work", "fork"), ("late-either-refs", "fork")}  # millions of states: early-read stands for all
EACH = [
    (design, scope)
    for design in designs.BUILT_IN
    for scope in SCOPES
    if LONG or (scope == "interrupts" and design in SOME) or (design == "task-work" and (design, scope) not in LARGE)
]


@pytest.mark.parametrize(("design", "scope"), some(EACH, 2))
def test_designs(design, scope):
    assert measured(design, scope) == RECORDED[scope][design]


@pytest.mark.parametrize("design", ["early", "late-either"] if LONG else ["late-either"])
@pytest.mark.parametrize("scope", ["interrupts", "signals", "bind", "kvm"] if LONG else ["kvm"])
@pytest.mark.parametrize("reduction", ["merging", "symmetry"])
def test_reductions_keep_the_verdicts(design, scope, reduction):
    full = measured(design, scope, **{reduction: False})
    assert set(full["broken"]) == set(RECORDED[scope][design]["broken"])
    assert full["states"] >= RECORDED[scope][design]["states"]
