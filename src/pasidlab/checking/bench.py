"""Measures the search on LazyReg beside SPIN and beside this machine's limit, all in one run.

The limit is how many random 64-bit keys a thread can insert into a hash set much larger than the caches: a plain search
has to do at least that for every transition. It is measured with ordinary pages, and with huge pages, as which the
search keeps its own tables. Runs of the contenders alternate; every figure is a median.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pasidlab.checking.engine_run import EngineRun
from pasidlab.checking.lazyreg_promela import lazyreg_promela
from pasidlab.checking.spin import explored, spin_is_there, verifier
from pasidlab.search.breadth_first import search
from pasidlab.search.memory import Block, compiled, load64, prefetch, shift_right, store64
from pasidlab.search.result import NativeModel, SearchResult

ByThreads = dict[int, float]  # by number of threads

_BATCH = 32  # keys whose cache lines are fetched together
_SLOTS_BITS = 27  # of 8 bytes
_FILL = 0.5
_DEEPEST = 1_000_000  # longest path of SPIN's depth-first search


@compiled("int64(int64, int64, int64, int64, int64)")
def insert_random(table: int, mask: int, first: int, count: int, keys: int) -> int:
    """Insert the random keys number first .. first + count - 1 into a set; return how many were new.

    ``keys`` is room for _BATCH words; ``count`` is a multiple of that.
    """
    new = 0
    for batch in range(first, first + count, _BATCH):
        for k in range(_BATCH):
            x = (batch + k + 1) * -0x61C8864680B583EB
            x = (x ^ shift_right(x, 30)) * -0x40A7B892E31B1A47
            x = (x ^ shift_right(x, 27)) * -0x6B2FB644ECECEE15
            x = (x ^ shift_right(x, 31)) | 1
            store64(keys + 8 * k, x)
            prefetch(table + (shift_right(x, 20) & mask) * 8)
        for k in range(_BATCH):
            x = load64(keys + 8 * k)
            slot = shift_right(x, 20) & mask
            while load64(table + slot * 8) != 0 and load64(table + slot * 8) != x:
                slot = (slot + 1) & mask
            new += load64(table + slot * 8) == 0
            store64(table + slot * 8, x)
    return new


def hash_inserts_per_second(jobs: int, slots_bits: int = _SLOTS_BITS, *, huge: bool = False) -> float:
    """Insert random keys into 2**slots_bits slots, shared out to ``jobs`` threads, until they are half full.

    ``huge``: in huge pages, else in ordinary ones.
    """
    per_thread = 1 << (slots_bits - (jobs - 1).bit_length())
    count = int(per_thread * _FILL)
    tables, keys = [Block(per_thread * 8, huge=huge) for _ in range(jobs)], [Block(_BATCH * 8) for _ in range(jobs)]
    for table in tables:
        table.words.fill(0)  # have the pages ready: their first touch is not part of the limit

    def work(i: int) -> None:
        insert_random(tables[i].address, per_thread - 1, i * count, count, keys[i].address)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, jobs)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    work(0)
    for thread in threads:
        thread.join()
    return jobs * count / (time.perf_counter() - start)


@dataclass(frozen=True)
class Benchmark:
    """The figures of one run: medians, by number of threads. SPIN has one thread; None where it is not installed."""

    result: SearchResult  # of the first search
    states_per_second: ByThreads
    hash_inserts_per_second: ByThreads
    hash_inserts_on_huge_pages: ByThreads
    spin_bfs: EngineRun | None
    spin_dfs: EngineRun | None
    slots_bits: int

    def of_hash_limit(self, limit: ByThreads) -> ByThreads:
        """Transitions per second as a share of the random inserts per second of as many threads."""
        branching = self.result.transitions / self.result.states
        return {j: rate * branching / limit[j] for j, rate in self.states_per_second.items()}

    def of_spin(self, run: EngineRun | None) -> ByThreads | None:
        """States per second as a multiple of SPIN's."""
        if run is None:
            return None
        return {jobs: rate * run.seconds / run.states for jobs, rate in self.states_per_second.items()}

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON: what `pasidlab bench --json` prints."""
        lazyreg = {
            "states": self.result.states,
            "transitions": self.result.transitions,
            "depth": self.result.depth,
            "bytes_per_state": round(self.result.bytes_per_state, 1),
            "states_per_second": _rounded(self.states_per_second, 6),
        }
        return {
            "lazyreg": lazyreg,
            "spin_bfs": _spin_json(self.spin_bfs),
            "spin_dfs": _spin_json(self.spin_dfs),
            "hash_inserts_per_second": _rounded(self.hash_inserts_per_second, 6),
            "hash_inserts_on_huge_pages": _rounded(self.hash_inserts_on_huge_pages, 6),
            "hash_slots": 1 << self.slots_bits,
            "times_spin_bfs": _rounded(self.of_spin(self.spin_bfs)),
            "times_spin_dfs": _rounded(self.of_spin(self.spin_dfs)),
            "share_of_hash_limit": _rounded(self.of_hash_limit(self.hash_inserts_per_second)),
            "share_of_limit_on_huge_pages": _rounded(self.of_hash_limit(self.hash_inserts_on_huge_pages)),
        }


def _rounded(counts: ByThreads | None, digits: int = 3) -> dict[str, float] | None:
    """To so many significant digits."""
    return None if counts is None else {str(jobs): float(f"{count:.{digits}g}") for jobs, count in counts.items()}


def _spin_json(run: EngineRun | None) -> dict[str, float] | None:
    if run is None:
        return None
    rate = round(run.states / run.seconds)
    return {"states": run.states, "transitions": run.transitions, "errors": run.errors, "states_per_second": rate}


def bench(
    lazyreg: Callable[[], NativeModel],
    *,
    tasks: int = 3,
    cpus: int = 2,
    jobs: tuple[int, ...] = (1, 2),
    repeats: int = 3,
    slots_bits: int = _SLOTS_BITS,
) -> Benchmark:
    """Measure the search on LazyReg, whose native model ``lazyreg`` makes, and all it is compared with.

    ``tasks`` and ``cpus`` are that model's, for SPIN; the hash table takes 2**(slots_bits + 3) bytes.
    """
    model = lazyreg()
    jobs = tuple(j for j in jobs if j <= len(os.sched_getaffinity(0))) or (1,)
    rates: dict[int, list[float]] = {j: [] for j in jobs}
    inserts: dict[int, list[float]] = {j: [] for j in jobs}
    huge: dict[int, list[float]] = {j: [] for j in jobs}
    spin: dict[str, list[EngineRun]] = {"bfs": [], "dfs": []}
    result = search(model, jobs=jobs[0])  # the first one also pays for loading code and for the first use of memory
    with tempfile.TemporaryDirectory() as folder:
        text = lazyreg_promela(tasks, cpus)
        flags = {"bfs": ["-DBFS"], "dfs": []}
        verifiers = {kind: verifier(text, Path(folder, kind), "-O3", *flags[kind]) for kind in spin} if spin_is_there() else {}
        for _ in range(repeats):
            for j in jobs:
                inserts[j].append(hash_inserts_per_second(j, slots_bits))
                huge[j].append(hash_inserts_per_second(j, slots_bits, huge=True))
                rates[j].append(_states_per_second(model, j))
            for kind, pan in verifiers.items():
                spin[kind].append(explored(pan, f"-m{_DEEPEST}")[0])
    rate, limit, huge_limit = ({j: median(each) for j, each in figures.items()} for figures in (rates, inserts, huge))
    return Benchmark(
        result, rate, limit, hash_inserts_on_huge_pages=huge_limit, spin_bfs=_middle(spin["bfs"]), spin_dfs=_middle(spin["dfs"]),
        slots_bits=slots_bits,
    )  # fmt: skip


def _states_per_second(model: NativeModel, jobs: int) -> float:
    """Of one search, whose memory is free again for the next one."""
    result = search(model, jobs=jobs)
    return result.states / result.seconds


def _middle(runs: list[EngineRun]) -> EngineRun | None:
    """The run that took the median time."""
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2] if runs else None
