"""Structs of up to four interchangeable elements: the engines agree on the canonical states, and on how many classes there are."""

from __future__ import annotations

import pytest
from small_models import assert_engines_agree, build

from pasidlab.lang.back.native import compile_model
from pasidlab.search.breadth_first import search

CHAIN = """
@struct(count=COUNT, symmetric=True)
class Node:
    following: Node = NULL
    mark: bool = False

@struct(count=1)
class Head:
    first: Node = NULL

head = singleton(Head)

@initial
def begin() -> None:
    pass

@rule()
def link(node: Node, other: Node) -> None:
    require(node is not other and node.following is None)
    node.following = other

@rule()
def mark(node: Node) -> None:
    require(not node.mark)
    node.mark = True

@rule()
def lead(node: Node) -> None:
    require(head.first is None)
    head.first = node
"""


@pytest.mark.parametrize("count", [2, 3, 4])
def test_classes_of_states(tmp_path, count):
    model = build(tmp_path, CHAIN.replace("COUNT", str(count)))
    assert model.symmetric == ("Node",)
    assert_engines_agree(model, 60, symmetric=True, stride=7)
    # each node has one of count - 1 others or none, a mark or not, and one or none leads
    every = search(compile_model(model), jobs=1)
    assert every.states == (2 * count) ** count * (count + 1)
    assert search(compile_model(model, symmetric=True), jobs=1).states == CLASSES[count]


CLASSES = {2: 26, 3: 158, 4: 970}
"""Counted by trying every permutation of every state."""


def test_five_elements_are_not_used_as_symmetric(tmp_path):
    model = build(tmp_path, CHAIN.replace("COUNT", "5"))
    assert model.symmetric == () and model.notes == ("Node is not used as symmetric: more than 4 elements",)
