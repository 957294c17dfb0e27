"""Breadth-first search of all states, level by level, on all cores.

A level is done in rounds. The first phase of a round expands the next few frontier states of every partition, group of partitions by
group. The successors are sorted by the partition they belong to. In the second phase each partition takes in what all groups have for it,
in the order of the groups. Threads pick groups as they become free. Which states a round expands, and the order in which a partition takes
its own in, depend on the model alone: so does everything that is reported.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pasidlab.errors import PasidlabError
from pasidlab.interrupts import StopFlag, interrupts
from pasidlab.search import kernels as k
from pasidlab.search import partition
from pasidlab.search.checkpoint import LEAST_SECONDS, SHARE, Checkpoint, Reached, SavedSearch
from pasidlab.search.exchange import ALONE, Exchange, together
from pasidlab.search.groups import Group, Worker
from pasidlab.search.memory import WordArray
from pasidlab.search.observed import COUNTERS, REACHED
from pasidlab.search.result import MOST_WORDS, Budget, NativeModel, OnProgress, Progress, SearchResult, StopReason
from pasidlab.search.room import FreeMemory
from pasidlab.search.spill import DiskFull, Spill
from pasidlab.search.standing import Standing, standing
from pasidlab.search.store import MOST_STATES, States, Store
from pasidlab.search.verdicts import Verdicts

_ROUND = 1 / 3  # successors of a round per state stored: large enough to reuse cache lines, small against the store ...
_ROUND_OF_SLICES = 1 / 128  # ... whose states take a fraction of a successor's bytes
_LEAST_QUOTA = 1 << 10  # successors in a round of one partition's states, ...
_LEAST_OF_SLICES = 96  # ... of several words ...
_MOST_QUOTA = 1 << 16  # ... so that a round takes no longer than some tenths of a second
_FOR_ROUNDS = 8  # with a spill: a round's successors take up to this part of the memory limit, in one place of two or three
_MOST_GROWTH, _MOST_BLOCKS = 3, 1 << 26  # what a round takes at most: so many times what is taken, and bytes of blocks that begin
_ALONE = 2048  # frontiers smaller than this are not worth waking other threads for
_WORTH_OPTIMISING = 1 << 18  # states from which faster code pays
_PROGRESS = 0.5  # seconds between reports


def search(
    model: NativeModel, *, jobs: int | None = None, budget: Budget | None = None, progress: OnProgress | None = None,
    stop_on: int = 0, interrupted: StopFlag | None = None, checkpoint: Checkpoint | None = None, peers: Exchange = ALONE,
) -> SearchResult:  # fmt: skip
    """Explore every state of ``model`` within ``budget``.

    ``jobs`` is the number of threads (None: one for each CPU this process may use). ``stop_on`` is a mask of properties: the search ends
    with the level that violates one of them. Ctrl-C, or ``interrupted`` if there is such a flag, ends it after the running round, with
    what was found. ``peers`` are the processes that share the states; each calls this function, and limits of memory are those of each.
    With a ``checkpoint`` the search is saved now and then at the end of a level. It begins where it was saved last; PasidlabError if that
    is damaged, or cannot be written.
    """
    if not 1 <= model.words <= MOST_WORDS or model.initial.shape[1:] != (model.words,) or model.observed_words < COUNTERS:
        raise ValueError(f"not a native model: {model.words} words, initial states {model.initial.shape}")
    jobs = jobs if jobs is not None else len(os.sched_getaffinity(0)) // peers.neighbours
    peers.seconds, peers.sent = 0.0, 0
    running = _Search(model, min(max(jobs, 1), partition.PARTITIONS), budget or Budget(), peers, progress, stop_on)
    with ThreadPoolExecutor(running.jobs, thread_name_prefix="search") as pool, interrupts(interrupted) as stop:
        try:
            if checkpoint:
                running.saved = together(peers, lambda: SavedSearch(checkpoint, model.words, peers))
                running.saved.agree(peers)
                running.resume(running.saved)
            ended = running.explore(pool, stop)
            reason = "interrupted" if interrupted is None and stop.is_set() else ended  # Ctrl-C may come after the last look
        except KeyboardInterrupt:  # not ours: raised by the progress callback
            reason = "interrupted"
        except MemoryError:
            if peers.size > 1:
                raise
            reason = "max_memory"
        finally:
            if running.saved:
                running.saved.close()
    return running.result(reason)


class _Search:
    """One run of the search."""

    def __init__(self, model: NativeModel, jobs: int, budget: Budget, peers: Exchange, progress: OnProgress | None, stop_on: int) -> None:
        self.model, self.jobs, self.budget, self.peers = model, jobs, budget, peers
        self.progress, self.stop_on = progress, stop_on
        spill = together(peers, partial(Spill, budget.spill)) if budget.spill else None
        self.store = Store(model.words, spill, getattr(model, "slices", ()))
        self.sizes: list[int] = []  # of the levels opened
        self.states = 0  # of all processes, before the round
        self.trouble: StopReason | None = None
        self.verdicts = Verdicts()
        self.start = self.reported = time.perf_counter()
        self.reported_states = self.peak = 0
        self.completed = -1
        self.before = 0.0  # seconds that the search took before it was resumed
        self.saved: SavedSearch | None = None
        self.next_save = self.start + LEAST_SECONDS
        self.machine = FreeMemory(peers.neighbours)
        self.taken = 0  # bytes of memory, when they were counted last: at the end of a level, or of a round in which something grew
        self.grown = False  # so large that the code has been optimised
        self.quota = _LEAST_QUOTA  # successors of each partition's states in this round, but for those of the last state
        self.most_quota = _MOST_QUOTA
        if self.budget.spill and self.budget.max_memory:  # most of it is for the store
            self.most_quota = min(max(self.budget.max_memory // (_FOR_ROUNDS * partition.PARTITIONS * 8 * model.words), 1), _MOST_QUOTA)
            self.quota = min(self.quota, self.most_quota)
        edges = np.linspace(0, partition.PARTITIONS, min(4 * jobs, partition.PARTITIONS) + 1).astype(int).tolist()
        self.successors = successors = max(b - a for a, b in pairwise(edges)) * (_MOST_QUOTA + model.max_successors)  # room of a group
        self.groups = [Group(i, *ends, successors, model.words) for i, ends in enumerate(pairwise(edges))]
        self.workers = [Worker(successors, model.words, model.observed_words) for _ in range(jobs)]
        self.sources: WordArray = np.array([group.sorted.address for group in self.groups], dtype=np.int64)
        self.shares: WordArray = np.zeros((len(self.groups), peers.size + 1), dtype=np.int64)  # where those of each process end in a group
        self.received: list[States] = []  # from other processes, for each group
        self.offsets: WordArray = np.zeros((len(self.groups), partition.PARTITIONS + 1), dtype=np.int64)

    def explore(self, pool: ThreadPoolExecutor, interrupted: StopFlag) -> StopReason:
        """Run to the end or to a reason to stop."""
        if self.completed < 0:
            with self._noting_trouble():
                self._insert_states(self._own(np.ascontiguousarray(self.model.initial, dtype=np.uint64)))
        while found := self.peers.total([self.store.fresh])[0]:
            self.store.open_level()
            self.sizes.append(found)
            self._open_tallies()
            while (now := self._standing(interrupted)).unexpanded or now.trouble:
                if reason := now.trouble or self._over_budget(now):
                    return reason
                if not self.grown and self.store.count >= _WORTH_OPTIMISING:
                    self.grown, self.model = True, self.model.optimised()
                helped = pool if self.store.unexpanded >= _ALONE else None
                self._share(helped, self._expand)
                for _ in self._incoming(helped):
                    with self._noting_trouble():
                        self._make_room()
                        self._take_in(partial(self._share, helped, self._insert))
                if not self.trouble and (self.store.released or self.budget.max_memory is not None):
                    self._account()
            self._account()
            self.completed += 1
            self._set_quota()
            self.verdicts.close_level(self.completed, self._noted())
            if self.stop_on & self.verdicts.settled or self._seen_enough():
                return "violation"
            if self.saved and self.peers.total([time.perf_counter() >= self.next_save])[0]:
                self._save(self.saved)
        if reason := self._standing(interrupted).trouble:
            return reason
        if self.saved:
            self._save(self.saved)
        return "complete"

    def _own(self, states: States) -> States:
        """The states, of those given, that this process owns."""
        if self.peers.size == 1:
            return states
        by_owner, ends = np.empty_like(states), np.zeros(self.peers.size + 1, dtype=np.int64)
        k.share_out(self.model.words, states.ctypes.data, len(states), self.peers.size, ends, by_owner.ctypes.data)
        return by_owner[ends[self.peers.rank] : ends[self.peers.rank + 1]]

    def _incoming(self, pool: ThreadPoolExecutor | None) -> Iterator[None]:
        """Have the groups hold what the partitions are to take in, sorted by partition: all at once, or part by part."""
        if self.peers.size == 1:
            yield
            return
        received = self.peers.swap([(g.states, ends) for g, ends in zip(self.groups, self.shares, strict=True)], self.model.words)
        for first in range(0, len(received), len(self.groups) * self.successors):
            if self.trouble:
                return
            part = received[first : first + len(self.groups) * self.successors]
            self.received = np.array_split(part, len(self.groups))
            self._share(pool, self._sort)
            yield

    def _sort(self, worker: Worker, group: Group) -> None:
        """Sort what came from other processes by partition."""
        some, offsets = self.received[group.number], self.offsets[group.number]
        group.hold(len(some))
        worker.most = max(worker.most, len(some))
        k.scatter(self.model.words, some.ctypes.data, len(some), worker.numbers.address, offsets, group.sorted.address)

    def _standing(self, interrupted: StopFlag) -> Standing:
        """Where all processes are together."""
        limits, count = self.budget, self.store.count
        late = limits.timeout is not None and time.perf_counter() - self.start >= limits.timeout
        given: dict[StopReason, bool] = {"interrupted": interrupted.is_set(), "max_states": count >= MOST_STATES, "timeout": late}
        reasons = {reason for reason, holds in given.items() if holds} | ({self.trouble} if self.trouble else set())
        now = standing(self.peers, (self.store.unexpanded, count, self.taken, self.store.disk), reasons)
        self.states = now.states
        return now

    @contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        """What keeps this process from taking states in is told to the others at their next meeting."""
        try:
            yield
        except DiskFull:
            self.trouble = "disk_full"
        except MemoryError:
            self.trouble = "max_memory"

    def _noted(self) -> list[tuple[WordArray, WordArray]]:
        """What the groups of all processes noted about the level."""
        return [noted for each in self.peers.gather([(g.tally, g.worst) for g in self.groups if g.noted]) for noted in each]

    def _set_quota(self) -> None:
        share, least = (_ROUND, _LEAST_QUOTA) if self.model.words == 1 else (_ROUND_OF_SLICES, _LEAST_OF_SLICES)
        self.quota = min(max(int(self.store.count * share) // partition.PARTITIONS, least), self.most_quota)

    def resume(self, saved: SavedSearch) -> None:
        """Go on from what was saved, if anything was; save there from now on."""
        self.saved = saved
        reached = together(self.peers, partial(self._restored, saved))
        if reached is None:
            return
        self.completed, self.before, self.groups[0].transitions = reached.completed, reached.seconds, reached.transitions
        observed = self.workers[0].observed.words.view(np.uint64)
        observed[REACHED] = reached.reached
        observed[COUNTERS : self.model.observed_words] = reached.counters
        self.sizes = self.peers.total([b - a for a, b in pairwise([0, *(int(ends.sum()) for ends in self.store.levels)])])
        self._set_quota()

    def _restored(self, saved: SavedSearch) -> Reached | None:
        try:
            for states in saved.states():
                self._insert_states(states)
        except MemoryError as error:
            what = f"the {'disk' if isinstance(error, DiskFull) else 'memory limit'} does not hold what checkpoint {saved.directory} has"
            raise PasidlabError(what, hint="a larger --max-memory, or --spill DIR with more room") from None
        return saved.restore(self.store, self.verdicts)

    def _save(self, saved: SavedSearch) -> None:
        start = time.perf_counter()
        observed = self._observed()
        reached, counters = int(np.bitwise_or.reduce(observed[:, REACHED])), tuple(observed[:, COUNTERS:].sum(axis=0).tolist())
        now = Reached(self.completed, sum(group.transitions for group in self.groups), reached, counters, self.before + start - self.start)
        together(self.peers, partial(saved.save, self.store, self.verdicts, now))
        self.next_save = time.perf_counter() + max(LEAST_SECONDS, SHARE * (time.perf_counter() - start))

    def _observed(self) -> npt.NDArray[np.uint64]:
        """What each worker observed, word by word."""
        return np.array([w.observed.words[: self.model.observed_words] for w in self.workers]).view(np.uint64)

    def _seen_enough(self) -> bool:
        """Whether something is broken and as much has been explored as the budget wants in that case, or all that it asks for is known."""
        limit, enough, broken = self.budget.after_violation, self.budget.enough, self.verdicts.violations
        if enough and all(bit in broken or (most is not None and self.completed >= most) for bit, most in enough.items()):
            return True
        return limit is not None and bool(broken) and self.states > limit

    def _insert_states(self, states: States) -> None:
        """Put states in through the first group, as many at a time as it has room for."""
        worker, group = self.workers[0], self.groups[0]
        for first in range(0, len(states), self.successors):
            some = states[first : first + self.successors]
            worker.most = group.most = max(group.most, len(some))
            k.scatter(self.model.words, some.ctypes.data, len(some), worker.numbers.address, self.offsets[0], group.sorted.address)
            self._make_room()
            self._take_in(partial(self._share, None, self._insert))
        self._account()

    def _take_in(self, insert: Callable[[], object]) -> None:
        """Have all partitions take in what is sorted for them. Slices grow between two calls of ``insert``, while no thread works."""
        for group in self.groups:
            group.todo = group.first
        insert()
        while any(group.todo < group.last for group in self.groups):
            self.store.grow_slices()
            insert()

    def _share(self, pool: ThreadPoolExecutor | None, task: Callable[[Worker, Group], None]) -> None:
        """Do ``task`` for every group, each worker taking the next one when it is free; the first worker alone without a pool."""
        todo = deque(self.groups)

        def work(worker: Worker) -> None:
            while True:
                try:
                    group = todo.popleft()
                except IndexError:
                    return
                task(worker, group)

        others = [pool.submit(work, worker) for worker in self.workers[1:]] if pool else []
        work(self.workers[0])
        for other in others:
            other.result()

    def _expand(self, worker: Worker, group: Group) -> None:
        """First phase: expand a group's share of the frontier and sort what comes out."""
        count = k.expand_frontier(
            self.model.expand_address, self.model.words,
            self.store.parts, *self.store.cut, group.first, group.last, self.quota,
            worker.successors.address, worker.observed.address, group.tally, group.worst.ctypes.data, worker.scratch.address,
        )  # fmt: skip
        group.transitions += count
        group.hold(count)
        worker.most = max(worker.most, count)
        words, states, to = self.model.words, worker.successors.address, group.sorted.address
        if self.peers.size > 1:
            k.share_out(words, states, count, self.peers.size, self.shares[group.number], to)
        else:
            k.scatter(words, states, count, worker.numbers.address, self.offsets[group.number], to)

    def _insert(self, worker: Worker, group: Group) -> None:
        """Second phase: a group's partitions take in what all groups have for them, or as much as slices have room for."""
        store = self.store
        while group.todo < group.last:
            p = k.insert(
                self.model.words, store.parts, *store.cut, group.todo, group.last,
                self.sources, self.offsets, worker.hashes.address, worker.scratch.address,
            )  # fmt: skip
            group.todo = p if p >= 0 else group.last
            if p >= 0 and store.crowded(p):
                return
            if p >= 0:
                store.grow(p)

    def _open_tallies(self) -> None:
        for group in self.groups:
            group.tally[:] = 0
            group.tally[k.OPEN] = np.uint64(self.verdicts.open).astype(np.int64)
            group.tally[k.OPEN_ERROR] = self.verdicts.error is None

    def _over_budget(self, at: Standing) -> StopReason | None:
        """Why to stop before the next round, if at all; and the progress report that may be due."""
        now = time.perf_counter()
        if at.stop == "interrupted":
            return at.stop
        if self.progress and now - self.reported >= _PROGRESS:
            rate = (at.states - self.reported_states) / (now - self.reported)
            self.reported, self.reported_states, elapsed = now, at.states, now - self.start
            share = self.peers.seconds / elapsed if self.peers.size > 1 else None
            depth, levels = self.completed + 1, tuple(self.sizes)
            self.progress(Progress(
                depth, at.states, at.unexpanded, rate=rate, bytes=at.bytes, elapsed=elapsed, levels=levels, disk=at.disk, exchange=share,
            ))  # fmt: skip
        if self.budget.max_states is not None and at.states >= self.budget.max_states:
            return "max_states"
        return at.stop

    def _bytes(self, incoming: WordArray | None = None) -> int:
        """Bytes of memory taken, or that may be once ``incoming`` states of each partition are inserted."""
        stride = 8 * self.model.words
        groups = sum(group.sorted.touched(group.most * stride) + group.worst.nbytes for group in self.groups)
        workers = sum(w.successors.touched(w.most * stride) + w.numbers.touched(w.most) for w in self.workers)
        return self.store.bytes(incoming) + groups + workers + self.peers.bytes

    def _room(self) -> bool:
        """Whether the round's successors fit into the memory budget, or into what the machine has left, even if all are new.

        Without a budget the exact sum is asked for only where the most that a round can take does not fit: logs double, tables and
        slices grow to less than four times what they were.
        """
        if self.budget.max_memory is None:
            states = int(self.offsets[:, -1].sum())
            if self.machine.has_plenty(_MOST_GROWTH * self.taken + 2 * states * 8 * self.model.words + _MOST_BLOCKS):
                return True
        incoming = (self.offsets[:, 1:] - self.offsets[:, :-1]).sum(axis=0)
        needed = self._bytes(incoming)
        if self.budget.max_memory is None:
            return self.machine.has(needed - self.taken)
        return needed <= self.budget.max_memory

    def _make_room(self) -> None:
        """Move to disk what the round leaves no room for. Raises MemoryError if that is not enough, DiskFull if it is full."""
        while not self._room():
            if not self.store.spill_more():
                raise MemoryError("the limit")

    def _account(self) -> None:
        """Note the memory of the round that ends, including blocks that were there twice while they grew."""
        self.taken = self._bytes()
        self.peak = max(self.peak, self.taken + self.jobs * self.store.released)
        self.store.released = 0

    def result(self, reason: StopReason) -> SearchResult:
        """Everything found so far, by all processes."""
        if self.completed + 1 < len(self.store.levels):
            self.verdicts.close_level(self.completed + 1, self._noted())
        self.verdicts.finish(self.completed)
        observed = np.concatenate(self.peers.gather(self._observed()))
        seconds = time.perf_counter() - self.start
        here = [self.store.count, self.store.fresh, sum(g.transitions for g in self.groups), self.peak, self.store.disk]
        states, fresh, transitions, peak, disk, waited, sent = self.peers.total([*here, int(self.peers.seconds * 1e6), self.peers.sent])
        return SearchResult(
            reason=reason, states=states, transitions=transitions,
            level_sizes=tuple(self.sizes) + ((fresh,) if fresh else ()),
            depth_completed=self.completed,
            reached=int(np.bitwise_or.reduce(observed[:, REACHED])),
            counters=tuple(observed[:, COUNTERS:].sum(axis=0).tolist()),
            violations=self.verdicts.violations, error=self.verdicts.error, again=self.verdicts.again, pending=self.verdicts.pending,
            seconds=self.before + seconds, peak_bytes=peak, disk_bytes=disk, model=self.model, store=self.store, peers=self.peers,
            exchange=waited / 1e6 / self.peers.size / seconds, sent=sent,
        )  # fmt: skip
