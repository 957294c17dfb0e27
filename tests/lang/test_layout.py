"""Packed states: fields too wide for a word are cut into planes, and every executor finds all their bits."""

from __future__ import annotations

import pytest
from small_models import assert_engines_agree, build

from pasidlab.lang.back.layout import Layout
from pasidlab.lang.back.native import compile_model
from pasidlab.search.breadth_first import search

WIDE = """
@struct(count=4, symmetric=SYMMETRIC)
class Part:
    number: Annotated[int, Range(-5, (1 << 40) - 6)] = 0
    mark: bool = False

@initial
def begin() -> None:
    pass

@rule()
def double(part: Part) -> None:
    require(part.number <= (1 << 29))
    part.number = part.number * 1021 + 7

@rule()
def mark(part: Part, other: Part) -> None:
    require(part is not other and part.number == other.number and not part.mark)
    part.mark = True
    part.number = 1
"""


@pytest.mark.parametrize("symmetric", [False, True])
def test_four_numbers_of_forty_bits(tmp_path, symmetric):
    model = build(tmp_path, WIDE.replace("SYMMETRIC", str(symmetric)))
    layout = Layout(model.fields)
    planes = layout.places["Part.number"].planes
    assert [(plane.low, plane.width) for plane in planes] == [(0, 16), (16, 16), (32, 8)] and layout.words == 3
    assert_engines_agree(model, 80, symmetric=symmetric, stride=3)
    found = search(compile_model(model), jobs=1)
    states = [layout.unpack(words) for depth in range(found.depth + 1) for part in found.store.level(depth) for words in part]
    assert found.error is None and len(set(states)) == len(states) == STATES
    assert max(max(state) for state in states) > 1 << 32
    assert all(layout.unpack(layout.pack(state)) == state for state in states[::7])
    if symmetric:
        classes = {tuple(sorted(zip(state[:4], state[4:], strict=True))) for state in states}
        assert search(compile_model(model, symmetric=True), jobs=1).states == len(classes) == CLASSES


STATES, CLASSES = 6_305, 460
