"""Random walks through a successor function: they find violations where no search could come to an end, and prove nothing.

Walks begin in an initial state, and end after a number of steps that is drawn. What they find is made shorter: steps that are not
needed are left out. With one thread everything but the end by the clock depends on the seed alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pasidlab.interrupts import StopFlag, interrupts
from pasidlab.search import walk_kernels as w
from pasidlab.search.memory import Block, WordArray
from pasidlab.search.observed import COUNTERS, REACHED
from pasidlab.search.result import NativeModel, OnWalked, Packed, StopReason, Walked

SHORTEST, LONGEST = 5, 11  # a walk has 2 to the power of these steps at most, or something between
STEPS_AFTER_VIOLATION = 300_000  # of each thread, in search of shorter ways and other violations
_TRIES = 8  # ways to one violation that are made shorter, however long they are
_SHORTENING = 1_000_000  # steps tried to make one way shorter, at most
_PROGRESS = 0.5  # seconds between reports
_LOOK = 0.02  # seconds between two looks at the flag of Ctrl-C
_APART = 0x5851F42D4C957F2D  # between the seeds of two threads


class LabelledModel(NativeModel, Protocol):
    """A model that writes a label for each successor (``observed.LABELS``)."""

    @property
    def label_bits(self) -> int:
        """Low bits of a label that number a kind of step; the others tell steps of one kind in one state apart."""


Groups = Sequence[Sequence[int]]
"""For each number of a label the groups it belongs to, as many for each (-1: none): walks prefer some groups for a while."""


@dataclass(frozen=True)
class Walks:
    """How long to walk, and from which seed on. ``wanted`` is a mask: once such a property is broken the walks come to an end."""

    seconds: float
    seed: int = 0
    wanted: int = -1


@dataclass(frozen=True)
class WalkedWay:
    """A way to a violation: packed states, and the label of each step between them. ``by_step``: a step out of the last violates."""

    states: tuple[Packed, ...]
    labels: tuple[int, ...]
    by_step: bool

    @property
    def steps(self) -> int:
        """The number of steps that shows the violation."""
        return len(self.labels) + self.by_step


@dataclass(frozen=True)
class WalkResult:
    """What random walks found."""

    reason: StopReason  # "simulated", or "interrupted"
    walks: int
    steps: int  # made in all walks
    longest: int  # steps of the longest walk
    reached: int  # mask
    counters: tuple[int, ...]
    ways: dict[int, WalkedWay]  # by property bit: the shortest found
    error: WalkedWay | None
    seconds: float


def simulate(
    model: LabelledModel, walks: Walks, groups: Groups, *, jobs: int = 1, progress: OnWalked | None = None,
    interrupted: StopFlag | None = None,
) -> WalkResult:  # fmt: skip
    """Walk for so many seconds, in ``jobs`` threads.

    Once a wanted property is broken each thread makes STEPS_AFTER_VIOLATION more steps. Ctrl-C, or ``interrupted`` if there is such a
    flag, ends the walks with what was found.
    """
    common = _Common(walks, progress)
    walkers = [_Walker(model, walks.seed + n * _APART, groups) for n in range(max(jobs, 1))]
    with ThreadPoolExecutor(len(walkers), thread_name_prefix="walk") as pool, interrupts(interrupted) as stop:
        running = [pool.submit(walker.run, common) for walker in walkers]
        try:
            while not all(one.done() for one in running):
                common.stopped = common.stopped or stop.is_set()
                common.report(walkers)
                time.sleep(_LOOK)
        except KeyboardInterrupt:  # raised by the progress callback
            common.stopped = True
        finally:
            common.over = True
        for one in running:
            one.result()
        common.stopped = common.stopped or stop.is_set()  # it may have come after the last look
    return _result(walkers, common)


def _result(walkers: Sequence[_Walker], common: _Common) -> WalkResult:
    """What all threads found: of two ways of one length that of the first thread."""
    rows = sorted({row for walker in walkers for row in walker.ways})
    best = {row: min((walker.ways[row] for walker in walkers if row in walker.ways), key=lambda way: way.steps) for row in rows}
    ways: dict[int, WalkedWay] = {}
    for row, way in best.items():
        bit = row % w.BY_STEP
        if row != w.ERROR and (bit not in ways or way.steps < ways[bit].steps):
            ways[bit] = way
    observed = np.array([walker.observed.words[: walker.model.observed_words] for walker in walkers]).view(np.uint64)
    return WalkResult(
        "interrupted" if common.stopped else "simulated", sum(walker.walks for walker in walkers), sum(walker.steps for walker in walkers),
        longest=max(walker.longest for walker in walkers), reached=int(np.bitwise_or.reduce(observed[:, REACHED])),
        counters=tuple(observed[:, COUNTERS:].sum(axis=0).tolist()), ways=dict(sorted(ways.items())), error=best.get(w.ERROR),
        seconds=time.perf_counter() - common.start,
    )  # fmt: skip


class _Common:
    """What the threads of a simulation share."""

    def __init__(self, walks: Walks, progress: OnWalked | None) -> None:
        self.walks, self.progress = walks, progress
        self.start = self.reported = time.perf_counter()
        self.reported_steps = 0
        self.stopped = False  # by Ctrl-C
        self.over = False
        self.broken = False  # a wanted property is

    def ended(self) -> bool:
        """Whether no other walk is to begin."""
        return self.over or self.stopped or time.perf_counter() - self.start >= self.walks.seconds

    def report(self, walkers: Sequence[_Walker]) -> None:
        """The progress report that may be due."""
        now = time.perf_counter()
        if self.progress is None or now - self.reported < _PROGRESS:
            return
        steps = sum(walker.steps for walker in walkers)
        rate = (steps - self.reported_steps) / (now - self.reported)
        self.reported, self.reported_steps = now, steps
        elapsed, broken = now - self.start, len({row % w.BY_STEP for walker in walkers for row in list(walker.ways) if row != w.ERROR})
        walks, left = sum(walker.walks for walker in walkers), max(self.walks.seconds - elapsed, 0.0)
        self.progress(Walked(walks, steps, rate, broken=broken, elapsed=elapsed, left=left))


class _Walker:
    """One thread's walks."""

    def __init__(self, model: LabelledModel, seed: int, groups: Groups) -> None:
        self.model = model
        self.ways: dict[int, WalkedWay] = {}  # by place in ``first``
        self.tries: dict[int, int] = {}
        self.walks = self.steps = self.longest = 0
        self.stride, most = 8 * model.words, max(model.max_successors, 1)
        self.path, self.labels = Block(((1 << LONGEST) + 2) * self.stride), Block(((1 << LONGEST) + 1) * 8)
        self.out, self.room = Block(most * self.stride), Block(most * 8)
        self.observed = Block(model.observed_words * 8)
        self.groups: WordArray = np.array(groups, dtype=np.int64).reshape(len(groups), -1)
        self.factors = np.ones(int(self.groups.max(initial=-1)) + 1)
        self.weights, self.sums = np.ones(len(groups)), np.zeros(most)
        self.taken: WordArray = np.zeros(len(groups), dtype=np.int64)
        self.first: WordArray = np.zeros(w.FIRST, dtype=np.int64)
        self.walker: WordArray = np.zeros(w.COLUMNS, dtype=np.int64)
        self.walker[w.EXPAND], self.walker[w.WORDS] = model.expand_address, model.words
        self.walker[w.PATH], self.walker[w.LABEL] = self.path.address, self.labels.address
        self.walker[w.OUT], self.walker[w.SEEN], self.walker[w.ROOM] = self.out.address, self.observed.address, self.room.address
        self.walker[w.MASK] = (1 << model.label_bits) - 1
        self.walker[w.RANDOM : w.RANDOM + 1].view(np.uint64)[0] = seed % (1 << 64)

    def run(self, common: _Common) -> None:
        """Walk until the end."""
        last: int | None = None  # the number of steps with which this thread ends
        while not common.ended() and (last is None or self.steps < last):
            self._walk()
            if last is None and (common.broken or any(self._is_wanted(row, common.walks.wanted) for row in self.ways)):
                common.broken, last = True, self.steps + STEPS_AFTER_VIOLATION

    @staticmethod
    def _is_wanted(row: int, wanted: int) -> bool:
        return row != w.ERROR and bool(wanted >> row % w.BY_STEP & 1)

    def _walk(self) -> None:
        """One walk, and what it finds."""
        most = self.walker[w.MOST] = int(2 ** (SHORTEST + (LONGEST - SHORTEST) * w.draw_share(self.walker)))
        self._begin(self.model.initial[w.draw(self.walker) % len(self.model.initial)].tolist())
        made = w.walk(self.walker, self.groups, self.factors, self.weights, self.sums, self.taken, self.first)
        assert made <= most
        self.walks, self.steps, self.longest = self.walks + 1, self.steps + made, max(self.longest, made)
        found = {row: self._way(row) for row in np.flatnonzero(self.first >= 0).tolist()}
        for row, way in found.items():
            self.tries[row] = self.tries.get(row, 0) + 1
            if row not in self.ways or self.tries[row] <= _TRIES or way.steps < self.ways[row].steps:
                way = self._shortened(row, way)
                if row not in self.ways or way.steps < self.ways[row].steps:
                    self.ways[row] = way

    def _begin(self, state: Packed) -> None:
        self.path.words[: self.model.words] = np.array(state, dtype=np.uint64).view(np.int64)

    def _way(self, row: int) -> WalkedWay:
        """The steps at hand, to the first violation of that kind."""
        steps, words = int(self.first[row]), self.model.words
        states = self.path.words[: (steps + 1) * words].view(np.uint64).reshape(-1, words)
        return WalkedWay(tuple(map(tuple, states.tolist())), tuple(self.labels.words[:steps].tolist()), row >= w.BY_STEP)

    def _shortened(self, row: int, way: WalkedWay) -> WalkedWay:
        """A way to the same violation without steps that are not needed.

        All steps of one group are left out, then parts of the way, large ones first, then small ones.
        """
        for group in range(len(self.factors)):
            others = [label for label in way.labels if group not in self.groups[label & int(self.walker[w.MASK])]]
            way = self._shorter(row, way, others) or way
        tried, size = 0, len(way.labels)
        while size and tried < _SHORTENING:
            at, before = 0, len(way.labels)
            while at < len(way.labels) and tried < _SHORTENING:
                tried += len(way.labels)
                if shorter := self._shorter(row, way, way.labels[:at] + way.labels[at + size :]):
                    way = shorter
                else:
                    at += size
            size = size // 2 if size > 1 or len(way.labels) == before else 1
        return way

    def _shorter(self, row: int, way: WalkedWay, labels: Sequence[int]) -> WalkedWay | None:
        """The way that these steps lead, without those that cannot be made; ``way`` if that is no shorter or shows no violation."""
        if len(labels) >= len(way.labels):
            return None
        self._begin(way.states[0])
        w.retrace(self.walker, np.array(labels, dtype=np.int64), self.first)
        return self._way(row) if 0 <= self.first[row] < len(way.labels) else None
