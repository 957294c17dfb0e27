"""Paths over the stored states, held against a search written in plain Python."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from lazyreg_double import lazyreg

from pasidlab.search.breadth_first import search
from pasidlab.search.graph import Expander, depth_of, path_to


@cache
def plain_graph() -> tuple[dict[int, int], dict[int, list[int]]]:
    """Depth and successors of every state of the small scope."""
    expander, depths, edges, level, depth = Expander(lazyreg(2)), {0: 0}, {}, [0], 0
    while level:
        found = []
        for done in expander.expand(np.array(level, dtype=np.uint64).reshape(-1, 1)):
            ends = np.cumsum(done.counts)
            for source, start, end in zip(done.sources[:, 0].tolist(), ends - done.counts, ends, strict=True):
                edges[source] = done.successors[start:end, 0].tolist()
                found += edges[source]
        depth += 1
        level = sorted({state for state in found if state not in depths})
        depths |= dict.fromkeys(level, depth)
    return depths, edges


def test_depth_of_every_state():
    result, (depths, _) = search(lazyreg(2)), plain_graph()
    assert len(depths) == result.states
    for depth in range(result.depth + 1):
        stored = sorted(int(state) for view in result.store.level(depth) for state in view[:, 0])
        assert stored == sorted(state for state, at in depths.items() if at == depth)
    assert all(depth_of(result, (state,)) == depth for state, depth in list(depths.items())[::500])
    with pytest.raises(KeyError):
        depth_of(result, (1 << 60,))


@pytest.mark.parametrize("words", [1, 3])
def test_numbers_tell_states_apart(words):
    result = search(lazyreg(2, words=words))
    states = np.concatenate([view for depth in range(result.depth + 1) for view in result.store.level(depth)])
    numbers = result.store.numbers(states)
    assert (numbers >= 0).all() and len(np.unique(numbers)) == result.states
    assert result.store.numbers(states ^ np.uint64(1 << 50)).tolist() == [-1] * result.states


def test_paths_are_real_and_shortest():
    result, (depths, edges) = search(lazyreg(2)), plain_graph()
    for state, depth in list(depths.items())[::4_000]:
        path = path_to(result, (state,))
        assert len(path) == depth + 1 and path[0] == (0,) and path[-1] == (state,)
        assert all(b in edges[a] for (a,), (b,) in pairwise(path))


def test_a_path_takes_the_smallest_predecessor():
    result, (depths, edges) = search(lazyreg(2)), plain_graph()
    state = max(depths, key=lambda s: (depths[s], s))
    for before, after in zip(*(path_to(result, (state,))[i:] for i in (0, 1)), strict=False):
        at = depths[after[0]] - 1
        assert before[0] == min(s for s, depth in depths.items() if depth == at and after[0] in edges[s])


@pytest.mark.parametrize("words", [1, 3])
def test_the_counterexample_of_the_seeded_bug(words):
    paths = []
    for jobs in (1, 2, 3):
        result = search(lazyreg(2, bug=True, words=words), jobs=jobs, stop_on=0b111)
        violation = next(result.violations[bit] for bit in (0, 1, 2) if bit in result.violations)
        paths.append(path_to(result, violation.state, violation.depth))
    assert len(paths[0]) == 13
    assert paths[0] == paths[1] == paths[2]
