"""``pasidlab bench run``: how fast programs run, measured on this machine, against the limits the design sets itself."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

from pasidlab.checking import children
from pasidlab.live import benchiaa, benchtracer

_PROGRAM = [sys.executable, "-m", "pasidlab.live.benchprogram"]
_FAST = [sys.executable, "-m", "pasidlab", "run", "--summary", "none", "--"]
_RUN = [*_FAST[:-1], "--exact", "--"]
_IAX = [*_FAST[:-1], *benchiaa.OPTIONS, "--"]
_NATIVE: list[str] = []
_THREADS = (1, 8, 64)


@dataclass(frozen=True)
class Figure:
    """One measurement: ``limit`` is an upper bound, or a lower one where ``at_least``. ``beside``: what a prototype reached."""

    name: str
    value: float
    unit: str
    limit: float
    at_least: bool = False
    beside: str = ""

    @property
    def kept(self) -> bool:
        """Whether the limit holds."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def _measure(what: str, number: int, run: list[str] = _RUN, *, one_core: bool = False) -> float:
    """A figure of the program, run so; an empty ``run`` is native."""
    command = [*run, *_PROGRAM, what, str(number)]
    before = os.sched_getaffinity(0)
    if one_core:
        os.sched_setaffinity(0, {max(before)})
    try:
        done = children.run_child(command)
    finally:
        os.sched_setaffinity(0, before)
    if done.returncode:
        raise click.ClickException(f"the benchmark program failed ({done.returncode}): {done.stderr.decode(errors='replace').strip()}")
    return float(done.stdout)


def _ratio(rounds: int = 40, pairs: int = 7) -> float:
    """Time of a program that never submits, run by pasidlab, over its own time."""
    native, ours = _pairs("work", rounds, pairs)
    return ours / native


def _pairs(what: str, number: int, pairs: int) -> tuple[float, float]:
    """A figure of the program by itself and under pasidlab: the best of alternating runs."""
    native, ours = [], []
    for _ in range(pairs):
        native.append(_measure(what, number, _NATIVE, one_core=True))
        ours.append(_measure(what, number, one_core=True))
    return min(native), min(ours)


def _threads(number: int) -> str:
    return f"{number} thread{'s' * (number > 1)}"


def _without_submissions() -> Iterator[Figure]:
    yield Figure("code that does not submit, time over native", _ratio(), "x", 1.02)
    native, ours = _pairs("arithmetic", 60, 5)
    yield Figure("arithmetic alone, CPU time over native", ours / native, "x", 1.02)
    native, ours = _pairs("calls", 200_000, 5)
    yield Figure("a system call costs more than native by", ours - native, "us", 0.05)
    more = _measure("births", 200) - _measure("births", 200, _NATIVE)
    yield Figure("starting a thread costs more than native by", more, "us", 1500)


def _submissions() -> Iterator[Figure]:
    stops = {}
    for threads in _THREADS:
        stops[threads] = _measure("submissions", threads, one_core=True)
        yield Figure(f"--exact, 64-byte move, one core, {_threads(threads)}", stops[threads], "us", 60, beside="22.5 in C")
    alone = min(benchtracer.microseconds(1000) for _ in range(12))
    yield Figure("  a tracer of the same system calls alone", alone, "us", 30)
    yield Figure("  --exact, 1 thread, over that tracer", stops[1] / alone, "x", 3)
    for threads in _THREADS:
        yield Figure(f"--exact, 64-byte move, all cores, {_threads(threads)}", _measure("submissions", threads), "us", 90)
    for threads in _THREADS:
        quick = _measure("unstopped", threads, _FAST)
        yield Figure(f"64-byte move, all cores, {_threads(threads)}", quick, "ns", 100, beside="17 - 27")
        yield Figure("  as often in the time of one that stops", stops[threads] * 1e3 / quick, "x", 500, at_least=True, beside="2000")
    for threads in _THREADS:
        quick = _measure("asking", threads, _FAST)
        yield Figure(f"  without block on fault, {_threads(threads)}", quick, "ns", 5000)
    yield Figure("64-byte move in a batch of 16, 1 thread", _measure("batches", 16, _FAST), "ns", 100)
    yield Figure("256 KiB moves over libc memmove, speed", _measure("in_process", 1 << 18, _FAST), "x", 0.8, at_least=True)
    yield Figure("--exact, 5000 mappings more, one core", _measure("mappings", 5000, one_core=True), "us", 60)


_BULK = {3: "memory move over libc memmove", 4: "fill over libc memset", 5: "compare over numpy", 16: "CRC over google_crc32c"}
_ANALYTICS = {0x42: ("decompress over zlib inflate", 0.1), 0x43: ("compress over zlib deflate", 0.2), 0x44: ("CRC64 over zlib crc32", 0.02)}


def figures() -> Iterator[Figure]:
    """All figures, as they are measured."""
    yield from _without_submissions()
    yield from _submissions()
    for opcode, name in _BULK.items():
        yield Figure(f"256 MiB {name}, speed", _measure("bulk", opcode), "x", 0.8, at_least=True)
    for opcode, (name, limit) in _ANALYTICS.items():
        yield Figure(f"IAX, 1 MiB {name}, speed", _measure("analytics", opcode, _IAX), "x", limit, at_least=True)


@click.command("run")
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON.")
def bench_run(as_json: bool) -> None:
    """Measure ``pasidlab run``: native speed, cost of a submission, bulk operations, IAX beside zlib. About a minute."""
    rows = []
    for figure in figures():
        rows.append(figure)
        if not as_json:
            sign = ">=" if figure.at_least else "<="
            verdict = "" if figure.kept else "   MISSED"
            beside = f", prototype {figure.beside}" if figure.beside else ""
            click.echo(f"{figure.name:50}{figure.value:9.2f} {figure.unit:3}({sign} {figure.limit:g}{beside}){verdict}")
    if as_json:
        click.echo(json.dumps([asdict(row) | {"kept": row.kept} for row in rows], indent=2))
