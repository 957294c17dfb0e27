"""A search over the ranks of ``mpirun``, for test_cluster.py: prints what every rank found, once."""

from __future__ import annotations

import sys
from pathlib import Path

from lazyreg_double import lazyreg

from pasidlab.search import breadth_first
from pasidlab.search.breadth_first import search
from pasidlab.search.checkpoint import Checkpoint
from pasidlab.search.cluster import Ranks
from pasidlab.search.graph import path_to
from pasidlab.search.result import Budget, SearchResult


def told(found: SearchResult) -> str:
    """Everything that must not depend on the number of ranks."""
    ways = [path_to(found, violation.state, violation.depth) for violation in found.violations.values()]
    return repr((
        found.reason, found.states, found.transitions, found.level_sizes, found.depth_completed, found.reached, found.counters,
        found.violations, found.error, found.again, found.pending, ways,
    ))  # fmt: skip


def main(bug: str, words: str, most: str, folder: str) -> None:
    breadth_first.LEAST_SECONDS, breadth_first.SHARE = 0.0, 0
    peers = Ranks()
    found = search(
        lazyreg(2, bug=bug == "bug", words=int(words)), jobs=1, peers=peers, budget=Budget(max_states=int(most) or None),
        checkpoint=Checkpoint(Path(folder), "x") if folder else None,
    )  # fmt: skip
    answers = peers.gather(told(found))
    assert len(set(answers)) == 1, answers
    if peers.rank == 0:
        print(answers[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
