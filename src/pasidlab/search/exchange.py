"""What the processes of one search tell each other: which states go to whom, and what all of them decide.

Every process holds the states that it owns by their hash, and expands those. ``ALONE`` is a search of one process, whose threads pass
states to each other through shared memory; ``cluster`` has several, through MPI. All processes call these methods in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from pasidlab.errors import PasidlabError

T = TypeVar("T")
CountArray = npt.NDArray[np.int64]
States = npt.NDArray[np.uint64]  # [n, words]: packed states


class Exchange(Protocol):
    """The processes of one search. ``seconds`` is what this one has spent in exchange, waiting for others included."""

    rank: int  # this process, from 0
    size: int  # processes
    neighbours: int  # of them on this host
    seconds: float
    sent: int  # bytes of states that this process has sent to others

    @property
    def bytes(self) -> int:
        """Bytes of memory that states take on their way."""

    def total(self, counts: Sequence[int]) -> list[int]:
        """The sum over all processes of each of the counts, which fit into 64 bits."""

    def gather(self, mine: T) -> list[T]:
        """What each process has, in the order of ranks."""

    def swap(self, shares: Sequence[tuple[States, CountArray]], words: int) -> States:
        """Send states to their owners; what comes back is what this process owns, overwritten by the next call.

        Each share is states in the order of ranks, and where each rank's begin and end.
        """

    def once(self, work: Callable[[], T]) -> T:
        """What the work gives that the process of rank 0 does, for all. Raises in all what it raises there."""


class Alone:
    """One process: what it has is all there is."""

    rank, size, neighbours, seconds, sent, bytes = 0, 1, 1, 0.0, 0, 0

    def total(self, counts: Sequence[int]) -> list[int]:
        return list(counts)

    def gather(self, mine: T) -> list[T]:
        return [mine]

    def swap(self, shares: Sequence[tuple[States, CountArray]], words: int) -> States:
        return np.concatenate([states for states, _ in shares]).reshape(-1, words)

    def once(self, work: Callable[[], T]) -> T:
        return work()


ALONE: Exchange = Alone()


def together(peers: Exchange, work: Callable[[], T]) -> T:
    """What the work gives in this process. PasidlabError in all of them if there was one in any: the first, by rank."""
    done: list[T] = []
    failed: PasidlabError | None = None
    try:
        done.append(work())
    except PasidlabError as error:
        failed = error
    first = next((error for error in peers.gather(failed) if error), None)
    if first:
        raise first
    return done[0]
