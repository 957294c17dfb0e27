"""Each operation of the IR can be written for SPIN and for TLC, also where the step is decided only behind it."""

from dataclasses import replace

import pytest
from small_models import build

from pasidlab.errors import Position
from pasidlab.lang.back.promela import promela
from pasidlab.lang.back.tla import tla
from pasidlab.lang.ir import OPS, Instr, Operand, Site

LOWERED = {"call", "enter", "mask", "take", "release", "lose"}
"""Operations that lowering puts others for."""
MODEL = """\
from typing import Annotated

@struct(count=2)
class Box:
    n: Annotated[int, Range(0, 3)] = 0

@initial
def begin() -> None:
    pass

@rule()
def step(box: Box) -> None:
    require(box.n < 3)
    box.n = box.n + 1
"""
DECIDING = {"require", "wait"}
"""Operations that may make a step impossible: in Promela only its first statement can say so."""
SITE = Site("step", Position("model.py", 1, 1))
SHAPES: dict[str, Operand] = {"d": "made", "f": "Box.n", "i": "box", "a": "value", "l": "go", "n": "p"}
SPECIAL: dict[str, tuple[Operand, ...]] = {"sext": ("made", "value", 2), "deref": ("box", 2), "switch": ("value", "go", "go")}


def step(op: str) -> list[Instr]:
    """A step with an operation on what the state holds. A ``require`` stands behind it, unless it ends the step or decides itself."""
    args = SPECIAL.get(op) or tuple(SHAPES[letter] for letter in OPS[op].replace("*", "").split())
    code: list[tuple[str, tuple[Operand, ...]]] = [("load", ("value", "Box.n", "box")), (op, args)]
    code += [("label", ("go",))] if "go" in args and op != "label" else []
    if op not in DECIDING | {"end", "return", "crash"}:
        code += [("require", ("made" if "made" in args else "value",))]
    code += [("end", ())] if op not in {"end", "return", "crash"} else []
    return [Instr(name, operands, SITE) for name, operands in code]


@pytest.mark.parametrize("op", sorted(OPS.keys() - LOWERED))
def test_an_operation_is_written(op: str, tmp_path) -> None:
    model = build(tmp_path, MODEL)
    action = model.actions[0]
    assert [name for name, _ in action.params] == ["box"]
    written = replace(model, actions=(replace(action, code=tuple(step(op))),))
    spin, tlc = promela(written).text, tla(written).text
    assert "d_step" in spin and "step_outcomes(box) ==" in tlc
    if op in DECIDING:
        assert "#define can_1 ((Box_n[0] != 0))" in spin and "THEN {} ELSE" in tlc.partition("step_outcomes(box) ==")[2]
