"""What a search is asked and what it answers: the native model, budgets, progress, violations, counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from pasidlab.search.exchange import ALONE, Exchange
from pasidlab.search.store import Store

MOST_WORDS = 16
Packed = tuple[int, ...]  # one packed state: unsigned 64-bit words
StopReason = Literal["complete", "violation", "max_states", "max_memory", "disk_full", "timeout", "interrupted", "simulated"]


class NativeModel(Protocol):
    """A model compiled to a successor function. It may have ``slices``, masks of what varies on its own in a state (``slices``).

    ``expand_address`` is that of ``int64 expand(const uint64 *state, uint64 *successors, uint64 *observed)``. It writes
    all successors one after the other, duplicates included, and returns how many there are. ``observed`` belongs to the
    calling thread; what is written to its words stands in the module ``observed``.
    """

    @property
    def words(self) -> int:
        """64-bit words of a packed state, 1 to MOST_WORDS."""

    @property
    def initial(self) -> npt.NDArray[np.uint64]:
        """The distinct initial states, [n, words]."""

    @property
    def max_successors(self) -> int:
        """No state has more successors than this, duplicates included."""

    @property
    def expand_address(self) -> int:
        """Where the successor function is."""

    @property
    def observed_words(self) -> int:
        """Words of ``observed``, at least 8."""

    def optimised(self) -> NativeModel:
        """The model in faster code, which may take a second or two to make; the model itself if there is no faster code."""


@dataclass(frozen=True)
class Budget:
    """When to give up; None is never. All are looked at between rounds of some ten thousand states."""

    max_states: int | None = None
    max_memory: int | None = None  # bytes of the store and the buffers; never exceeded
    timeout: float | None = None  # seconds
    after_violation: int | None = None  # states; with a violation at hand the search ends with the level that passes them
    spill: Path | None = None  # folder for the part of the store that max_memory, or the machine's memory, does not hold
    enough: Mapping[int, int | None] = field(default_factory=dict)
    """Property bit -> the most steps of a violation that is of interest, None: any. The search ends with the level behind which none of
    them is open: each is violated, or only by more steps. Empty: it goes on."""


@dataclass(frozen=True)
class Progress:
    """Where a running search is."""

    depth: int  # the level being expanded
    states: int  # found so far
    frontier: int  # of that level, not expanded yet
    rate: float  # states found per second since the last report
    bytes: int
    elapsed: float  # seconds
    levels: tuple[int, ...] = ()  # states of each level that is completely known
    disk: int = 0  # bytes of the store on disk
    exchange: float | None = None  # share of the time spent in exchange between processes; None: there is one


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Walked:
    """Where random walks are."""

    walks: int
    steps: int
    rate: float  # steps a second since the last report
    broken: int  # properties found broken
    elapsed: float  # seconds
    left: float  # seconds


OnWalked = Callable[[Walked], None]


@dataclass(frozen=True)
class Violation:
    """The first violation of one property, or the first model error.

    ``steps`` is the least number of steps that shows it. Of all states at that distance ``state`` is the smallest; with
    ``by_step`` it is the last state before the step that violates. ``minimal`` is False if the search stopped too early
    to exclude that a state one step nearer violates it as well.
    """

    steps: int
    state: Packed
    by_step: bool
    minimal: bool = True

    @property
    def depth(self) -> int:
        """The level of ``state``."""
        return self.steps - 1 if self.by_step else self.steps


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    All but ``seconds`` and ``peak_bytes`` is the same for any number of jobs. It is not where the clock, the keyboard or the memory ended
    the search.
    """

    reason: StopReason
    states: int
    transitions: int
    level_sizes: tuple[int, ...]  # states at each distance from the initial ones
    depth_completed: int  # every state up to this level has been expanded; -1: not even the initial ones
    reached: int  # mask
    counters: tuple[int, ...]
    violations: dict[int, Violation]  # by property bit
    error: Violation | None
    again: int  # mask of the liveness classes with a repeated fault
    pending: int  # mask of the liveness classes in which some state that was expanded is pending
    seconds: float
    peak_bytes: int
    disk_bytes: int  # of the store on disk at the end
    model: NativeModel = field(repr=False)
    store: Store = field(repr=False)  # of this process
    peers: Exchange = field(default=ALONE, repr=False)  # the processes that have the states
    exchange: float = 0.0  # share of the time spent in exchange between them
    sent: int = 0  # bytes of states that went from one to another

    def nearer_than(self, steps: int) -> SearchResult:
        """The same, but only with what is violated in fewer steps."""
        near = {bit: violation for bit, violation in self.violations.items() if violation.steps < steps}
        return replace(self, violations=near, error=self.error if self.error and self.error.steps < steps else None)

    def without_states(self) -> SearchResult:
        """The same, with the memory of the states given back."""
        return replace(self, store=Store(self.model.words))

    @property
    def depth(self) -> int:
        """Largest number of steps needed to reach a state."""
        return len(self.level_sizes) - 1

    @property
    def bytes_per_state(self) -> float:
        """Peak bytes of memory for each state stored."""
        return self.peak_bytes / max(self.states, 1)
