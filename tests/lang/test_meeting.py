"""Ways that meet: what is not followed twice changes no answer, so no model."""

from __future__ import annotations

import pytest

from harness import LONG, some
from pasidlab import designs
from pasidlab.checking import model as checked
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import ALL
from pasidlab.lang.ir import CPU, Instr, Model
from pasidlab.lang.lowering import cases
from pasidlab.lang.lowering.cases import ANY, AtBoundary, Cases, Question
from pasidlab.lang.lowering.contexts import Masks
from pasidlab.lang.lowering.inline import own_op
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.text import model_text

NOWHERE = AtBoundary(ANY, Masks(None, None, None), 0, 0, 0)
PARTS = [(name, part) for name, design in designs.BUILT_IN.items() for part in design.parts]


@pytest.mark.parametrize(("name", "part"), PARTS if LONG else some(PARTS, 4))
def test_every_model_is_what_it_is_where_each_way_is_followed(monkeypatch: pytest.MonkeyPatch, name: str, part: str) -> None:
    monkeypatch.setattr(checked, "kept_or_built", build_model)
    monkeypatch.setattr(cases, "MOST_WAYS", 1 << 30)
    models: list[Model] = []
    for few in (0, 1 << 30):
        monkeypatch.setattr(cases, "FEW_WAYS", few)
        design = designs.BUILT_IN[name]
        models.append(design_model(design, design.parts[part], reductions=ALL))
    assert model_text(models[0]) == model_text(models[1])


def diamonds(count: int) -> list[Instr]:
    """A predicate that asks ``count`` fields one after the other, and goes on the same way whatever they hold; then one more."""
    code: list[Instr] = []
    for n in range(count):
        code += [own_op("load", f"%a{n}", f"Cpu.a{n}", CPU), own_op("branch", f"%a{n}", f"yes{n}", f"on{n}"), own_op("label", f"yes{n}")]
        code += [own_op("load", f"%b{n}", f"Cpu.b{n}", CPU), own_op("jump", f"on{n}"), own_op("label", f"on{n}")]
    return [*code, own_op("load", "%last", "Cpu.last", CPU), own_op("return", "%last")]


def test_ways_that_meet_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Question(NOWHERE, {CPU: 1})
    every = {(f"Cpu.{name}", 1, False) for name in [*(f"{x}{n}" for n in range(40) for x in "ab"), "last"]}
    assert Cases(diamonds(40), predicate=True).accesses(asked) == every
    few = Cases(diamonds(5), predicate=True)
    ways = {len(accesses) for accesses in few.true_ways(asked) or []}
    monkeypatch.setattr(cases, "FEW_WAYS", 0)
    assert {len(accesses) for accesses in few.true_ways(asked) or []} <= ways and max(ways) == 11
    monkeypatch.setattr(cases, "FEW_WAYS", 1 << 30)
    assert Cases(diamonds(40), predicate=True).accesses(asked) is None  # 2**40 ways, each on its own


def test_what_was_learnt_keeps_ways_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both come to one place; what one of them knows of a field decides there."""
    monkeypatch.setattr(cases, "FEW_WAYS", 0)
    code = [
        own_op("load", "%a", "Cpu.a", CPU), own_op("branch", "%a", "yes", "on"), own_op("label", "yes"), own_op("jump", "on"),
        own_op("label", "on"), own_op("load", "%again", "Cpu.a", CPU), own_op("branch", "%again", "left", "right"),
        own_op("label", "left"), own_op("load", "%x", "Cpu.left", CPU), own_op("return", 1),
        own_op("label", "right"), own_op("load", "%y", "Cpu.right", CPU), own_op("return", 1),
    ]  # fmt: skip
    ways = Cases(code, predicate=True).true_ways(Question(NOWHERE, {CPU: 1}))
    assert ways is not None and sorted(sorted(path for path, _, _ in way) for way in ways) == [
        ["Cpu.a", "Cpu.left"],
        ["Cpu.a", "Cpu.right"],
    ]
