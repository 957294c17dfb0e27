"""Fair circles: which sets of states a fair run may stay in for ever, held against a look at every subset of a small graph."""

from itertools import combinations, pairwise
from random import Random

import numpy as np

from pasidlab.checking.fairness import Steps, fair_sets
from pasidlab.checking.liveness import _Circle
from pasidlab.checking.waiting import Waiting

OUT = -1


def steps(count, edges):
    """``edges``: (source, target or OUT, class or -1)."""
    columns = np.array(sorted(edges), dtype=np.int64).reshape(-1, 3).T
    return Steps(count, columns[0], columns[1], columns[2])


def found(count, edges, runs=None):
    on = np.ones(count, dtype=bool) if runs is None else np.isin(np.arange(count), runs)
    return {tuple(sorted(members.tolist())) for members in fair_sets(steps(count, edges), on, lambda: None)}


def test_a_circle_that_takes_what_it_can_take_is_fair():
    assert found(2, [(0, 1, 0), (1, 0, 0)]) == {(0, 1)}


def test_a_circle_beside_a_step_somebody_must_take_is_not():
    assert found(2, [(0, 1, 0), (1, 0, 0), (1, OUT, 1)]) == set()


def test_the_rest_of_a_circle_may_be_fair():
    assert found(3, [(0, 1, 0), (1, 0, 0), (1, 2, 0), (2, 0, 0), (2, OUT, 1)]) == {(0, 1)}


def test_nothing_that_anybody_must_do():
    assert found(1, [(0, OUT, -1)]) == {(0,)}
    assert found(1, [(0, OUT, -1)], runs=[]) == set()  # but the one who waits is run some time


def test_a_circle_in_which_the_one_who_waits_never_runs():
    edges = [(0, 1, 0), (1, 0, 0)]
    assert found(2, edges, runs=[]) == set()
    assert found(2, edges, runs=[1]) == {(0, 1)}


def is_fair(members, edges):
    inside = [(s, t, c) for s, t, c in edges if s in members and t in members]
    reach = {s: {s} for s in members}
    for _ in members:
        for s, t, _ in inside:
            for seen in reach.values():
                if s in seen:
                    seen.add(t)
    connected = bool(inside) and all(seen == set(members) for seen in reach.values())
    enabled = {c for s, _, c in edges if s in members and c >= 0}
    if len(members) == 1 and not enabled:
        return True
    return connected and enabled <= {c for _, _, c in inside}


def test_random_graphs_against_every_subset():
    random, fair = Random(7), 0
    for _ in range(400):
        count = random.randint(1, 5)
        edges = {
            (random.randrange(count), random.choice([OUT, *range(count)]), random.choice([-1, 0, 1, 2]))
            for _ in range(random.randint(1, 9))
        }  # fmt: skip
        subsets = [set(s) for n in range(1, count + 1) for s in combinations(range(count), n) if is_fair(set(s), edges)]
        sets = found(count, edges)
        assert bool(sets) == bool(subsets), (count, edges)
        assert all(is_fair(set(members), edges) for members in sets)
        fair += bool(sets)
    assert 50 < fair < 350


def way_around(count, edges, members):
    """The states on the way around a fair set from its first state, and the edges there are between them."""
    graph = steps(count, edges)
    nothing = np.zeros(len(edges), dtype=bool)
    states = np.arange(count, dtype=np.uint64).reshape(-1, 1)
    circle = _Circle(Waiting(states, graph, nothing, np.ones(count, dtype=bool)), np.array(sorted(members)))
    return [sorted(members)[n] for n in [0, *circle.around(0)]]


def test_a_class_that_is_taken_elsewhere_in_the_set_is_on_the_way_around():
    edges = [(0, 1, 0), (1, 0, 0), (0, OUT, 1), (1, 2, -1), (2, 3, 1), (3, 1, 0)]
    assert found(4, edges) == {(0, 1, 2, 3)}
    assert way_around(4, edges, {0, 1, 2, 3}) == [0, 1, 0, 1, 2, 3, 1, 0]


def test_the_way_around_a_fair_set_takes_each_class_it_can_take():
    random, some = Random(8), 0
    for _ in range(300):
        count = random.randint(2, 6)
        edges = [(random.randrange(count), random.choice([OUT, *range(count)]), random.choice([-1, 0, 1, 2])) for _ in range(14)]
        for members in found(count, edges):
            way = way_around(count, edges, set(members))
            on = list(pairwise(way))
            assert all(any((s, t) == pair for s, t, _ in edges) for pair in on)
            if on:
                assert way[0] == way[-1]
                assert {c for s, _, c in edges if s in way and c >= 0} <= {c for s, t, c in edges if (s, t) in on}
                some += len(way) > 3
    assert some > 20
