"""Structs of up to four interchangeable elements: the engines agree on the canonical states, and on how many classes there are."""

from __future__ import annotations

import pytest
from small_models import assert_engines_agree, build

from pasidlab.lang.back.layout import Layout
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.lowering.symmetry import Symmetry, swap
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


PAIRS = """
@struct(count=COUNT, symmetric=True)
class Worker:
    job: Job = NULL
    busy: bool = False

@struct(count=COUNT, symmetric=True)
class Job:
    follows: Job = NULL
    owner: Worker = NULL

@initial
def begin() -> None:
    pass

@rule()
def hire(worker: Worker, job: Job) -> None:
    require(worker.job is None and job.owner is None)
    worker.job = job
    job.owner = worker

@rule()
def begin_work(worker: Worker) -> None:
    require(worker.job is not None and worker.job.follows is None)
    worker.busy = True

@rule()
def wait_for(job: Job, other: Job) -> None:
    require(job is not other and other.follows is None and job.follows is None and other.owner is not None and job.owner is None)
    job.follows = other
"""


def classes(model) -> tuple[int, int]:
    """How many states the unreduced search finds, and how many classes they fall into, by joining each state to its images under swaps."""
    found = search(compile_model(model), jobs=1)
    layout = Layout(model.fields)
    symmetry = Symmetry(layout, model.symmetric)
    states = [layout.unpack(words) for d in range(found.depth + 1) for part in found.store.level(d) for words in part]
    join = {state: state for state in states}

    def root(state):
        while join[state] != state:
            state = join[state]
        return state

    for state in states:
        for name in symmetry.structs:
            for i in range(symmetry.counts[name] - 1):
                join[root(symmetry.permuted(state, {name: swap(i, symmetry.counts[name])}))] = root(state)
    members = {}
    for state in states[::37]:
        members.setdefault(root(state), set()).add(symmetry.canonical(state))
    assert all(len(canonical) == 1 for canonical in members.values())
    return found.states, len({root(state) for state in states})


@pytest.mark.parametrize("count", [3, 4])
def test_two_structs_that_refer_to_each_other(tmp_path, count):
    model = build(tmp_path, PAIRS.replace("COUNT", str(count)))
    assert set(model.symmetric) == {"Worker", "Job"}
    states, expected = classes(model)
    reduced = search(compile_model(model, symmetric=True), jobs=1)
    assert (states, expected, reduced.states) == {3: (223, 11, 11), 4: (5_025, 24, 24)}[count]
    assert_engines_agree(model, 60, symmetric=True, stride=7)
