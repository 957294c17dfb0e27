"""Other engines, where they are installed, with what `pasidlab bench` has them explore. Each is compiled when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from pasidlab.checking.bench import Lap
from pasidlab.checking.engine_run import EngineRun
from pasidlab.checking.lazyreg_minicheck import minicheck_explored, minicheck_is_there
from pasidlab.checking.lazyreg_murphi import lazyreg_murphi
from pasidlab.checking.lazyreg_promela import lazyreg_promela
from pasidlab.checking.rumur import rumur_explored, rumur_is_there, rumur_verifier
from pasidlab.checking.spin import UNREDUCED, explored, export_explored, export_verifier, spin_is_there, verifier
from pasidlab.lang.back.promela import Export

Contender = Callable[[], Lap]
Contenders = dict[str, Contender]  # by the contender's name

_DEEPEST = "-m1000000"  # longest path of SPIN's depth-first search
_ENGINES = {
    "SPIN": (spin_is_there, "apt-get install spin gcc"),
    "Rumur": (rumur_is_there, "apt-get install rumur gcc"),
    "minicheck": (minicheck_is_there, "pip install minicheck"),
}


def missing() -> Iterator[str]:
    """The engines that are not measured, and how they are installed."""
    yield from (f"{name} is not installed ({how})" for name, (there, how) in _ENGINES.items() if not there())


def lazyreg_peers(tasks: int, cpus: int, folder: Path, threads: Sequence[int]) -> Contenders:
    """The engines that explore LazyReg in seconds where it has millions of states."""
    runs: Contenders = {}
    if spin_is_there():
        text = lazyreg_promela(tasks, cpus)
        runs["SPIN -DBFS, 1 thread"] = _spin(text, folder / "bfs", "-DBFS")
        runs["SPIN depth first, 1 thread"] = _spin(text, folder / "dfs")
        runs[f"SPIN -DBFS_PAR, {_threads(threads[-1])}"] = _spin(text, folder / "par", "-DBFS_PAR", option=f"-u{threads[-1]}")
    if rumur_is_there():
        text = lazyreg_murphi(tasks, cpus)
        runs |= {f"Rumur, {_threads(count)}": _rumur(text, folder / f"rumur{count}", count) for count in threads}
    return runs


def lazyreg_in_python(tasks: int, cpus: int) -> Contenders:
    """The engine that would take minutes there."""
    return {"minicheck, 1 thread": lambda: _outcome(minicheck_explored(tasks, cpus))} if minicheck_is_there() else {}


def spin_on_export(export: Export, folder: Path, reduction: Sequence[str] = UNREDUCED) -> Contenders:
    """SPIN, depth first, on an exported model. It refuses -DBFS there: the model has ``hidden`` variables."""
    if not spin_is_there():
        return {}
    pan = cache(lambda: export_verifier(export, folder, "-O2", reduction=reduction))
    name = "depth first" if reduction == UNREDUCED else "depth first, with its reduction"
    return {f"SPIN {name}, 1 thread": lambda: _outcome(export_explored(pan(), export))}


def _spin(text: str, folder: Path, *flags: str, option: str = _DEEPEST) -> Contender:
    pan = cache(lambda: verifier(text, folder, "-O3", *flags))
    return lambda: _outcome(explored(pan(), option)[0])


def _rumur(text: str, folder: Path, threads: int) -> Contender:
    compiled = cache(lambda: rumur_verifier(text, folder, threads))
    return lambda: _outcome(rumur_explored(compiled()))


def _outcome(run: EngineRun) -> Lap:
    return Lap(run.states, run.seconds, run.memory)


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"
