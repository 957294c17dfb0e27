"""Operations only C has need of: without a sign, of few bits, and the end of the kernel; by every executor."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_models import PROPERTIES, assert_engines_agree, build

from pasidlab.lang.emit import computed
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import BINARY
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds
from pasidlab.lang.text import parse_function

EDGES = (0, 1, 2, 7, 63, 64, 127, 128, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, -(1 << 63), -1, -128, -(1 << 31))
MODEL = f"""
from typing import Annotated
@struct(count=1)
class Top:
    a: Annotated[int, Range(0, {len(EDGES) - 1})] = 0
    b: Annotated[int, Range(0, {len(EDGES) - 1})] = 0
    low: Annotated[int, Bits({(1 << 63) - 1})] = 0
    sign: bool = False
top = singleton(Top)
@initial
def begin() -> None:
    top.a = choose(0, {len(EDGES) - 1})
def edge(n: int) -> int:
    {"".join(f"{chr(10)}    if n == {n}:{chr(10)}        return {value}" for n, value in enumerate(EDGES))}
    return 0
def operation(a: int, b: int) -> int:
    return a + b
@rule()
def compute() -> None:
    x = operation(edge(top.a), edge(top.b))
    top.low = x & {(1 << 63) - 1}
    top.sign = x < 0
@rule()
def on() -> None:
    require(top.b < {len(EDGES) - 1})
    top.b += 1
@rule()
def keep() -> None:
    require(top.low == 1 and top.sign)
    top.sign = False
"""
OPERATION = "function operation (a b) -> int(-9223372036854775808 9223372036854775807) ; x 1 1\n local a int(-9223372036854775808 9223372036854775807)\n local b int(-9223372036854775808 9223372036854775807)\n local r unknown\n  %s ; x 1 1\n  return r ; x 1 1\nend\n"  # noqa: E501
C_ONLY = ["udiv r a b", "umod r a b", "ushr r a b", "ult r a b", "ule r a b", *(f"sext r a {bits}" for bits in (1, 8, 16, 31, 32, 63, 64))]


@pytest.mark.parametrize("operation", C_ONLY)
def test_operations(operation: str, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(MODEL, encoding="utf-8")
    made = {"operation": parse_function(OPERATION % operation)}
    model = build_model("model", [path], Bounds(), PROPERTIES, functions=made)
    assert assert_engines_agree(model, 300, stride=7) == 300
    interpreter, (op, _, _, last) = Interpreter(model), operation.split()
    at = interpreter.offsets
    for state in interpreter.initial_states():
        a = EDGES[state[at["Top.a"]]]
        for n, b in enumerate(EDGES):
            here = (*state[: at["Top.b"]], n, *state[at["Top.b"] + 1 :])
            (found,) = [o for o in interpreter.successors(here) if o.action == "compute"]
            wanted = computed(op, a, b if last == "b" else int(last))
            if wanted is None:
                assert found.error
            else:
                assert found.state
                assert found.state[at["Top.low"]] - (found.state[at["Top.sign"]] << 63) == wanted


def unsigned(op: str, a: int, b: int) -> int | None:
    """What C's unsigned long gives, read with a sign."""
    a, b = a % 2**64, b % 2**64
    table = {"udiv": lambda: a // b, "umod": lambda: a % b, "ushr": lambda: a >> b, "ult": lambda: a < b, "ule": lambda: a <= b}
    if (op in ("udiv", "umod") and not b) or (op == "ushr" and b > 63):
        return None
    return (int(table[op]()) + 2**63) % 2**64 - 2**63


@pytest.mark.parametrize("op", ["udiv", "umod", "ushr", "ult", "ule"])
def test_definition(op: str) -> None:
    assert op in BINARY
    assert [computed(op, a, b) for a in EDGES for b in EDGES] == [unsigned(op, a, b) for a in EDGES for b in EDGES]


def test_the_end_of_the_kernel(tmp_path: Path) -> None:
    body = "    top.b = 3\n    if top.a == 7:\n        crash('BUG() is reached')\n    top.b = 4\n"
    model = build(tmp_path, MODEL + "@rule()\ndef bug() -> None:\n" + body)
    assert_engines_agree(model, 300, stride=5)
    interpreter = Interpreter(model)
    found = {o.params: o for s in interpreter.initial_states() if s[interpreter.offsets["Top.a"]] == 7 for o in interpreter.successors(s)
             if o.action == "bug"}  # fmt: skip
    (only,) = found.values()
    assert only.state is None
    assert [(f.property, f.sentence) for f in only.failures] == [("sound_kernel", "BUG() is reached")]
