"""Which violation is reported: the fewest steps, a state before a step, then the smallest state."""

from itertools import pairwise

from graph_double import Graph
from hypothesis import given, settings
from hypothesis import strategies as st

from pasidlab.search.breadth_first import search
from pasidlab.search.graph import path_to
from pasidlab.search.result import Budget, Violation


def test_the_smallest_state_of_the_nearest_level():
    graph = Graph({0: [7, 5, 6], 7: [1], 5: [2]}, by_state={7: 1, 5: 1, 6: 0, 1: 1, 2: 1})
    assert search(graph).violations == {0: Violation(1, (5,), by_step=False)}


def test_a_state_goes_before_a_step_of_the_same_length():
    graph = Graph({0: [1, 2], 1: [3], 2: [4]}, by_step={1: 1}, by_state={4: 1})
    assert search(graph).violations == {0: Violation(2, (4,), by_step=False)}


def test_a_shorter_step_goes_before_a_state():
    graph = Graph({0: [9, 8], 8: [3]}, by_step={8: 1, 9: 1}, by_state={3: 2})
    found = search(graph).violations
    assert found == {0: Violation(2, (8,), by_step=True), 1: Violation(2, (3,), by_step=False)}


def test_a_violating_step_in_the_last_level():
    assert search(Graph({0: [1], 1: []}, by_step={1: 1 << 63})).violations == {63: Violation(2, (1,), by_step=True)}


def test_the_initial_states_count():
    graph = Graph({3: [], 4: []}, by_state={3: 1, 4: 1}, starts=(4, 3))
    assert search(graph).violations == {0: Violation(0, (3,), by_step=False)}


def test_the_first_model_error():
    graph = Graph({0: [1, 2], 1: [3], 2: [3]}, error={2: 1, 1: 1, 3: 1})
    result = search(graph)
    assert result.error == Violation(2, (1,), by_step=True)
    assert result.states == 4 and result.violations == {}


def test_a_step_of_a_level_that_was_left_unfinished_may_not_be_minimal():
    wide = Graph({0: [1, 2], 1: [3], 2: [4]}, by_step={0: 1})
    result = search(wide, budget=Budget(max_states=3))
    assert (result.reason, result.depth_completed) == ("max_states", 0)
    assert result.violations == {0: Violation(1, (0,), by_step=True)}


def test_stop_on_waits_for_the_level_to_end():
    graph = Graph({0: [1], 1: [2], 2: [3], 3: [4]}, by_state={1: 1, 2: 2})
    result = search(graph, stop_on=2)
    assert (result.reason, result.depth_completed) == ("violation", 2)
    assert result.states == 4


def test_no_initial_state():
    graph = Graph({0: []})
    graph.starts = ()
    result = search(graph)
    assert (result.reason, result.states, result.level_sizes, result.depth_completed) == ("complete", 0, (), -1)


SMALL = st.integers(0, 30)
MASKS = st.dictionaries(SMALL, st.integers(0, 7), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(SMALL, st.lists(SMALL, max_size=6), min_size=1), MASKS, MASKS, st.integers(1, 3))
def test_any_small_graph(edges, by_state, by_step, jobs):
    graph = Graph({0: [], **edges}, by_state, by_step)
    depths, level = {0: 0}, [0]
    while level:
        found = [b for a in level for b in edges.get(a, ())]
        level = sorted({b for b in found if b not in depths})
        depths |= {b: max(depths.values()) + 1 for b in level}
    result = search(graph, jobs=jobs)
    assert result.states == len(depths) and result.depth == max(depths.values())
    assert result.transitions == sum(len(edges.get(a, ())) for a in depths)
    expected = {}
    for bit in range(3):
        by = [(d, False, s) for s, d in depths.items() if by_state.get(s, 0) >> bit & 1]
        by += [(d + 1, True, s) for s, d in depths.items() if by_step.get(s, 0) >> bit & 1]
        if by:
            steps, by_a_step, state = min(by)
            expected[bit] = Violation(steps, (state,), by_a_step)
    assert result.violations == expected
    for violation in expected.values():
        path = path_to(result, violation.state)
        assert len(path) == violation.depth + 1 and path[0] == (0,)
        assert all(b in edges[a] for (a,), (b,) in pairwise(path))
