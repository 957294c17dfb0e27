"""Strongly connected components and shortest ways, against what is reached step by step."""

import random

import numpy as np
import pytest

from pasidlab.search.components import ShortestWays, components


def lengths(after: list[list[int]], start: int) -> dict[int, int]:
    """The length of a shortest way from a state to each it reaches."""
    found, level = {start: 0}, [start]
    while level:
        level = list(dict.fromkeys(t for s in level for t in after[s] if t not in found))
        found |= {t: 1 + max(found.values()) for t in level}
    return found


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs(seed: int) -> None:
    random_ = random.Random(seed)
    for _ in range(20):
        size = random_.randint(1, 20)
        edges = [(random_.randrange(size), random_.randrange(size)) for _ in range(random_.randint(0, 50))]
        after = [[t for s, t in edges if s == state] for state in range(size)]
        reached = [lengths(after, state) for state in range(size)]
        label = components([s for s, _ in edges], [t for _, t in edges], size).tolist()
        assert sorted(set(label)) == list(range(max(label) + 1))
        for a in range(size):
            assert [label[a] == label[b] for b in range(size)] == [b in reached[a] and a in reached[b] for b in range(size)]
        ways = ShortestWays(np.array([s for s, _ in edges], dtype=np.int64), np.array([t for _, t in edges], dtype=np.int64), size)
        for end, length in reached[0].items():
            way = ways.way(0, end)
            assert len(way) == length and (way[-1:] or [0]) == [end] and all(t in after[s] for s, t in zip([0, *way], way, strict=False))


def test_deep_and_empty_graphs() -> None:
    chain = np.arange(300_000, dtype=np.int64)
    assert len(set(components(chain[:-1], chain[1:], len(chain)).tolist())) == len(chain)
    assert not components(chain, np.roll(chain, -1), len(chain)).any()
    assert components([], [], 3).tolist() == [0, 1, 2]
    assert ShortestWays(chain[:-1], chain[1:], len(chain)).way(0, len(chain) - 1) == chain[1:].tolist()


def test_of_several_shortest_ways_it_is_the_one_by_the_lowest_states() -> None:
    ways = ShortestWays(np.array([0, 0, 2, 1, 0]), np.array([2, 1, 3, 3, 3 - 1]), 4)
    assert ways.way(0, 3) == [1, 3]
