"""What the threads of a search work with: room of their own, and groups of partitions that are done as one."""

from __future__ import annotations

import numpy as np

from pasidlab.search import kernels as k
from pasidlab.search import partition
from pasidlab.search import slice_kernels as s
from pasidlab.search.memory import Block, WordArray


class Worker:
    """What one thread needs for itself: room for the successors of a group, and what ``expand`` observes."""

    def __init__(self, successors: int, words: int, observed_words: int) -> None:
        self.successors = Block(successors * words * 8)
        self.numbers = Block(successors)  # partition of each, one byte
        self.hashes = Block(2 * partition.BATCH * 8)
        self.scratch = Block(words * 8 + s.SCRATCH)
        self.observed = Block(observed_words * 8)
        self.most = 0  # successors it held at once


class Group:
    """A run of partitions that is expanded as one, and its successors sorted by partition."""

    def __init__(self, number: int, first: int, last: int, successors: int, words: int) -> None:
        self.number, self.first, self.last, self.words = number, first, last, words
        self.sorted = Block(successors * words * 8)
        self.todo = first  # the partition that takes in next
        self.transitions = 0
        self.held = self.most = 0  # successors in it, and at most so far
        self.tally: WordArray = np.zeros(k.TALLY, dtype=np.int64)
        self.worst: WordArray = np.zeros((k.WORST_ROWS, words), dtype=np.int64)

    def hold(self, count: int) -> None:
        """Note that the first ``count`` places hold states now."""
        self.held, self.most = count, max(self.most, count)

    @property
    def states(self) -> partition.States:
        """The states it holds, a view."""
        states: partition.States = self.sorted.words[: self.held * self.words].view(np.uint64).reshape(-1, self.words)
        return states

    @property
    def noted(self) -> bool:
        """Whether something was noted about the states expanded."""
        return bool(self.tally[k.BY_STATE :].any())
