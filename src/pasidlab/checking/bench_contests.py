"""What `pasidlab bench` measures, contest by contest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pasidlab.checking.agreement import exported, whole_model
from pasidlab.checking.api import check
from pasidlab.checking.bench import Contest, Lap
from pasidlab.checking.bench_limit import SLOTS_BITS, hash_inserts
from pasidlab.checking.bench_peers import Contender, Contenders, lazyreg_in_python, lazyreg_peers, spin_on_export
from pasidlab.checking.reductions import ALL, Reductions
from pasidlab.checking.spin import REDUCED
from pasidlab.designs import Opening
from pasidlab.lang.back.native import compile_model
from pasidlab.model.scope import Scope
from pasidlab.search.breadth_first import search
from pasidlab.search.result import NativeModel

MakeLazyreg = Callable[[int, int], NativeModel]
"""LazyReg, compiled, of so many tasks and CPUs."""

GROWTH, PEERS, KERNEL, REDUCTIONS, LIMIT = "growth", "engines", "kernel model", "reductions", "limit"
"""The sections, in their order."""

_DESIGN = "early-read"
_RACE = frozenset({"preempt", "migrate", "softirq"})
_WITHOUT = {
    "without merging steps": replace(ALL, merging=False),
    "without symmetry": replace(ALL, symmetry=False),
    "without forgetting": replace(ALL, forgetting=False),
    "without local steps first": replace(ALL, local_first=False),
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured. LazyReg's sizes are tasks and CPUs, those of the kernel model CPUs and tasks."""

    lazyreg: tuple[tuple[int, int], ...]
    in_python: tuple[int, int]
    kernel: tuple[tuple[int, int], ...]
    exported: Scope
    reduced: Scope
    rounds: int
    slots_bits: int


FULL = Sizes(
    lazyreg=((1, 2), (2, 2), (2, 3), (3, 2)), in_python=(2, 2), kernel=((2, 1), (2, 2), (3, 2), (2, 3)),
    exported=Scope(2, 2, 1, 1, frozenset({"preempt"})), reduced=Scope(2, 2, 2, 2, _RACE), rounds=3, slots_bits=SLOTS_BITS,
)  # fmt: skip
QUICK = replace(
    FULL, lazyreg=((1, 2), (2, 2)), kernel=((2, 1),), exported=Scope(2, 1, 1, 1, frozenset({"preempt"})),
    reduced=Scope(2, 1, 1, 1, _RACE), rounds=1, slots_bits=20,
)  # fmt: skip


def contests(sizes: Sizes, lazyreg: MakeLazyreg, folder: Path) -> Iterator[Contest]:
    """All that is measured. Other engines are compiled in ``folder``."""
    threads = sorted({1, min(2, len(os.sched_getaffinity(0)))})
    yield from _growth(sizes, lazyreg)
    yield from _engines(sizes, lazyreg, folder, threads)
    yield from _kernel(sizes.exported, folder)
    yield Contest(REDUCTIONS, f"{_DESIGN}, {sizes.reduced}", {"with all": _checked(sizes.reduced)} | {
        name: _checked(sizes.reduced, reductions) for name, reductions in _WITHOUT.items()
    })  # fmt: skip
    yield from _limits(sizes, lazyreg, threads)


def _growth(sizes: Sizes, lazyreg: MakeLazyreg) -> Iterator[Contest]:
    ours: Contenders = {_size(tasks, cpus): _searched(lazyreg(tasks, cpus), 1) for tasks, cpus in sizes.lazyreg}
    yield Contest(GROWTH, "LazyReg, 1 thread", ours, compared=False)
    kernel: Contenders = {_size(tasks, cpus): _checked(Scope(cpus, tasks, 1, 1, _RACE)) for cpus, tasks in sizes.kernel}
    yield Contest(GROWTH, f"{_DESIGN}, 1 thread, 1 mm, {','.join(sorted(_RACE))}", kernel, compared=False)


def _engines(sizes: Sizes, lazyreg: MakeLazyreg, folder: Path, threads: list[int]) -> Iterator[Contest]:
    tasks, cpus = sizes.lazyreg[-1]
    model = lazyreg(tasks, cpus)
    ours: Contenders = {f"pasidlab, {count} thread{'s' * (count > 1)}": _searched(model, count) for count in threads}
    yield Contest(PEERS, f"LazyReg, {_size(tasks, cpus)}", ours | lazyreg_peers(tasks, cpus, folder, threads))
    tasks, cpus = sizes.in_python
    first = {"pasidlab, 1 thread": _searched(lazyreg(tasks, cpus), 1)}
    yield Contest(PEERS, f"LazyReg, {_size(tasks, cpus)}, an engine in Python", first | lazyreg_in_python(tasks, cpus))


def _kernel(scope: Scope, folder: Path) -> Iterator[Contest]:
    """SPIN on the model of a design, as it is exported: nothing reduced on either side, and each with what it has."""
    design = Opening(_DESIGN).design()
    export, whole = exported(design, scope), compile_model(whole_model(design, scope)).optimised()
    work = f"{_DESIGN}, {scope}"
    by_spin = spin_on_export(export, folder / "whole")
    yield Contest(KERNEL, f"{work}: nothing reduced", {"pasidlab, 1 thread": _searched(whole, 1)} | by_spin)
    with_reductions = spin_on_export(export, folder / "reduced", REDUCED)
    yield Contest(KERNEL, f"{work}: reduced", {"pasidlab, 1 thread": _checked(scope)} | with_reductions)


def _limits(sizes: Sizes, lazyreg: MakeLazyreg, threads: list[int]) -> Iterator[Contest]:
    """Steps of LazyReg beside random inserts. A step is an insert at least."""
    model = lazyreg(*sizes.lazyreg[-1])
    for count in threads:
        work = f"a hash set, {count} thread{'s' * (count > 1)}"
        steps = {"steps of LazyReg": _stepped(model, count)}
        inserts = {
            "random inserts": _inserted(count, sizes.slots_bits, huge=False),
            "random inserts, huge pages": _inserted(count, sizes.slots_bits, huge=True),
        }
        yield Contest(LIMIT, work, steps | inserts, counted="inserts")


def _size(tasks: int, cpus: int) -> str:
    return f"{tasks} task{'s' * (tasks > 1)}, {cpus} CPU{'s' * (cpus > 1)}"


def _searched(model: NativeModel, jobs: int) -> Contender:
    def run() -> Lap:
        found = search(model, jobs=jobs)
        return Lap(found.states, found.seconds, found.peak_bytes)

    return run


def _stepped(model: NativeModel, jobs: int) -> Contender:
    def run() -> Lap:
        found = search(model, jobs=jobs)
        return Lap(found.transitions, found.seconds)

    return run


def _checked(scope: Scope, reductions: Reductions = ALL) -> Contender:
    def run() -> Lap:
        (part,) = check(_DESIGN, scope, jobs=1, reductions=reductions).parts
        return Lap(part.states, part.seconds, round(part.bytes_per_state * part.states))

    return run


def _inserted(jobs: int, slots_bits: int, *, huge: bool) -> Contender:
    return lambda: Lap(*hash_inserts(jobs, slots_bits, huge=huge))
